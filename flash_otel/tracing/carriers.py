"""The deployment's context, put into manifests and read back.

One top-level manifest key carries it: in the artifact's manifest with phase `build` (it tells
which code runs) and in the manifest written to the State Manager with phase `write` (it tells what
was written). A carrier from a manifest is untrusted: whatever is malformed, foreign or oversized
is ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from opentelemetry.trace import SpanContext, TraceFlags

from flash_otel import semconv
from flash_otel.runtime.guard import logger

VERSION: Final = 1
MAX_FILE: Final = 8 * 1024 * 1024
MAX_COUNT: Final = 1_000_000_000
MAX_TRACEPARENT: Final = 512
NANOSECONDS: Final = 1_000_000

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DIGEST: Final = re.compile(r"[0-9a-f]{16}")
_DEPLOYMENT: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Carrier:
    """What a manifest tells of the deployment that wrote it.

    Attributes:
        context: The deployment's root span (remote).
        phase: `build` or `write`.
        deployment_id: 16 hex digits.
        time_ns: When it was written, nanoseconds since the epoch.
        build_id: Phase `write` only.
        environment_id: Phase `write` only.
        endpoint_count: Phase `write` only.
        digest: Phase `write` only: digest of the endpoints.
    """

    context: SpanContext
    phase: str
    deployment_id: str
    time_ns: int
    build_id: str | None = None
    environment_id: str | None = None
    endpoint_count: int | None = None
    digest: str | None = None


def write(
    manifest: Mapping[str, Any],
    phase: str,
    context: SpanContext,
    deployment_id: str,
    time_ns: int,
    attributes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a copy of the manifest (one level deep) that carries the deployment's context."""
    said = attributes or {}
    carried: dict[str, Any] = {
        "v": VERSION,
        "phase": phase,
        "traceparent": (
            f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
        ),
        "deployment_id": deployment_id,
        "time_ms": time_ns // NANOSECONDS,
    }
    for key, name in _WRITTEN:
        if name in said:
            carried[key] = said[name]
    return {**manifest, semconv.CARRIER_KEY: carried}


_WRITTEN: Final = (
    ("build_id", semconv.BUILD_ID),
    ("environment_id", semconv.ENVIRONMENT_ID),
    ("endpoint_count", semconv.ENDPOINT_COUNT),
    ("digest", semconv.ENDPOINTS_DIGEST),
)


def read(manifest: object) -> Carrier | None:
    """Read the carrier of a manifest; None where there is none that can be trusted in shape."""
    if not isinstance(manifest, Mapping) or semconv.CARRIER_KEY not in manifest:
        return None
    found = manifest[semconv.CARRIER_KEY]
    carrier = _parse(found) if isinstance(found, Mapping) else None
    if carrier is None:
        logger.debug("flash_otel: ignored a malformed carrier in a manifest")
    return carrier


def _parse(found: Mapping[str, Any]) -> Carrier | None:
    context = _context(found.get("traceparent"))
    phase = found.get("phase")
    deployment_id = _matched(_DEPLOYMENT, found.get("deployment_id"))
    time_ms = _whole(found.get("time_ms"), 1 << 53)
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
        endpoint_count=_whole(found.get("endpoint_count"), MAX_COUNT),
        digest=_matched(_DIGEST, found.get("digest")),
    )


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


def _whole(value: object, limit: int) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < limit else None


def code_carrier() -> Carrier | None:
    """Read the carrier of the artifact that this process runs, from its manifest on disk.

    The places are those of `ServiceRegistry._load_manifest` (1.0.0-1.21.0), and the path under
    which a deployed worker finds its artifact.
    """
    for path in _manifest_paths():
        carrier = _read_file(path)
        if carrier is not None:
            return carrier
    return None


def _manifest_paths() -> Iterator[Path]:
    named = os.environ.get("FLASH_MANIFEST_PATH")
    if named:
        yield Path(named)
    yield Path("/app/flash_manifest.json")
    yield Path("flash_manifest.json")


def _read_file(path: Path) -> Carrier | None:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            return None
        return read(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        logger.debug("flash_otel: no carrier in %s", path, exc_info=True)
        return None
