"""Faults of workers and of remote calls: old code, old registries, wrong targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.build_verdicts import owner
from flash_otel.diagnosis.case import CACHE_S
from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, count, exhibits, several
from flash_otel.diagnosis.matching import endpoint_urls
from flash_otel.diagnosis.order import CERTAIN, LIKELY, follows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Deployment, EndpointFact, RemoteCall, RuntimeFetch

ROLLS_ON_CODE: Final = (1, 14)
"""From this version on, changed code alone makes `flash deploy` update an endpoint."""

RECONCILES_UNTIL: Final = (1, 3)
"""Load balancers of earlier versions provision endpoints at boot by design."""

_SAME_SIZE: Final = 1024  # bytes: artifacts of equal code differ in their times and carriers


def code_not_rolled(case: Case) -> Iterator[Finding]:
    """Find a worker that runs an older deployment's code after the roll-out must be over."""
    # A worker of runpod 2 reads nothing; its calls name the build of its endpoint.
    same = (None, case.deployment.build_id)
    calls = (call for call in case.calls if call.own_build_id not in same)
    facts: tuple[RuntimeFetch | RemoteCall, ...] = (*case.reads, *calls)
    for fact in facts:
        older = _older_code(case, fact)
        if older is None or not _should_be_rolled(case, fact, older):
            continue
        name = f" of {fact.process.resource_name!r}" if fact.process.resource_name else ""
        sentence = (
            f"A worker{name} still runs the code of deployment {older.id} ({older.name}), "
            f"though {case.deployment.name} was deployed after it."
        )
        evidence = exhibits((fact, f"the worker runs the code of deployment {older.id}"))
        yield Finding(sc.CODE_NOT_ROLLED, sentence, evidence, LIKELY)
        return


def stale_cache(case: Case) -> Iterator[Finding]:
    """Find a call that was routed by a registry read before the deployment."""
    # Workers that have not read since the deployment are not part of the case, but count here.
    for call in case.evidence.calls:
        read = _registry_of(case, call)
        if read is None or not _misses(case, call):
            continue
        sentence = (
            f"A call of {call.resource_name!r} was routed by a registry that its worker had read "
            f"before {case.deployment.name} was written; it is kept for {CACHE_S:.0f} s."
        )
        evidence = exhibits(
            (read, f"the worker's last read: build {read.build_id}"),
            (case.deployment.upload, "the manifest was written"),
            (call, f"called {call.endpoint_url or 'no URL'}"),
        )
        yield Finding(sc.STALE_CACHE, sentence, evidence, LIKELY)
        return


def remote_calls_undetected(case: Case) -> Iterator[Finding]:
    """Find a worker that makes remote calls and never read: its build is marked local-only."""
    reading = {read.process.instance for read in case.evidence.reads}
    found = [
        call
        for call in case.calls
        if _is_unrouted(call) and call.process.worker and call.process.instance not in reading
    ]
    if not found:
        return
    own = found[0].process.resource_name
    sentence = (
        f"{f'Resource {own!r}' if own else 'A worker'} calls {found[0].function_name!r} on another "
        "endpoint, but never asked the State Manager for it: its build did not find that it makes "
        "remote calls."
    )
    evidence = exhibits(*((call, "called without a URL") for call in found[:MOST_EXHIBITS]))
    yield Finding(sc.REMOTE_CALLS_UNDETECTED, sentence, evidence, LIKELY)


def worker_provisions(case: Case) -> Iterator[Finding]:
    """Find endpoints that a worker deployed because it did not know the deployed ones."""
    found = [endpoint for endpoint in case.evidence.worker_endpoints if _is_stray(case, endpoint)]
    if not found:
        return
    names = sorted({endpoint.resource_name or "unnamed" for endpoint in found})
    sentence = (
        f"A worker that missed {count(len(names), 'endpoint')} deployed on its own: "
        f"{several(names)}. Such endpoints cost money."
    )
    shown = found[:MOST_EXHIBITS]
    evidence = exhibits(
        *((endpoint, f"{endpoint.action}: {endpoint.resource_name}") for endpoint in shown)
    )
    yield Finding(sc.WORKER_PROVISIONS, sentence, evidence)


def function_unknown(case: Case) -> Iterator[Finding]:
    """Find a call of a function that the worker's own manifest does not list."""
    found = [call for call in case.calls if call.route == sc.ROUTE_MISSING]
    if found:
        names = sorted({call.function_name or "unnamed" for call in found})
        sentence = (
            f"The worker's manifest does not know {several(names)}: Flash ran it in place, "
            "without its endpoint."
        )
        failed = any(not call.returned for call in found)
        evidence = _call_exhibits(found, "not in the manifest")
        yield Finding(sc.FUNCTION_UNKNOWN, sentence, evidence, CERTAIN if failed else LIKELY)


def call_target_mismatch(case: Case) -> Iterator[Finding]:
    """Find a call to another app or environment than the deployed one."""
    found = [call for call in case.calls if _goes_elsewhere(case, call)]
    if found:
        call, deployment = found[0], case.deployment
        sentence = (
            f"A call of {call.resource_name!r} went to app {call.app_name!r}, environment "
            f"{call.environment_name!r}; deployed was app {deployment.app_name!r}, environment "
            f"{deployment.environment_name!r}."
        )
        evidence = _call_exhibits(found, f"called {call.app_name}/{call.environment_name}")
        confidence = CERTAIN if _is_of_code(case, call) else LIKELY
        yield Finding(sc.CALL_TARGET_MISMATCH, sentence, evidence, confidence)


def call_target_unknown(case: Case) -> Iterator[Finding]:
    """Find a call to an endpoint that Runpod does not know."""
    found = [call for call in case.calls if _is_not_found(call)]
    if found:
        call = found[0]
        where = (
            f" in app {call.app_name!r}, environment {call.environment_name!r}"
            if call.environment_name
            else f" at {call.endpoint_url}"
        )
        sentence = f"Runpod knows no endpoint {call.resource_name!r}{where}."
        yield Finding(sc.CALL_TARGET_UNKNOWN, sentence, _call_exhibits(found, "no such endpoint"))


def _older_code(case: Case, fact: RuntimeFetch | RemoteCall) -> Deployment | None:
    """Return the older deployment whose code a worker runs, or None."""
    mine = recency_key(case.deployment)
    named = case.index.of_code(fact.code_deployment_id)
    return next((known for known in named if recency_key(known) < mine), None)


def _should_be_rolled(case: Case, fact: RuntimeFetch | RemoteCall, older: Deployment) -> bool:
    """Return True if the worker's code should be new, as its endpoint was updated long ago.

    An unchanged endpoint keeps its workers. From 1.14 on that means that its code is unchanged;
    before, a change of code alone updated nothing.
    """
    deployment = case.deployment
    if deployment.end_ns is None or not fact.process.resource_name:
        return False
    rolled_ns = deployment.end_ns + int(case.limits.rollout_s * 1e9)
    # An assumed skew is not enough here: a roll-out takes about as long as clocks may differ.
    if case.offset(fact).after(fact.start_ns, rolled_ns) != CERTAIN:
        return False
    name, endpoints = fact.process.resource_name, deployment.endpoints
    if name in {known.resource_name for known in endpoints if known.action == sc.ACTION_UPDATE}:
        return True
    version = deployment.process.flash_version
    growth = (deployment.artifact_size or 0) - (older.artifact_size or 0)
    return bool(version) and version < ROLLS_ON_CODE and abs(growth) > _SAME_SIZE


def _registry_of(case: Case, call: RemoteCall) -> RuntimeFetch | None:
    """Return the read that routes a call, if it is of an older build and still cached."""
    reads = case.index.reads_by(call.process.instance)
    own = [read for read in reads if follows(call, read)]
    if not own or call.start_ns is None:
        return None
    last = own[-1]
    older = owner(case, last)
    if older is None or recency_key(older) > recency_key(case.deployment):
        return None
    cached = call.start_ns - (last.end_ns or 0) <= CACHE_S * 1e9
    return last if cached and last.environment_id == case.deployment.environment_id else None


def _misses(case: Case, call: RemoteCall) -> bool:
    """Return True if a call after the write goes elsewhere than the written endpoint."""
    upload = case.deployment.upload
    if upload is None:
        return False
    after = case.offset(call).after(call.start_ns, upload.end_ns)
    if not after or (after != CERTAIN and call.returned):
        return False
    if call.returned and call.endpoint_url is None:
        return False  # the endpoint that responded is unknown: a mask or a limit removed its URL
    written = upload.endpoints.by_name.get(call.resource_name or "")
    return bool(written) and call.endpoint_url not in endpoint_urls(case.deployment)


def _is_unrouted(call: RemoteCall) -> bool:
    return (
        call.route == sc.ROUTE_REMOTE
        and not call.endpoint_url
        and not call.returned
        and call.environment_name is None
    )


def _is_stray(case: Case, endpoint: EndpointFact) -> bool:
    version = endpoint.process.flash_version
    if version and version[:2] < RECONCILES_UNTIL:
        return False
    if endpoint.action not in (sc.ACTION_CREATE, sc.ACTION_UPDATE):
        return False
    instance = endpoint.process.instance
    own = {fact.process.instance for fact in (*case.reads, *case.calls)}
    everyone = (*case.evidence.reads, *case.evidence.calls)
    return instance in own or instance not in {fact.process.instance for fact in everyone}


def _goes_elsewhere(case: Case, call: RemoteCall) -> bool:
    """Return True if a call names another target than its deployment.

    A worker's own call is recognized by the code that it runs. Any other call may mean another
    target on purpose: it is only suspicious if it found nothing there.
    """
    deployment = case.deployment
    if not (case.is_recorded and call.environment_name and deployment.environment_name):
        return False
    app = deployment.app_name or call.app_name
    if (call.app_name, call.environment_name) == (app, deployment.environment_name):
        return False
    return _is_of_code(case, call) or _is_not_found(call)


def _is_of_code(case: Case, call: RemoteCall) -> bool:
    return call.code_deployment_id in case.deployment.aliases


def _is_not_found(call: RemoteCall) -> bool:
    return call.failure is not None and call.failure.kind == failures.NOT_FOUND


def _call_exhibits(calls: Sequence[RemoteCall], otherwise: str) -> tuple[Exhibit, ...]:
    shown = calls[:MOST_EXHIBITS]
    return exhibits(*((call, str(call.failure) if call.failure else otherwise) for call in shown))
