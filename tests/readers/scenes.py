"""Logs of a deployment and of a worker, as flash_otel writes them, by what is wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.readers import NothingFoundError, open_reader
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END, START

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flash_otel.records import SpanRecord

BUILD: Final = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"
OTHER_BUILD: Final = "7f3e11d2-5a6b-4c7d-8e9f-0a1b2c3d4e5f"
ENVIRONMENT: Final = "0483bffc-9a48-4e1b-bdcc-861ee2a2bd58"
OTHER_ENVIRONMENT: Final = "5d1ea7f3-07b2-4c55-9e0d-2f6a8b94c170"
KEYS: Final = ("resources_endpoints", "resources")
URLS: Final = ("https://api.runpod.ai/v2/abc", "https://api.runpod.ai/v2/def")

BEGIN_NS: Final = 1_795_860_001_000_000_000
STEP_NS: Final = 50_000_000
LATER_NS: Final = 60_000_000_000
LIMITS: Final = Limits(now_ns=BEGIN_NS + 600 * 10**9)

Entry = tuple[int, str]


def deployment(build: str = BUILD, environment: str = ENVIRONMENT) -> list[str]:
    """Return the texts of a deployment's log."""
    written = {
        sc.BUILD_ID: build,
        sc.ENVIRONMENT_ID: environment,
        sc.ENVIRONMENT_NAME: "production",
        sc.ENDPOINT_COUNT: 2,
        sc.ENDPOINT_NAMES: ("gpu", "cpu"),
        sc.ENDPOINT_URLS: URLS,
        sc.MANIFEST_KEYS: KEYS,
        sc.OUTCOME: sc.RETURNED,
    }
    return [
        "✓ built shop  8 files",
        *format_lines(sc.ACTIVATE, END, written),
        *format_lines(sc.MANIFEST_UPLOAD, START, written),
        *format_lines(sc.MANIFEST_UPLOAD, END, written),
        "✓ deployed to production",
    ]


def read(
    build: str = BUILD,
    environment: str = ENVIRONMENT,
    names: tuple[str, ...] | None = ("gpu", "cpu"),
) -> list[str]:
    """Return the texts of a worker's log; without names, the manifest has no endpoints."""
    got: dict[str, Any] = {
        sc.BUILD_ID: build,
        sc.ENVIRONMENT_ID: environment,
        sc.WORKER_ENVIRONMENT_ID: environment,
        sc.WORKER_ENDPOINT_ID: "ep1x2y3z",
        sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE if names else sc.MANIFEST_INCOMPLETE,
        sc.MANIFEST_KEYS: KEYS if names else KEYS[1:],
    }
    if names is not None:
        got |= {sc.ENDPOINT_COUNT: len(names), sc.ENDPOINT_NAMES: names}
    return [
        "Starting worker",
        *format_lines(sc.RUNTIME_FETCH, START, got),
        *format_lines(sc.MANIFEST_FETCH, END, got),
        *format_lines(sc.RUNTIME_FETCH, END, got),
        "ready",
    ]


SCENES: Final[dict[str, tuple[list[str], list[str]]]] = {
    "healthy": (deployment(), read()),
    "stale build": (deployment(), read(OTHER_BUILD)),
    "another environment": (deployment(), read("b-9", OTHER_ENVIRONMENT)),
    "an endpoint is missing": (deployment(), read(names=("gpu",))),
    "no endpoints": (deployment(), read(names=None)),
}


def timed(texts: Sequence[str], begin_ns: int = BEGIN_NS) -> list[Entry]:
    """Return an entry for each line of the texts."""
    lines = [line for text in texts for line in text.split("\n")]
    return [(begin_ns + at * STEP_NS, line) for at, line in enumerate(lines)]


def bare(entries: Sequence[Entry]) -> bytes:
    """Return the lines of entries without their times."""
    return "".join(f"{text}\n" for _, text in entries).encode()


Judged = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Verdict, codes and confidences of a diagnosis."""


def judged(folder: Path, *files: bytes) -> Judged:
    """Diagnose files together."""
    found: list[SpanRecord] = []
    for number, data in enumerate(files):
        path = folder / f"{number}.log"
        path.write_bytes(data)
        try:
            found += open_reader(path).records()
        except NothingFoundError:
            continue
    diagnosis = diagnose(found, limits=LIMITS)
    codes = sorted({code for finding in diagnosis.findings for code in finding.candidates})
    confidences = sorted({finding.confidence for finding in diagnosis.findings})
    return diagnosis.verdict, tuple(codes), tuple(confidences)
