"""The recorded environments: which deployments went to which, by what each of them knows."""

from __future__ import annotations

from typing import Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.choose import (
    Chosen,
    Question,
    Unmatched,
    choose,
    current_of,
    names_in,
    narrowed,
    unmatched,
)
from flash_otel.diagnosis.environments import (
    MOST_ATTEMPTS,
    Environment,
    Environments,
    failure_of,
    is_unplaced,
)
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    Deployment,
    Evidence,
    Failure,
    ManifestUpload,
    Origin,
    RemoteCall,
    RuntimeFetch,
    Served,
    Step,
)
from flash_otel.failures import OTHER

PRODUCTION: Final = Environment("env-prod")
STAGING: Final = Environment("env-stag")
BLOG: Final = Environment("env-blog")


def deployed(number: int, place: str = "env-prod production shop", **more: Any) -> Deployment:
    """Make a deployment that took effect at 100 times its number, to an id, a name and an app.

    A dash stands for what it does not know.
    """
    environment_id, name, app = (None if known == "-" else known for known in place.split())
    known: dict[str, Any] = {
        "id": f"d{number}",
        "aliases": frozenset({f"d{number}"}),
        "trace_ids": frozenset({f"{number}{'0' * 31}"}),
        "build_id": f"build-{number}",
        "environment_id": environment_id,
        "environment_name": name,
        "app_name": app,
        "activation": Activation(start_ns=100 * number),
        "start_ns": 100 * number,
        "outcome": sc.RETURNED,
    }
    return Deployment(**{**known, **more})


def failed(number: int, place: str = "env-prod production shop", **more: Any) -> Deployment:
    """Make a deployment that failed before its activation."""
    cause = Step(name=sc.BUILD, outcome=sc.FAILED, failure=Failure(OTHER, "x.E", "bad"))
    given = {"activation": None, "outcome": sc.FAILED, "steps": (cause,), **more}
    return deployed(number, place, **given)


def environments(*made: Deployment, **more: Any) -> Environments:
    """Return the environments of deployments and reads."""
    return Environments(Evidence(deployments=made, **more))


# --- of a deployment ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "place", "expected"),
    [
        ((), "env-prod - -", PRODUCTION),
        ((), "- production shop", Environment("", "production", "shop")),
        ((), "- production -", Environment("", "production", "")),
        ((), "- - shop", Environment("", "", "shop")),
        ((), "- - -", Environment("", "", "")),
        (("env-prod production shop",), "- production shop", PRODUCTION),
        (("env-prod production shop",), "- production -", PRODUCTION),
        (("env-prod production shop",), "- production blog", Environment("", "production", "blog")),
        (("env-prod production shop",), "- staging shop", Environment("", "staging", "shop")),
        (("env-prod production shop",), "- env-prod -", PRODUCTION),
        (("env-prod production -",), "- production shop", PRODUCTION),
        (("env-prod production -",), "- production -", PRODUCTION),
        (("env-prod production -", "- production blog"), "- production shop",
         Environment("", "production", "shop")),
        (("env-prod production shop", "env-blog production blog"), "- production blog", BLOG),
        (("env-prod production shop", "env-blog production blog"), "- production -",
         Environment("", "production", "")),
        (("env-old production shop", "env-prod production shop"), "- production shop", PRODUCTION),
        (("env-prod production shop", "env-old production shop"), "- production shop",
         Environment("env-old")),
        (("env-prod production shop", "env-old production shop", "env-prod production shop"),
         "- production shop", PRODUCTION),
        (("env-prod production shop",), "- - shop", PRODUCTION),
        (("env-prod production shop", "env-stag staging shop"), "- - shop",
         Environment("", "", "shop")),
        (("- production shop",), "- - shop", Environment("", "production", "shop")),
        (("env-prod production shop",), "- - blog", Environment("", "", "blog")),
        (("env-prod production shop",), "- - -", Environment("", "", "")),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_a_deployment_went_to_the_environment_that_it_names(
    others: tuple[str, ...], place: str, expected: Environment
) -> None:
    """By its id, or else by a name that others connect with an id; or to the only one of its app.

    Of an environment that was created again, the latest id counts.
    """
    made = [deployed(number, other) for number, other in enumerate(others, 1)]
    mine = deployed(9, place)
    found = environments(*made, mine)
    assert found.of(mine) == expected
    assert mine in found.groups[expected]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"environment_id": "env-prod", "environment_name": "production"}, PRODUCTION),
        ({"environment_id": "env-9", "environment_name": "production"},
         Environment("", "production", "shop")),
        ({"environment_name": "production"}, Environment("", "production", "shop")),
        ({"environment_id": "env-prod"}, Environment("", "production", "shop")),
    ],
    ids=str,
)  # fmt: skip
def test_a_read_connects_the_name_of_a_deployed_environment_with_its_id(
    known: dict[str, Any], expected: Environment
) -> None:
    """Of an environment that nobody deployed to, it connects nothing."""
    mine = deployed(2, "- production shop")
    found = environments(deployed(1, "env-prod - shop"), mine, reads=(RuntimeFetch(**known),))
    assert found.of(mine) == expected


@pytest.mark.parametrize(
    ("place", "is_unknown"),
    [("- - shop", True), ("env-prod - -", False), ("- production -", False)],
)
def test_a_deployment_without_an_id_and_a_name_has_no_place(place: str, is_unknown: bool) -> None:
    """Its app alone is none."""
    assert is_unplaced(deployed(1, place)) is is_unknown


def test_groups_have_the_deployments_of_each_environment() -> None:
    """Those that name their environment first, each in the order of the evidence."""
    made = (
        deployed(1, "- - shop"),
        deployed(2),
        deployed(3, "env-blog production blog"),
        deployed(4, "- production shop"),
    )
    found = environments(*made).groups
    assert dict(found) == {PRODUCTION: [made[1], made[3], made[0]], BLOG: [made[2]]}
    assert list(found) == [PRODUCTION, BLOG]


# --- names, apps, and what is counted -------------------------------------------------------------


def test_an_environment_has_all_names_and_apps_that_are_told_of_it() -> None:
    """By its deployments and by reads."""
    made = (
        deployed(1),
        deployed(2, "env-prod - -"),
        deployed(3, "- production shop"),
        deployed(4, "- staging blog"),
        deployed(5, "- - wiki"),
        deployed(6, "env-bare - -"),
    )
    told = RuntimeFetch(environment_id="env-prod", environment_name="live")
    found = environments(*made, reads=(told,))
    staging, wiki = Environment("", "staging", "blog"), Environment("", "", "wiki")
    for environment, names, apps in (
        (PRODUCTION, {"env-prod", "production", "live"}, {"shop"}),
        (staging, {"staging"}, {"blog"}),
        (wiki, set(), {"wiki"}),
        (Environment("env-bare"), {"env-bare"}, set()),
        (Environment("env-9", "other"), {"env-9", "other"}, set()),
    ):
        assert (found.names(environment), found.apps(environment)) == (names, apps)


@pytest.mark.parametrize(
    ("environment", "is_counted"),
    [
        (PRODUCTION, True),
        (Environment("env-9"), True),
        (Environment("", "staging", "shop"), True),
        (Environment("", "production", ""), False),
        (Environment("", "test", ""), True),
        (Environment("", "", "shop"), False),
        (Environment("", "", "blog"), True),
        (Environment("", "", ""), False),
    ],
    ids=str,
)
def test_an_environment_that_may_be_a_known_one_is_not_counted(
    environment: Environment, is_counted: bool
) -> None:
    """By a name without an app, or by an app without a name."""
    assert environments(deployed(1)).is_counted(environment) is is_counted


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "app", "expected"),
    [
        (None, None, [PRODUCTION, BLOG, STAGING, Environment("", "", "wiki")]),
        ("production", None, [PRODUCTION, BLOG]),
        ("production", "blog", [BLOG]),
        ("env-prod", None, [PRODUCTION]),
        ("env-prod", "blog", []),
        (None, "shop", [PRODUCTION, STAGING]),
        (None, "wiki", [Environment("", "", "wiki")]),
        ("other", None, []),
    ],
    ids=str,
)
def test_environments_are_found_by_id_or_name_and_by_app(
    asked: str | None, app: str | None, expected: list[Environment]
) -> None:
    """In the order in which the evidence has them."""
    made = (
        deployed(1),
        deployed(2, "env-blog production blog"),
        deployed(3, "env-stag staging shop"),
        deployed(4, "- - wiki"),
    )
    assert environments(*made).matching(asked, app) == expected


def test_of_environments_with_one_name_the_latest_of_each_app_counts() -> None:
    """One that was deleted and created again has another id; an id stands for itself."""
    made = (
        deployed(5, "env-new production shop"),
        deployed(1, "env-old production shop"),
        deployed(2, "env-blog production blog"),
        deployed(3, "env-one production -"),
        deployed(4, "env-two production -"),
    )
    found = environments(*made)
    new, old, one, two = (Environment(f"env-{name}") for name in ("new", "old", "one", "two"))
    assert found.matching("production", None) == [new, BLOG, one, two]
    assert found.matching("production", "shop") == [new]
    assert found.matching("env-old", None) == [old]
    assert found.matching(None, "shop") == [new, old]
    assert found.matching(None, None) == [new, old, BLOG, one, two]
    # The latest deployment of a group counts, wherever it stands in it.
    again = environments(*made, deployed(6, "env-old production shop"))
    assert again.matching("production", "shop") == [old]
    middle = environments(deployed(4, "env-old production shop"), *made)
    assert middle.matching("production", "shop") == [new]


# --- attempts before a deployment -----------------------------------------------------------------


def test_the_attempts_directly_before_a_deployment_are_those_that_failed() -> None:
    """Oldest first, up to the last one that succeeded, and to the same environment."""
    made = (
        failed(1),
        deployed(2),
        failed(4),
        failed(3, "- production shop"),
        failed(5, "env-blog production blog"),
        deployed(6),
        failed(7),
    )
    found = environments(*made)
    last = made[5]
    assert found.failed_before(last) == [made[3], made[2]]
    assert found.failed_before(made[1]) == [made[0]]
    assert found.failed_before(made[0]) == []
    assert found.failed_before(deployed(9, "env-9 other shop")) == []


def test_only_some_attempts_are_looked_at() -> None:
    """The last ones."""
    attempts = [failed(number) for number in range(1, MOST_ATTEMPTS + 3)]
    last = deployed(20)
    assert environments(*attempts, last).failed_before(last) == attempts[-MOST_ATTEMPTS:]


def test_a_deployment_of_any_environment_has_no_attempts_before_it() -> None:
    """An attempt that names no environment of several may have been to any."""
    mine = deployed(3, "- - shop")
    assert environments(failed(1, "- - shop"), mine).failed_before(mine) == []
    named = deployed(3, "- staging -")
    attempt = failed(1, "- staging -")
    assert environments(attempt, named).failed_before(named) == [attempt]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (deployed(1), None),
        (failed(1), "the build failed (E: bad)"),
        (deployed(1, outcome=UNFINISHED), "it did not end"),
        (failed(1, outcome=UNFINISHED), "the build failed (E: bad)"),
        (deployed(1, outcome=sc.UNKNOWN), None),
    ],
    ids=["returned", "failed", "open", "open and failed", "unknown"],
)
def test_why_an_attempt_failed(made: Deployment, expected: str | None) -> None:
    """By its step, or because it did not end."""
    assert failure_of(made) == expected


# --- the deployments in force ---------------------------------------------------------------------

REFUSED: Final = Activation(outcome=sc.FAILED)
LINES: Final[dict[str, Any]] = {"by_lines": True, "start_ns": None}


def in_log(number: int, file: str, at: int = 1, **more: Any) -> Deployment:
    """Make a deployment that is known by lines of a log without times."""
    step = Step(name=sc.ACTIVATE, origin=Origin(file, at, rebuilt=True))
    known: dict[str, Any] = {"by_lines": True, "start_ns": None, "steps": (step,)}
    return deployed(number, **{**known, "activation": Activation(), **more})


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ([deployed(1)], ["d1"]),
        ([deployed(2), deployed(1)], ["d2"]),
        ([deployed(1), failed(2)], ["d1", "d2"]),
        ([failed(1), deployed(2)], ["d2"]),
        ([deployed(1), failed(2), failed(3)], ["d1", "d3"]),
        ([failed(1), failed(2)], ["d2"]),
        ([deployed(1), failed(2, activation=REFUSED)], ["d1", "d2"]),
        ([deployed(1), failed(2, activation=Activation(outcome=sc.UNKNOWN))], ["d2"]),
        ([deployed(1), failed(2, upload=ManifestUpload(outcome=sc.UNKNOWN))], ["d2"]),
        ([deployed(2, start_ns=1), failed(1, start_ns=150)], ["d2", "d1"]),
        ([deployed(2, start_ns=1), failed(1, start_ns=1)], ["d2"]),
        ([deployed(3, start_ns=1), deployed(2, start_ns=150)], ["d3"]),
        ([in_log(2, "b.log"), in_log(1, "a.log")], ["d1", "d2"]),
        ([in_log(1, "a.log"), in_log(2, "b.log"), in_log(3, "c.log")], ["d1", "d2", "d3"]),
        ([in_log(1, "a.log", 1), in_log(2, "a.log", 9)], ["d2"]),
        ([in_log(1, "a.log"), in_log(2, "b.log", 1), in_log(3, "b.log", 2)], ["d1", "d3"]),
        ([in_log(1, "a.log"), in_log(2, "b.log", upload=None, activation=None)], ["d1", "d2"]),
    ],
    ids=[
        "one",
        "the last",
        "a failed one after it",
        "a failed one before it",
        "the last failed one",
        "only failed ones",
        "a refused activation",
        "an activation without an answer",
        "an upload without an answer",
        "a failed one that began later",
        "a failed one that began with it",
        "one that began later, and took effect before",
        "two logs",
        "three logs",
        "one log",
        "one of two in a log",
        "a failed one in another log",
    ],
)
def test_the_deployment_in_force_and_a_later_failure_are_the_current_ones(
    group: list[Deployment], expected: list[str]
) -> None:
    """Workers see the first, and the other is to be explained; an open order leaves all."""
    assert [known.id for known in current_of(group)] == expected


# --- choosing -------------------------------------------------------------------------------------


def chosen(asked: Question, *made: Deployment, **more: Any) -> tuple[list[str], int]:
    """Return the ids of the chosen deployments, and the number of other environments."""
    found = choose(Evidence(deployments=made, **more), asked)
    return [known.id for known in found.deployments], found.others


PAST: Final = (
    deployed(1, build_id="abc1"),
    deployed(2, build_id="abc2"),
    deployed(3, "env-blog production blog", build_id="abd3"),
    deployed(4, "- staging blog", build_id=None),
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Question(), ["d4"]),
        (Question(build_id="abc"), ["d1", "d2"]),
        (Question(build_id="abc1"), ["d1"]),
        (Question(build_id="c1"), []),
        (Question(trace_id="4"), ["d4"]),
        (Question(trace_id="40"), ["d4"]),
        (Question(trace_id="00"), []),
        (Question(build_id="ab", environment="production"), ["d1", "d2", "d3"]),
        (Question(build_id="ab", environment="env-prod"), ["d1", "d2"]),
        (Question(build_id="ab", environment="env-blog"), ["d3"]),
        (Question(build_id="ab", app="blog"), ["d3"]),
        (Question(build_id="ab", app="shop", environment="env-blog"), []),
        (Question(build_id="ab", trace_id="2"), ["d2"]),
        (Question(build_id="abc1", trace_id="2"), []),
        (Question(build_id="a", trace_id="4"), []),
        (Question(trace_id="4", app="blog", environment="staging"), ["d4"]),
        (Question(trace_id="4", app="shop"), []),
        (Question(environment="production"), ["d2", "d3"]),
        (Question(app="blog"), ["d3", "d4"]),
        (Question(environment="env-9"), []),
    ],
    ids=str,
)
def test_a_question_chooses_the_deployments_that_match_all_of_it(
    asked: Question, expected: list[str]
) -> None:
    """A build or a trace names deployments, old ones as well; else the current ones are meant."""
    found, others = chosen(asked, *PAST)
    assert (found, others) == (expected, 0 if asked else 2)
    assert bool(asked) is (asked != Question())
    assert asked.names_deployment is bool(asked.build_id or asked.trace_id)


def test_environments_that_are_known_are_not_looked_for_again() -> None:
    """A question may be asked of the environments of the same evidence."""
    known = environments(deployed(7))
    evidence = Evidence(deployments=PAST)
    assert choose(evidence, Question(), known) == Chosen((), 1)
    assert choose(evidence, Question(environment="production"), known).deployments == (
        *known.groups[PRODUCTION],
    )


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ((), (["d3"], 2)),
        ((RuntimeFetch(environment_id="env-prod"),), (["d3"], 2)),
        ((RuntimeFetch(origin=Origin("a.log"), environment_id="env-prod"),), (["d1", "d3"], 1)),
        ((RuntimeFetch(origin=Origin("a.log"), build_id="build-1"),), (["d1", "d3"], 1)),
        ((RuntimeFetch(origin=Origin("a.log"), build_id="build"),), (["d3"], 2)),
        ((RuntimeFetch(origin=Origin("a.log")),), (["d3"], 2)),
        (
            (
                RuntimeFetch(origin=Origin("a.log"), environment_id="env-prod"),
                RuntimeFetch(origin=Origin("b.log"), build_id="build-2"),
            ),
            (["d1", "d2", "d3"], 0),
        ),
    ],
    ids=["none", "a span", "environment", "build", "a part of a build", "neither", "two"],
)
def test_without_a_question_files_bring_in_the_environments_of_their_reads(
    reads: tuple[RuntimeFetch, ...], expected: tuple[list[str], int]
) -> None:
    """Beside the environment of the newest deployment; the others are counted."""
    made = (
        deployed(1),
        deployed(2, "env-blog production blog"),
        deployed(3, "- staging wiki", build_id=None),
    )
    assert chosen(Question(), *made, reads=reads) == expected


def test_without_a_question_all_deployments_that_may_be_the_newest_count() -> None:
    """Nothing orders two logs without times."""
    place: dict[str, Any] = {
        "environment_id": "env-2",
        "environment_name": "other",
        "app_name": "else",
    }
    assert chosen(Question(), in_log(1, "a.log"), in_log(2, "b.log", **place)) == (["d1", "d2"], 0)
    assert chosen(Question(), in_log(1, "a.log", 1), in_log(2, "a.log", 2, **place)) == (["d2"], 1)
    # An environment that may be a known one is no other one.
    assert chosen(Question(), deployed(1, "- production -"), deployed(2)) == (["d2"], 0)
    assert chosen(Question(), deployed(1, "- - -"), deployed(2)) == (["d2"], 0)


def fact(kind: type[Any], trace: str, **known: Any) -> Any:
    """Make a read, a call or a job of a trace."""
    return kind(origin=Origin(trace_id=trace), **known)


def test_the_trace_of_a_worker_chooses_the_deployment_whose_code_it_runs() -> None:
    """Its reads, calls and jobs tell it, and those of traces that jobs join with it."""
    made = (deployed(1), deployed(2), deployed(3), deployed(4))
    facts: dict[str, Any] = {
        "reads": (fact(RuntimeFetch, "a1", code_deployment_id="d1"),),
        "calls": (
            fact(RemoteCall, "b1", code_deployment_id="d2", job_id="job-1"),
            fact(RemoteCall, "c1", code_deployment_id="d3", job_id="job-2"),
            fact(RemoteCall, "e1", code_deployment_id="d3"),
            fact(RemoteCall, "b2", code_deployment_id="d4"),
        ),
        "served": (
            fact(Served, "c1", code_deployment_id="d1", job_id="job-1"),
            fact(Served, "f1", code_deployment_id="d2"),
            fact(Served, "f2", code_deployment_id=None),
        ),
    }
    for trace, expected in (
        ("a", ["d1"]),
        ("b1", ["d1", "d2", "d3"]),
        ("b2", ["d4"]),
        ("b", ["d1", "d2", "d3", "d4"]),
        ("c1", ["d1", "d2", "d3"]),
        ("e", ["d3"]),
        ("f", ["d2"]),
        ("f2", []),
        ("9", []),
        ("1", ["d1"]),
    ):
        assert chosen(Question(trace_id=trace), *made, **facts) == (expected, 0), trace
    assert chosen(Question(trace_id="b1", build_id="build-2"), *made, **facts) == (["d2"], 0)


# --- what a question matches without a deployment -------------------------------------------------


READS: Final = (
    RuntimeFetch(origin=Origin(trace_id="a1"), environment_id="env-1", build_id="abc1"),
    RuntimeFetch(origin=Origin(trace_id="a2"), environment_name="production"),
)
CALLS: Final = (
    RemoteCall(
        origin=Origin(trace_id="b1"), environment_id="env-1", environment_name="production",
        app_name="shop",
    ),
    RemoteCall(origin=Origin(trace_id="b2"), environment_name="staging", app_name="blog"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "reads", "calls"),
    [
        (Question(), "01", "01"),
        (Question(environment="env-1"), "0", "0"),
        (Question(environment="production"), "1", "0"),
        (Question(environment="env-9"), "", ""),
        (Question(build_id="abc"), "0", ""),
        (Question(build_id="c1"), "", ""),
        (Question(trace_id="a"), "01", ""),
        (Question(trace_id="b2"), "", "1"),
        (Question(trace_id="2"), "", ""),
        (Question(app="shop"), "", "0"),
        (Question(app="shop", environment="staging"), "", ""),
        (Question(trace_id="a2", environment="production"), "1", ""),
        (Question(trace_id="a1", environment="production"), "", ""),
    ],
    ids=str,
)
def test_reads_and_calls_match_a_question_without_a_deployment(
    asked: Question, reads: str, calls: str
) -> None:
    """They must match all of it; nothing else of the evidence is kept."""
    evidence = Evidence(deployments=PAST, reads=READS, calls=CALLS, served=(Served(),))
    assert narrowed(evidence, asked) == Evidence(
        reads=tuple(READS[int(number)] for number in reads),
        calls=tuple(CALLS[int(number)] for number in calls),
    )


def test_all_that_a_question_can_name() -> None:
    """The ids and names of environments, builds, traces and apps, wherever they are told."""
    made = (
        deployed(1),
        deployed(2, "env-bare - lost", build_id=None),
        deployed(3, "- - wiki", build_id="build-3", trace_ids=frozenset({"c3", "d3"})),
    )
    calls = (*CALLS, RemoteCall(app_name="nowhere"))
    evidence = Evidence(
        deployments=made, reads=READS, calls=calls, served=(fact(Served, "e1"), Served())
    )
    traces = {"1".ljust(32, "0"), "2".ljust(32, "0"), "c3", "d3", "a1", "a2", "b1", "b2", "e1"}
    assert names_in(evidence) == {
        "environment": {"env-prod", "production", "env-bare", "env-1", "staging"},
        "build_id": {"build-1", "build-3", "abc1"},
        "trace_id": traces,
        "app": {"shop", "wiki", "blog"},
    }


NAMES: Final = {
    "environment": ["staging", "production", "prod"],
    "build_id": ["abcdef", "abcxyz"],
    "trace_id": ["0123456789", "0999999999"],
    "app": [f"app-{number}" for number in range(9)],
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Question(), ()),
        (Question(environment="production", build_id="abc", trace_id="01", app="app-1"), ()),
        (Question(build_id="abcxyz", trace_id="0999999999"), ()),
        (
            Question(environment="productoin"),
            (
                Unmatched(
                    "environment",
                    "productoin",
                    ("production",),
                    ("prod", "production", "staging"),
                ),
            ),
        ),
        (
            Question(environment="pro"),
            (Unmatched("environment", "pro", ("prod",), ("prod", "production", "staging")),),
        ),
        (
            Question(build_id="abd"),
            (Unmatched("build_id", "abd", ("abcxyz",), ("abcdef", "abcxyz")),),
        ),
        (Question(trace_id="0122"), (Unmatched("trace_id", "0122", ("0123456789",)),)),
        (
            Question(app="zzz"),
            (Unmatched("app", "zzz", (), tuple(f"app-{number}" for number in range(5))),),
        ),
        (
            Question(environment="zzz", app="zzz"),
            (
                Unmatched("environment", "zzz", (), ("prod", "production", "staging")),
                Unmatched("app", "zzz", (), tuple(f"app-{number}" for number in range(5))),
            ),
        ),
    ],
    ids=str,
)
def test_parts_of_a_question_that_match_nothing(
    asked: Question, expected: tuple[Unmatched, ...]
) -> None:
    """Ids match by their first characters; each part is told with what is recorded instead."""
    assert unmatched(asked, NAMES) == expected
    if asked == Question(app="zzz"):
        assert unmatched(asked, {}) == (Unmatched("app", "zzz"),)


def test_a_name_is_found_among_very_many() -> None:
    """Only what is shown of them is limited."""
    names = [f"env-{number:05}" for number in range(2_000)]
    asked = Question(environment=names[-1], app="zzz")
    found = unmatched(asked, {"environment": reversed(names)})
    assert found == (Unmatched("app", "zzz"),)
    (other,) = unmatched(Question(environment="env-0000"), {"environment": names})
    assert other.recorded == tuple(names[:5])
