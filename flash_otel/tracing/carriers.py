"""The deployment's context in a Flash manifest: written to it, read from it, recorded.

A carrier is one top-level key. In the artifact's manifest it has phase `build` and identifies the
code that a worker runs; in the manifest uploaded to the State Manager it has phase `write` and
identifies what was written. A manifest is untrusted input: a malformed, foreign or oversized
carrier is ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanContext, TraceFlags

from flash_otel import manifest as manifests
from flash_otel import pipeline, semconv
from flash_otel.redaction import remember_manifest
from flash_otel.runtime.process import logger
from flash_otel.tracing.extractors import Call, find

if TYPE_CHECKING:
    from flash_otel.tracing.attributes import AttributeSpec
    from flash_otel.tracing.scope import Scope

VERSION: Final = 1
MAX_FILE: Final = 8 * 1024 * 1024
MAX_COUNT: Final = 1_000_000_000
MAX_TIME_MS: Final = 1 << 53
"""JSON numbers are exact up to here."""
MAX_TRACEPARENT: Final = 512
NANOSECONDS: Final = 1_000_000
"""In a millisecond."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DIGEST: Final = re.compile(r"[0-9a-f]{16}")
_TIME: Final = re.compile(r"[0-9TZ:.+-]{1,64}")  # ISO 8601
_DEPLOYMENT: Final = re.compile(r"[0-9a-f]{16}")

# Key in the carrier -> attribute of the upload's span.
_WRITTEN: Final = (
    ("build_id", semconv.BUILD_ID),
    ("environment_id", semconv.ENVIRONMENT_ID),
    ("endpoint_count", semconv.ENDPOINT_COUNT),
    ("digest", semconv.ENDPOINTS_DIGEST),
)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A deployment, as a manifest that it wrote identifies it.

    Attributes:
        context: The deployment's root span (remote).
        phase: `build` or `write`.
        deployment_id: 16 hex digits.
        time_ns: When it was written, nanoseconds since the epoch.
        build_id: Phase `write` only.
        environment_id: Phase `write` only.
        endpoint_count: Phase `write` only.
        digest: Phase `write` only: digest of the endpoints.
        generated_at: When the manifest was built, as Flash writes it.
        clock: Digest of the boot of the machine that built it: times of one boot are comparable.
        source_fingerprint: Phase `write` only: Flash computes it when the manifest is built.
    """

    context: SpanContext
    phase: str
    deployment_id: str
    time_ns: int
    build_id: str | None = None
    environment_id: str | None = None
    endpoint_count: int | None = None
    digest: str | None = None
    generated_at: str | None = None
    clock: str | None = None
    source_fingerprint: str | None = None


def write(
    manifest: Mapping[str, Any],
    phase: str,
    context: SpanContext,
    deployment_id: str,
    time_ns: int,
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a copy of the manifest (one level deep) with the deployment's context in it.

    Args:
        manifest: The manifest; it is not modified.
        phase: `build` or `write`.
        context: The deployment's root span.
        deployment_id: 16 hex digits.
        time_ns: Now, in nanoseconds since the epoch.
        attributes: Attributes of the upload's span, for phase `write`.
    """
    known = attributes or {}
    carried: dict[str, Any] = {
        "v": VERSION,
        "phase": phase,
        "traceparent": (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        ),
        "deployment_id": deployment_id,
        "time_ms": time_ns // NANOSECONDS,
        **_clock(),
        **manifests.provenance(manifest),
    }
    carried.update((key, known[name]) for key, name in _WRITTEN if name in known)
    return {**manifest, semconv.CARRIER_KEY: carried}


def write_argument(scope: Scope, parameter: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of an upload with a carrier in its manifest.

    Outside of a deployment the arguments are unchanged: a worker that writes the manifest
    (1.0.0-1.2.0) deploys nothing.

    Args:
        scope: The scope of the upload.
        parameter: The parameter that holds the manifest.
    """
    call = scope.call
    manifest = call.argument(parameter)
    deployment_id = scope.attributes.shared.get(semconv.DEPLOYMENT_ID)
    context = scope.root.span.get_span_context()
    if not isinstance(manifest, Mapping) or deployment_id is None or not context.is_valid:
        return call.args, call.kwargs
    now_ns = pipeline.clock.value()
    carried = write(manifest, semconv.PHASE_WRITE, context, deployment_id, now_ns, scope.attributes)
    return call.replaced(parameter, carried)


def read(manifest: object) -> Carrier | None:
    """Return the carrier of a manifest; None if there is none, or if it is malformed."""
    if not isinstance(manifest, Mapping) or semconv.CARRIER_KEY not in manifest:
        return None
    found = manifest[semconv.CARRIER_KEY]
    carrier = _parse(found) if isinstance(found, Mapping) else None
    if carrier is None:
        logger.debug("flash_otel: ignored a malformed carrier in a manifest")
    return carrier


def remember_secrets(fields: Mapping[str, AttributeSpec], call: Call) -> Any:
    """Find the manifest of a call, and treat the credentials in it as secret from now on.

    Args:
        fields: The fields that `manifest` may be one of.
        call: The call that sends or receives it.

    Returns:
        The manifest, or whatever is found in its place.
    """
    manifest = find(fields["manifest"].sources, call) if "manifest" in fields else None
    remember_manifest(manifest)
    return manifest


def record_active(scope: Scope) -> Carrier | None:
    """Record the carrier of a fetched manifest: attributes, and a link to its deployment.

    Returns:
        The carrier; None if the manifest has none.
    """
    manifest = remember_secrets(scope.fields.end, scope.call)
    carrier = read(manifest)
    if carrier is None:
        return None
    scope.set(active_attributes(carrier, manifest))
    # A link to the code's deployment may be mirrored already: it is the one that Jaeger shows.
    if scope.add_link(carrier.context) and semconv.DEPLOY_TRACE_ID not in scope.attributes:
        scope.set(mirrored(carrier.context))
    return carrier


def active_attributes(carrier: Carrier, manifest: object) -> dict[str, Any]:
    """Render the carrier of the manifest that the State Manager calls active.

    Args:
        carrier: The carrier.
        manifest: The manifest that holds it, whose own provenance is not repeated.
    """
    found: dict[str, Any] = {
        semconv.ACTIVE_DEPLOYMENT_ID: carrier.deployment_id,
        semconv.ACTIVE_PHASE: carrier.phase,
        semconv.ACTIVE_ENDPOINT_COUNT: carrier.endpoint_count,
    }
    known = manifests.provenance(manifest)
    if manifests.GENERATED_KEY not in known:
        found[semconv.ACTIVE_GENERATED_AT] = carrier.generated_at
    if manifests.FINGERPRINT_KEY not in known:
        found[semconv.ACTIVE_SOURCE_FINGERPRINT] = carrier.source_fingerprint
    return {name: value for name, value in found.items() if value is not None}


def mirrored(deployment: SpanContext) -> dict[str, str]:
    """Render a link to a deployment as attributes: Jaeger shows links in one direction only."""
    return {
        semconv.DEPLOY_TRACE_ID: f"{deployment.trace_id:032x}",
        semconv.DEPLOY_SPAN_ID: f"{deployment.span_id:016x}",
    }


def code_carrier() -> Carrier | None:
    """Return the carrier of the artifact that this process runs, from its manifest on disk.

    The paths are those of `ServiceRegistry._load_manifest` (1.0.0-1.21.0), the one under which a
    deployed worker finds its artifact, and those of runpod 2's runtime.
    """
    carriers = (_read_file(path) for path in _manifest_paths())
    return next((carrier for carrier in carriers if carrier is not None), None)


def _manifest_paths() -> Iterator[Path]:
    configured = os.environ.get("FLASH_MANIFEST_PATH")
    if configured:
        yield Path(configured)
    unpacked = os.environ.get("RUNPOD_APP_DIR")
    if unpacked:
        yield Path(unpacked, "runpod_manifest.json")
    for name in ("flash_manifest.json", "runpod_manifest.json"):
        yield Path("/app", name)
        yield Path(name)


def _read_file(path: Path) -> Carrier | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            return None
        return read(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        logger.debug("flash_otel: no carrier in %s", path, exc_info=True)
        return None


def _parse(found: Mapping[str, Any]) -> Carrier | None:
    context = _context(found.get("traceparent"))
    phase = found.get("phase")
    deployment_id = _matched(_DEPLOYMENT, found.get("deployment_id"))
    time_ms = _integer(found.get("time_ms"), MAX_TIME_MS)
    if context is None or deployment_id is None or time_ms is None:
        return None
    if phase not in (semconv.PHASE_BUILD, semconv.PHASE_WRITE):
        return None
    return Carrier(
        context=context,
        phase=phase,
        deployment_id=deployment_id,
        time_ns=time_ms * NANOSECONDS,
        build_id=_matched(_ID, found.get("build_id")),
        environment_id=_matched(_ID, found.get("environment_id")),
        endpoint_count=_integer(found.get("endpoint_count"), MAX_COUNT),
        digest=_matched(_DIGEST, found.get("digest")),
        generated_at=_matched(_TIME, found.get(manifests.GENERATED_KEY)),
        clock=_matched(_DIGEST, found.get("clock")),
        source_fingerprint=_matched(_ID, found.get(manifests.FINGERPRINT_KEY)),
    )


def _clock() -> dict[str, str]:
    """Return what identifies this machine's clock; nothing outside of Linux."""
    try:
        # Of the kernel, which containers share with their host, unlike its name.
        return {"clock": sha256(_BOOT_ID.read_bytes()).hexdigest()[:16]}
    except OSError:
        return {}


def _context(traceparent: object) -> SpanContext | None:
    """Parse a W3C traceparent (Trace Context, section 3.2); version ff is forbidden."""
    if not isinstance(traceparent, str) or len(traceparent) > MAX_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or match[1] == "ff":
        return None
    context = SpanContext(
        int(match[2], 16),
        int(match[3], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(match[4], 16)),
    )
    return context if context.is_valid else None


def _matched(pattern: re.Pattern[str], value: object) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _integer(value: object, limit: int) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < limit else None
