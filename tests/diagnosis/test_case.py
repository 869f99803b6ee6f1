"""A deployment with its reads and calls: whether it ended, what it wrote, what became of that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.case import (
    LOST,
    NEVER,
    NOT_DUE,
    OPEN,
    RETURNED,
    UNSEEN,
    Case,
    Limits,
    case_of,
    delay_s,
    is_only_build,
    persisted_count,
    upload_state,
)
from flash_otel.diagnosis.evidence import (
    HOLDS,
    LACKS_ALL,
    LACKS_SOME,
    OTHER_URLS,
    UNFINISHED,
    UNKNOWN,
    ActiveManifest,
    Deployment,
    EndpointSet,
    Evidence,
    Failure,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    Provisioning,
    RemoteCall,
    RuntimeFetch,
    SpanFact,
    Step,
)
from flash_otel.diagnosis.matching import EvidenceIndex
from flash_otel.diagnosis.order import Offset
from flash_otel.failures import OTHER, UNAVAILABLE

SECOND: Final = 10**9
NOW_NS: Final = 10_000 * SECOND
WORKER: Final = ProcessIdentity("worker-1", "pod")
CLI: Final = ProcessIdentity("cli-1", "laptop", flash_version=(1, 14, 0))
TWO: Final = EndpointSet(2, ("gpu", "web"), ("https://g", "https://w"), "digest")
LINES: Final = Origin("run.log", 1, rebuilt=True)


def deployed(**more: Any) -> Deployment:
    """Make a deployment of which little else is known."""
    known: dict[str, Any] = {
        "id": "d1",
        "aliases": frozenset({"d1"}),
        "build_id": "build-1",
        "environment_id": "env-1",
        "process": CLI,
        "outcome": sc.RETURNED,
    }
    return Deployment(**{**known, **more})


def read(**known: Any) -> RuntimeFetch:
    """Make a read of the deployed build."""
    given: dict[str, Any] = {"process": WORKER, "environment_id": "env-1", "build_id": "build-1"}
    return RuntimeFetch(**{**given, **known})


def case(
    deployment: Deployment | None, *reads: RuntimeFetch, limits: Limits | None = None, **more: Any
) -> Case:
    """Put a case together."""
    recorded = () if deployment is None else (deployment,)
    evidence = Evidence(deployments=recorded, reads=reads, **more)
    given = limits or Limits(now_ns=NOW_NS)
    return case_of(deployment, evidence, EvidenceIndex(evidence), given)


# --- what has to do with a deployment -------------------------------------------------------------


def test_a_case_has_what_has_to_do_with_its_deployment() -> None:
    """Reads, the calls of their workers, and how all clocks relate to that of the deployment."""
    own, other = read(), read(environment_id="env-2", build_id="build-9")
    called = RemoteCall(process=WORKER, function_name="train")
    elsewhere = RemoteCall(process=ProcessIdentity("worker-2", "laptop"))
    made = deployed(steps=(Step(name=sc.DEPLOY),), upload=ManifestUpload(endpoints=TWO))
    evidence = Evidence(deployments=(made,), reads=(own, other), calls=(called, elsewhere))
    index = EvidenceIndex(evidence)
    limits = Limits(skew_s=3.0, now_ns=NOW_NS)
    assert case_of(made, evidence, index, limits) == Case(
        deployment=made,
        is_recorded=True,
        evidence=evidence,
        index=index,
        limits=limits,
        reads=(own,),
        calls=(called,),
        offsets={
            "worker-1": Offset(assumed=3 * SECOND),
            "worker-2": Offset(exact=True),
        },
        has_ended=True,
        failed_step=None,
        expected=TWO,
        own_answers=(own,),
    )


def test_without_a_deployment_all_reads_and_calls_are_looked_at() -> None:
    """They are judged as those of an empty deployment."""
    reads = (read(), read(environment_id="env-2", build_id="build-9"))
    called = RemoteCall(process=ProcessIdentity("worker-2"))
    found = case(None, *reads, calls=(called,))
    assert (found.is_recorded, found.deployment) == (False, Deployment(id=""))
    assert (found.reads, found.calls, found.own_answers) == (reads, (called,), ())
    assert set(found.offsets) == {"worker-1", "worker-2"}
    assert found.offset(called) == Offset(assumed=5 * SECOND)


def test_the_step_that_failed_is_that_of_the_deployment() -> None:
    """It is looked for once, for all faults."""
    failed = Step(name=sc.BUILD, outcome=sc.FAILED)
    assert case(deployed(outcome=sc.FAILED, steps=(failed,))).failed_step == failed
    assert case(deployed(steps=(failed,))).failed_step is None


@pytest.mark.parametrize(
    ("uploads", "is_rewritten"),
    [
        ((), False),
        ((ManifestUpload(build_id="build-2"),), False),
        ((ManifestUpload(build_id="build-1"),), True),
        ((ManifestUpload(),), True),
        ((ManifestUpload(build_id="build-2"), ManifestUpload()), True),
    ],
    ids=["none", "another build", "its build", "any build", "one of two"],
)
def test_a_worker_may_have_written_the_manifest_again(
    uploads: tuple[ManifestUpload, ...], is_rewritten: bool
) -> None:
    """That of the deployed build, as far as its upload tells the build."""
    assert case(deployed(), worker_uploads=uploads).is_rewritten is is_rewritten


FULL: Final = EndpointSet(1, ("gpu",))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, EndpointSet()),
        ({"upload": ManifestUpload(endpoints=FULL)}, FULL),
        ({"provisioning": Provisioning(endpoints=FULL)}, FULL),
        ({"upload": ManifestUpload(), "provisioning": Provisioning(endpoints=FULL)}, FULL),
        (
            {
                "upload": ManifestUpload(endpoints=EndpointSet(0)),
                "provisioning": Provisioning(endpoints=FULL),
            },
            EndpointSet(0),
        ),
        ({"upload": ManifestUpload(endpoints=EndpointSet(digest="d"))}, EndpointSet()),
    ],
    ids=["nothing", "upload", "provisioning", "an unknown upload", "no endpoints", "uncounted"],
)
def test_what_was_written_is_known_by_the_upload_or_the_provisioning(
    known: dict[str, Any], expected: EndpointSet
) -> None:
    """By the first that counts the endpoints."""
    assert case(deployed(**known)).expected == expected


# --- answers with the deployment's build ----------------------------------------------------------


def logged(**known: Any) -> RuntimeFetch:
    """Make a read in a log that names no build."""
    given: dict[str, Any] = {"origin": LINES, "in_log": True, "build_id": None}
    return read(**{**given, **known})


NONE_HELD: Final[dict[str, Any]] = {"endpoints": EndpointSet(0)}


@pytest.mark.parametrize(
    ("known", "others", "is_own"),
    [
        (read(), (), True),
        (read(build_id="build-2"), (), False),
        (read(build_id=None, **NONE_HELD), (), False),
        (read(environment_id="env-2", code_deployment_id="d1"), (), False),
        (logged(**NONE_HELD), (), True),
        (logged(manifest_state=sc.MANIFEST_NULL), (), True),
        (logged(endpoints=EndpointSet(1)), (), False),
        (logged(), (), False),
        (logged(**NONE_HELD), (logged(build_id="build-1"),), True),
        (logged(**NONE_HELD), (logged(build_id="build-2"),), False),
        (logged(**NONE_HELD), (read(build_id="build-2"),), True),
    ],
    ids=[
        "its build",
        "another build",
        "a span without a build",
        "another environment",
        "lines without endpoints",
        "lines of no manifest",
        "lines with endpoints",
        "lines of unknown endpoints",
        "lines beside its build",
        "lines beside another build",
        "lines beside a span of another build",
    ],
)
def test_an_answer_is_the_deployments_own_by_its_build(
    known: RuntimeFetch, others: tuple[RuntimeFetch, ...], is_own: bool
) -> None:
    """Lines without a build count against the only one, and never clear it."""
    found = case(deployed(), known, *others)
    assert known in found.reads
    assert (known in found.own_answers) is is_own


def test_a_deployment_without_a_build_has_no_answers_of_its_own() -> None:
    """An answer without a build is not one of the same build."""
    made = deployed(build_id=None)
    assert case(made, read(), read(build_id=None)).own_answers == ()


def test_only_logs_show_that_there_is_another_build() -> None:
    """A read that is no line, or names no build, shows none."""
    made = deployed()
    for reads, is_only in (
        ((), True),
        ((logged(), logged(build_id="build-1")), True),
        ((logged(build_id="build-1"), logged(build_id="build-2")), False),
        ((read(build_id="build-2"),), True),
    ):
        assert is_only_build(made, Evidence(reads=reads)) is is_only
    assert not is_only_build(deployed(build_id=None), Evidence(reads=(logged(build_id="b"),)))


# --- what answers hold of the write ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "compared", "is_seen"),
    [
        (TWO, HOLDS, True),
        (EndpointSet(1, ("gpu",)), LACKS_SOME, True),
        (EndpointSet(2, ("gpu", "web"), digest="other"), OTHER_URLS, True),
        (EndpointSet(0), LACKS_ALL, False),
        (EndpointSet(), UNKNOWN, False),
    ],
    ids=["all", "some", "others", "none", "unknown"],
)
@pytest.mark.parametrize("phase", [sc.PHASE_WRITE, sc.PHASE_BUILD])
def test_an_answer_shows_how_much_of_the_write_took_effect(
    held: EndpointSet, compared: str, is_seen: bool, phase: str
) -> None:
    """By the endpoints that it holds, or by the carrier of the write."""
    made = deployed(upload=ManifestUpload(endpoints=TWO))
    answer = read(endpoints=held, active=ActiveManifest("d1", phase))
    found = case(made, answer)
    assert found.comparison(answer) == compared
    assert found.whole_reads == ((answer,) if compared == HOLDS else ())
    assert found.is_whole_proven is (compared == HOLDS)
    assert found.is_write_seen is (is_seen or phase == sc.PHASE_WRITE)
    foreign = replace(answer, active=ActiveManifest("d2", sc.PHASE_WRITE))
    assert found.phase(answer) == phase
    assert found.phase(foreign) is None
    assert case(made, foreign).is_write_seen is is_seen


def test_a_write_of_nothing_is_seen_by_an_answer_without_endpoints() -> None:
    """It holds the whole write."""
    found = case(deployed(upload=ManifestUpload(endpoints=EndpointSet(0))), read(**NONE_HELD))
    assert (found.is_whole_proven, found.is_write_seen) == (True, True)


def test_an_answer_for_another_build_shows_nothing_of_the_write() -> None:
    """Whatever endpoints it holds."""
    other = read(build_id="build-2", endpoints=TWO)
    found = case(deployed(upload=ManifestUpload(endpoints=TWO)), other)
    assert found.reads == (other,)
    assert (found.whole_reads, found.is_write_seen) == ((), False)


@pytest.mark.parametrize(
    ("place", "written", "held", "compared"),
    [
        (LINES, EndpointSet(2), TWO, UNKNOWN),
        (LINES, EndpointSet(2), replace(TWO, digest=None), HOLDS),
        (LINES, TWO, TWO, HOLDS),
        (LINES, EndpointSet(2), EndpointSet(1, digest="d"), LACKS_SOME),
        (Origin(), EndpointSet(2), TWO, HOLDS),
    ],
    ids=["URLs of the read", "URLs of neither", "URLs of both", "fewer", "spans"],
)
def test_urls_that_a_log_of_the_write_lacks_cannot_be_compared(
    place: Origin, written: EndpointSet, held: EndpointSet, compared: str
) -> None:
    """Then an answer with as many endpoints may have other URLs."""
    made = deployed(upload=ManifestUpload(origin=place, endpoints=written))
    assert case(made).comparison(read(endpoints=held)) == compared
    without_upload = deployed(provisioning=Provisioning(endpoints=EndpointSet(2)))
    assert case(without_upload).comparison(read(endpoints=TWO)) == HOLDS


@pytest.mark.parametrize(
    ("written", "sent", "expected"),
    [
        (TWO, 5, TWO),
        (EndpointSet(0), 5, EndpointSet(0)),
        (EndpointSet(), 5, EndpointSet(5)),
        (EndpointSet(), 0, EndpointSet(0)),
        (EndpointSet(), None, EndpointSet()),
    ],
    ids=str,
)
def test_a_carrier_counts_what_no_step_counts(
    written: EndpointSet, sent: int | None, expected: EndpointSet
) -> None:
    """The manifest itself tells how many endpoints were written into it."""
    answer = read(active=ActiveManifest("d1", sc.PHASE_WRITE, sent))
    assert case(deployed(upload=ManifestUpload(endpoints=written))).expected_of(answer) == expected


# --- whether it ended -----------------------------------------------------------------------------


def ago(seconds: float, **more: Any) -> Step:
    """Make a step that ended so many seconds ago."""
    end_ns = NOW_NS - round(seconds * SECOND)
    return Step(name=sc.BUILD, start_ns=end_ns - SECOND, end_ns=end_ns, **more)


@pytest.mark.parametrize(
    ("steps", "has_ended"),
    [
        ((), True),
        ((ago(901),), True),
        ((ago(900),), False),
        ((ago(5_000), ago(899)), False),
        ((ago(899), ago(5_000)), False),
        ((replace(ago(899), end_ns=None),), False),
        ((replace(ago(900), end_ns=None),), True),
        ((ago(5_000), Step(name=sc.BUILD)), True),
    ],
    ids=[
        "no steps",
        "silent for long",
        "silent for as long as Flash may be",
        "a late step",
        "an early step",
        "an open step",
        "an open step long ago",
        "a step without times",
    ],
)
def test_an_open_deployment_is_over_if_it_was_silent_for_long(
    steps: tuple[Step, ...], has_ended: bool
) -> None:
    """Longer than Flash waits; one that is not open has ended, of course."""
    made = deployed(outcome=UNFINISHED, steps=steps)
    limits = Limits(now_ns=NOW_NS, silence_s=900)
    assert case(made, limits=limits).has_ended is has_ended
    for outcome in (sc.RETURNED, sc.FAILED, sc.UNKNOWN):
        assert case(replace(made, outcome=outcome), limits=limits).has_ended


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("seconds", [1, 5_000])
def test_a_process_tells_whether_its_deployment_is_over(seconds: float, is_running: bool) -> None:
    """Where it can be asked, silence does not matter; a deployment that ended is not asked for."""
    asked: list[Deployment] = []

    def ask(deployment: Deployment) -> bool:
        asked.append(deployment)
        return is_running

    made = deployed(outcome=UNFINISHED, steps=(ago(seconds),))
    limits = Limits(now_ns=NOW_NS, is_running=ask)
    assert case(made, limits=limits).has_ended is not is_running
    assert asked == [made]
    assert case(deployed(), limits=limits).has_ended
    assert asked == [made]


# --- what became of the upload --------------------------------------------------------------------

ROOT: Final = Step(name=sc.DEPLOY)
SUCCESSOR: Final = replace(CLI, flash_version=(2, 0, 0))


def uploaded(answer: str, **more: Any) -> Deployment:
    """Make a deployment whose upload has this outcome; with an empty one, none was recorded."""
    upload = ManifestUpload(outcome=answer) if answer else None
    return deployed(**{"upload": upload, "root": ROOT, **more})


RUNNING: Final[dict[str, Any]] = {"outcome": UNFINISHED, "steps": (ago(1),)}
FAILED: Final[dict[str, Any]] = {"outcome": sc.FAILED}


def failed_in(name: str, kind: str = UNAVAILABLE, message: str = "no", **more: Any) -> Any:
    """Return what a deployment knows that failed in a step."""
    failure = Failure(kind, "x.HTTPError", message)
    return {**FAILED, "steps": (Step(name=name, outcome=sc.FAILED, failure=failure, **more),)}


INTERRUPTED: Final = Failure(UNAVAILABLE, "asyncio.exceptions.CancelledError", "")


@pytest.mark.parametrize(
    ("deployment", "state"),
    [
        (uploaded(sc.RETURNED), RETURNED),
        (uploaded(sc.FAILED), NEVER),
        (uploaded(sc.FAILED, **RUNNING), NEVER),
        (uploaded(sc.UNKNOWN), LOST),
        (uploaded(sc.UNKNOWN, **RUNNING), OPEN),
        (uploaded(UNFINISHED, **RUNNING), OPEN),
        (uploaded(sc.UNKNOWN, by_lines=True, **RUNNING), LOST),
        (uploaded(UNFINISHED, **FAILED), LOST),
        (uploaded(sc.UNKNOWN, process=SUCCESSOR), LOST),
        (uploaded("", process=SUCCESSOR), NOT_DUE),
        (uploaded("", process=SUCCESSOR, root=None), NOT_DUE),
        (uploaded("", root=None, **FAILED), UNSEEN),
        (uploaded("", **RUNNING), OPEN),
        (uploaded(""), UNSEEN),
        (uploaded("", **FAILED), NEVER),
        (uploaded("", **failed_in(sc.PROVISION)), UNSEEN),
        (uploaded("", **failed_in(sc.DEPLOY)), UNSEEN),
        (uploaded("", **failed_in(sc.BUILD)), NEVER),
        (uploaded("", **failed_in(sc.PROVISION, OTHER)), NEVER),
        (uploaded("", **failed_in(sc.PROVISION, message="not provisioned")), NEVER),
        (
            uploaded(
                "", **FAILED, steps=(Step(name=sc.PROVISION, outcome=sc.FAILED, failure=None),)
            ),
            NEVER,
        ),
        (
            uploaded(
                "",
                **FAILED,
                steps=(Step(name=sc.PROVISION, outcome=sc.FAILED, failure=INTERRUPTED),),
            ),
            NEVER,
        ),
    ],
    ids=[
        "returned",
        "failed",
        "failed in an open deployment",
        "unknown",
        "unknown in an open deployment",
        "open in an open deployment",
        "lines",
        "open in a failed deployment",
        "runpod 2, all the same",
        "runpod 2",
        "runpod 2 without a root",
        "no root",
        "not yet",
        "the deployment returned",
        "the deployment failed",
        "the provisioning failed",
        "the deployment failed by itself",
        "the build failed",
        "the provisioning failed for another reason",
        "the provisioning failed in its own words",
        "the provisioning failed without a cause",
        "the provisioning was interrupted",
    ],
)
def test_what_became_of_the_upload(deployment: Deployment, state: str) -> None:
    """Its own outcome tells, else that of the deployment and of the step that failed."""
    assert upload_state(case(deployment)) == state


@pytest.mark.parametrize(
    ("upload", "held", "expected"),
    [
        (None, None, None),
        (ManifestUpload(endpoints=TWO, persisted_count=1), None, 1),
        (ManifestUpload(endpoints=TWO, persisted_count=0), None, 0),
        (ManifestUpload(endpoints=TWO), None, None),
        (ManifestUpload(endpoints=EndpointSet(0), persisted_count=0), None, None),
        (ManifestUpload(persisted_count=0), None, None),
        (ManifestUpload(endpoints=TWO, persisted_count=1), EndpointSet(1, ("gpu",)), 1),
        (ManifestUpload(endpoints=TWO, persisted_count=1), TWO, None),
    ],
    ids=[
        "no upload",
        "some",
        "none",
        "no report",
        "nothing sent",
        "an unknown number sent",
        "a read of some",
        "a read of all",
    ],
)
def test_what_the_server_reported_as_stored(
    upload: ManifestUpload | None, held: EndpointSet | None, expected: int | None
) -> None:
    """Unless nothing was sent, or a read holds it all."""
    reads = () if held is None else (read(endpoints=held),)
    assert persisted_count(case(deployed(upload=upload), *reads)) == expected


@pytest.mark.parametrize(
    ("upload", "asked_ns", "host", "expected"),
    [
        (ManifestUpload(end_ns=10 * SECOND), 12 * SECOND + 5 * 10**8, "laptop", 2.5),
        (ManifestUpload(end_ns=10 * SECOND), 9 * SECOND, "laptop", -1.0),
        (ManifestUpload(end_ns=10 * SECOND), 12 * SECOND, "pod", None),
        (ManifestUpload(end_ns=10 * SECOND), None, "laptop", None),
        (ManifestUpload(), 12 * SECOND, "laptop", None),
        (None, 12 * SECOND, "laptop", None),
    ],
    ids=["after", "before", "another clock", "no time of the read", "no end", "no upload"],
)
def test_the_seconds_from_the_upload_to_a_read(
    upload: ManifestUpload | None, asked_ns: int | None, host: str, expected: float | None
) -> None:
    """They are known if one clock has measured both."""
    asked = read(asked_ns=asked_ns, process=ProcessIdentity("worker-1", host))
    assert delay_s(case(deployed(upload=upload), asked), asked) == expected


@pytest.mark.parametrize(
    ("version", "reads", "writes"),
    [
        ((), None, True),
        ((1, 4, 1), False, True),
        ((1, 14, 0), True, True),
        ((1, 21, 0), False, True),
        ((2, 0, 0), False, False),
    ],
    ids=str,
)
def test_versions_of_flash_read_and_write_manifests(
    version: tuple[int, ...], reads: bool | None, writes: bool
) -> None:
    """Those of the deploying process decide."""
    found = case(deployed(process=replace(CLI, flash_version=version)))
    assert (found.reads_manifests, found.writes_manifest) == (reads, writes)


def test_an_offset_is_that_of_a_facts_process() -> None:
    """Each worker's clock differs from the deployment's in its own way."""
    here = ProcessIdentity("worker-2", "laptop")
    found = case(deployed(), read(), read(process=here))
    assert found.offset(SpanFact(process=WORKER)) == Offset(assumed=5 * SECOND)
    assert found.offset(SpanFact(process=here)) == Offset(exact=True)
