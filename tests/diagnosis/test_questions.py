"""Questions about recordings: by what nobody deployed, by files, several at once, and on disk."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
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
from diagnosis.scenes import DOUBTFUL, FAULTY, STAGING, sentinel

from flash_otel import semconv as sc
from flash_otel.diagnosis import Diagnosis, Limits, diagnose
from flash_otel.diagnosis.choose import Question
from flash_otel.diagnosis.diagnose import diagnose_each
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.recorded import laid_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
REFUSED: Final = ("requests.exceptions.HTTPError", "403 Client Error: Forbidden")


def judge(made: list[SpanRecord], **asked: Any) -> Diagnosis:
    """Diagnose in memory and on disk, which must agree."""
    found = diagnose(made, **{"limits": LIMITS, **asked})
    assert diagnose(made[::-1], **{"limits": LIMITS, "in_memory": 0, **asked}) == found
    return found


def builds(found: Diagnosis) -> list[str | None]:
    """Return the builds that were judged."""
    return [judged.deployment.build_id for judged in found.judged]


def without(steps: Steps, **names: None) -> Steps:
    """Return a deployment of which some attributes are not known."""
    return {name: changed(step, **names) for name, step in steps.items()}


def in_file(made: list[SpanRecord], file: str = "worker.log") -> list[SpanRecord]:
    """Return records as a file holds them."""
    return [replace(span, origin=f"{file}:{line}") for line, span in enumerate(made, 1)]


# --- what no deployment is recorded of ------------------------------------------------------------

ELSEWHERE: Final[dict[str, Any]] = {
    "number": "5",
    "env_id": "env-x",
    "build": 5,
    "code": 5,
    "endpoint": None,
    "instance": "worker-5",
}
STAGED_READ: Final[dict[str, Any]] = {
    "number": "2",
    "code": 2,
    "build": 2,
    "env_id": "env-stag",
    "held": STAGING,
    "instance": "worker-2",
    "endpoint": "gpu0000002",
}
SEEN: Final = "Recorded: {}, but no deployment to compare them with."


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({"environment": "env-x"}, "1 read and no calls"),
        ({"environment": "elsewhere"}, "1 read and no calls"),
        ({"build_id": "build-5"}, "1 read and no calls"),
        ({"build_id": "build-5", "environment": "env-x"}, "1 read and no calls"),
        ({"trace_id": "a5".rjust(32, "0")}, "1 read and no calls"),
        ({"trace_id": "c7".rjust(32, "0")}, "no reads and 1 call"),
        ({"environment": "live"}, "no reads and 1 call"),
    ],
)
def test_reads_and_calls_without_their_deployment(asked: dict[str, str], seen: str) -> None:
    """They match a question by themselves, whatever else was deployed."""
    reads = [
        changed(span, environment_name="elsewhere") for span in read(10, held=TWO, **ELSEWHERE)
    ]
    named = call(20, number="7", code=None, app="blog", env="live", instance="laptop-7", url=None)
    made = records(deployment(), read(10, held=TWO), reads, named)
    found = judge(made, **asked)
    assert (found.verdict, builds(found), found.is_unmatched) == (sc.INCONCLUSIVE, [None], False)
    assert [finding.sentence for finding in found.findings] == [SEEN.format(seen)]
    assert found.others == 0


def test_a_question_that_matches_nothing_fills_every_command() -> None:
    """The findings' own commands name what was asked for."""
    found = judge(records(deployment()), app="blog", environment="live")
    expected = "flash-otel verify --app blog --env live"
    assert found.is_unmatched
    assert (found.command, [finding.command for finding in found.findings]) == (
        expected,
        [expected],
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"environment": "prod"},
        {"build_id": "build-9"},
        {"trace_id": "fff"},
        {"app": "shpo"},
        {"app": "blgo"},
        {"trace_id": "0", "app": "shpo"},
        {"environment": "env-x", "build_id": "build-1"},
    ],
)
def test_what_matches_nothing_is_named_alike_on_disk(asked: dict[str, str]) -> None:
    """Ids of deployments and of reads, and apps of deployments, attempts and calls, are known."""
    attempt = without(
        stopped(deployment(3, at=-900, app="wiki"), "artifact", error=REFUSED),
        environment_id=None,
        environment_name=None,
        build_id=None,
    )
    made = records(deployment(), attempt, read(10, held=TWO, **ELSEWHERE), sentinel(app="blog"))
    found = judge(made, **asked)
    assert found.is_unmatched
    assert {part.field for part in found.unmatched} <= set(asked)


def test_the_names_that_are_recorded_instead() -> None:
    """Builds of reads count as well as those of deployments."""
    made = records(deployment(), read(10, held=TWO, **ELSEWHERE))
    (part,) = judge(made, build_id="x").unmatched
    assert part.recorded == ("build-1", "build-5")
    other = [changed(span, build_id="a:1") for span in read(10, held=TWO, **ELSEWHERE)]
    (part,) = judge(records(deployment(), other), build_id="x").unmatched
    assert part.recorded == ("a:1", "build-1")
    (part,) = judge(made, environment="x").unmatched
    assert part.recorded == ("env-prod", "env-x", "production")


@pytest.mark.parametrize(
    ("trace", "expected"),
    [("a1", "build-1"), ("a2", "build-2"), ("c3", "build-1"), ("c4", "build-2"), ("d2", "build-2")],
)
def test_a_trace_of_a_worker_is_about_its_deployment(trace: str, expected: str) -> None:
    """Reads name a build, calls the deployment of their code, and neither has its trace."""
    made = records(
        deployment(),
        deployment(2, at=-400, env="staging", env_id="env-stag", held=STAGING),
        read(10, held=TWO),
        read(-300, **STAGED_READ),
        call(20, number="3", instance="worker-3"),
        call(-200, number="4", code=2, instance="worker-4", url=STAGING["gpu"]),
    )
    assert builds(judge(made, trace_id=trace.rjust(32, "0"))) == [expected]


# --- files ----------------------------------------------------------------------------------------


def staged(**names: None) -> Steps:
    """Return an older deployment to staging, of which some attributes are not known."""
    return without(deployment(2, at=-400, env="staging", env_id="env-stag", held=STAGING), **names)


@pytest.mark.parametrize(
    "older",
    [
        staged,
        lambda: staged(environment_id=None),
        lambda: staged(environment_name=None),
        lambda: staged(environment_id=None, app_name=None),
    ],
    ids=["by both", "by name", "by id", "by name, without an app"],
)
@pytest.mark.parametrize("env_id", ["env-stag", None])
def test_a_file_is_about_the_environment_of_its_builds(older: Any, env_id: str | None) -> None:
    """Its environment is judged beside the newest, whether deployments know its id or its name."""
    logged = in_file(read(-300, **{**STAGED_READ, "env_id": env_id}))
    current = records(deployment(), read(10, held=TWO))
    found = judge(records(current, older(), logged))
    assert sorted(map(str, builds(found))) == ["build-1", "build-2"]
    assert found.others == 0
    unlogged = read(-300, **{**STAGED_READ, "env_id": env_id})
    found = judge(records(current, older(), unlogged))
    assert (builds(found), found.others) == (["build-1"], 1)


def test_files_name_several_environments() -> None:
    """Each environment of the reads in files is judged once, and the others are counted."""
    third = deployment(3, at=-900, app="blog", env_id="env-blog", held={"post": "https://p"})
    fourth = deployment(4, at=-1400, app="wiki", env_id="env-wiki", held={"page": "https://w"})
    blog = read(-800, number="3", code=3, build=3, env_id="env-blog", held={"post": "https://p"})
    logged = in_file([*read(-300, **STAGED_READ), *read(-290, **{**STAGED_READ, "number": "4"})])
    other = in_file([replace(span, resource={}) for span in blog], "other.log")
    found = judge(records(deployment(), staged(), third, fourth, logged, other))
    assert sorted(map(str, builds(found))) == ["build-1", "build-2", "build-3"]
    assert found.others == 1


def test_files_name_several_environments_without_ids() -> None:
    """Of environments that are known by their names only, each is judged as well."""
    names = ("qa", "live", "demo")
    older = [
        without(
            deployment(number, at=-100.0 * number, env=name, held={name: f"https://{name}"}),
            environment_id=None,
        )
        for number, name in enumerate(names, 2)
    ]
    logged = [
        in_file(
            read(
                60 - 100.0 * number,
                number=f"{number}",
                code=number,
                build=number,
                env_id=None,
                held={name: f"https://{name}"},
                instance=f"worker-{number}",
                endpoint=None,
            ),
            f"{name}.log",
        )
        for number, name in enumerate(names, 2)
    ]
    found = judge(records(deployment(), *older, *logged))
    assert sorted(map(str, builds(found))) == ["build-1", "build-2", "build-3", "build-4"]
    assert found.others == 0


def test_a_name_that_another_deployment_knows_by_its_id() -> None:
    """The build of a file is one of the environment that its name stands for."""
    again = without(
        deployment(3, at=-200, env="staging", env_id="env-stag", held=STAGING), environment_id=None
    )
    logged = in_file(read(-100, **{**STAGED_READ, "build": 3, "code": 3, "env_id": None}))
    found = judge(records(deployment(), staged(), again, logged))
    assert sorted(map(str, builds(found))) == ["build-1", "build-3"]
    assert found.others == 0


@pytest.mark.parametrize("bound", [1, 2, 3])
def test_the_environments_with_the_latest_deployments_are_judged(
    monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """The newest comes first, then those of the files, the latest ones before the older."""
    monkeypatch.setattr(import_module("flash_otel.diagnosis.diagnose"), "MOST_ENVIRONMENTS", bound)
    third = deployment(3, at=-900, app="blog", env_id="a-blog", held={"post": "https://p"})
    blog = read(-800, number="3", code=3, build=3, env_id="a-blog", held={"post": "https://p"})
    logged = in_file([*read(-300, **STAGED_READ), *blog])
    told: list[tuple[int, int]] = []
    made = records(third, staged(), deployment(), logged)
    found = diagnose(made, limits=LIMITS, in_memory=0, progress=lambda *done: told.append(done))
    assert set(builds(found)) == {*["build-1", "build-2", "build-3"][:bound]}
    assert found.others == 3 - bound
    assert told == [(number, bound) for number in range(1, bound + 1)]


# --- apps -----------------------------------------------------------------------------------------


def test_an_app_with_several_environments() -> None:
    """All environments of an app are judged, also one that is known by its name only."""
    wiki = deployment(4, at=-900, app="wiki", env_id="env-wiki", held={"page": "https://w"})
    named = without(
        deployment(5, at=-700, env="qa:1", env_id="x", held={"q": "https://q"}),
        environment_id=None,
    )
    made = records(deployment(), staged(), wiki, named)
    found = judge(made, app="shop")
    assert sorted(map(str, builds(found))) == ["build-1", "build-2", "build-5"]
    assert found.others == 0
    assert builds(judge(made, app="wiki")) == ["build-4"]
    assert judge(made, app="wi").is_unmatched


# --- several questions ----------------------------------------------------------------------------


def test_several_questions_have_the_answers_of_each() -> None:
    """On common evidence, each question is answered as it would be alone."""
    made = records(
        deployment(),
        read(10, phase=sc.PHASE_BUILD, host="laptop"),
        staged(),
        read(-300, **STAGED_READ),
        read(20, held=TWO, **ELSEWHERE),
    )
    questions = [
        Question(build_id="build-1"),
        Question(trace_id="d2".rjust(32, "0")),
        Question(environment="staging"),
        Question(environment="env-x"),
        Question(build_id="build-9"),
        Question(build_id="build-"),
        Question(build_id="build-1", app="blog"),
    ]
    with laid_out(made) as spans:
        found = diagnose_each(spans, questions, LIMITS)
    expected = [diagnose(made, limits=LIMITS, **asked._asdict()) for asked in questions]
    assert [(each.verdict, builds(each), each.is_unmatched) for each in found] == [
        (sc.MANIFEST_NOT_PERSISTED, ["build-1"], False),
        (sc.NONE, ["build-2"], False),
        (sc.NONE, ["build-2"], False),
        (sc.INCONCLUSIVE, [None], False),
        (sc.INCONCLUSIVE, [None], True),
        (sc.MANIFEST_NOT_PERSISTED, ["build-1", "build-2"], False),
        (sc.INCONCLUSIVE, [None], True),
    ]
    assert found == expected


def nameless(steps: Steps) -> Steps:
    """Return a deployment that knows its environment by its id only, and no app."""
    return without(steps, environment_name=None, app_name=None)


def test_other_deployments_know_the_names_of_each_place() -> None:
    """Of deployments that know ids only, the names come from others to the same environments."""
    made = records(
        nameless(deployment()),
        deployment(3, at=-900),
        nameless(staged()),
        deployment(4, at=-800, env="staging", env_id="env-stag", held=STAGING),
    )
    questions = [Question(build_id="build-1"), Question(trace_id="d2".rjust(32, "0"))]
    with laid_out(made) as spans:
        found = diagnose_each(spans, questions, LIMITS)
    assert [(builds(each), each.command) for each in found] == [
        (["build-1"], "flash-otel verify --app shop --env production"),
        (["build-2"], "flash-otel verify --app shop --env staging"),
    ]
    assert found == [diagnose(made, limits=LIMITS, **asked._asdict()) for asked in questions]


@pytest.mark.parametrize(
    "more",
    [
        {"environment": "production"},
        {"environment": "env-prod"},
        {"app": "shop"},
        {"environment": "production", "app": "shop"},
    ],
)
@pytest.mark.parametrize("asked", [{"build_id": "build-1"}, {"trace_id": "d1".rjust(32, "0")}])
def test_a_deployment_is_of_the_names_that_others_know(
    asked: dict[str, str], more: dict[str, str]
) -> None:
    """A question may name what only another deployment to the environment knows of it."""
    made = records(nameless(deployment()), deployment(3, at=-900))
    assert builds(judge(made, **asked, **more)) == ["build-1"]
    assert judge(made, **asked, app="blog").is_unmatched
    assert judge(made, **asked, environment="staging").is_unmatched


def test_assumptions_hold_for_each_question() -> None:
    """A narrower skew decides what the assumed one leaves open."""
    made = DOUBTFUL["a drop or a race, within the skew"].make()
    asked = [Question(build_id="build-1")]
    with laid_out(made) as spans:
        (wide,) = diagnose_each(spans, asked, LIMITS)
        (narrow,) = diagnose_each(spans, asked, Limits(skew_s=0.5, now_ns=NOW_NS))
        (default,) = diagnose_each(spans, asked)
    assert wide.verdict == default.verdict == sc.INCONCLUSIVE
    assert narrow.verdict == sc.MANIFEST_NOT_PERSISTED
    assert diagnose(made, in_memory=0, limits=Limits(skew_s=0.5, now_ns=NOW_NS)) == diagnose(
        made, limits=Limits(skew_s=0.5, now_ns=NOW_NS)
    )


# --- memory and disk ------------------------------------------------------------------------------


@pytest.mark.parametrize(("extra", "is_on_disk"), [(0, False), (1, False), (-1, True), (-9, True)])
def test_more_spans_than_fit_are_judged_on_disk(
    monkeypatch: pytest.MonkeyPatch, extra: int, *, is_on_disk: bool
) -> None:
    """Only spans that are evidence count; progress is told only where one waits for it."""
    made = records(deployment(), read(10, held=TWO))
    strangers = [replace(made[0], name="their.own", span_id=f"{at:016x}") for at in range(1, 9)]
    laid: list[int] = []
    told: list[tuple[int, int]] = []

    def counted(spans: Iterator[SpanRecord]) -> Any:
        given = list(spans)
        laid.append(len(given))
        return laid_out(given)

    monkeypatch.setattr(import_module("flash_otel.diagnosis.diagnose"), "laid_out", counted)
    found = diagnose(
        [*strangers, *made],
        limits=LIMITS,
        in_memory=len(made) + extra,
        progress=lambda *done: told.append(done),
    )
    assert (found.verdict, builds(found)) == (sc.NONE, ["build-1"])
    assert laid == ([len(made)] if is_on_disk else [])
    assert told == ([(1, 1)] if is_on_disk else [])


@pytest.mark.parametrize("asked", [{}, {"build_id": "build-1"}, {"environment": "production"}])
def test_another_table_of_faults_counts_on_disk_as_well(asked: dict[str, str]) -> None:
    """Faults that the table does not have are not found."""
    made = FAULTY["a read holds other URLs"].make()
    rest = {code: fault for code, fault in FAULTS.items() if code != sc.ENDPOINTS_DIFFER}
    assert judge(made, faults=rest, **asked).verdict != sc.ENDPOINTS_DIFFER
    assert judge(made, **asked).verdict == sc.ENDPOINTS_DIFFER


def test_without_a_deployment_everything_recorded_is_judged() -> None:
    """Reads and calls of any process count, on disk as in memory."""
    made = records(read(10, held=TWO), call(20), call(21, number="2", instance="worker-2"))
    found = judge(made)
    sentence = SEEN.format("1 read and 2 calls")
    assert [finding.sentence for finding in found.findings] == [sentence]
    assert judge([]).findings[0].sentence == "No matching deployment, read or call is recorded."


def test_a_newest_attempt_without_an_environment() -> None:
    """An attempt that failed early is of its app's only environment, or else stands alone."""
    early = stopped(deployment(2, at=400), "artifact", error=REFUSED)
    names: dict[str, None] = {"environment_id": None, "environment_name": None, "build_id": None}
    attempt = without(early, **names)
    found = judge(records(deployment(), attempt))
    assert builds(found) == [None, "build-1"]
    assert found.others == 0
    found = judge(records(attempt))
    assert (found.verdict, builds(found), found.others) == (sc.UPLOAD_FAILED, [None], 0)
    named = without(early, environment_id=None, build_id=None)
    assert builds(judge(records(deployment(), named))) == [None, "build-1"]


def test_a_newest_attempt_is_of_an_environment_that_was_deployed_to_long_ago() -> None:
    """However many deployments to other environments came between, its name is known."""
    others = [
        deployment(
            number,
            at=-900.0 + 10 * number,
            env=f"other-{number}",
            env_id=f"env-{number}",
            held={f"e{number}": f"https://e{number}"},
        )
        for number in range(10, 18)
    ]
    attempt = stopped(deployment(2, at=400), "artifact", error=REFUSED)
    named = without(attempt, environment_id=None, build_id=None)
    found = judge(records(deployment(1, at=-2000), *others, named))
    assert builds(found) == [None, "build-1"]
    assert found.others == 8


def test_a_deployment_without_a_place_is_judged() -> None:
    """Steps that name neither an environment nor an app are what was deployed last."""
    steps = deployment()
    names: dict[str, None] = {"environment_id": None, "environment_name": None, "app_name": None}
    bare = [changed(steps[name], **names) for name in ("deploy", "activate", "upload")]
    found = judge(bare)
    assert builds(found) == ["build-1"]
    assert found.others == 0
    assert found.command == "flash-otel verify --app APP --env ENV"
