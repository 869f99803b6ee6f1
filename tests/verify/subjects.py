"""Readings as literals: a sound one, and what differs from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flash_otel import semconv as sc
from flash_otel.manifest import digest
from flash_otel.verify.checks import Subject, compare
from flash_otel.verify.snapshot import Build, Environment, Named, Reading, record

if TYPE_CHECKING:
    from flash_otel.verify.local import LocalManifest

BUILD = "build-2"
URLS = {"api": "https://lb1.api.example", "gpu": "https://api.example/v2/qb2"}
REAL = (Named("lb1", "api"), Named("qb2", "gpu-fb"))
DEPLOYMENT = "00000000000000aa"


def carried(phase: str, **said: Any) -> dict[str, Any]:
    """Return what a traced deployment puts into a manifest."""
    return {
        "v": 1,
        "phase": phase,
        "traceparent": f"00-{'1' * 32}-{DEPLOYMENT}-01",
        "deployment_id": DEPLOYMENT,
        "time_ms": 1,
        **said,
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
    real: tuple[Named, ...] | None = REAL,
    known: bool = True,
    expected: str | None = None,
    local: LocalManifest | None = None,
    **more: Any,
) -> Subject:
    """Return what `verify` compares."""
    answer = {"activeBuildId": build} if known else None
    reading = Reading(
        app=Named("app-1", "shop"),
        environments=(Named("env-1", "production"), Named("env-2", "staging")),
        builds=(Build("build-1", "2026-01-01"), Build(BUILD, "2026-01-02")),
        environment=Environment("env-1", "production", known, build, real),
        manifest=stored,
        record=record("env-1", answer, stored, 1_000, 2_000),
        **more,
    )
    return Subject(reading, expected, local)


def faults(compared: Subject) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return name, code and candidates of every comparison that found something."""
    return [
        (one.name, one.finding.code, one.finding.candidates)
        for one in compare(compared)
        if one.finding is not None
    ]
