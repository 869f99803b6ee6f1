"""The artifact that Flash uploaded: unpacked as a worker's platform does, and read."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Final

from flash_otel.semconv import CARRIER_KEY

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_NAME: Final = "flash_manifest.json"

_TRACEPARENT_PARTS: Final = 4


def unpack(content: bytes, folder: Path) -> None:
    """Unpack an artifact (a gzipped tar archive) into an existing folder.

    Raises:
        tarfile.TarError: It is no such archive.
    """
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        # Pythons before 3.10.12 and 3.11.4 lack the filter.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)  # noqa: S202 - Flash made it a second ago, on this machine


def carried_trace_id(app: Path) -> str | None:
    """Return the trace that the manifest of an unpacked artifact names, or None."""
    manifest = json.loads((app / MANIFEST_NAME).read_text(encoding="utf-8"))
    carrier = manifest.get(CARRIER_KEY) or {}
    parts = str(carrier.get("traceparent", "")).split("-")
    return parts[1] if len(parts) == _TRACEPARENT_PARTS else None
