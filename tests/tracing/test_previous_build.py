"""The build that an activation replaces, from what Flash asks before it activates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flash_otel
from flash_otel import semconv
from flash_otel.testing import recording
from flash_otel.tracing.flash import TARGETS

if TYPE_CHECKING:
    from flash_otel.testing import Recorded

ACTIVATED: Final = {"deployBuildToEnvironment": {"id": "e-1", "name": "production"}}
WRAPPERS: Final = {target.name: target.wrapper for target in TARGETS}


def traced(method: Any) -> Any:
    """Wrap a method of the client below as the same method of Flash's client is wrapped."""
    return WRAPPERS[f"RunpodGraphQLClient.{method.__name__}"](method)


class Client:
    """Flash's GraphQL client, with answers that are given beforehand."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers, ACTIVATED]

    @traced
    async def _execute_graphql(self, query: str, variables: Any = None) -> Any:
        assert query
        assert variables is None
        return self.answers.pop(0)

    @traced
    async def deploy_build_to_environment(self, input_data: dict[str, str]) -> Any:
        assert input_data["flashBuildId"] == "b-2"
        return await self._execute_graphql("mutation deployBuildToEnvironment { id }")

    @flash_otel.trace_deploy
    async def deploy(self, env_name: str) -> None:
        assert env_name
        while len(self.answers) > 1:
            await self._execute_graphql("query getFlashEnvironmentByName { id }")
        await self.activate()

    async def activate(self) -> None:
        """Activate a build, as `FlashApp.deploy_build_to_environment` does."""
        given = {"flashEnvironmentId": "e-1", "flashBuildId": "b-2"}
        await self.deploy_build_to_environment(given)


def named(build_id: Any, **fields: Any) -> dict[str, Any]:
    """Return the answer of `getFlashEnvironmentByName`."""
    environment = {"id": "e-1", "name": "production", "activeBuildId": build_id, **fields}
    return {"flashEnvironmentByName": environment}


def listed(*builds: Any, **fields: Any) -> dict[str, Any]:
    """Return the answer of `listFlashEnvironments`: e-1 is the first environment."""
    environments = [
        {"id": f"e-{number}", "name": f"env-{number}", "activeBuildId": build_id, **fields}
        for number, build_id in enumerate(builds, start=1)
    ]
    return {"flashApp": {"flashEnvironments": environments}}


def previous(spans: Recorded) -> list[Any]:
    """Return the previous build as root and activation have it."""
    return [
        span.attributes.get("flash.previous_build_id")
        for name in (semconv.DEPLOY, semconv.ACTIVATE)
        for span in spans.named(name)
    ]


NAMELESS: Final = {"flashApp": {"flashEnvironments": [{"id": "e-1", "name": "production"}]}}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([named("b-1")], "b-1"),
        ([listed("b-1", "b-other")], "b-1"),
        ([{"flashAppByName": listed("b-1")["flashApp"]}], "b-1"),
        ([named("b-2")], "b-2"),
        # The last answer counts, whichever query it belongs to.
        ([listed("b-0"), named("b-1")], "b-1"),
        ([named("b-0"), listed("b-1")], "b-1"),
        ([named("b-0"), listed("b-other"), named("b-1")], "b-1"),
        ([listed("b-0"), named(None)], None),
        # Answers about other environments, and those that do not say.
        ([listed("b-1"), named("b-other", id="e-2")], "b-1"),
        ([named("b-1"), NAMELESS], "b-1"),
        ([named("b-1"), {"flashEnvironmentByName": None}], None),
        ([NAMELESS], None),
        # Without ids, the name of the deployment's environment decides.
        ([named("b-1", id=None)], "b-1"),
        ([named("b-1", id=None, name="staging")], None),
        ([listed("b-0", "b-1", id=None, name="production")], "b-0"),
        # A first deployment.
        ([named(None)], None),
        ([named("")], None),
        ([], None),
    ],
)
def test_last_answer_before_the_activation(
    spans: Recorded, answers: list[Any], expected: str | None
) -> None:
    """Activation and root have the build that was active; without one, they have no attribute."""
    asyncio.run(Client(*answers).deploy("production"))
    assert previous(spans) == [expected, expected]
    assert None not in spans.named(semconv.ACTIVATE)[0].attributes.values()


def test_answers_of_the_spans_around_the_activation(spans: Recorded) -> None:
    """The last answer may belong to any of them, however far out."""

    class Nested(Client):
        @traced
        async def deploy_build_to_environment(self, input_data: dict[str, str]) -> Any:
            assert input_data
            return await self._execute_graphql("mutation deployBuildToEnvironment { id }")

        @flash_otel.trace_provision
        async def activate(self) -> None:
            await super().activate()

    asyncio.run(Nested(named("b-1")).deploy("production"))
    assert previous(spans) == ["b-1", "b-1"]


def test_failed_activation(spans: Recorded) -> None:
    """A rejected activation has the build, too: it is still the active one."""

    class Rejecting(Client):
        @traced
        async def deploy_build_to_environment(self, input_data: dict[str, str]) -> Any:
            raise RuntimeError(f"rejected: {input_data}")

    with pytest.raises(RuntimeError, match="rejected"):
        asyncio.run(Rejecting(named("b-1")).deploy("production"))
    assert previous(spans) == ["b-1", "b-1"]


def test_activation_outside_of_a_deployment(spans: Recorded) -> None:
    """Without an enclosing span no answer was noted."""
    client = Client(named("b-1"))

    async def run() -> None:
        await client._execute_graphql("query getFlashEnvironmentByName { id }")
        await client.activate()

    asyncio.run(run())
    assert previous(spans) == [None]


def test_two_deployments_at_the_same_time(spans: Recorded) -> None:
    """Each deployment has the answers to its own questions."""

    async def run() -> None:
        clients = (Client(named("b-1")), Client(named("b-0")))
        await asyncio.gather(*(client.deploy("production") for client in clients))

    asyncio.run(run())
    assert previous(spans) == ["b-1", "b-0", "b-1", "b-0"]


def test_own_code_names_the_previous_build(spans: Recorded) -> None:
    """A decorated activation takes it from a parameter of that name, or from a source."""

    @flash_otel.trace_activate
    def activate(build_id: str, previous_build_id: str) -> None: ...

    @flash_otel.trace_activate(previous_build_id="current.build")
    def promote(build_id: str, current: dict[str, str]) -> None: ...

    activate("b-2", "b-1")
    promote("b-2", {"build": "b-1"})
    assert previous(spans) == ["b-1", "b-1"]


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("e-1"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "activeBuildId", "flashEnvironments", "flashApp"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.lists(JSON, max_size=3))
def test_answers_of_any_shape(answers: list[Any]) -> None:
    """Answers of any shape leave the deployment as it is, and never record None."""
    with recording() as spans:
        asyncio.run(Client(*answers).deploy("production"))
    assert [span.status for span in spans.records] == ["unset", "unset"]
    for span in spans.records:
        found = span.attributes.get("flash.previous_build_id", "b-1")
        assert isinstance(found, str)
        assert found
