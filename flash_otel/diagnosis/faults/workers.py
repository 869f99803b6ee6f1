"""Faults of workers: old code, old registries, and what they do when they miss an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.active_build import owner
from flash_otel.diagnosis.case import CACHE_S
from flash_otel.diagnosis.deployments import order as age
from flash_otel.diagnosis.findings import MOST_EXHIBITS, Finding, count, exhibits, several
from flash_otel.diagnosis.matching import endpoint_urls
from flash_otel.diagnosis.order import CERTAIN, LIKELY, follows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import Call, Deployment, Endpoint, RuntimeFetch

ROLLS_ON_CODE: Final = (1, 14)
"""From this version on, changed code alone makes `flash deploy` update an endpoint."""

RECONCILES_UNTIL: Final = (1, 3)
"""Load balancers of versions before this provision endpoints at boot, by design."""

_SAME_SIZE: Final = 1024  # bytes: artifacts of equal code differ in their times and carriers


def code_not_rolled(case: Case) -> Iterator[Finding]:
    """Find a worker that runs an older deployment's code after the roll-out must be over."""
    for read in case.reads:
        older = _code_of(case, read)
        if older is None or not _should_be_rolled(case, read, older):
            continue
        name = f" of {read.process.resource_name!r}" if read.process.resource_name else ""
        sentence = (
            f"A worker{name} still runs the code of deployment {older.id} ({older.name}), "
            f"though {case.deployment.name} was deployed after it."
        )
        said = exhibits((read, f"the worker runs the code of deployment {older.id}"))
        yield Finding(sc.CODE_NOT_ROLLED, sentence, said, LIKELY)
        return


def stale_cache(case: Case) -> Iterator[Finding]:
    """Find a call that was routed by a registry read before the deployment."""
    for call in case.evidence.calls:  # of workers, too, that have not read since
        read = _registry_of(case, call)
        if read is None or not _misses(case, call):
            continue
        sentence = (
            f"A call of {call.resource_name!r} was routed by a registry that its worker had read "
            f"before {case.deployment.name} was written; it is kept for {CACHE_S:.0f} s."
        )
        said = exhibits(
            (read, f"the worker's last read: build {read.build_id}"),
            (case.deployment.upload, "the manifest was written"),
            (call, f"called {call.endpoint_url or 'no URL'}"),
        )
        yield Finding(sc.STALE_CACHE, sentence, said, LIKELY)
        return


def remote_calls_undetected(case: Case) -> Iterator[Finding]:
    """Find a worker that calls others and never asked where they are: its build says local-only."""
    asking = {read.process.instance for read in case.evidence.reads}
    found = [
        call
        for call in case.calls
        if _is_unrouted(call) and call.process.worker and call.process.instance not in asking
    ]
    if not found:
        return
    own = found[0].process.resource_name
    sentence = (
        f"{f'Resource {own!r}' if own else 'A worker'} calls {found[0].function_name!r} on another "
        "endpoint, but never asked the State Manager for it: its build did not find that it makes "
        "remote calls."
    )
    said = exhibits(*((call, "called without a URL") for call in found[:MOST_EXHIBITS]))
    yield Finding(sc.REMOTE_CALLS_UNDETECTED, sentence, said, LIKELY)


def worker_provisions(case: Case) -> Iterator[Finding]:
    """Find endpoints that a worker deployed because it missed them."""
    found = [one for one in case.evidence.worker_endpoints if _is_stray(case, one)]
    if not found:
        return
    names = sorted({one.resource_name or "unnamed" for one in found})
    sentence = (
        f"A worker that missed {count(len(names), 'endpoint')} deployed on its own: "
        f"{several(names)}. Such endpoints cost money."
    )
    said = exhibits(*((one, f"{one.action}: {one.resource_name}") for one in found[:MOST_EXHIBITS]))
    yield Finding(sc.WORKER_PROVISIONS, sentence, said)


def _code_of(case: Case, read: RuntimeFetch) -> Deployment | None:
    """Return the older deployment whose code a worker runs, if it runs one's."""
    named = case.known.of_code(read.code_deployment_id)
    return next((one for one in named if age(one) < age(case.deployment)), None)


def _should_be_rolled(case: Case, read: RuntimeFetch, older: Deployment) -> bool:
    """Tell whether the worker's code should be new: its endpoint was updated long ago.

    An endpoint that was left as it was keeps its workers. From 1.14 on that means that its code
    has not changed; before, a change of code alone updated nothing.
    """
    deployment = case.deployment
    if deployment.end_ns is None or not read.process.resource_name:
        return False
    rolled_ns = deployment.end_ns + int(case.limits.rollout_s * 1e9)
    # An assumption about clocks is not enough here: a roll-out takes about as long as they err.
    if case.offset(read).after(read.start_ns, rolled_ns) != CERTAIN:
        return False
    own = [one for one in deployment.endpoints if one.resource_name == read.process.resource_name]
    updated = any(one.action == sc.ACTION_UPDATE for one in own)
    return updated or (
        bool(deployment.process.flash_version)
        and deployment.process.flash_version < ROLLS_ON_CODE
        and abs((deployment.artifact_size or 0) - (older.artifact_size or 0)) > _SAME_SIZE
    )


def _registry_of(case: Case, call: Call) -> RuntimeFetch | None:
    """Return the read that a call lives on, if that was of an older build and is cached still."""
    reads = case.known.reads_by(call.process.instance)
    own = [read for read in reads if follows(call, read)]
    if not own or call.start_ns is None:
        return None
    last = own[-1]
    older = owner(case, last)
    if older is None or age(older) > age(case.deployment):
        return None
    cached = call.start_ns - (last.end_ns or 0) <= CACHE_S * 1e9
    return last if cached and last.environment_id == case.deployment.environment_id else None


def _misses(case: Case, call: Call) -> bool:
    """Tell whether a call after the write goes elsewhere than the write says."""
    upload = case.deployment.upload
    if upload is None:
        return False
    after = case.offset(call).after(call.start_ns, upload.end_ns)
    if not after or (after != CERTAIN and call.returned):
        return False
    written = upload.endpoints.by_name.get(call.resource_name or "")
    return bool(written) and call.endpoint_url not in endpoint_urls(case.deployment)


def _is_unrouted(call: Call) -> bool:
    return (
        call.route == sc.ROUTE_REMOTE
        and not call.endpoint_url
        and not call.returned
        and (call.environment_name is None)
    )


def _is_stray(case: Case, endpoint: Endpoint) -> bool:
    version = endpoint.process.flash_version
    if version and version[:2] < RECONCILES_UNTIL:
        return False
    if endpoint.action not in (sc.ACTION_CREATE, sc.ACTION_UPDATE):
        return False
    instance = endpoint.process.instance
    theirs = {one.process.instance for one in (*case.reads, *case.calls)}
    anyone = (*case.evidence.reads, *case.evidence.calls)
    return instance in theirs or instance not in {one.process.instance for one in anyone}
