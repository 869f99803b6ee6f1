"""What this machine knows: the manifest in the working folder, and the recorded deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel import manifest as manifests
from flash_otel import semconv
from flash_otel.redaction import remember_manifest
from flash_otel.tracing import carriers
from flash_otel.verify.snapshot import resource_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore
    from flash_otel.tracing.carriers import Carrier

PATH: Final = Path(".flash", "flash_manifest.json")
"""Where `flash build` writes the manifest, and `flash deploy` the endpoints (1.0.0-1.21.0)."""

MAX_BYTES: Final = 8 * 1024 * 1024
RECENT_TRACES: Final = 20

# What runs on the deploying side: workers' earlier reads say nothing of now.
_WRITE_PATH: Final = semconv.SPANS.keys() - {
    semconv.RUNTIME_FETCH,
    semconv.MANIFEST_FETCH,
    semconv.CALL,
}


@dataclass(frozen=True, slots=True)
class LocalManifest:
    """The manifest in the working folder.

    Attributes:
        app: Name of the app that it was built for.
        resources: Names of its resources.
        endpoints: Resource name -> URL, as the last deployment from this folder left it.
        carrier: The deployment that built it, if that was traced.
        problem: Why it cannot be read; empty if it can.
    """

    app: str | None = None
    resources: tuple[str, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    carrier: Carrier | None = None
    problem: str = ""


def read(folder: Path) -> LocalManifest | None:
    """Read the folder's manifest; None if there is none."""
    path = folder / PATH
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > MAX_BYTES:
            return LocalManifest(problem=f"it is larger than {MAX_BYTES} bytes")
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return LocalManifest(problem=str(error) or type(error).__name__)
    if not isinstance(manifest, Mapping):
        return LocalManifest(problem="it is no JSON object")
    remember_manifest(manifest)
    named = manifest.get("project_name")
    return LocalManifest(
        app=named if isinstance(named, str) else None,
        resources=resource_names(manifest),
        endpoints=manifests.endpoints(manifest) or {},
        carrier=carriers.read(manifest),
    )


def recorded(store: SpanStore, environment_id: str) -> Sequence[SpanRecord]:
    """Return the recorded deployments to an environment: their write paths, without any read."""
    summaries = store.traces(RECENT_TRACES, environment=environment_id)
    return [
        record
        for summary in summaries
        for record in store.trace(summary.trace_id)
        if record.name in _WRITE_PATH
    ]
