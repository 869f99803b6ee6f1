"""Faults of the write path and of the read path, each with all that it needs, and its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from diagnosis.cases import (
    ACTIVATION,
    CLI,
    DEPLOYED,
    ROOT,
    TWO,
    UPLOAD,
    S,
    case_in,
    place,
    told,
    with_verdicts,
)

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    Deployment,
    EndpointFact,
    EndpointSet,
    Evidence,
    Failure,
    ManifestUpload,
    ProcessIdentity,
    Provisioning,
    RemoteCall,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.faults.paths import (
    endpoints_differ,
    endpoints_missing,
    manifest_never_written,
    manifest_not_persisted,
    nothing_deployed,
    provisioning_failed,
    read_before_write,
    read_incomplete,
    stale_build,
    state_manager_unavailable,
    unauthorized,
    upload_failed,
)
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE

RUNPOD_2: Final = replace(CLI, flash_version=(2, 0, 0))
WORKER: Final = ProcessIdentity("w-1", host="laptop", worker=True, resource_name="gpu")


NO: Final = Failure(failures.OTHER, "RuntimeError", "no")
NOT_PROVISIONED: Final = Failure(failures.OTHER, "RuntimeError", "cannot provision it")
DENIED: Final = Failure(failures.UNAUTHORIZED, "Error", "GraphQL request failed: 401")
FORBIDDEN: Final = Failure(failures.UNAUTHORIZED, "HTTPError", "403 Client Error: Forbidden")
DOWN: Final = Failure(failures.UNAVAILABLE, "TimeoutError", "late")
REJECTED: Final = Failure(failures.REJECTED, "Exception", "GraphQL errors: no")
INTERRUPTED: Final = Failure(failures.OTHER, "KeyboardInterrupt")


def step(name: str, failure: Failure | None = NO, **more: Any) -> Step:
    """Return a step that failed."""
    given = {"origin": place(4), "outcome": sc.FAILED, "failure": failure, **more}
    return Step(name=name, **given)


def found(
    find: Any,
    cause: Step | None = None,
    *,
    reads: tuple[tuple[RuntimeFetch, ReadVerdict], ...] = (),
    calls: tuple[RemoteCall, ...] = (),
    others: tuple[Deployment, ...] = (),
    facts: dict[str, Any] | None = None,
    **known: Any,
) -> Any:
    """Return what is found of a deployment with these fields.

    Args:
        find: Finds a fault in a case.
        cause: The step that made the deployment fail.
        reads: The reads of the deployment with the verdicts on them.
        calls: The calls of the deployment.
        others: Other deployments.
        facts: Conclusions of the case that are given instead of drawn.
        known: Fields of the deployment.
    """
    outcome = {} if cause is None else {"outcome": sc.FAILED}
    deployment = replace(DEPLOYED, **{**outcome, **known})
    read = tuple(read for read, _ in reads)
    case = case_in(Evidence((*others, deployment), read, calls), deployment)
    case = replace(case, failed_step=cause, reads=read, calls=calls)
    case = with_verdicts(case, *(verdict for _, verdict in reads))
    return told(find(replace(case, **(facts or {}))))


ANSWER: Final = RuntimeFetch(
    origin=place(7),
    process=WORKER,
    environment_id="e-1",
    build_id="b-1",
    endpoints=EndpointSet(0),
    start_ns=8 * S,
    asked_ns=8 * S,
    end_ns=9 * S,
)


def proof(code: str, confidence: str = CERTAIN, **known: Any) -> Any:
    """Return a read with these fields, and a verdict that it proves a code."""
    return replace(ANSWER, **known), ReadVerdict((code,), "so", confidence)


# --- steps that failed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "is_found"),
    [
        (step(sc.ARTIFACT_UPLOAD), True),
        (step(sc.ARTIFACT_UPLOAD, FORBIDDEN), True),
        (step(sc.ARTIFACT_UPLOAD, DENIED), False),
        (step(sc.ARTIFACT_UPLOAD, INTERRUPTED), False),
        (step(sc.ARTIFACT_UPLOAD, outcome=sc.CANCELLED), False),
        (step(sc.ARTIFACT_UPLOAD, None), False),
        (step(sc.BUILD), False),
        (None, False),
    ],
)
def test_an_artifact_that_was_not_uploaded(cause: Step | None, *, is_found: bool) -> None:
    """The upload itself failed, by a cause that is neither an interruption nor the key."""
    expected = []
    if cause and is_found:
        sentence = f"The artifact could not be uploaded: {cause.failure}. Nothing was activated."
        shown = f"4: the artifact upload failed ({cause.failure})"
        expected = [(sentence, CERTAIN, [shown])]
    assert found(upload_failed, cause, activation=None) == expected


SO: Final = " Build b-1 is active already, so its manifest was never written."
SAVED: Final = tuple(
    EndpointFact(resource_name=name, origin=place(line), outcome=outcome)
    for name, line, outcome in (
        ("web", 10, sc.RETURNED),
        (None, 11, sc.RETURNED),
        ("cpu", 12, sc.RETURNED),
        ("gpu", 4, sc.FAILED),
    )
)


@pytest.mark.parametrize(
    ("cause", "known", "sentence"),
    [
        (
            step(sc.PROVISION_ENDPOINT),
            {"endpoints": SAVED},
            f"The endpoint 'gpu' could not be provisioned: RuntimeError: no.{SO}",
        ),
        (
            step(sc.PROVISION_ENDPOINT),
            {},
            f"An endpoint could not be provisioned: RuntimeError: no.{SO}",
        ),
        (
            step(sc.PROVISION_ENDPOINT),
            {"activation": replace(ACTIVATION, outcome=sc.FAILED)},
            "An endpoint could not be provisioned: RuntimeError: no.",
        ),
        (
            step(sc.PROVISION, NOT_PROVISIONED),
            {},
            f"An endpoint could not be provisioned: RuntimeError: cannot provision it.{SO}",
        ),
        (step(sc.PROVISION), {}, None),
        (step(sc.PROVISION_ENDPOINT, DENIED), {}, None),
        (step(sc.BUILD, NOT_PROVISIONED), {}, None),
        (None, {}, None),
    ],
)
def test_an_endpoint_that_was_not_provisioned(
    cause: Step | None, known: dict[str, Any], sentence: str | None
) -> None:
    """The endpoint is named, and what the failure means for the active build."""
    told_ = found(provisioning_failed, cause, **known)
    assert [words for words, *_ in told_] == ([] if sentence is None else [sentence])
    for *_, evidence in told_:
        assert [shown.partition(" failed")[0] for shown in evidence] == [
            f"4: {sc.STEPS[cause.name if cause else '']}",
            "1: the build is active",
        ]


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        (SAVED, "Only 'cpu', 'unnamed', 'web' were saved with it."),
        (SAVED[2:], "Only 'cpu' was saved with it."),
        (SAVED[3:], "No endpoint was saved with it."),
    ],
)
def test_runpod_2_has_saved_some_endpoints(endpoints: Any, words: str) -> None:
    """Endpoints are saved one by one, so that those before the failed one are new."""
    cause = step(sc.PROVISION_ENDPOINT)
    deployment = replace(
        DEPLOYED, endpoints=endpoints, process=RUNPOD_2, upload=None, outcome=sc.FAILED
    )
    case = replace(case_in(Evidence((deployment,)), deployment), failed_step=cause)
    (finding,) = provisioning_failed(case)
    assert finding.sentence == (
        "The endpoint 'gpu' could not be provisioned: RuntimeError: no. Build b-1 is active "
        f"already. {words}"
    )
    assert finding.remedy_deployer == (
        "Endpoints are saved one after another, in the order of their names: those before the "
        "failed one run the new build, it and those after it run what they ran before, if they "
        "exist. Fix the cause in the error (capacity, quota, configuration) and deploy again."
    )
    old = replace(deployment, process=CLI)
    case = replace(case_in(Evidence((old,)), old), failed_step=cause)
    assert [finding.remedy_deployer for finding in provisioning_failed(case)] == [""]


@pytest.mark.parametrize(
    ("known", "evidence"),
    [
        ({"upload": replace(UPLOAD, endpoints=EndpointSet(0))}, [2]),
        (
            {
                "upload": replace(UPLOAD, endpoints=EndpointSet(0)),
                "provisioning": Provisioning(origin=place(5), endpoints=TWO),
            },
            [2, 5],
        ),
        (
            {
                "upload": None,
                "provisioning": Provisioning(origin=place(5), endpoints=EndpointSet(0)),
            },
            [5],
        ),
        ({"upload": replace(UPLOAD, endpoints=EndpointSet(1))}, None),
        ({"upload": replace(UPLOAD, endpoints=EndpointSet())}, None),
        ({"upload": replace(UPLOAD, endpoints=EndpointSet(0)), "outcome": sc.FAILED}, None),
    ],
)
def test_success_without_an_endpoint(known: dict[str, Any], evidence: list[int] | None) -> None:
    """Only a deployment that returned can have deployed nothing."""
    sentence = "The deployment of build b-1 succeeded without a single endpoint."
    shown = [f"{line}: the manifest holds no endpoints" for line in evidence or ()]
    expected = [] if evidence is None else [(sentence, CERTAIN, shown)]
    assert found(nothing_deployed, **known) == expected


# --- the key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (step(sc.MANIFEST_UPLOAD, DENIED), "the manifest upload"),
        (step("their.own", DENIED), "their.own"),
        (step(sc.MANIFEST_UPLOAD, FORBIDDEN), None),
        (step(sc.MANIFEST_UPLOAD), None),
        (None, None),
    ],
)
def test_a_step_with_a_refused_key(cause: Step | None, words: str | None) -> None:
    """The step is named, and the reads of workers are not looked at."""
    read = proof(sc.INCONCLUSIVE, failure=replace(DENIED, message="401"), outcome=sc.FAILED)
    expected = []
    if words:
        sentence = f"The API key was missing or rejected in {words}: {DENIED}."
        expected = [(sentence, CERTAIN, [f"4: {words} failed ({DENIED})"])]
    assert found(unauthorized, cause, reads=() if words is None else (read,)) == expected


SILENT: Final[dict[str, Any]] = {
    "build_id": None,
    "endpoints": EndpointSet(),
    "outcome": sc.FAILED,
}
RECOVERED: Final = replace(ANSWER, origin=place(8), start_ns=20 * S, end_ns=21 * S)


@pytest.mark.parametrize(
    ("find", "failure", "words"),
    [
        (unauthorized, DENIED, "A worker's API key was missing or rejected"),
        (state_manager_unavailable, DOWN, "The State Manager did not answer a worker"),
        (state_manager_unavailable, REJECTED, "The State Manager did not answer a worker"),
    ],
)
@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ({}, True),
        ({"environment_state": sc.ENVIRONMENT_ACTIVE}, True),
        ({"environment_state": sc.ENVIRONMENT_NULL}, False),
        ({"environment_state": sc.ENVIRONMENT_NO_ACTIVE_BUILD}, False),
        ({"manifest_state": sc.MANIFEST_NULL}, False),
        ({"failure": NO}, False),
        ({"failure": None}, False),
        ({"bare": True}, True),
        ({"parent_id": "f" * 16}, True),
        ({"bare": True, "parent_id": "f" * 16}, False),
    ],
)
def test_a_read_without_an_answer(
    find: Any, failure: Failure, words: str, change: dict[str, Any], *, is_found: bool
) -> None:
    """An attempt whose refresh is not recorded may have been repeated, and proves nothing."""
    read = proof(sc.INCONCLUSIVE, **{**SILENT, "failure": failure, **change})
    expected = [(f"{words}: {failure}.", CERTAIN, [f"7: {failure}"])] if is_found else []
    assert found(find, reads=(read,)) == expected


@pytest.mark.parametrize(
    ("later", "is_found"),
    [
        ({}, False),
        ({"start_ns": 9 * S}, False),
        ({"start_ns": 9 * S - 1}, True),
        ({"outcome": sc.FAILED}, True),
        ({"process": replace(WORKER, instance="w-2")}, True),
    ],
)
def test_a_later_read_of_the_same_worker_clears_a_failure(
    later: dict[str, Any], *, is_found: bool
) -> None:
    """It has to succeed, and to begin after the failed one had ended."""
    read = proof(sc.INCONCLUSIVE, **{**SILENT, "failure": DOWN})
    recovered = (replace(RECOVERED, **later), ReadVerdict())
    assert bool(found(state_manager_unavailable, reads=(read, recovered))) is is_found


def test_calls_with_a_refused_key() -> None:
    """Reads come first in the evidence, then calls; of both, eight are shown."""
    refused = RemoteCall(origin=place(9), process=WORKER, outcome=sc.FAILED, failure=DENIED)
    other = replace(refused, failure=NO)
    read = proof(sc.INCONCLUSIVE, **{**SILENT, "failure": DENIED})
    sentence = f"A worker's API key was missing or rejected: {DENIED}."
    assert found(unauthorized, calls=(other, replace(refused, failure=None))) == []
    assert found(unauthorized, calls=(other, refused)) == [(sentence, CERTAIN, [f"9: {DENIED}"])]
    both = found(unauthorized, reads=(read,), calls=(refused,) * 9)
    assert both == [(sentence, CERTAIN, [f"7: {DENIED}", *[f"9: {DENIED}"] * 7])]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (step(sc.ACTIVATE, DOWN), "the activation"),
        (step(sc.DEPLOY, DOWN), "the deployment"),
        (step(sc.MANIFEST_UPLOAD, DOWN), None),
        (step(sc.ACTIVATE, REJECTED), None),
        (step(sc.ACTIVATE, None), None),
        (None, None),
    ],
)
def test_an_activation_without_an_answer(cause: Step | None, words: str | None) -> None:
    """The request of the deployment itself was not answered."""
    expected = []
    if words:
        sentence = f"Runpod's API did not answer {words}: {DOWN}."
        expected = [(sentence, CERTAIN, [f"4: {words} failed ({DOWN})"])]
    assert found(state_manager_unavailable, cause) == expected
    if words is None:
        read = proof(sc.INCONCLUSIVE, **{**SILENT, "failure": DOWN})
        assert len(found(state_manager_unavailable, cause, reads=(read,))) == 1


# --- the manifest's write -------------------------------------------------------------------------

NEVER: Final = sc.MANIFEST_NEVER_WRITTEN
ON: Final = "Build b-1 was activated on production (e-1), but"
ACTIVE: Final = "1: build b-1 was activated"


def test_a_deployment_that_failed_before_its_write() -> None:
    """The cause is told, and that the manifest was never written."""
    cause = step(sc.PROVISION_ENDPOINT)
    failed = "the provisioning of an endpoint failed (RuntimeError: no)"
    sentence = f"{ON} its manifest with the endpoints was never written: {failed}."
    expected = [(sentence, CERTAIN, [ACTIVE, f"4: {failed}"])]
    assert found(manifest_never_written, cause, upload=None) == expected


@pytest.mark.parametrize(
    ("cause", "known", "facts", "confidence"),
    [
        (step(sc.PROVISION_ENDPOINT), {}, {}, CERTAIN),
        (step(sc.DEPLOY), {}, {}, POSSIBLE),
        (None, {"outcome": "unfinished"}, {"has_ended": True}, LIKELY),
        (None, {"outcome": "unfinished"}, {"has_ended": False}, None),
        (None, {}, {}, None),
        (step(sc.PROVISION_ENDPOINT), {}, {"is_write_seen": True}, None),
        (step(sc.PROVISION_ENDPOINT, DENIED), {}, {}, None),
        (step(sc.PROVISION_ENDPOINT), {"activation": None}, {}, None),
        (step(sc.ACTIVATE), {"activation": replace(ACTIVATION, outcome=sc.FAILED)}, {}, None),
        (
            step(sc.MANIFEST_UPLOAD),
            {"upload": replace(UPLOAD, outcome=sc.FAILED)},
            {},
            CERTAIN,
        ),
        (step(sc.MANIFEST_UPLOAD), {"upload": replace(UPLOAD, outcome=sc.UNKNOWN)}, {}, None),
    ],
)
def test_when_a_manifest_was_never_written(
    cause: Step | None, known: dict[str, Any], facts: dict[str, Any], confidence: str | None
) -> None:
    """The build is active, no upload returned or may still return, and no answer shows it."""
    told_ = found(manifest_never_written, cause, facts=facts, **{"upload": None, **known})
    assert [sure for _, sure, _ in told_] == ([confidence] if confidence else [])


def test_a_kill_leaves_the_write_open() -> None:
    """Without a cause and without a read, the write may have taken effect."""
    known: dict[str, Any] = {"upload": None, "outcome": "unfinished"}
    root = replace(ROOT, outcome="unfinished")
    ((sentence, _, evidence),) = found(manifest_never_written, **known, root=root)
    assert sentence == (
        f"{ON} no write of its manifest with the endpoints is recorded: the deployment was killed, "
        "or its end is not recorded. A write that had begun may have taken effect."
    )
    assert evidence == [ACTIVE, "3: the deployment did not end"]
    read = proof(NEVER, LIKELY)
    ((sentence, confidence, evidence),) = found(
        manifest_never_written, reads=(read,), **known, root=root
    )
    assert sentence == (
        f"{ON} its manifest with the endpoints was never written: it was killed, or its end is not "
        "recorded."
    )
    assert confidence == LIKELY
    assert evidence == [ACTIVE, "3: the deployment did not end", "7: read: so"]


def test_a_read_may_show_that_nothing_was_written() -> None:
    """A read is proof even where the deployment itself ended well, or has no root."""
    ((_, confidence, evidence),) = found(manifest_never_written, reads=(proof(NEVER),), root=None)
    assert (confidence, evidence) == (CERTAIN, [ACTIVE, "7: read: so"])


LOST: Final = sc.MANIFEST_NOT_PERSISTED
NOT_STORED: Final = (
    "The upload of the manifest of build b-1 with 2 endpoints was acknowledged, but its endpoints "
    "were not stored."
)


@pytest.mark.parametrize(
    ("upload", "reads", "evidence"),
    [
        (UPLOAD, (), None),
        (
            replace(UPLOAD, persisted_count=0),
            (),
            ["2: sent 2, and the server answered with no endpoints"],
        ),
        (
            replace(UPLOAD, persisted_count=0),
            (proof(LOST),),
            ["2: sent 2, and the server answered with no endpoints", "7: read: so"],
        ),
        (replace(UPLOAD, persisted_count=0, outcome=sc.UNKNOWN), (), None),
        (replace(UPLOAD, persisted_count=1), (), None),
        (
            replace(UPLOAD, persisted_count=1),
            (proof(LOST),),
            ["2: 2 endpoints uploaded, acknowledged", "7: read: so"],
        ),
    ],
)
def test_an_upload_that_was_not_stored(
    upload: ManifestUpload, reads: Any, evidence: list[str] | None
) -> None:
    """The server's own answer shows it, or a read does."""
    expected = [] if evidence is None else [(NOT_STORED, CERTAIN, evidence)]
    assert found(manifest_not_persisted, upload=upload, reads=reads) == expected


MISSING: Final = sc.ENDPOINTS_MISSING


@pytest.mark.parametrize(
    ("upload", "is_found"),
    [
        (replace(UPLOAD, persisted_count=1), True),
        (replace(UPLOAD, persisted_count=0), False),
        (replace(UPLOAD, persisted_count=2), False),
        (replace(UPLOAD, persisted_count=3), False),
        (UPLOAD, False),
        (None, False),
    ],
)
def test_an_upload_that_was_stored_in_part(
    upload: ManifestUpload | None, *, is_found: bool
) -> None:
    """The server says that it holds some of the endpoints, and not all."""
    sentence = "The State Manager stored 1 of 2 endpoints that were sent."
    evidence = ["2: sent 2, the server answered with 1"]
    expected = [(sentence, CERTAIN, evidence)] if is_found else []
    assert found(endpoints_missing, upload=upload) == expected


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (EndpointSet(1, ("gpu",)), "1 of 2 endpoints: 'web' missing"),
        (EndpointSet(1), "1 of 2 endpoints"),
        (EndpointSet(2, ("gpu", "cpu")), "2 endpoints, but 'cpu' instead of 'web'"),
    ],
)
def test_a_read_that_lacks_endpoints(held: EndpointSet, words: str) -> None:
    """The last of the reads names what is missing, or what stands in its place."""
    first = proof(MISSING, endpoints=EndpointSet(1, ("web",)))
    sentence = f"The State Manager holds {words}."
    evidence = ["2: 2 written", "7: read: so", "7: read: so"]
    reads = (first, proof(MISSING, endpoints=held))
    assert found(endpoints_missing, reads=reads) == [(sentence, CERTAIN, evidence)]


DIFFER: Final = sc.ENDPOINTS_DIFFER
WITH_OTHERS: Final = (
    "The State Manager holds the endpoints of build b-1 with other URLs than were written."
)


@pytest.mark.parametrize(
    ("answer", "reads", "evidence"),
    [
        (
            {"persisted_count": 2, "persisted_digest": "other"},
            (),
            ["2: digest digest sent, the server answered with other"],
        ),
        (
            {"persisted_count": 2, "persisted_digest": "other"},
            (proof(DIFFER),),
            ["2: digest digest sent, the server answered with other"],
        ),
        ({"persisted_count": 2, "persisted_digest": "digest"}, (), None),
        ({"persisted_count": 2, "persisted_digest": None}, (), None),
        ({"persisted_count": 1, "persisted_digest": "other"}, (), None),
        ({"persisted_count": None, "persisted_digest": "other"}, (), None),
        (
            {
                "persisted_count": 2,
                "persisted_digest": "other",
                "endpoints": replace(TWO, digest=None),
            },
            (),
            None,
        ),
        (
            {"persisted_count": 2, "persisted_digest": "digest"},
            (proof(DIFFER),),
            ["2: digest digest written", "7: read: so"],
        ),
        ({}, (proof(DIFFER),), ["2: digest digest written", "7: read: so"]),
    ],
)
def test_other_urls_than_were_written(
    answer: dict[str, Any], reads: Any, evidence: list[str] | None
) -> None:
    """The server's answer holds as many endpoints with another digest, or a read does."""
    expected = [] if evidence is None else [(WITH_OTHERS, CERTAIN, evidence)]
    assert found(endpoints_differ, upload=replace(UPLOAD, **answer), reads=reads) == expected


# --- the read path --------------------------------------------------------------------------------

STALE: Final = sc.STALE_BUILD


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ({}, True),
        ({"outcome": sc.FAILED}, False),
        ({"object_key": None}, False),
        ({"active_object_key": None}, False),
        ({"active_object_key": "mine"}, False),
    ],
)
def test_an_activation_of_another_artifact(change: dict[str, Any], *, is_found: bool) -> None:
    """The answer to the activation names another artifact than was uploaded."""
    known = {"object_key": "mine", "active_object_key": "other", **change}
    activation = replace(ACTIVATION, **known)
    sentence = "Build b-1 was deployed, but the activation put another artifact in place: other."
    expected = [(sentence, CERTAIN, ["1: uploaded mine, got other"])] if is_found else []
    assert found(stale_build, activation=activation) == expected
    seen = {"own_answers": (ANSWER,)}
    assert found(stale_build, activation=activation, facts=seen) == []


OLDER: Final = replace(
    DEPLOYED, id="d-0", aliases=frozenset({"d-0"}), build_id="b-0", activation=None, start_ns=1
)
NEWER: Final = replace(OLDER, id="d-2", aliases=frozenset({"d-2"}), build_id="b-2", start_ns=99 * S)
OWN_CALL: Final = RemoteCall(
    origin=place(9), process=WORKER, own_build_id="b-1", code_deployment_id="d-0"
)


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ({}, True),
        ({"own_build_id": None}, False),
        ({"own_build_id": "b-0"}, False),
        ({"code_deployment_id": "d-1"}, False),
        ({"code_deployment_id": "d-2"}, False),
        ({"code_deployment_id": "d-9"}, False),
        ({"code_deployment_id": None}, False),
    ],
)
def test_a_call_with_the_code_of_an_older_build(change: dict[str, Any], *, is_found: bool) -> None:
    """A worker's endpoint was saved with the new build, and runs the code of an older one."""
    call = replace(OWN_CALL, **change)
    sentence = (
        "Build b-1 was deployed, and endpoint 'gpu' was saved with it, but its worker runs the "
        "code of build b-0: the environment's active build is not the deployed one."
    )
    evidence = [
        "1: activation of build b-1 returned",
        "9: a worker of build b-1 with the code of build b-0",
    ]
    other = replace(OWN_CALL, own_build_id=None)
    told_ = found(stale_build, calls=(other, call), others=(OLDER, NEWER))
    assert told_ == ([(sentence, CERTAIN, evidence)] if is_found else [])


def test_a_build_of_which_no_id_is_known_makes_no_call_stale() -> None:
    """Neither the call nor the deployment knows a build: they are not of the same."""
    call = replace(OWN_CALL, own_build_id=None)
    assert found(stale_build, calls=(call,), others=(OLDER,), build_id=None) == []


@pytest.mark.parametrize(
    ("known", "reads", "words", "evidence"),
    [
        (
            {},
            (proof(STALE, build_id="b-0"),),
            "build b-0 is active on production (e-1).",
            "activation of build b-1 returned",
        ),
        (
            {},
            (proof(STALE, build_id=None), proof(STALE, build_id="b-0")),
            "build b-0 is active on production (e-1).",
            "activation of build b-1 returned",
        ),
        (
            {},
            (proof(STALE, build_id=None),),
            "no build is active on production (e-1).",
            "activation of build b-1 returned",
        ),
        (
            {},
            (proof(STALE, build_id="b-0", environment_id="e-2"),),
            "build b-0 is active on environment e-2.",
            "activation of build b-1 returned",
        ),
        (
            {"activation": replace(ACTIVATION, previous_build_id="b-0")},
            (proof(STALE, build_id="b-9"), proof(STALE, build_id="b-0")),
            "build b-9 is still active, as before the activation, on production (e-1).",
            "activation of build b-1 returned, which was to replace build b-0",
        ),
        (
            {"activation": replace(ACTIVATION, previous_build_id="b-0")},
            (proof(STALE, build_id="b-9"),),
            "build b-9 is active on production (e-1).",
            "activation of build b-1 returned",
        ),
        (
            {"upload": replace(UPLOAD, source_fingerprint="same")},
            (
                proof(STALE, build_id="b-0"),
                proof(STALE, build_id="b-0", source_fingerprint="same"),
            ),
            "build b-0 is active on production (e-1). Both were built from the same source files.",
            "activation of build b-1 returned",
        ),
    ],
)
def test_a_read_of_another_build(
    known: dict[str, Any], reads: Any, words: str, evidence: str
) -> None:
    """The finding names the active build, whether it was active before, and equal sources."""
    ((sentence, _, shown),) = found(stale_build, reads=reads, **known)
    assert sentence == f"Build b-1 was deployed, but {words}"
    assert shown == [f"1: {evidence}", *["7: read: so"] * len(reads)]


@pytest.mark.parametrize("is_seen", [True, False])
def test_reads_between_activation_and_write(*, is_seen: bool) -> None:
    """They are counted, and it is told if later ones hold the write."""
    reads = (proof(sc.READ_BEFORE_WRITE, LIKELY),) * 2
    later = " Later reads hold the write." if is_seen else ""
    sentence = (
        "2 reads of build b-1 came after its activation and before its manifest with the endpoints "
        f"was written; a worker keeps such an answer for 300 s.{later}"
    )
    evidence = [
        "1: the build became active",
        "2: the manifest with the endpoints was written only here",
        *["7: read: so"] * 2,
    ]
    seen = {"is_write_seen": is_seen}
    assert found(read_before_write, reads=reads, facts=seen) == [(sentence, LIKELY, evidence)]
    assert found(read_before_write, reads=(proof(sc.READ_INCOMPLETE),)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "no endpoints 2.0 s after the upload had ended."),
        ({"asked_ns": 6 * S}, "no endpoints 0.0 s after the upload had ended."),
        ({"asked_ns": 6 * S - 1}, "no endpoints."),
        ({"asked_ns": None}, "no endpoints."),
        ({"process": ProcessIdentity("w-2", host="pod")}, "no endpoints."),
        ({"endpoints": EndpointSet(1)}, "1 endpoint 2.0 s after the upload had ended."),
        ({"endpoints": EndpointSet()}, "no endpoints 2.0 s after the upload had ended."),
    ],
)
def test_an_answer_that_lacks_what_is_written(change: dict[str, Any], words: str) -> None:
    """By one clock, it is told how long after the write the worker asked."""
    reads = (proof(sc.READ_INCOMPLETE, **change), proof(sc.READ_INCOMPLETE))
    sentence = f"The write of build b-1 is active, but a worker was answered with {words}"
    evidence = ["2: the manifest was written", *["7: read: so"] * 2]
    assert found(read_incomplete, reads=reads) == [(sentence, CERTAIN, evidence)]
    assert found(read_incomplete, reads=(proof(sc.READ_BEFORE_WRITE),)) == []
