"""The tables of a diagnosis: ids side by side, the guide's list, and both phases in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from diagnosis.cases import beside, case_from, with_verdicts
from diagnosis.recordings import (
    TWO,
    Steps,
    call,
    deployment,
    read,
    records,
    stopped,
)
from diagnosis.scenes import UNREACHABLE, half_provisioned, killed

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    ActiveManifest,
    Deployment,
    EndpointSet,
    Failure,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    RemoteCall,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.tables import (
    Match,
    Moment,
    PhaseCheck,
    matches,
    phase_checks,
    representative,
    runtime_text,
    timeline,
    window_s,
)

NANOSECONDS: Final = 1_000_000_000
REFUSED: Final = Failure("unavailable", "TimeoutError", "late")


def place(line: int) -> Origin:
    """Return a place in a log."""
    return Origin(file="a.log", line=line)


# --- the read to show -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((), 3),
        ((1,), 1),
        ((1, 2), 2),
        ((4,), 4),
        ((9,), 3),
    ],
)
def test_the_read_in_the_tables_is_one_that_a_finding_names(
    named: tuple[int, ...], expected: int
) -> None:
    """Of several the last one; without any, the last read that asked or was answered."""
    reads = [
        RuntimeFetch(origin=place(1), build_id="b-1"),
        RuntimeFetch(origin=place(2), build_id="b-2"),
        RuntimeFetch(origin=place(3), environment_id="e-1"),
        RuntimeFetch(origin=place(4)),
    ]
    case = replace(beside(Deployment(id="d-1")), reads=tuple(reads))
    assert representative(case, frozenset(map(place, named))) == reads[expected - 1]


def test_without_a_read_that_shows_anything_there_is_none() -> None:
    """A read that neither asked nor was answered is not shown."""
    case = replace(beside(Deployment(id="d-1")), reads=(RuntimeFetch(origin=place(1)),))
    assert representative(case, frozenset()) is None


# --- the id matching table ------------------------------------------------------------------------

WRITTEN: Final = ManifestUpload(endpoints=EndpointSet(2, digest="digest"))
DEPLOYED: Final = Deployment(
    id="d-1",
    aliases=frozenset({"d-1", "d-0"}),
    build_id="b-1",
    environment_id="e-1",
    upload=WRITTEN,
)
ANSWER: Final = RuntimeFetch(
    environment_id="e-1",
    build_id="b-1",
    endpoints=EndpointSet(2, digest="digest"),
    code_deployment_id="d-0",
    active=ActiveManifest("d-1"),
)
NAMES: Final = (
    "environment_id",
    "build_id",
    "endpoint_count",
    "endpoints_digest",
    "code_deployment",
    "active_deployment",
)


def test_equal_ids_match() -> None:
    """Each id stands beside its counterpart, and code may be that of a separate build."""
    found = matches(beside(DEPLOYED, ANSWER), ANSWER)
    assert found == (
        Match("environment_id", "e-1", "e-1", "match"),
        Match("build_id", "b-1", "b-1", "match"),
        Match("endpoint_count", "2", "2", "match"),
        Match("endpoints_digest", "digest", "digest", "match"),
        Match("code_deployment", "d-1", "d-0", "match"),
        Match("active_deployment", "d-1", "d-1", "match"),
    )


def test_other_ids_do_not_match() -> None:
    """Each of them is compared by itself."""
    answer = RuntimeFetch(
        environment_id="e-2",
        build_id="b-2",
        endpoints=EndpointSet(0, digest="other"),
        code_deployment_id="d-2",
        active=ActiveManifest("d-3"),
    )
    found = matches(beside(DEPLOYED, answer), answer)
    assert [(match.name, match.read, match.result) for match in found] == [
        ("environment_id", "e-2", "mismatch"),
        ("build_id", "b-2", "mismatch"),
        ("endpoint_count", "0", "mismatch"),
        ("endpoints_digest", "other", "mismatch"),
        ("code_deployment", "d-2", "mismatch"),
        ("active_deployment", "d-3", "mismatch"),
    ]


def test_what_one_side_lacks_is_unknown() -> None:
    """An id that only one side has is shown, and neither matches nor differs."""
    without = matches(beside(DEPLOYED), None)
    assert [match.name for match in without] == list(NAMES)
    assert {(match.read, match.result) for match in without} == {(None, "unknown")}
    alone = matches(beside(Deployment(id="")), ANSWER)
    assert [match.name for match in alone] == list(NAMES)
    assert {(match.deployed, match.result) for match in alone} == {(None, "unknown")}
    assert matches(beside(Deployment(id="")), None) == ()


def test_a_deployment_in_lines_has_no_id_to_compare() -> None:
    """Its id is made up, so that no code can match it."""
    found = matches(beside(replace(DEPLOYED, by_lines=True)), None)
    assert [match.name for match in found] == list(NAMES[:4])


# --- the PASS/FAIL list ---------------------------------------------------------------------------

MAPPING: Final = "resources_endpoints mapping contains entries"
UPLOADED: Final = "uploaded N endpoints, N > 0"
ACTIVATED: Final = "environment activated with build_id"
QUERIED: Final = "queries the State Manager with environment_id"
ACTIVE: Final = "activeBuildId matches the deployment"
HELD: Final = "the manifest has N endpoints, N > 0"
KEPT: Final = "the registry holds N entries, N > 0"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, [("unknown", ""), ("unknown", ""), ("unknown", "")]),
        (
            {"upload": WRITTEN, "activation": Activation(), "build_id": "b-1"},
            [("pass", "2"), ("pass", "2"), ("pass", "b-1")],
        ),
        (
            {"upload": replace(WRITTEN, persisted_count=1)},
            [("pass", "2"), ("pass", "1"), ("unknown", "")],
        ),
        (
            {"upload": replace(WRITTEN, persisted_count=0)},
            [("pass", "2"), ("fail", "0"), ("unknown", "")],
        ),
        (
            {"upload": replace(WRITTEN, outcome=sc.FAILED)},
            [("pass", "2"), ("fail", "2"), ("unknown", "")],
        ),
        (
            {"upload": replace(WRITTEN, endpoints=EndpointSet(0))},
            [("fail", "0"), ("fail", "0"), ("unknown", "")],
        ),
        (
            {"upload": replace(WRITTEN, endpoints=EndpointSet())},
            [("unknown", ""), ("unknown", ""), ("unknown", "")],
        ),
        (
            {"activation": Activation(outcome=sc.FAILED), "build_id": "b-1"},
            [("unknown", ""), ("unknown", ""), ("fail", "b-1")],
        ),
    ],
    ids=[
        "nothing",
        "all",
        "fewer stored",
        "none stored",
        "a failed upload",
        "none sent",
        "an unknown number sent",
        "a failed activation",
    ],
)
def test_the_list_of_the_deployment(known: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Each item passes, fails, or is unknown, with the value that was found."""
    found = phase_checks(beside(Deployment(id="d-1", **known)), None)[:3]
    assert [(check.phase, check.text) for check in found] == [
        ("deployment", MAPPING),
        ("deployment", UPLOADED),
        ("deployment", ACTIVATED),
    ]
    assert [(check.result, check.found) for check in found] == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, ["unknown", "unknown", "unknown", "unknown"]),
        (ANSWER, ["pass e-1", "pass b-1", "pass 2", "pass 2"]),
        (replace(ANSWER, environment_id=None), ["fail", "pass b-1", "pass 2", "pass 2"]),
        (
            replace(ANSWER, environment_id="e-2", build_id="b-2"),
            ["fail e-2", "fail b-2", "pass 2", "pass 2"],
        ),
        (replace(ANSWER, build_id=None), ["pass e-1", "unknown", "pass 2", "pass 2"]),
        (
            replace(ANSWER, endpoints=EndpointSet(0)),
            ["pass e-1", "pass b-1", "fail 0", "fail 0"],
        ),
        (
            replace(ANSWER, endpoints=EndpointSet(1)),
            ["pass e-1", "pass b-1", "pass 1", "pass 1"],
        ),
        (replace(ANSWER, bare=True), ["pass e-1", "pass b-1", "pass 2", "unknown 2"]),
        (replace(ANSWER, outcome=sc.FAILED), ["pass e-1", "pass b-1", "pass 2", "unknown 2"]),
        (RuntimeFetch(), ["fail", "unknown", "unknown", "unknown"]),
    ],
    ids=[
        "none",
        "a whole answer",
        "no environment",
        "another environment",
        "no build",
        "no endpoints",
        "one endpoint",
        "only the answer itself",
        "a read that failed",
        "nothing asked",
    ],
)
def test_the_list_of_a_read(answer: RuntimeFetch | None, expected: list[str]) -> None:
    """What the worker kept is known only if its own read around the answer is."""
    known = replace(DEPLOYED, activation=Activation())
    found = phase_checks(beside(known, *([answer] if answer else [])), answer)[3:]
    assert [(check.phase, check.text) for check in found] == [
        ("runtime", QUERIED),
        ("runtime", ACTIVE),
        ("runtime", HELD),
        ("runtime", KEPT),
    ]
    assert [f"{check.result} {check.found}".rstrip() for check in found] == expected


def test_a_version_that_writes_no_manifest_has_a_shorter_list() -> None:
    """From runpod 2 on, nothing is uploaded and no worker reads."""
    known = replace(
        DEPLOYED, activation=Activation(), process=ProcessIdentity(flash_version=(2, 0, 0))
    )
    assert phase_checks(beside(known), None) == (
        PhaseCheck("deployment", MAPPING, "pass", "2"),
        PhaseCheck("deployment", ACTIVATED, "pass", "b-1"),
    )


# --- the timeline ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activated_ns", "written_ns", "expected"),
    [
        (3 * NANOSECONDS, 5 * NANOSECONDS, 2.0),
        (0, 5 * NANOSECONDS, 5.0),
        (5 * NANOSECONDS, 5 * NANOSECONDS, 0.0),
        (None, 5 * NANOSECONDS, None),
        (3 * NANOSECONDS, None, None),
    ],
)
def test_the_window_lasts_from_the_activation_to_the_write(
    activated_ns: int | None, written_ns: int | None, expected: float | None
) -> None:
    """It is known only if both ends are."""
    activation, upload = Activation(end_ns=activated_ns), ManifestUpload(end_ns=written_ns)
    known = Deployment(id="d-1", activation=activation, upload=upload)
    assert window_s(beside(known)) == expected
    for lacking in (replace(known, activation=None), replace(known, upload=None)):
        assert window_s(beside(lacking)) is None


def told(*parts: Any) -> list[str]:
    """Return the timeline of a recording: begin, duration, phase and text of each line."""
    lines = []
    for moment in timeline(case_from(records(*parts))):
        when = "?" if moment.seconds is None else f"{moment.seconds:.2f}"
        lasts = "-" if moment.duration_s is None else f"{moment.duration_s:.2f}"
        clock = "" if moment.same_clock else "~"
        early = " (early)" if moment.before_write else ""
        lines.append(f"{clock}{when} {lasts} {moment.phase}: {moment.text}{early}")
    return lines


FULL: Final = "RuntimeError: GraphQL errors: No capacity for this GPU"
UNANSWERED: Final = (
    "_GraphQLHTTPStatusError: GraphQL request failed: 503 - {'message': 'unavailable'}"
)
BEGIN: Final = (
    "0.10 1.90 deployment: the build",
    "2.00 1.00 deployment: the artifact upload",
    "3.00 0.20 deployment: the activation of build build-1",
)


def test_both_phases_are_in_the_order_of_time() -> None:
    """Reads and calls stand among the steps, with a mark of other machines' clocks."""
    assert told(
        deployment(),
        read(4, phase=sc.PHASE_BUILD, host="laptop"),
        read(5, number="2", phase=sc.PHASE_BUILD, instance="worker-2"),
        read(30, number="3", held=TWO, instance="worker-3"),
        call(4.5, instance="worker-1", host="laptop"),
    ) == [
        *BEGIN,
        "3.20 2.80 deployment: the provisioning",
        "4.00 0.30 runtime: a worker read active build build-1, no endpoints (early)",
        "4.50 0.50 runtime: a call of gpu_info (remote)",
        "5.00 0.80 deployment: the manifest upload, 2 endpoints",
        "~5.00 0.30 runtime: a worker read active build build-1, no endpoints (early)",
        "5.80 - deployment: the manifest is written, 2 endpoints",
        "~30.00 0.30 runtime: a worker read active build build-1, 2 endpoints",
    ]


@pytest.mark.parametrize(
    ("steps", "rest"),
    [
        (
            stopped(deployment(), "upload", "provision", error=UNREACHABLE),
            [
                f"3.20 2.80 deployment: the provisioning failed ({UNANSWERED})",
                f"5.00 0.80 deployment: the manifest upload failed ({UNANSWERED})",
                "5.80 - deployment: the manifest upload ended without success",
            ],
        ),
        (
            {**deployment(), "upload": replace(deployment()["upload"], end_ns=None)},
            [
                "3.20 2.80 deployment: the provisioning",
                "5.00 - deployment: the manifest upload did not end",
            ],
        ),
        (
            half_provisioned(),
            [
                f"3.20 2.80 deployment: the provisioning failed ({FULL})",
                f"3.30 1.50 deployment: the provisioning of an endpoint failed ({FULL})",
            ],
        ),
        (killed("build", "artifact", "activate"), []),
    ],
    ids=["a refused upload", "an open upload", "an endpoint that failed", "killed"],
)
def test_what_did_not_succeed_says_so(steps: Steps, rest: list[str]) -> None:
    """A step that failed has its cause, and of the endpoints only the one to blame is shown."""
    assert told(steps) == [*BEGIN, *rest]


def test_without_clocks_the_deployment_precedes_the_reads() -> None:
    """What has no time keeps the order of its file, and what has one stands between."""
    steps = tuple(
        Step(name=name, origin=place(line), start_ns=start_ns)
        for name, line, start_ns in (
            (sc.ARTIFACT_UPLOAD, 2, None),
            (sc.BUILD, 1, None),
            (sc.PROVISION, 5, 3 * NANOSECONDS),
        )
    )
    reads = tuple(
        RuntimeFetch(origin=place(line), build_id="b-1", start_ns=start_ns)
        for line, start_ns in ((8, None), (7, None), (9, 4 * NANOSECONDS))
    )
    known = Deployment(id="d-1", build_id="b-1", steps=steps, start_ns=NANOSECONDS)
    found = timeline(beside(known, *reads))
    assert [(moment.origin.line, moment.seconds) for moment in found] == [
        *((1, None), (2, None), (5, 2.0), (9, 3.0), (7, None), (8, None)),
    ]


@pytest.mark.parametrize("number", [30, 33, 34, 170])
def test_a_timeline_has_forty_lines(number: int) -> None:
    """Of very many reads, those that are recorded first are shown."""
    reads = [read(10.0 + at, number=f"{at:03}", held=TWO) for at in range(number)]
    found = told(deployment(), *reads)
    assert len(found) == min(6 + number, 40)
    assert found[-1].startswith(f"~{10 + min(number, 34) - 1:.2f} ")


def test_only_an_empty_answer_that_ended_before_the_write_is_early() -> None:
    """An answer that a verdict calls early is, and one that holds endpoints is not."""
    empty = read(4, number="1", phase=None, host="laptop")
    late = read(5.6, number="2", phase=None, host="laptop", instance="worker-2")
    whole = read(4, number="3", held=TWO, host="laptop", instance="worker-3")
    case = case_from(records(deployment(), empty, late, whole))
    unjudged = with_verdicts(case, *[ReadVerdict()] * 3)
    assert [moment.before_write for moment in timeline(unjudged) if moment.phase == "runtime"] == [
        *(True, False, False),
    ]
    blamed = with_verdicts(
        replace(case, deployment=replace(case.deployment, upload=None)),
        ReadVerdict((sc.READ_BEFORE_WRITE, sc.READ_INCOMPLETE)),
        ReadVerdict((sc.READ_INCOMPLETE,)),
        ReadVerdict((sc.READ_BEFORE_WRITE,)),
    )
    assert [moment.before_write for moment in timeline(blamed) if moment.phase == "runtime"] == [
        *(False, False, True),
    ]


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (RuntimeFetch(), "a worker asked nothing"),
        (RuntimeFetch(failure=REFUSED), "a worker asked nothing"),
        (
            RuntimeFetch(environment_id="e-1"),
            "a worker read no active build, an unknown number of endpoints",
        ),
        (
            RuntimeFetch(environment_id="e-1", failure=REFUSED),
            "a worker's read failed (TimeoutError: late)",
        ),
        (
            RuntimeFetch(endpoints=EndpointSet(2)),
            "a worker read no active build, 2 endpoints",
        ),
        (
            RuntimeFetch(build_id="b-1", failure=REFUSED, endpoints=EndpointSet(1)),
            "a worker read active build b-1, 1 endpoint",
        ),
        (RemoteCall(), "a call of a function (route unknown)"),
        (RemoteCall(resource_name="gpu", route="remote"), "a call of gpu (remote)"),
        (
            RemoteCall(function_name="f", resource_name="gpu", outcome=sc.FAILED, failure=REFUSED),
            "a call of f (route unknown), which failed (TimeoutError: late)",
        ),
    ],
)
def test_a_read_or_a_call_in_words(fact: RuntimeFetch | RemoteCall, words: str) -> None:
    """What is not known is said to be unknown."""
    assert runtime_text(fact) == words


def test_a_moment_knows_its_place() -> None:
    """A line of the timeline has the place of its span."""
    known = Deployment(id="d-1", steps=(Step(name=sc.BUILD, origin=place(4), outcome=UNFINISHED),))
    assert timeline(beside(known)) == (
        Moment("deployment", None, None, "the build did not end", place(4)),
    )
