"""Which deployments are judged: by environment, build, trace and app, in memory and on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import (
    NOW_NS,
    TWO,
    Steps,
    call,
    changed,
    deployment,
    read,
    records,
    stopped,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from flash_otel import semconv as sc
from flash_otel.diagnosis import Diagnosis, Limits, diagnose
from flash_otel.diagnosis.choose import Unmatched
from flash_otel.diagnosis.environments import MOST_ATTEMPTS
from flash_otel.records import LINES_SCOPE
from flash_otel.report.diagnosis import diagnosis_lines
from flash_otel.report.layout import UNICODE, Page

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
REFUSED: Final = ("requests.exceptions.HTTPError", "403 Client Error: Forbidden")


def judge(made: list[SpanRecord], **asked: Any) -> Diagnosis:
    """Diagnose in memory and on disk, which must agree."""
    found = diagnose(made, limits=LIMITS, **asked)
    assert diagnose(made[::-1], limits=LIMITS, in_memory=0, **asked) == found
    return found


def builds(found: Diagnosis) -> list[str]:
    """Return the builds that were judged, in alphabetical order."""
    return sorted(judged.deployment.build_id or "" for judged in found.judged)


def failed(number: int, at: float, **more: Any) -> Steps:
    """Record an attempt that failed before it learned the id of its environment."""
    steps = stopped(deployment(number, at=at, **more), "artifact", error=REFUSED)
    return {name: changed(step, environment_id=None, build_id=None) for name, step in steps.items()}


def unplaced(number: int, at: float, **more: Any) -> Steps:
    """Record an attempt without `--env` that failed before Flash had chosen the environment."""
    steps = failed(number, at, **more)
    return {name: changed(step, environment_name=None) for name, step in steps.items()}


def without_id(steps: Steps) -> Steps:
    """Return a deployment that knows its environment by name only."""
    return {name: changed(step, environment_id=None) for name, step in steps.items()}


def without_name(steps: Steps) -> Steps:
    """Return a deployment that knows its environment by id only."""
    return {
        name: changed(step, environment_name=None, app_name=None) for name, step in steps.items()
    }


def by_lines(steps: Steps) -> list[SpanRecord]:
    """Return the activation of a deployment as a log shows it: without an app and an id."""
    step = changed(steps["activate"], app_name=None, deployment_id=None, environment_id=None)
    return [
        replace(
            step, scope_name=LINES_SCOPE, parent_span_id=None, resource={}, origin="deploy.log:1"
        )
    ]


@pytest.mark.parametrize("name", ["production", "env-prod"])
def test_the_latest_deployment_counts_whatever_it_knows(name: str) -> None:
    """An environment is asked for by name or id, and each deployment to it may know either."""
    first, second = deployment(), deployment(2, at=400)
    for later in (second, without_id(second), without_name(second)):
        found = judge(records(first, read(10, held=TWO), later), environment=name)
        assert builds(found) == ["build-2"]
    assert builds(judge(records(without_id(first), second), environment=name)) == ["build-2"]
    assert builds(judge(records(without_name(first), second), environment=name)) == ["build-2"]


@pytest.mark.parametrize("name", ["production", "env-prod"])
def test_lines_with_only_a_name_are_of_the_environment(name: str) -> None:
    """Bracketed lines know no app: a name that one app has is that app's."""
    made = records(deployment(), by_lines(deployment(2, at=400)))
    assert builds(judge(made, environment=name)) == ["build-2"]
    assert judge(made).others == 0
    others = deployment(3, at=-900, app="blog", env_id="env-blog", held={"a": TWO["web"]})
    found = judge(records(made, others))
    assert (builds(found), found.others) == (["build-2"], 2)


def test_a_read_connects_a_name_with_an_id() -> None:
    """The answer to a read holds the name of the environment that was asked for by id."""
    steps = without_name(deployment())
    reads = [changed(span, environment_name="production") for span in read(10, held=TWO)]
    found = judge(records(steps, reads), environment="production")
    assert (found.verdict, builds(found)) == (sc.NONE, ["build-1"])
    assert judge(records(steps, reads, failed(2, 400))).others == 0


def test_a_failed_attempt_is_judged_beside_the_deployment_in_force() -> None:
    """The latest attempt is what its author wants explained, the one in force what workers see."""
    made = records(deployment(), read(10, held=TWO), failed(2, 400))
    for asked in ({}, {"environment": "production"}, {"environment": "env-prod"}):
        found = judge(made, **asked)
        assert (found.verdict, found.others) == (sc.UPLOAD_FAILED, 0)
        assert [judged.verdict for judged in found.judged] == [sc.UPLOAD_FAILED, sc.NONE]


def test_an_attempt_that_names_no_environment_is_of_the_only_one() -> None:
    """Without `--env`, Flash deploys to the only environment of an app."""
    made = records(deployment(), read(10, held=TWO), unplaced(2, 400))
    for asked in ({}, {"environment": "production"}, {"environment": "env-prod"}, {"app": "shop"}):
        found = judge(made, **asked)
        assert [judged.verdict for judged in found.judged] == [sc.UPLOAD_FAILED, sc.NONE]
        assert found.others == 0
    assert judge(made, app="blog").is_unmatched
    # With several environments, it may have been any.
    staging = deployment(3, at=-400, env="staging", env_id="env-stag", held={"s": TWO["gpu"]})
    several = [*made, *records(staging)]
    assert builds(judge(several, environment="production")) == ["build-1"]
    assert judge(several).others == 2
    alone = judge(records(unplaced(2, 400)), app="shop")
    assert (alone.verdict, alone.others) == (sc.UPLOAD_FAILED, 0)


def test_an_activation_that_was_refused_leaves_the_older_one_in_force() -> None:
    """What the latest deployment did not put in place is still what workers read."""
    late = stopped(deployment(2, at=400), "activate", error=("RuntimeError", "no"))
    found = judge(records(deployment(), read(10, held=TWO), late), environment="production")
    assert builds(found) == ["build-1", "build-2"]


def test_earlier_failed_attempts_are_named() -> None:
    """A deployment that succeeded names the attempts directly before it, and no older ones."""
    made = records(
        failed(1, -900),
        deployment(2, at=-600),
        failed(3, -300),
        failed(4, -200),
        deployment(5),
        read(10, code=5, build=5, held=TWO),
    )
    for asked in ({}, {"environment": "production"}, {"build_id": "build-5"}):
        found = judge(made, **asked)
        assert (found.verdict, builds(found)) == (sc.NONE, ["build-5"])
        (judged,) = found.judged
        assert [known.id[-4:] for known in judged.failed_before] == ["d300", "d400"]
    (judged,) = judge(made, build_id="build-2").judged
    assert [known.id[-4:] for known in judged.failed_before] == ["d100"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "  1 earlier attempt failed: "),
        (2, "  2 earlier attempts failed: "),
        (MOST_ATTEMPTS, f"  At least {MOST_ATTEMPTS} earlier attempts failed: "),
    ],
)
def test_the_line_about_earlier_attempts(number: int, words: str) -> None:
    """They are counted, as far as they are looked for."""
    attempts = [failed(number - index, -100.0 * (index + 1)) for index in range(number)]
    made = records(*reversed(attempts), deployment(90), read(10, code=90, build=90, held=TWO))
    lines = diagnosis_lines(judge(made), Page(None, 20, UNICODE))
    texts = ["".join(part.text for part in line) for line in lines]
    [line] = [text for text in texts if " earlier attempt" in text]
    assert line.startswith(words)
    assert line.count("; ") == number - 1


def test_environments_are_counted_not_their_names() -> None:
    """One environment that is known by name here and by id there is one other environment."""
    staging = deployment(2, at=-400, env="staging", env_id="env-stag")
    other = failed(3, -300, env="staging")
    newest = records(deployment(), read(10, held=TWO))
    assert judge(records(staging, other, newest)).others == 1
    assert judge(records(without_name(staging), other, staging, newest)).others == 1
    assert judge(records(other, newest)).others == 1
    unknown = [changed(span, environment_name=None) for span in other.values()]
    assert judge(records(unknown, newest)).others == 0


def test_attempts_of_an_app_without_a_known_environment_count_as_one() -> None:
    """What names neither an id nor a name is another environment if its app has none known."""
    newest = records(deployment(), read(10, held=TWO))
    attempts = [unplaced(2, -900, app="blog"), unplaced(3, -800, app="blog")]
    assert judge(records(newest, *attempts)).others == 1
    assert judge(records(newest, *attempts, unplaced(4, -700, app="wiki"))).others == 2
    blog = deployment(5, at=-1500, app="blog", env_id="env-blog", held={"post": TWO["web"]})
    docs = deployment(
        6, at=-1400, app="blog", env="docs", env_id="env-docs", held={"d": "https://d"}
    )
    assert judge(records(newest, *attempts, blog)).others == 1
    # It may be either of two.
    assert judge(records(newest, *attempts, blog, docs)).others == 2


def served(number: int, trace: str, code: int, job: str | None = None) -> SpanRecord:
    """Record a job or a request that a worker served, with the code of a deployment."""
    return replace(
        call(50 + number),
        name="process gpu" if job else "GET /gpu",
        kind="consumer" if job else "server",
        trace_id=trace,
        span_id=f"e{number}".rjust(16, "0"),
        attributes={
            "faas.trigger": "pubsub" if job else "http",
            sc.CODE_DEPLOYMENT_ID: f"d{code}00".rjust(16, "0"),
            **({"faas.invocation_id": job} if job else {}),
        },
    )


def test_a_trace_of_a_worker() -> None:
    """It names the deployment of its code, and those that jobs join with it, from either side."""
    staging = deployment(2, at=-300, env="staging", env_id="env-stag", held={"s": TWO["gpu"]})
    third = deployment(3, at=-400, env="third", env_id="env-three", held={"t": TWO["web"]})
    first, second, last = "e1" * 16, "e2" * 16, "e3" * 16
    calls = [
        replace(
            made,
            trace_id=trace,
            parent_span_id=parent.rjust(16, "0"),
            attributes={**made.attributes, "faas.invocation_id": job},
        )
        for made, trace, parent, job in (
            (call(51, number="1"), first, "e1", "job-1"),
            (call(52, number="2", code=2), second, "e2", "job-2"),
        )
    ]
    jobs = [served(1, first, 1), served(2, second, 2, "job-1"), served(3, last, 3, "job-2")]
    alone = served(4, "e4" * 16, 3, "job-9")
    made = records(deployment(), staging, third, calls, jobs, alone)
    for trace in (first, second, last):
        assert builds(judge(made, trace_id=trace)) == ["build-1", "build-2", "build-3"]
    assert builds(judge(made, trace_id="e4" * 16)) == ["build-3"]
    assert judge(made, trace_id="ee" * 16).is_unmatched


def test_questions_combine() -> None:
    """A deployment must match everything that is asked for."""
    blog = deployment(3, at=-300, app="blog", env_id="env-blog", held={"post": TWO["web"]})
    staging = deployment(4, at=-200, env="staging", env_id="env-stag", held={"s": TWO["gpu"]})
    made = records(blog, staging, deployment(), read(10, held=TWO))
    assert builds(judge(made, environment="production")) == ["build-1", "build-3"]
    assert builds(judge(made, environment="production", app="blog")) == ["build-3"]
    assert builds(judge(made, app="shop")) == ["build-1", "build-4"]
    assert builds(judge(made, app="shop", build_id="build-4")) == ["build-4"]
    assert builds(judge(made, build_id="build-", environment="env-blog")) == ["build-3"]
    trace = "d3".rjust(32, "0")
    assert builds(judge(made, trace_id=trace, app="blog")) == ["build-3"]
    found = judge(made, trace_id=trace, app="shop")
    assert (found.is_unmatched, found.unmatched) == (True, ())
    assert found.verdict == sc.INCONCLUSIVE


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"environment": "prodction"},
            Unmatched("environment", "prodction", ("production",), ("env-prod", "production")),
        ),
        ({"app": "shpo"}, Unmatched("app", "shpo", ("shop",), ("shop",))),
        ({"build_id": "bulid-1"}, Unmatched("build_id", "bulid-1", ("build-1",), ("build-1",))),
        ({"trace_id": "fff"}, Unmatched("trace_id", "fff")),
        (
            {"environment": "production", "app": "shpo"},
            Unmatched("app", "shpo", ("shop",), ("shop",)),
        ),
        # The beginning of an id is an id.
        ({"build_id": "build", "app": "shpo"}, Unmatched("app", "shpo", ("shop",), ("shop",))),
    ],
)
def test_what_matches_nothing_is_named(asked: dict[str, str], expected: Unmatched) -> None:
    """Of several options, the message can name the wrong one, and what is recorded instead."""
    found = judge(records(deployment(), read(10, held=TWO)), **asked)
    assert (found.is_unmatched, found.unmatched) == (True, (expected,))


def test_attempts_of_another_app_count_for_nothing() -> None:
    """The steps of a deployment know no app, and its environment's name may be that of another."""
    blog = deployment(4, at=-200, app="blog", env_id="env-blog", held={"post": TWO["web"]})
    attempts = [failed(number, -900.0 + number) for number in (1, 2, 3)]
    found = judge(records(*attempts, blog, deployment(5)))
    (judged,) = found.judged
    assert [known.id[-4:] for known in judged.failed_before] == ["d100", "d200", "d300"]


KINDS: Final = (
    lambda number, at, **more: deployment(number, at=at, **more),
    lambda number, at, **more: without_id(deployment(number, at=at, **more)),
    lambda number, at, **more: without_name(deployment(number, at=at, **more)),
    failed,
    unplaced,
    lambda number, at, **more: by_lines(deployment(number, at=at, **more)),
)
PLACES: Final = (
    {"app": "shop", "env": "production", "env_id": "env-prod"},
    {"app": "shop", "env": "staging", "env_id": "env-stag"},
    {"app": "blog", "env": "production", "env_id": "env-blog"},
)
QUESTIONS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"environment": "production"},
    {"environment": "env-prod"},
    {"environment": "production", "app": "shop"},
    {"app": "shop"},
    {"build_id": "build-1", "environment": "production"},
    {"trace_id": "0", "app": "blog"},
)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(PLACES)), min_size=1, max_size=6),
    st.sampled_from(QUESTIONS),
)
@settings(max_examples=60, deadline=None)
def test_any_deployments_are_chosen_alike(made: list[Any], asked: dict[str, str]) -> None:
    """In memory or on disk, any question about any deployments has one answer."""
    spans = records(
        *(
            make(number, 400.0 * number, **place, held={f"e{number}": f"https://x{number}"})
            for number, (make, place) in enumerate(made, 1)
        )
    )
    judge(spans, **asked)
