"""Snapshots as literals: a sound snapshot, and variations of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flash_otel import semconv as sc
from flash_otel.manifest import digest
from flash_otel.verify.checks import Subject, compare
from flash_otel.verify.snapshot import (
    FetchedBuild,
    FetchedEnvironment,
    Ref,
    Snapshot,
    record,
)

if TYPE_CHECKING:
    from flash_otel.verify.snapshot import LocalManifest

BUILD = "build-2"
URLS = {"api": "https://lb1.api.example", "gpu": "https://api.example/v2/qb2"}
REAL = (Ref("lb1", "api"), Ref("qb2", "gpu-fb"))
DEPLOYMENT = "00000000000000aa"


def carried(phase: str, **values: Any) -> dict[str, Any]:
    """Return the carrier that a traced deployment writes into a manifest."""
    return {
        "v": 1,
        "phase": phase,
        "traceparent": f"00-{'1' * 32}-{DEPLOYMENT}-01",
        "deployment_id": DEPLOYMENT,
        "time_ms": 1,
        **values,
    }


def manifest(
    endpoints: dict[str, str] | None = None, carrier: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a manifest of two resources."""
    found: dict[str, Any] = {"resources": {"api": {}, "gpu": {}}}
    if endpoints is not None:
        found["resources_endpoints"] = endpoints
    if carrier is not None:
        found[sc.CARRIER_KEY] = carrier
    return found


WRITTEN = carried("write", endpoint_count=2, digest=digest(URLS))
SOUND = manifest(URLS)


def subject(
    stored: dict[str, Any] | None = SOUND,
    *,
    build: str | None = BUILD,
    real: tuple[Ref, ...] | None = REAL,
    known: bool = True,
    expected: str | None = None,
    local: LocalManifest | None = None,
    **more: Any,
) -> Subject:
    """Return the input of the comparisons."""
    answer = {"activeBuildId": build} if known else None
    snapshot = Snapshot(
        app=Ref("app-1", "shop"),
        environments=(Ref("env-1", "production"), Ref("env-2", "staging")),
        builds=(FetchedBuild("build-1", "2026-01-01"), FetchedBuild(BUILD, "2026-01-02")),
        environment=FetchedEnvironment("env-1", "production", known, build, real),
        manifest=stored,
        record=record("env-1", answer, stored, 1_000, 2_000),
        **more,
    )
    return Subject(snapshot, expected, local)


def faults(compared: Subject) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, code and candidates of every failed comparison."""
    return [
        (comparison.name, comparison.finding.code, comparison.finding.candidates)
        for comparison in compare(compared)
        if comparison.finding is not None
    ]
