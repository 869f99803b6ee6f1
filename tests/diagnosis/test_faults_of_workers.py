"""Faults of workers and calls, each with all that it needs: without it, nobody is accused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from diagnosis.cases import CLI, S, beside, case_in, place, told

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import (
    Deployment,
    EndpointFact,
    EndpointSet,
    Evidence,
    Failure,
    ManifestUpload,
    ProcessIdentity,
    RemoteCall,
    RuntimeFetch,
)
from flash_otel.diagnosis.faults.workers import (
    call_target_mismatch,
    call_target_unknown,
    code_not_rolled,
    function_unknown,
    remote_calls_undetected,
    stale_cache,
    worker_provisions,
)

WORKER: Final = ProcessIdentity("w-1", host="laptop", worker=True, resource_name="gpu")
ELSEWHERE: Final = replace(WORKER, host="pod")


OLDER: Final = Deployment(
    id="d-1",
    aliases=frozenset({"d-1"}),
    build_id="b-1",
    environment_id="e-1",
    artifact_size=40_000,
    start_ns=1 * S,
)
NEWER: Final = Deployment(
    id="d-2",
    aliases=frozenset({"d-2"}),
    build_id="b-2",
    app_name="shop",
    environment_id="e-1",
    environment_name="production",
    artifact_size=40_000,
    start_ns=100 * S,
    end_ns=110 * S,
    process=CLI,
    upload=ManifestUpload(
        origin=place(1),
        process=CLI,
        start_ns=105 * S,
        end_ns=106 * S,
        endpoints=EndpointSet(2, ("gpu", "web"), ("https://gpu", "https://web")),
    ),
    endpoints=(EndpointFact(resource_name="gpu", action=sc.ACTION_UPDATE),),
)
LATEST: Final = replace(
    OLDER, id="d-3", aliases=frozenset({"d-3"}), build_id="b-3", start_ns=900 * S
)
NO: Final = Failure(failures.OTHER, "RuntimeError", "no")
GONE: Final = Failure(failures.NOT_FOUND, "RuntimeError", "gone")


# --- old code -------------------------------------------------------------------------------------

OLD_READ: Final = RuntimeFetch(
    origin=place(7),
    process=WORKER,
    environment_id="e-1",
    code_deployment_id="d-1",
    start_ns=710 * S,
)
OLD_CALL: Final = RemoteCall(
    origin=place(8), process=WORKER, code_deployment_id="d-1", own_build_id="b-1", start_ns=710 * S
)
REUSED: Final = (EndpointFact(resource_name="gpu", action=sc.ACTION_REUSE),)
BEFORE_1_14: Final = {"process": replace(CLI, flash_version=(1, 13, 9)), "endpoints": REUSED}


def rolled(
    known: dict[str, Any], read: RuntimeFetch | None, call: RemoteCall | None
) -> list[tuple[str, str, list[str]]]:
    """Return what is found of a worker's code, after a deployment with these fields."""
    deployment = replace(NEWER, **known)
    reads, calls = (read,) if read else (), (call,) if call else ()
    evidence = Evidence((OLDER, deployment, LATEST), reads, calls)
    case = replace(case_in(evidence, deployment), reads=reads, calls=calls)
    return told(code_not_rolled(case))


@pytest.mark.parametrize(
    ("known", "change", "is_found"),
    [
        ({}, {}, True),
        ({}, {"start_ns": 710 * S - 1}, False),
        ({}, {"start_ns": None}, False),
        ({}, {"process": ELSEWHERE, "start_ns": 9_000 * S}, False),
        ({}, {"process": replace(WORKER, resource_name="")}, False),
        ({}, {"process": replace(WORKER, resource_name="web")}, False),
        ({}, {"code_deployment_id": "d-2"}, False),
        ({}, {"code_deployment_id": "d-3"}, False),
        ({}, {"code_deployment_id": "d-9"}, False),
        ({}, {"code_deployment_id": None}, False),
        ({"end_ns": None}, {}, False),
        ({"endpoints": REUSED}, {}, False),
        ({"endpoints": REUSED, "artifact_size": 90_000}, {}, False),
        ({**BEFORE_1_14, "artifact_size": 41_024}, {}, False),
        ({**BEFORE_1_14, "artifact_size": 41_025}, {}, True),
        ({**BEFORE_1_14, "artifact_size": 38_976}, {}, False),
        ({**BEFORE_1_14, "artifact_size": 38_975}, {}, True),
        ({**BEFORE_1_14, "artifact_size": None}, {}, True),
        ({"process": replace(CLI, flash_version=()), "endpoints": REUSED}, {}, False),
    ],
    ids=[
        "updated",
        "before the end of the roll-out",
        "at an unknown time",
        "by another clock",
        "of an unknown resource",
        "of another resource",
        "its own code",
        "newer code",
        "code of nobody",
        "unknown code",
        "an open deployment",
        "reused",
        "reused, with other code, by 1.14",
        "reused, of nearly the same size",
        "reused, larger",
        "reused, nearly as large",
        "reused, smaller",
        "reused, of unknown size",
        "reused, by an unknown version",
    ],
)
def test_old_code_after_the_roll_out(
    known: dict[str, Any], change: dict[str, Any], *, is_found: bool
) -> None:
    """A worker is accused ten minutes after its endpoint was updated, by the same clock."""
    found = rolled(known, replace(OLD_READ, **change), None)
    sentence = (
        "A worker of 'gpu' still runs the code of deployment d-1 (build b-1), though build b-2 was "
        "deployed after it."
    )
    evidence = ["7: the worker runs the code of deployment d-1"]
    assert found == ([(sentence, "likely", evidence)] if is_found else [])


@pytest.mark.parametrize(
    ("build_id", "is_found"), [("b-1", True), ("b-9", True), ("b-2", False), (None, False)]
)
def test_old_code_of_a_calling_worker(build_id: str | None, *, is_found: bool) -> None:
    """Without reads, a call shows old code, unless its endpoint was saved with the new build."""
    found = rolled({}, None, replace(OLD_CALL, own_build_id=build_id))
    assert [evidence for *_, evidence in found] == (
        [["8: the worker runs the code of deployment d-1"]] if is_found else []
    )


def test_of_several_workers_with_old_code_the_first_is_named() -> None:
    """A worker that is up to date hides none, and one finding is enough."""
    assert len(rolled({}, OLD_READ, OLD_CALL)) == 1
    new = replace(OLD_READ, code_deployment_id="d-2")
    assert [evidence[0][0] for *_, evidence in rolled({}, new, OLD_CALL)] == ["8"]


# --- old registries -------------------------------------------------------------------------------

CACHED: Final = RuntimeFetch(
    origin=place(2),
    process=WORKER,
    environment_id="e-1",
    build_id="b-1",
    start_ns=80 * S,
    end_ns=90 * S,
)
MISSED: Final = RemoteCall(
    origin=place(3),
    process=WORKER,
    resource_name="gpu",
    endpoint_url="https://old",
    start_ns=110 * S,
    outcome=sc.FAILED,
)


def cached(
    call: dict[str, Any], *reads: dict[str, Any], **known: Any
) -> list[tuple[str, str, list[str]]]:
    """Return what is found of a call, by a worker with these reads, beside a deployment."""
    deployment = replace(NEWER, **known)
    made = tuple(replace(CACHED, **read) for read in reads or ({},))
    routed = replace(MISSED, endpoint_url="https://gpu")
    calls = (routed, replace(MISSED, **call))
    evidence = Evidence((OLDER, deployment, LATEST), made, calls)
    return told(stale_cache(case_in(evidence, deployment)))


@pytest.mark.parametrize(
    ("call", "read", "is_found"),
    [
        ({}, {}, True),
        ({"outcome": sc.RETURNED}, {}, True),
        ({"start_ns": 106 * S}, {}, True),
        ({"start_ns": 106 * S - 1}, {}, False),
        ({"start_ns": 390 * S}, {}, True),
        ({"start_ns": 390 * S + 1}, {}, False),
        ({"start_ns": None}, {}, False),
        ({"endpoint_url": "https://gpu"}, {}, False),
        ({"endpoint_url": "https://web"}, {}, False),
        ({"resource_name": "cpu"}, {}, False),
        ({"resource_name": None}, {}, False),
        ({"endpoint_url": None, "outcome": sc.RETURNED}, {}, False),
        ({}, {"build_id": "b-2"}, False),
        ({}, {"build_id": "b-3"}, False),
        ({}, {"build_id": "b-9"}, False),
        ({}, {"environment_id": "e-2"}, False),
        ({}, {"start_ns": 115 * S, "end_ns": 120 * S}, False),
        ({}, {"process": replace(WORKER, instance="w-2")}, False),
        ({"process": ELSEWHERE, "start_ns": 111 * S}, {"process": ELSEWHERE}, False),
        ({"process": ELSEWHERE, "start_ns": 112 * S}, {"process": ELSEWHERE}, True),
        (
            {"process": ELSEWHERE, "start_ns": 112 * S, "outcome": sc.RETURNED},
            {"process": ELSEWHERE},
            False,
        ),
    ],
    ids=[
        "a call that failed",
        "a call that was answered",
        "at the end of the write",
        "before the end of the write",
        "five minutes after the read",
        "later",
        "at an unknown time",
        "to the written endpoint",
        "to another written endpoint",
        "of an unknown resource",
        "of no resource",
        "answered by an unknown endpoint",
        "a read of the deployed build",
        "a read of a later build",
        "a read of nobody's build",
        "a read of another environment",
        "a read after the call",
        "a read of another worker",
        "within the skew",
        "beyond the skew",
        "answered, beyond the skew",
    ],
)
def test_a_call_by_an_old_registry(
    call: dict[str, Any], read: dict[str, Any], *, is_found: bool
) -> None:
    """A call is accused if it missed the written endpoint by a read of an older build."""
    sentence = (
        "A call of 'gpu' was routed by a registry that its worker had read before build b-2 was "
        "written; it is kept for 300 s."
    )
    evidence = [
        "2: the worker's last read: build b-1",
        "1: the manifest was written",
        "3: called https://old",
    ]
    assert cached(call, read) == ([(sentence, "likely", evidence)] if is_found else [])


def test_the_last_read_before_a_call_routes_it() -> None:
    """A read of the new build clears the call, and one without a write is not judged."""
    last = {"build_id": "b-2", "start_ns": 95 * S, "end_ns": 96 * S}
    assert cached({}, {}, last) == []
    assert len(cached({}, last, {"start_ns": 97 * S, "end_ns": 98 * S})) == 1
    assert cached({}, upload=None) == []
    ((*_, evidence),) = cached({"endpoint_url": None})
    assert evidence[-1] == "3: called no URL"


# --- builds that do not know their calls ----------------------------------------------------------

UNROUTED: Final = RemoteCall(
    origin=place(4),
    process=WORKER,
    function_name="f",
    resource_name="web",
    route=sc.ROUTE_REMOTE,
    outcome=sc.FAILED,
)


def undetected(*calls: RemoteCall, reads: tuple[RuntimeFetch, ...] = ()) -> Any:
    """Return what is found of calls beside a deployment and reads."""
    case = case_in(Evidence((NEWER,), reads, calls), NEWER)
    return told(remote_calls_undetected(replace(case, calls=calls)))


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ({}, True),
        ({"endpoint_url": ""}, True),
        ({"endpoint_url": "https://gpu"}, False),
        ({"route": sc.ROUTE_LOCAL}, False),
        ({"route": None}, False),
        ({"outcome": sc.RETURNED}, False),
        ({"environment_name": "production"}, False),
        ({"process": replace(WORKER, worker=False)}, False),
    ],
)
def test_a_worker_that_calls_without_asking(change: dict[str, Any], *, is_found: bool) -> None:
    """Only a worker's remote call that failed without a URL or names shows it."""
    sentence = (
        "Resource 'gpu' calls 'f' on another endpoint, but never asked the State Manager for it: "
        "its build did not find that it makes remote calls."
    )
    expected = [(sentence, "likely", ["4: called without a URL"])] if is_found else []
    assert undetected(replace(UNROUTED, **change)) == expected


def test_a_worker_that_asked_is_not_one() -> None:
    """Its own read clears it, and another worker's does not."""
    assert undetected(UNROUTED, reads=(CACHED,)) == []
    other = replace(CACHED, process=replace(WORKER, instance="w-2"))
    assert len(undetected(UNROUTED, reads=(other,))) == 1
    nameless = replace(UNROUTED, process=replace(WORKER, resource_name=""))
    ((sentence, *_),) = undetected(nameless)
    assert sentence.startswith("A worker calls 'f' on another endpoint")
    ((*_, evidence),) = undetected(*[UNROUTED] * 9)
    assert len(evidence) == 8


# --- endpoints of workers -------------------------------------------------------------------------

STRAY: Final = EndpointFact(
    origin=place(5),
    process=replace(WORKER, flash_version=(1, 3, 0)),
    resource_name="gpu",
    action=sc.ACTION_CREATE,
)


def strays(*endpoints: EndpointFact, others: tuple[RuntimeFetch, ...] = ()) -> Any:
    """Return what is found of the endpoints of a worker, beside a read of it and others."""
    own = (replace(CACHED, build_id="b-2"),)
    evidence = Evidence((NEWER,), (*own, *others), worker_endpoints=endpoints)
    return told(worker_provisions(replace(case_in(evidence, NEWER), reads=own)))


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        ({}, True),
        ({"action": sc.ACTION_UPDATE}, True),
        ({"action": sc.ACTION_REUSE}, False),
        ({"action": None}, False),
        ({"process": replace(WORKER, flash_version=(1, 2, 9))}, False),
        ({"process": replace(WORKER, flash_version=(1, 3))}, True),
        ({"process": replace(WORKER, flash_version=(2, 0, 0))}, True),
        ({"process": replace(WORKER, flash_version=())}, True),
        # A process that is known only by this, and one that reads another deployment.
        ({"process": replace(WORKER, instance="w-3")}, True),
        ({"process": replace(WORKER, instance="w-2")}, False),
    ],
)
def test_a_worker_that_deploys(change: dict[str, Any], *, is_found: bool) -> None:
    """An endpoint that a worker created or updated is told, unless it belongs elsewhere."""
    other = replace(CACHED, process=replace(WORKER, instance="w-2"), environment_id="e-9")
    endpoint = replace(STRAY, **change)
    sentence = (
        "A worker that missed 1 endpoint deployed on its own: 'gpu'. Such endpoints cost money."
    )
    expected = [(sentence, "certain", [f"5: {endpoint.action}: gpu"])] if is_found else []
    assert strays(endpoint, others=(other,)) == expected


def test_endpoints_of_workers_are_counted_by_name() -> None:
    """Each name is told once, in order, and one without a name is called so."""
    endpoints = [replace(STRAY, resource_name=name) for name in ("web", "gpu", "web", None)]
    ((sentence, _, evidence),) = strays(*endpoints)
    assert sentence == (
        "A worker that missed 3 endpoints deployed on its own: 'gpu', 'unnamed', 'web'. Such "
        "endpoints cost money."
    )
    assert len(evidence) == 4
    assert len(strays(*[STRAY] * 9)[0][2]) == 8


# --- targets of calls -----------------------------------------------------------------------------


def called(find: Any, *calls: RemoteCall, deployment: Deployment | None = NEWER) -> Any:
    """Return what is found of calls of a deployment."""
    evidence = Evidence((deployment,) if deployment else (), calls=calls)
    return told(find(replace(case_in(evidence, deployment), calls=calls)))


UNKNOWN: Final = RemoteCall(origin=place(6), process=WORKER, route=sc.ROUTE_MISSING)


def test_functions_that_a_manifest_does_not_know() -> None:
    """Their names are in order; a failure makes it certain, and stands in the evidence."""
    calls = [replace(UNKNOWN, function_name=name) for name in ("g", "f", None)]
    other = replace(UNKNOWN, route=sc.ROUTE_LOCAL, function_name="h")
    sentence = (
        "The worker's manifest does not know 'f', 'g', 'unnamed': Flash ran it in place, without "
        "its endpoint."
    )
    assert called(function_unknown, other) == []
    fine = called(function_unknown, *calls, other)
    assert fine == [(sentence, "likely", ["6: not in the manifest"] * 3)]
    failed = replace(calls[0], outcome=sc.FAILED, failure=NO)
    ((_, confidence, evidence),) = called(function_unknown, failed, *calls)
    assert confidence == "certain"
    assert evidence == ["6: RuntimeError: no", *["6: not in the manifest"] * 3]
    assert len(called(function_unknown, *[UNKNOWN] * 9)[0][2]) == 8


NAMED: Final = RemoteCall(
    origin=place(9),
    process=WORKER,
    resource_name="gpu",
    app_name="shop",
    environment_name="staging",
    code_deployment_id="d-2",
)


@pytest.mark.parametrize(
    ("call", "known", "confidence"),
    [
        ({}, {}, "certain"),
        ({"environment_name": "production"}, {}, None),
        ({"environment_name": "production", "app_name": "blog"}, {}, "certain"),
        ({"environment_name": "production", "app_name": None}, {}, "certain"),
        ({"environment_name": None}, {}, None),
        ({}, {"environment_name": None}, None),
        ({"environment_name": "production", "app_name": "blog"}, {"app_name": None}, None),
        ({}, {"app_name": None}, "certain"),
        ({"code_deployment_id": "d-1"}, {}, None),
        ({"code_deployment_id": None, "failure": NO}, {}, None),
        ({"code_deployment_id": None, "failure": GONE}, {}, "likely"),
    ],
)
def test_a_call_that_goes_elsewhere(
    call: dict[str, Any], known: dict[str, Any], confidence: str | None
) -> None:
    """A worker of the deployment is accused; others only if they found nothing there."""
    made, deployment = replace(NAMED, **call), replace(NEWER, **known)
    found = called(call_target_mismatch, made, deployment=deployment)
    assert [sure for _, sure, _ in found] == ([confidence] if confidence else [])


def test_both_targets_are_named() -> None:
    """The finding names where the call went, and where the deployment is."""
    sentence = (
        "A call of 'gpu' went to app 'shop', environment 'staging'; deployed was app 'shop', "
        "environment 'production'."
    )
    evidence = ["9: called shop/staging"] * 2
    assert called(call_target_mismatch, NAMED, NAMED) == [(sentence, "certain", evidence)]
    assert called(call_target_mismatch, replace(NAMED, failure=GONE), deployment=None) == []


def test_an_endpoint_that_runpod_does_not_know() -> None:
    """Only the answer that there is none shows it; it is named by its place, or by its URL."""
    assert called(call_target_unknown, replace(NAMED, failure=NO), NAMED) == []
    gone = replace(NAMED, failure=GONE)
    assert called(call_target_unknown, NAMED, gone) == [
        (
            "Runpod knows no endpoint 'gpu' in app 'shop', environment 'staging'.",
            "certain",
            ["9: RuntimeError: gone"],
        )
    ]
    by_url = replace(gone, environment_name=None, endpoint_url="https://old")
    ((sentence, *_),) = called(call_target_unknown, by_url)
    assert sentence == "Runpod knows no endpoint 'gpu' at https://old."


def test_a_deployment_alone_has_no_faulty_workers() -> None:
    """Without reads and calls there is nothing to find."""
    for find in (code_not_rolled, stale_cache, remote_calls_undetected, worker_provisions):
        assert told(find(beside(NEWER))) == []
    for find in (function_unknown, call_target_mismatch, call_target_unknown):
        assert told(find(beside(NEWER))) == []
