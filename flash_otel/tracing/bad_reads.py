"""Reads that are surely bad, though only both phases together show why.

A worker that gets a manifest without endpoints cannot call anything, whoever is to blame. One that
gets a manifest from before its own code reads the wrong build, or the wrong environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel import manifest as manifests
from flash_otel import semconv as sc
from flash_otel.tracing.outcome import BadRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.tracing.carriers import Carrier

INCOMPLETE: Final = "manifest_incomplete"
OUTDATED: Final = "manifest_outdated"

_OF_EMPTY: Final = (
    sc.MANIFEST_NOT_PERSISTED,
    sc.READ_BEFORE_WRITE,
    sc.MANIFEST_NEVER_WRITTEN,
    sc.READ_INCOMPLETE,
)
# Of a manifest whose carrier shows that it was written, without the endpoints that it counts.
_OF_STRIPPED: Final = (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED)
_OF_OLDER: Final = (sc.STALE_BUILD, sc.ENVIRONMENT_MISMATCH, sc.OVERLAPPING_DEPLOYS)

_LACKS: Final = "The active manifest has no endpoints."
_PRECEDES: Final = "The active manifest is older than the code that this worker runs."

# The clocks of two machines that build may differ by so much (as in `diagnosis.order`).
_SKEW_NS: Final = 5_000_000_000


def judge(
    name: str, attributes: Mapping[str, Any], code: Carrier | None, active: Carrier | None
) -> BadRead | None:
    """Return what is surely wrong with a read, or None.

    Args:
        name: The span's name.
        attributes: The span's attributes.
        code: The carrier of the code that this worker runs.
        active: The carrier of the manifest that was read.
    """
    is_empty = _lacks_endpoints(name, attributes, active)
    is_older = _is_older(attributes, code, active)
    if not (is_empty or is_older):
        return None
    is_written = active is not None and active.phase == sc.PHASE_WRITE
    of_empty = _OF_STRIPPED if is_written else _OF_EMPTY
    candidates = (*(_OF_OLDER if is_older else ()), *(of_empty if is_empty else ()))
    sentences = (*([_PRECEDES] if is_older else []), *([_LACKS] if is_empty else []))
    return BadRead(OUTDATED if is_older else INCOMPLETE, " ".join(sentences), candidates)


def lacks_route(attributes: Mapping[str, Any]) -> bool:
    """Return True for a call whose endpoint the worker's last read did not bring.

    The registry routes a function that its manifest lists to an endpoint without a URL then
    (`ServiceRegistry.get_routing_info`, 1.4.0-1.21.0). The sentinel's calls name an environment.
    """
    is_remote = attributes.get(sc.CALL_ROUTE) == sc.ROUTE_REMOTE
    known = (sc.ENDPOINT_URL, sc.ENDPOINT_ID, sc.ENVIRONMENT_NAME, sc.FAAS_INVOCATION_ID)
    return is_remote and not any(name in attributes for name in known)


def _lacks_endpoints(name: str, attributes: Mapping[str, Any], active: Carrier | None) -> bool:
    """Return True for a manifest without the endpoints that were, or will be, written to it."""
    if active is not None and active.phase == sc.PHASE_WRITE and active.endpoint_count == 0:
        return False  # nothing else was deployed
    state = attributes.get(sc.MANIFEST_STATE)
    if state == sc.MANIFEST_INCOMPLETE:
        return True
    # Flash asks again after a null manifest (`get_persisted_manifest`, 1.2.0-1.14.0): only the end
    # of the whole read shows that none came.
    is_final = name == sc.RUNTIME_FETCH and state == sc.MANIFEST_NULL
    return is_final and attributes.get(sc.ENVIRONMENT_STATE) == sc.ENVIRONMENT_ACTIVE


def _is_older(attributes: Mapping[str, Any], code: Carrier | None, active: Carrier | None) -> bool:
    """Return True if the active manifest was generated before that of the worker's own code."""
    if code is None or (active is not None and active.deployment_id == code.deployment_id):
        return False
    own_ns = manifests.generated_ns(code.generated_at)
    active_ns = manifests.generated_ns(
        attributes.get(sc.MANIFEST_GENERATED_AT) or attributes.get(sc.ACTIVE_GENERATED_AT)
    )
    if own_ns is None or active_ns is None:
        return False
    is_one_clock = active is not None and code.clock is not None and active.clock == code.clock
    return own_ns - active_ns > (0 if is_one_clock else _SKEW_NS)
