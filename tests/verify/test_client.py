"""Fetching a snapshot from a client that may answer anything, within a deadline."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.redaction import scrub
from flash_otel.verify import _DaemonExecutor, run_within
from flash_otel.verify.checks import Subject
from flash_otel.verify.client import (
    Fetcher,
    VerifyError,
    WrongNameError,
    listing,
    unknown_app,
    unknown_environment,
)
from flash_otel.verify.snapshot import LOCAL_PATH, MAX_LOCAL_BYTES, read_local
from flash_otel.verify.verdict import judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from typing_extensions import Self

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
IDS = st.sampled_from(["env-1", "env-2", "", "x/y"]) | JSON
ENVIRONMENTS = st.lists(
    st.fixed_dictionaries({"id": IDS, "name": st.just("production") | JSON}) | JSON, max_size=3
)
ENDPOINTS = st.dictionaries(st.text(max_size=4), JSON | st.just("https://[x"), max_size=3)
MANIFESTS = JSON | st.fixed_dictionaries(
    {"resources": ENDPOINTS | JSON, "resources_endpoints": ENDPOINTS | JSON, "_flash_otel": JSON}
)


class ScriptedClient:
    """Returns or raises the given answers."""

    def __init__(self, app: Any, environment: Any = None, build: Any = None) -> None:
        self._answers = {"app": app, "environment": environment, "build": build}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def _answer(self, name: str) -> Any:
        answer = self._answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def get_flash_app_by_name(self, _: str) -> Any:
        """Return the app."""
        return self._answer("app")

    async def list_flash_apps(self) -> Any:
        """Fail to list the apps."""
        raise LookupError("no list")

    async def get_flash_environment(self, _: dict[str, Any]) -> Any:
        """Return the environment."""
        return self._answer("environment")

    async def get_flash_build(self, _: str) -> Any:
        """Return the build."""
        return self._answer("build")


def fetched(client: ScriptedClient, environment: str | None = None) -> Any:
    """Fetch a snapshot."""
    fetcher = Fetcher(client, "shop", environment)
    return run_within(10.0, lambda: fetcher.fetch(call=False, sentinel=False))


@given(
    listed=ENVIRONMENTS | JSON,
    environment=JSON
    | st.fixed_dictionaries({"activeBuildId": st.just("b") | JSON, "endpoints": ENVIRONMENTS}),
    manifest=MANIFESTS,
)
def test_any_answer_is_judged_or_refused(listed: Any, environment: Any, manifest: Any) -> None:
    """Answers of any shape end in a verdict or a VerifyError."""
    app = {"id": "a", "flashEnvironments": listed, "flashBuilds": listed}
    results: list[object] = []
    try:
        snapshot = fetched(ScriptedClient(app, environment, {"manifest": manifest}))
        results.extend(judge(Subject(snapshot)).findings)
    except VerifyError as error:
        results.append(error.message)
    assert results


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (Exception("GraphQL request failed: 401 - {}"), "unauthorized", "flash login"),
        (Exception("GraphQL request failed: 503 - {}"), "state_manager_unavailable", "status"),
        (Exception("HTTP request failed: Cannot connect to host"), None, "network"),
        (Exception("GraphQL request failed: 429 - {}"), None, "network"),
        (Exception("GraphQL errors: nonsense"), None, "flash env list"),
        (KeyError("flashEnvironment"), None, "Try again"),
    ],
)
def test_why_a_query_failed(error: Exception, code: str | None, word: str) -> None:
    """A refused key and a server error are faults; an unreachable server proves none."""
    app = {"id": "a", "flashEnvironments": [{"id": "env-1", "name": "production"}]}
    with pytest.raises(VerifyError) as caught:
        fetched(ScriptedClient(app, error))
    assert caught.value.code == code
    assert word in caught.value.next_step
    assert "the query for environment 'production' failed" in caught.value.message


def test_an_environment_is_found_by_name_or_id() -> None:
    """`--env` accepts either; among several environments, none is guessed."""
    listed = [{"id": "env-1", "name": "production"}, {"id": "env-2", "name": "staging"}]
    client = ScriptedClient({"id": "a", "flashEnvironments": listed}, {"activeBuildId": None})
    assert fetched(client, "staging").environment.id == "env-2"
    assert fetched(client, "env-1").environment.name == "production"
    for wanted, message in ((None, "has 2 environments"), ("prod", "no environment 'prod'")):
        with pytest.raises(WrongNameError, match=message):
            fetched(client, wanted)
    with pytest.raises(WrongNameError, match="has no environment"):
        fetched(ScriptedClient({"id": "a", "flashEnvironments": []}))
    with pytest.raises(WrongNameError, match="no app 'shop'"):
        fetched(ScriptedClient(Exception("GraphQL errors: App not found")))


def test_names_are_listed_within_bounds() -> None:
    """A long list of names is cut, with the number of omitted names."""
    assert listing([str(number) for number in range(12)]).endswith("9 and 2 more")


def test_the_deadline_holds_against_a_blocked_lookup() -> None:
    """A thread that cannot be cancelled, such as a name lookup, does not delay the deadline."""
    import threading

    blocked = threading.Event()

    async def look_up() -> None:
        await asyncio.get_running_loop().run_in_executor(None, blocked.wait)

    with pytest.raises(asyncio.TimeoutError):
        run_within(0.05, look_up)
    blocked.set()


def test_a_failing_lookup() -> None:
    """The exception of a lookup is raised to its caller."""

    def fail() -> None:
        raise LookupError("no such host")

    async def look_up() -> None:
        await asyncio.get_running_loop().run_in_executor(None, fail)

    with pytest.raises(LookupError):
        run_within(10.0, look_up)


def test_the_local_manifest(tmp_path: Path) -> None:
    """A missing file is None; an unreadable one has a problem; a valid one is read."""
    assert read_local(tmp_path) is None
    path = tmp_path / LOCAL_PATH
    path.parent.mkdir()
    for broken in ("{", "[]", "[" * 100_000):
        path.write_text(broken, encoding="utf-8")
        found = read_local(tmp_path)
        assert found is not None
        assert found.problem
    path.write_text(" " * (MAX_LOCAL_BYTES + 1), encoding="utf-8")
    assert "larger" in getattr(read_local(tmp_path), "problem", "")
    good = {"project_name": "shop", "resources": {"api": {}}, "resources_endpoints": {"api": "u"}}
    path.write_text(json.dumps(good), encoding="utf-8")
    found = read_local(tmp_path)
    assert found is not None
    assert (found.app, found.resources, found.endpoints) == ("shop", ("api",), {"api": "u"})


@pytest.mark.parametrize(
    ("known", "message", "step"),
    [
        ((), "It has none.", "Run: flash deploy"),
        (("live",), "It has: live.", "Try: flash-otel verify --app shop --env live"),
        (
            ("live", "production"),
            "It has: live, production.",
            "Did you mean production? Try: flash-otel verify --app shop --env production",
        ),
    ],
)
def test_an_unknown_environment_names_the_known_ones(
    known: tuple[str, ...], message: str, step: str
) -> None:
    """The error lists what the app has, and suggests the likeliest."""
    error = unknown_environment("shop", "prodution", known)
    assert str(error) == f"app 'shop' has no environment 'prodution'. {message}"
    assert error.next_step == step


def test_an_error_without_advice_has_no_next_step() -> None:
    """The next step is empty unless one is given."""
    assert VerifyError("broken").next_step == ""


def test_an_unknown_app_names_the_known_ones() -> None:
    """The error lists what the API key can see, and suggests the likeliest."""
    near = unknown_app("shp", ("shop", "lab"))
    assert str(near) == "Runpod knows no app 'shp'. It knows: shop, lab."
    assert near.next_step == "Did you mean shop? Pass it: --app shop"
    far = unknown_app("shop", ())
    assert str(far) == "Runpod knows no app 'shop'. It knows none for this API key."
    assert "--app NAME" in far.next_step


def test_lookups_do_not_keep_the_process() -> None:
    """The threads that look host names up are daemons: the process ends without them."""

    async def look_up() -> tuple[str, bool]:
        thread = await asyncio.get_running_loop().run_in_executor(None, threading.current_thread)
        return thread.name, thread.daemon

    assert run_within(10.0, look_up) == ("flash_otel-lookup", True)


def test_a_lookup_that_is_cancelled_is_not_begun() -> None:
    """A lookup that was given up before it began asks nothing."""
    asked: list[str] = []
    executor = _DaemonExecutor()
    held: list[Callable[[], None]] = []

    class Held:
        def __init__(self, target: Callable[[], None], **_: object) -> None:
            self.start = lambda: held.append(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Thread", Held)
        future = executor.submit(asked.append, "host")
    assert future.cancel()
    held[0]()
    assert (asked, future.cancelled()) == ([], True)


def test_the_arguments_of_a_lookup() -> None:
    """They reach the function, whose result is that of the lookup."""

    def look_up(host: str, *, port: int) -> tuple[str, int]:
        return host, port

    assert _DaemonExecutor().submit(look_up, "host", port=80).result(10.0) == ("host", 80)


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_run_leaves(*, fails: bool) -> None:
    """Its loop is closed, and what was being iterated has ended, whether it fails or not."""
    loops: list[asyncio.AbstractEventLoop] = []
    ended: list[str] = []

    async def lines() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append("lines")

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        running.append(lines())
        async for _ in running[0]:
            break
        if fails:
            raise LookupError("no such host")

    running: list[AsyncIterator[int]] = []
    with pytest.raises(LookupError) if fails else nullcontext():
        run_within(10.0, run)
    assert loops[0].is_closed()
    assert ended == ["lines"]


def test_secrets_of_a_fetched_manifest_are_hidden() -> None:
    """What is printed later holds none of them, even where an error quotes them."""
    canary = "canary-5c1f0a7e-of-a-manifest"
    resources = {"api": {"env": {"SERVICE_TOKEN": canary}}}
    app = {"id": "a", "flashEnvironments": [{"id": "env-1", "name": "production"}]}
    environment = {"activeBuildId": "b", "endpoints": []}
    fetched(ScriptedClient(app, environment, {"manifest": {"resources": resources}}))
    assert canary not in scrub(f"HTTP 500: {canary}")
