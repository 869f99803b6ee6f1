"""Comparisons of the active build's manifest: stored, with endpoints, with all, as written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import manifest as manifests
from flash_otel import semconv as sc
from flash_otel.diagnosis.findings import count, several
from flash_otel.diagnosis.order import LIKELY
from flash_otel.verify.checks.check import (
    LOCAL,
    PASS,
    UNKNOWN,
    Check,
    Subject,
    failed,
    plain,
    undecided,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def manifest_stored(subject: Subject) -> Iterator[Check]:
    """The active build has a manifest."""
    reading = subject.reading
    build = reading.environment.active_build_id
    if build is None:
        return
    if reading.manifest is not None:
        keys = ", ".join(manifests.keys(reading.manifest))
        yield Check("manifest_stored", PASS, f"its manifest is stored, with keys: {keys}")
        return
    codes = (sc.MANIFEST_NOT_PERSISTED, sc.READ_INCOMPLETE)
    yield undecided("manifest_stored", codes, f"build {build} has no manifest at all")


def endpoints_held(subject: Subject) -> Iterator[Check]:
    """The manifest holds endpoints."""
    reading = subject.reading
    if reading.manifest is None:
        return
    if reading.held:
        names = several(list(reading.held))
        says = f"the manifest holds {count(len(reading.held), 'endpoint')}: {names}"
        yield Check("endpoints_held", PASS, says)
    elif reading.resources or reading.environment.endpoints:
        yield _without_endpoints(subject)
    else:
        says = f"build {reading.environment.active_build_id} has no endpoint at all"
        yield failed("endpoints_held", sc.NOTHING_DEPLOYED, says, LIKELY)


def _without_endpoints(subject: Subject) -> Check:
    """Name what an empty mapping proves by itself: its carrier tells whether it was written."""
    reading, carrier = subject.reading, subject.reading.carrier
    real = len(reading.environment.endpoints or ())
    says = (
        f"the manifest of active build {reading.environment.active_build_id} holds no endpoints, "
        f"though the environment has {count(real, 'endpoint')}: workers find none of them"
    )
    if carrier is not None and carrier.phase == sc.PHASE_WRITE:
        codes = (sc.READ_INCOMPLETE, sc.MANIFEST_NOT_PERSISTED)
        return undecided("endpoints_held", codes, says)
    if _never_came_to_write(subject):
        return failed("endpoints_held", sc.MANIFEST_NEVER_WRITTEN, says, LIKELY, LOCAL)
    codes = (sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED)
    return undecided("endpoints_held", codes, f"{says}; or a deployment is running just now")


def _never_came_to_write(subject: Subject) -> bool:
    """Tell whether the local manifest shows that its deployment died before the upload.

    Flash writes the endpoints into the local file immediately before it uploads them
    (`reconcile_and_provision_resources`, 1.2.0-1.21.0).
    """
    local, active = subject.local, subject.reading.carrier
    if local is None or local.carrier is None or active is None or local.endpoints:
        return False
    return local.carrier.deployment_id == active.deployment_id


def endpoints_complete(subject: Subject) -> Iterator[Check]:
    """The manifest holds every endpoint that its resources have, and that its writer counted."""
    reading = subject.reading
    if not reading.held:
        return
    real = {plain(one.name) for one in reading.environment.endpoints or ()}
    absent = [name for name in reading.resources if name not in reading.held]
    lost = [name for name in absent if name in real]
    written = reading.carrier.endpoint_count if reading.carrier else None
    if lost or (written is not None and len(reading.held) < written):
        total = written if written is not None else len(reading.held) + len(lost)
        named = f": {several(lost)} missing" if lost else ""
        says = f"the manifest holds {len(reading.held)} of {count(total, 'endpoint')}{named}"
        yield failed("endpoints_complete", sc.ENDPOINTS_MISSING, says)
    elif absent:
        says = f"{several(absent)} has no endpoint, neither here nor in the environment"
        yield Check("endpoints_complete", UNKNOWN, says)
    else:
        yield Check("endpoints_complete", PASS, "every resource of the build has an endpoint")


def endpoints_written(subject: Subject) -> Iterator[Check]:
    """The endpoints are those that the manifest's writer wrote, by its own digest."""
    reading, carrier = subject.reading, subject.reading.carrier
    if carrier is None or carrier.digest is None or len(reading.held) != carrier.endpoint_count:
        return
    if manifests.digest(reading.held) == carrier.digest:
        yield Check("endpoints_written", PASS, "the endpoints are those that were written")
        return
    says = "the manifest holds other endpoints than its deployment wrote"
    yield failed("endpoints_written", sc.ENDPOINTS_DIFFER, says)
