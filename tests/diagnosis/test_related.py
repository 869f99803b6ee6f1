"""Which of all recorded spans a question looks up, however many there are."""

from __future__ import annotations

from dataclasses import replace
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import EPOCH_NS, read, span, unsound, worker

from flash_otel import semconv as sc
from flash_otel.diagnosis import related
from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    EndpointFact,
    Origin,
    ProcessIdentity,
    Step,
)
from flash_otel.diagnosis.recorded import RecordedSpans, laid_out
from flash_otel.diagnosis.related import RelatedSpans
from flash_otel.records import LINES_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flash_otel.records import SpanRecord

HOUR: Final = 3_600
QUARTER: Final = 900
"""How long before a deployment a read of it may begin, in seconds."""


def one(
    number: int,
    name: str = sc.ACTIVATE,
    *,
    at: float | None = None,
    env_id: str | None = None,
    env: str | None = None,
    app: str | None = None,
    build: str | None = None,
    trace: int | None = None,
    instance: str | None = None,
    **more: Any,
) -> SpanRecord:
    """Return a span of a trace of its own; without a time, it begins at the second `number`."""
    known = {
        sc.ENVIRONMENT_ID: env_id,
        sc.ENVIRONMENT_NAME: env,
        sc.APP_NAME: app,
        sc.BUILD_ID: build,
    }
    begin = number if at is None else at
    return span(
        name,
        begin,
        begin + 0.5,
        {**known, **{f"flash.{key.replace('__', '.')}": value for key, value in more.items()}},
        trace=f"{number if trace is None else trace}",
        number=f"{number}",
        resource=None if instance is None else worker(instance),
    )


def runs(number: int, name: str = sc.RUNTIME_FETCH, **known: Any) -> SpanRecord:
    """Return a span of a worker of its own."""
    return one(number, name, **{"instance": f"w-{number}", **known})


def loaded(
    made: Iterable[SpanRecord], load: Callable[[RelatedSpans], None], skew_s: float = 0
) -> list[int]:
    """Return the numbers of the spans that are loaded."""
    with laid_out(made) as spans:
        found = RelatedSpans(spans, skew_s)
        load(found)
        return sorted(int(span_id) for _, span_id in found._records)


def of_environment(
    made: Iterable[SpanRecord], environment: str, app: str | None = None
) -> list[int]:
    return loaded(made, lambda found: found.load_environment(environment, app))


# --- the deployments of an environment ---------------------------------------------------------


@pytest.mark.parametrize("known", [{"env_id": "e-1"}, {"env": "e-1"}], ids=["id", "name"])
def test_the_last_deployments_of_an_environment(known: dict[str, Any]) -> None:
    """The last three spans of it, and the last three of each kind that makes a deployment."""
    kinds = (sc.DEPLOY, sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.PROVISION)
    made = [one(at, kinds[at // 10], **known) for at in range(40) if at % 10 < 5]
    others = [one(100, env_id="e-2"), one(101, env="e-2"), runs(102, **known), one(103)]
    expected = [2, 3, 4, 12, 13, 14, 22, 23, 24, 32, 33, 34]
    reads = [] if "env_id" in known else [102]
    assert of_environment([*made, *others], "e-1") == [*expected, *reads]
    assert of_environment([*made, *others], "e") == []


def test_a_deployment_is_loaded_as_a_whole() -> None:
    """With the spans of its traces, and all that name it as their deployment."""
    made = [
        one(1, env_id="e-1", deployment_id="d-1"),
        one(2, sc.BUILD, trace=1),
        one(3, sc.ARTIFACT_UPLOAD, deployment_id="d-1"),
        one(4, sc.DEPLOY, deployment_id="d-1"),
        one(5, "flash.graphql", trace=4),
        one(6, deployment_id="d-2"),
    ]
    found = of_environment(made, "e-1")
    assert {1, 2, 4, 5} <= set(found)
    assert 6 not in found


def test_an_id_leads_to_a_name_and_a_name_to_an_id() -> None:
    """Deployments that know one of the two are of the same environment as those that know both."""
    by_id, by_name = one(1, env_id="e-1"), one(2, env="prod")
    both, other = one(3, env_id="e-1", env="prod"), one(4, env_id="e-2", env="stag")
    named = runs(5, env_id="e-1", env="prod")
    for environment in ("e-1", "prod"):
        assert of_environment([by_id, by_name, both, other], environment) == [1, 2, 3]
        # A read knows both, too.
        assert of_environment([by_id, by_name, named, other], environment) == [1, 2, 5]
    # A step that is no reference to the name's place is found by its column.
    step = replace(one(6, sc.PROVISION, env="prod"), parent_span_id="f" * 16)
    upload = replace(one(7, sc.MANIFEST_UPLOAD, env="prod"), parent_span_id="f" * 16)
    assert of_environment([step, upload, both, other], "e-1") == [3, 7]
    assert of_environment([step, upload, both, other], "prod") == [3, 6, 7]
    assert of_environment([by_id, by_name, other], "e-1") == [1]
    assert of_environment([by_id, by_name, other], "prod") == [2]


def test_the_one_that_knows_the_id_may_be_older_than_the_last() -> None:
    """It is looked up besides the last three of the name."""
    made = [
        one(1, env_id="e-1"),
        one(2, env_id="e-1", env="prod"),
        *(one(at, env="prod") for at in range(3, 9)),
    ]
    assert of_environment(made, "prod") == [1, 2, 6, 7, 8]


def test_a_name_is_that_of_an_environment_in_each_app() -> None:
    """Without an app, all of them; with one, its own and those that know no app."""
    made = [
        one(1, sc.DEPLOY, env="prod", app="shop"),
        one(2, sc.DEPLOY, env="prod", app="blog"),
        one(3, sc.DEPLOY, env="prod", app="wiki"),
        one(4, sc.DEPLOY, env="production", app="shop"),
    ]
    # Of all apps, the last three of the name are looked up in any case.
    older = [one(at + 10, sc.DEPLOY, at=-at, env="prod", app=f"app-{at}") for at in range(1, 5)]
    assert of_environment(made, "prod") == [1, 2, 3]
    assert of_environment([*made, *older], "prod") == [1, 2, 3, 11, 12, 13, 14]
    assert of_environment([*made, *older], "prod", "shop") == [1, 2, 3, 11, 12, 13]


UNPLACED: Final = [one(at, sc.DEPLOY, app="shop") for at in range(1, 6)]


def test_attempts_of_an_app_that_know_no_environment() -> None:
    """The last three, and the last deployments of the app's environments."""
    placed = [one(at, sc.DEPLOY, env="prod", app="shop") for at in range(11, 16)]
    others = [
        one(20, sc.DEPLOY, app="workshop"),
        one(21, sc.DEPLOY, env="prod", app="workshop"),
        one(22, sc.DEPLOY, env="shop", app="blog"),
    ]
    made = [*UNPLACED, *others]
    assert loaded(made, lambda found: found.load_unplaced("shop")) == [3, 4, 5]
    assert loaded([*made, *placed], lambda found: found.load_unplaced("shop")) == [
        *(3, 4, 5),
        *(13, 14, 15),
    ]
    assert loaded([*placed, *others], lambda found: found.load_unplaced("shop")) == []
    # They may be of the environment that is asked for.
    assert of_environment([*UNPLACED, *placed], "prod", "shop") == [3, 4, 5, 13, 14, 15]


def test_the_environments_of_an_app_are_bounded() -> None:
    """Of the first three names, the last deployments are looked up."""
    placed = [one(at, sc.DEPLOY, env=f"env-{at}", app="shop") for at in range(11, 16)]
    found = loaded([*UNPLACED, *placed], lambda found: found.load_unplaced("shop"))
    assert found == [3, 4, 5, 11, 12, 13]


def deployed(**known: Any) -> Deployment:
    """Return a deployment at second 10000 of which only this is known."""
    return Deployment(**{"id": "d-1", "start_ns": EPOCH_NS + 10_000 * 10**9, **known})


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"environment_id": "e-1"}, [11]),
        ({"environment_id": "e-1", "environment_name": "prod"}, [11]),
        ({"environment_name": "prod"}, [12]),
        ({"environment_name": "prod", "app_name": "shop"}, [12]),
        ({"environment_name": "stag", "app_name": "shop"}, [3, 4, 5, 14]),
        ({"app_name": "shop"}, [3, 4, 5, 14]),
        ({"app_name": "blog"}, []),
        ({}, []),
    ],
)
def test_the_environment_of_a_deployment(known: dict[str, str], expected: list[int]) -> None:
    """By its id, or its name; without both, the app has attempts that know neither."""
    made = [
        *UNPLACED,
        one(11, env_id="e-1"),
        one(12, env="prod"),
        one(13, env_id="e-2"),
        one(14, sc.DEPLOY, env="stag", app="shop"),
    ]
    found = loaded(made, lambda found: found.load_environment_of(deployed(**known)))
    assert found == expected


# --- builds, traces and the newest -------------------------------------------------------------


def test_builds_by_the_beginning_of_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their deployments and their reads: the first ones and the last ones."""
    made = [one(at, build=f"b-{at}") for at in range(10, 16)]
    reads = [runs(at, build=f"b-{at - 10}") for at in range(20, 26)]
    others = [one(1, build="c-1"), one(2, build="b"), runs(3, build="c-1"), one(4)]
    every = [*made, *reads, *others]
    assert loaded(every, lambda found: found.load_build("b-1")) == [*range(10, 16), *range(20, 26)]
    assert loaded(every, lambda found: found.load_build("b-12")) == [12, 22]
    assert loaded(every, lambda found: found.load_build("c")) == [1, 3]
    monkeypatch.setattr(related, "MOST", 2)
    assert loaded(every, lambda found: found.load_build("b-1")) == [
        *(10, 11, 14, 15),
        *(20, 21, 24, 25),
    ]


def test_traces_by_the_beginning_of_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, the first ones and the last ones, with the other side of each job."""
    in_trace = [replace(one(at), trace_id=f"{at:x}" * 32) for at in (10, 11, 15)]
    second = replace(one(9, "other"), name=sc.BUILD, trace_id="a" * 32)
    made = [*in_trace, second, one(1)]
    for prefix, expected in (
        ("a", [9, 10]),
        ("a" * 32, [9, 10]),
        ("ab", []),
        ("f", [15]),
        ("", [1, 9, 10, 11, 15]),
    ):
        assert loaded(made, methodcaller("load_trace", prefix)) == expected
    monkeypatch.setattr(related, "MOST", 1)
    many = [replace(one(at), trace_id=f"a{at:031}") for at in range(10, 15)]
    assert loaded(many, lambda found: found.load_trace("a")) == [10, 14]


def job(number: int, name: str, *, trace: int | None = None, invocation: str) -> SpanRecord:
    """Return one side of a job."""
    made = runs(number, name, trace=trace)
    said = {sc.FAAS_TRIGGER: sc.TRIGGER_QUEUE, sc.FAAS_INVOCATION_ID: invocation}
    return replace(made, attributes={**made.attributes, **said})


def test_the_other_side_of_jobs() -> None:
    """The job of a call, the jobs that it submits, and so on."""
    made = [
        job(1, sc.CALL, invocation="j-1"),
        job(2, "work", invocation="j-1"),
        job(3, sc.CALL, trace=2, invocation="j-2"),
        job(4, "work", invocation="j-2"),
        job(5, "work", invocation="j-3"),
    ]
    wanted = made[0].trace_id
    assert loaded(made, lambda found: found.load_trace(wanted)) == [1, 2, 3, 4]


def test_the_newest_deployments() -> None:
    """The last twenty spans that make one, of any environment."""
    made = [one(at, sc.MANIFEST_UPLOAD, env_id=f"e-{at}") for at in range(30)]
    others = [one(100, sc.PROVISION), runs(101), runs(102, sc.MANIFEST_UPLOAD), one(103, sc.BUILD)]
    found = loaded([*made, *others], lambda found: found.load_newest())
    assert found == list(range(10, 30))


# --- reads and calls ---------------------------------------------------------------------------


def test_the_reads_and_calls_of_all_processes() -> None:
    """And nothing that a deployment made."""
    made = [runs(1), runs(2, sc.CALL), one(3, sc.CALL), one(4), runs(5, sc.PROVISION_ENDPOINT)]
    assert loaded(made, lambda found: found.load_runtime()) == [1, 2, 3, 5]


def test_the_reads_and_calls_of_an_environment() -> None:
    """By its id or its name."""
    made = [
        runs(1, env_id="prod"),
        runs(2, sc.CALL, env="prod"),
        runs(3, env_id="e-2", env="stag"),
        runs(4),
        one(5, env_id="prod"),
    ]
    assert loaded(made, lambda found: found.load_runtime_of("prod")) == [1, 2]


def test_a_sample_of_very_many_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones, the last ones, and the first ones that may show a fault."""
    monkeypatch.setattr(related, "MOST", 3)
    made = [runs(at) for at in range(20)]
    odd = [at for at in range(20) if at in (5, 7, 9, 11)]
    for at in odd:
        made[at] = unsound(made[at], "OSError", "no")
    assert loaded(made, lambda found: found.load_runtime()) == [0, 1, 2, 5, 7, 9, 17, 18, 19]
    assert loaded(made[:2], lambda found: found.load_runtime()) == [0, 1]
    assert loaded(made[:6], lambda found: found.load_runtime()) == [0, 1, 2, 3, 4, 5]
    assert loaded(made[:3], lambda found: found.load_runtime()) == [0, 1, 2]


def test_a_read_comes_with_its_attempts_and_an_attempt_with_its_read() -> None:
    """The others of the trace that workers made, but not the deployment's own."""
    made = [
        runs(1, env="prod"),
        runs(2, sc.MANIFEST_FETCH, trace=1),
        one(3, trace=1),
        runs(4, sc.MANIFEST_FETCH, env="prod"),
        runs(5, trace=4),
    ]
    assert loaded(made, lambda found: found.load_runtime_of("prod")) == [1, 2, 4, 5]


def test_what_is_found_is_loaded_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if there is more in its trace than is read of one."""
    monkeypatch.setattr(related, "_MOST_OF_TRACES", 1)
    made = [runs(at, env="prod", trace=1) for at in (1, 2, 3)]
    assert loaded(made, lambda found: found.load_runtime_of("prod")) == [1, 2, 3]
    made = [one(at, env="prod", trace=1) for at in (1, 2, 3)]
    assert of_environment(made, "prod") == [1, 2, 3]


def test_nothing_is_looked_up_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a trace, a deployment or a read is found."""
    asked: list[str] = []
    in_traces, referring = RecordedSpans.in_traces, RecordedSpans.referring_to_any

    def noted(spans: RecordedSpans, wanted: Iterable[str], *more: Any, **named: Any) -> Any:
        asked.extend(wanted := list(wanted))
        return in_traces(spans, wanted, *more, **named)

    def noted_too(spans: RecordedSpans, wanted: Iterable[str], order: str) -> Any:
        asked.extend(wanted := list(wanted))
        return referring(spans, wanted, order)

    monkeypatch.setattr(RecordedSpans, "in_traces", noted)
    monkeypatch.setattr(RecordedSpans, "referring_to_any", noted_too)
    made = [
        *(one(at, env_id=f"e-{at}", deployment_id=f"d-{at}") for at in (1, 2)),
        *(runs(at, env_id=f"e-{at - 10}") for at in (11, 12)),
    ]

    def load(found: RelatedSpans) -> None:
        for _ in range(2):
            for environment in ("e-1", "e-2"):
                found.load_environment(environment)
                found.load_runtime_of(environment)

    assert loaded(made, load) == [1, 2, 11, 12]
    assert len(asked) == len(set(asked)) == 6


# --- what can affect a verdict -----------------------------------------------------------------


def of(made: Iterable[SpanRecord], *chosen: Deployment, skew_s: float = 0) -> list[int]:
    """Return the numbers of the spans that are loaded for some deployments."""
    return loaded(made, lambda found: found.load(chosen), skew_s)


AT_NS: Final = EPOCH_NS + 10_000 * 10**9
ACTIVATED: Final = Activation(start_ns=AT_NS)
ROOT: Final = Step(name=sc.DEPLOY, start_ns=AT_NS)
LATER: Final = Step(name=sc.DEPLOY, start_ns=AT_NS + 9_000 * 10**9)


@pytest.mark.parametrize(
    ("known", "skew_s", "since_s"),
    [
        ({"activation": ACTIVATED}, 0, 10_000 - QUARTER),
        ({"activation": ACTIVATED, "root": LATER}, 0, 10_000 - QUARTER),
        ({"root": ROOT}, 0, 10_000 - QUARTER),
        ({"activation": ACTIVATED}, 60.5, 10_000 - QUARTER - 60.5),
        # Where no time is known, or none that can be compared, every read counts.
        ({}, 0, None),
        ({"activation": Activation()}, 0, None),
        ({"activation": ACTIVATED, "process": ProcessIdentity(naive=True)}, 0, None),
        ({"activation": Activation(start_ns=QUARTER * 10**9)}, 0, None),
    ],
)
@pytest.mark.parametrize("column", ["environment_id", "environment_name"])
def test_since_when_reads_count(
    known: dict[str, Any], skew_s: float, since_s: float | None, column: str
) -> None:
    """From a quarter of an hour and the skew of clocks before a deployment, or without a time."""
    since = 5_000 if since_s is None else since_s
    second = runs(2, at=since, env_id="e-1")
    made = [
        replace(runs(1, env_id="e-1"), start_ns=second.start_ns - 1),
        second,
        runs(3, at=since + 50_000, env_id="e-1"),
        replace(runs(4, env_id="e-1"), start_ns=0, end_ns=0),
        runs(5, at=since, env_id="e-2"),
    ]
    found = of(made, deployed(**{column: "e-1"}, **known), skew_s=skew_s)
    assert found == ([1, 2, 3, 4] if since_s is None else [2, 3, 4])


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"build_id": "b-1"}, [1]),
        ({"aliases": frozenset({"d-1", "d-2"})}, [2, 3]),
        ({"endpoints": (EndpointFact(endpoint_id="ep-1"),)}, [4]),
        ({"build_id": "b-9"}, []),
    ],
)
def test_reads_that_refer_to_a_deployment(known: dict[str, Any], expected: list[int]) -> None:
    """By its build, by the id that its code carries, or by an endpoint."""
    made = [
        runs(1, build="b-1"),
        runs(2, code__deployment_id="d-1"),
        runs(3, sc.CALL, code__deployment_id="d-2"),
        runs(4, worker__endpoint_id="ep-1"),
        runs(5, build="b-2", code__deployment_id="d-3", worker__endpoint_id="ep-2"),
    ]
    assert of(made, deployed(**known)) == expected


def test_calls_of_a_place_and_of_places_that_nobody_deployed_to() -> None:
    """A call may name the deployment's own place, or a wrong one."""
    made = [
        runs(1, sc.CALL, env="prod", app="shop"),
        runs(2, sc.CALL, env="stag", app="shop"),
        runs(3, sc.CALL, env="typo", app="shop"),
        one(4, sc.DEPLOY, env="stag", app="shop"),
        one(5, sc.DEPLOY, env="prod", app="shop"),
    ]
    chosen = deployed(environment_name="prod", app_name="shop")
    assert [at for at in of(made, chosen) if at < 4] == [1, 3]
    assert [at for at in of(made, deployed()) if at < 4] == [3]
    many = [runs(at, sc.CALL, env=f"e-{at:03}", app="x") for at in range(100, 170)]
    assert of(many, deployed()) == list(range(100, 150))


def test_activations_beside_a_deployment() -> None:
    """Those to its environment within an hour before it or after it."""
    made = [
        one(at, env_id="e-1", at=10_000 + seconds)
        for at, seconds in enumerate((-HOUR - 1, -HOUR, -1, 1, HOUR, HOUR + 1), 1)
    ]
    others = [
        one(7, env_id="e-2", at=10_001),
        one(8, sc.PROVISION, env_id="e-1", at=10_001),
        runs(9, sc.ACTIVATE, env_id="e-1", at=10_001),
    ]
    known = {"environment_id": "e-1", "start_ns": None}
    found = of([*made, *others], deployed(activation=ACTIVATED, **known))
    assert [at for at in found if at < 9] == [2, 3, 4, 5]
    assert [at for at in of([*made, *others], deployed(**known)) if at < 9] == []
    found = of([*made, *others], deployed(activation=Activation(), **known))
    assert [at for at in found if at < 9] == []
    found = of([*made, *others], deployed(activation=ACTIVATED, start_ns=None))
    assert [at for at in found if at < 9] == []
    crowd = [one(at, env_id="e-1", at=10_000 + at) for at in range(100, 160)]
    found = of(crowd, deployed(activation=ACTIVATED, **known))
    assert found == list(range(110, 160))


def test_deployments_that_hold_an_endpoint_elsewhere() -> None:
    """The last deployments of each environment that an endpoint was provisioned for."""
    made = [
        one(1, sc.PROVISION_ENDPOINT, env_id="e-1", endpoint_id="ep-1"),
        one(2, sc.PROVISION_ENDPOINT, env_id="e-2", endpoint_id="ep-1"),
        one(3, env_id="e-2"),
        one(4, env_id="e-3"),
        one(5, sc.PROVISION_ENDPOINT, env_id="e-3", endpoint_id="ep-2"),
        one(6, env_id="e-1"),
    ]
    held = (EndpointFact(endpoint_id="ep-1"),)
    own = {"environment_id": "e-1", "endpoints": held, "start_ns": 1}
    assert of(made, deployed(**own)) == [2, 3]
    assert of(made, deployed(environment_id="e-1", start_ns=1)) == []


def test_first_deployments_of_an_app_whose_environment_was_created() -> None:
    """The root of one deployment to each environment of the app shows that it exists."""
    made = [
        one(1, sc.DEPLOY, env="prod", app="shop"),
        one(2, sc.DEPLOY, env="prod", app="shop"),
        one(3, sc.DEPLOY, env="stag", app="shop"),
        one(4, sc.DEPLOY, env="prod", app="workshop"),
        one(5, env="test", app="shop"),
    ]
    found = of(made, deployed(app_name="shop", created_environment=(Origin(),)))
    assert found == [1, 3]
    assert of(made, deployed(app_name="shop")) == []
    assert of(made, deployed(created_environment=(Origin(),))) == []


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"environment_id": "e-1"}, [1]),
        ({"environment_name": "prod"}, [2, 4]),
        ({"environment_name": "prod", "app_name": "shop"}, [2, 3, 4, 6]),
        ({"environment_name": "prod", "environment_id": "e-2"}, [2, 4]),
        ({"app_name": "shop"}, [6]),
        ({"app_name": "blog"}, []),
        ({"environment_id": "e-1", "start_ns": None}, []),
    ],
)
def test_attempts_directly_before_a_deployment(known: dict[str, Any], expected: list[int]) -> None:
    """To its environment, by id or name, or of its app, and of no other environment."""
    made = [
        one(1, env_id="e-1"),
        one(2, env="prod"),
        one(3, sc.DEPLOY, env="prod", app="shop"),
        one(4, sc.MANIFEST_UPLOAD, env="prod", at=10_000),
        one(5, env="prod", at=10_000.001),
        one(6, sc.DEPLOY, app="shop"),
        one(7, sc.PROVISION, env_id="e-1"),
        runs(8, sc.ACTIVATE, env_id="e-9"),
        one(9, sc.DEPLOY, app="shop", at=10_000.001),
        one(10, env="prod", env_id="e-3"),
    ]
    made = [unsound(each, "OSError", "no") for each in made]
    assert [at for at in of(made, deployed(**known)) if at != 8] == expected


@pytest.mark.parametrize(
    ("name", "env_id", "ends_attempts"),
    [
        (sc.DEPLOY, None, True),
        (sc.DEPLOY, "e-1", True),
        (sc.MANIFEST_UPLOAD, "e-1", True),
        (sc.MANIFEST_UPLOAD, None, False),
        (sc.ACTIVATE, "e-1", False),
    ],
)
def test_what_came_before_a_success_does_not_matter(
    name: str, env_id: str | None, *, ends_attempts: bool
) -> None:
    """Of the attempts before a deployment, those since the last one that went well."""
    chosen = deployed(environment_id="e-1", environment_name="prod")
    failed = [unsound(one(at, env="prod"), "OSError", "no") for at in (1, 2, 4, 5)]
    success = one(3, name, env="prod", env_id=env_id)
    expected = [3, 4, 5] if ends_attempts else [1, 2, 3, 4, 5]
    assert of([*failed, success], chosen) == expected
    assert of([*failed, unsound(success, "OSError", "no")], chosen) == [1, 2, 3, 4, 5]
    # The deployment itself is none of its attempts.
    itself = one(3, name, env="prod", env_id=env_id, at=10_000)
    assert of([*failed, itself], chosen) == [1, 2, 3, 4, 5]


def test_the_attempts_before_a_deployment_are_bounded() -> None:
    """As many spans as six deployments have, by id and by name."""
    by_either: tuple[dict[str, Any], ...] = ({"env_id": "e-1"}, {"env": "prod"})
    for known in by_either:
        made = [unsound(one(at, **known), "OSError", "no") for at in range(40)]
        chosen = deployed(environment_id="e-1", environment_name="prod")
        assert of(made, chosen) == list(range(22, 40))
    made = [unsound(one(at, sc.DEPLOY, app="shop"), "OSError", "no") for at in range(40)]
    assert of(made, deployed(app_name="shop")) == list(range(22, 40))


# --- lines -------------------------------------------------------------------------------------


def line(number: int, name: str = sc.MANIFEST_FETCH, **known: Any) -> SpanRecord:
    """Return a span that was made of bracketed lines of a log."""
    return replace(one(number, name, **known), scope_name=LINES_SCOPE, origin=f"{number}.log:1")


LOOSE: Final = [line(1, sc.ACTIVATE), line(2), line(3, env_id="e-1"), line(4, env_id="e-2")]


@pytest.mark.parametrize(
    ("deployments", "expected"),
    [
        # Of a single environment, its own reads are looked up elsewhere.
        ([one(11, env_id="e-1"), one(12, env_id="e-1")], [1, 2, 4, 12]),
        ([], [1, 2, 3, 4]),
        # Of several, a line may belong to any of them.
        ([one(11, env_id="e-1"), one(12, env_id="e-9"), one(13, env_id="e-5")], [1, 11, 13]),
    ],
)
def test_lines_of_logs_that_are_given_together(
    deployments: list[SpanRecord], expected: list[int]
) -> None:
    """Lines without an environment belong to the deployment of a log, if there is only one."""
    made = [*LOOSE, *deployments, runs(20)]
    assert of(made, deployed(in_log=True)) == expected
    assert of(made, deployed()) == []
    assert of(made, deployed(id="d-2"), deployed(in_log=True)) == expected


# --- processes and owners ----------------------------------------------------------------------


def test_what_the_same_workers_did_otherwise() -> None:
    """All that a process of a loaded read or call did, and the last read of a process of calls."""
    made = [
        runs(1, build="b-1"),
        runs(2, sc.CALL, instance="w-1"),
        runs(3, instance="w-1", at=50_000),
        runs(4, sc.CALL, instance="w-4"),
    ]
    assert of(made, deployed(build_id="b-1")) == [1, 2, 3]


def test_the_last_read_of_a_process_of_very_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found behind any number of later calls."""
    monkeypatch.setattr(related, "MOST", 3)
    chosen = deployed(aliases=frozenset({"d-1"}))
    calls = [
        runs(at, sc.CALL, instance="w", code__deployment_id="d-1", build="b") for at in range(5, 12)
    ]
    reads = [runs(at, instance="w") for at in (1, 2, 3)]
    others = [runs(20, instance="v"), runs(21, sc.MANIFEST_FETCH, instance="v")]
    found = of([*reads, *calls, *others], chosen)
    assert found == [3, 5, 6, 7, 9, 10, 11]


def test_what_workers_provisioned_or_wrote() -> None:
    """Any worker, because it may have taken an endpoint or replaced a manifest."""
    made = [
        runs(1, sc.PROVISION_ENDPOINT),
        runs(2, sc.MANIFEST_UPLOAD),
        runs(3, sc.PROVISION),
        one(4, sc.PROVISION_ENDPOINT),
        one(5, sc.MANIFEST_UPLOAD),
    ]
    assert of(made, deployed()) == [1, 2]


def owners(made: Iterable[SpanRecord]) -> list[int]:
    """Return what is loaded with the reads and calls of all processes."""

    def load(found: RelatedSpans) -> None:
        found.load_runtime()
        found.load_owners()

    return [at for at in loaded(made, load) if at > 1]


@pytest.mark.parametrize(
    ("known", "owner"),
    [
        ({"build": "x"}, one(2, build="x")),
        ({"code__deployment_id": "x"}, one(2, deployment_id="x")),
        ({"active__deployment_id": "x"}, one(2, deployment_id="x")),
        ({"env_id": "x"}, one(2, env_id="x")),
        ({"env_id": "x"}, one(2, sc.DEPLOY, env_id="x")),
    ],
)
def test_deployments_that_a_read_refers_to(known: dict[str, str], owner: SpanRecord) -> None:
    """Who made its build, its code, its manifest, and who deployed to its environment."""
    other = one(3, build="y", deployment_id="y", env_id="y")
    assert owners([runs(1, **known), owner, other]) == [2]
    assert owners([runs(1), owner, other]) == []


def test_the_place_that_a_call_names() -> None:
    """Its last deployment, if the call knows name and app."""
    made = [one(at, sc.DEPLOY, env="prod", app="shop") for at in (2, 3)]
    assert owners([runs(1, sc.CALL, env="prod", app="shop"), *made]) == [3]
    assert owners([runs(1, sc.CALL, env="prod"), *made, one(4, sc.DEPLOY, env="prod")]) == []
    assert owners([runs(1, sc.CALL, app="shop"), *made]) == []
    assert owners([runs(1, env="prod", app="shop"), *made]) == []


def test_the_last_deployments_of_a_read_s_environment() -> None:
    """The last that is in force, and the last of any kind, which may know its name."""
    made = [
        one(2, env_id="x"),
        one(3, env_id="x"),
        one(4, sc.DEPLOY, env_id="x"),
        one(5, sc.MANIFEST_UPLOAD, env_id="x"),
        one(6, sc.PROVISION, env_id="x"),
    ]
    assert owners([runs(1, env_id="x"), *made]) == [3, 5]


def test_owners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many ids of each kind, the first ones in alphabetical order are looked up."""
    monkeypatch.setattr(related, "_MOST_OWNERS", 2)
    reads = [runs(at, sc.CALL, at=-at, env_id=f"e-{at}") for at in range(3)]
    made = [one(at + 10, env_id=f"e-{at}") for at in range(3)]
    assert owners([*reads, *made]) == [2, 10, 11]


# --- evidence ----------------------------------------------------------------------------------


def test_evidence_is_collected_again_when_there_is_more() -> None:
    """The same spans give the same evidence, without a second look at them."""
    made = [*read(10), one(1, env_id="e-1", build="b-1"), one(2, env_id="e-2")]
    with laid_out(made) as spans:
        found = RelatedSpans(spans, 0)
        assert found.evidence().empty
        assert found.evidence() is found.evidence()
        found.load_environment("e-1")
        first = found.evidence()
        assert [each.build_id for each in first.deployments] == ["b-1"]
        assert found.evidence() is first
        found.load_runtime()
        assert (len(first.reads), len(found.evidence().reads)) == (0, 1)
