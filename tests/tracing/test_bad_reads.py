"""Reads that are surely bad are errors at once, with the faults that they may be; others never."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import flash_otel
from flash_otel import semconv as sc
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END
from flash_otel.tracing import bad_reads

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord
    from flash_otel.testing import Recorded

ENDPOINTS = {"gpu": "https://api.runpod.ai/v2/gpu0000001"}
CLOCK, OTHER_CLOCK = "0123456789abcdef", "fedcba9876543210"
LACKS = "The active manifest has no endpoints."
PRECEDES = "The active manifest is older than the code that this worker runs."


def carrier(number: int, phase: str, **more: Any) -> dict[str, Any]:
    """Return what a deployment of this number writes into its manifest."""
    return {
        "v": 1,
        "phase": phase,
        "traceparent": f"00-{number:032x}-{number:016x}-01",
        "deployment_id": f"{number:016x}",
        "time_ms": 1_700_000_000_000,
        "clock": CLOCK,
        "generated_at": f"2026-01-31T12:00:{number:02d}Z",
        **more,
    }


def manifest(number: int, phase: str, endpoints: Any = ENDPOINTS, **more: Any) -> dict[str, Any]:
    """Return a manifest in the State Manager; None for one without the endpoints' key."""
    held = {} if endpoints is None else {"resources_endpoints": endpoints}
    return {
        "generated_at": f"2026-01-31T12:00:{number:02d}Z",
        **held,
        "_flash_otel": carrier(number, phase, **more),
    }


def read(
    spans: Recorded, active: Any, folder: Path, code: dict[str, Any] | None = None
) -> dict[str, SpanRecord]:
    """Let a worker that runs this code read a manifest; return the spans by name."""
    if code is not None:
        (folder / "flash_manifest.json").write_text(json.dumps({"_flash_otel": code}))

    @flash_otel.trace_manifest_fetch
    def attempt(_environment_id: str) -> Any:
        return ("build-1", active)

    @flash_otel.trace_runtime_fetch
    def refresh(environment_id: str) -> Any:
        return attempt(environment_id)[1]

    refresh("env-1")
    return {record.name: record for record in spans.records}


EMPTY = (
    *("manifest_not_persisted", "read_before_write"),
    *("manifest_never_written", "read_incomplete"),
)
OLDER = ("stale_build", "environment_mismatch", "overlapping_deploys")


@pytest.mark.parametrize(
    ("active", "kind", "sentence", "candidates"),
    [
        (manifest(2, "build", None), "manifest_incomplete", LACKS, EMPTY),
        (manifest(2, "build", {}), "manifest_incomplete", LACKS, EMPTY),
        (
            manifest(2, "write", None, endpoint_count=1),
            "manifest_incomplete",
            LACKS,
            ("read_incomplete", "manifest_not_persisted"),
        ),
        ({"version": "1"}, "manifest_incomplete", LACKS, EMPTY),
        (manifest(1, "write"), "manifest_outdated", PRECEDES, OLDER),
        (manifest(1, "build", None), "manifest_outdated", f"{PRECEDES} {LACKS}", OLDER + EMPTY),
    ],
    ids=["no key", "empty", "write", "no carrier", "older", "older and empty"],
)
def test_a_bad_read_is_an_error_at_once(
    spans: Recorded, tmp_path: Path, active: Any, kind: str, sentence: str, candidates: Any
) -> None:
    """Read and attempt are errors with candidates and a sentence; the call itself returned."""
    found = read(spans, active, tmp_path, carrier(2, "build"))
    for name in (sc.RUNTIME_FETCH, sc.MANIFEST_FETCH):
        record = found[name]
        assert (record.status, record.status_message) == ("error", sentence)
        assert record.attributes[sc.ERROR_TYPE] == kind
        assert record.attributes[sc.ERROR_MESSAGE] == sentence
        assert record.attributes[sc.FAULT_CANDIDATES] == candidates
        assert record.attributes[sc.OUTCOME] == sc.RETURNED
        assert sc.FAULT not in record.attributes
        (event,) = record.events
        assert event.name == sc.FAULT_EVENT
        assert event.attributes[sc.FAULT_CANDIDATES] == candidates
        assert str(event.attributes[sc.FAULT_EXPLANATION]).startswith(sentence)


@pytest.mark.parametrize(
    ("active", "code"),
    [
        (manifest(2, "write"), carrier(2, "build")),
        (manifest(3, "write"), carrier(2, "build")),
        (manifest(1, "write", clock=OTHER_CLOCK), carrier(2, "build")),
        (manifest(1, "write"), None),
        (manifest(1, "write"), carrier(2, "build", generated_at="of old")),
        (manifest(2, "write", {}, endpoint_count=0), carrier(2, "build")),
    ],
    ids=[
        "its own",
        "a newer one, before the roll-out",
        "within the skew of two clocks",
        "code of no traced deployment",
        "no time",
        "a deployment without endpoints",
    ],
)
def test_a_healthy_read_is_no_error(
    spans: Recorded, tmp_path: Path, active: Any, code: dict[str, Any] | None
) -> None:
    """A read that may be right is none of Flash's faults, and is not marked."""
    found = read(spans, active, tmp_path, code)
    assert {record.status for record in found.values()} == {"unset"}
    assert not any(sc.FAULT_CANDIDATES in record.attributes for record in found.values())


@pytest.mark.parametrize(
    ("name", "environment", "is_bad"),
    [
        (sc.RUNTIME_FETCH, sc.ENVIRONMENT_ACTIVE, True),
        (sc.RUNTIME_FETCH, sc.ENVIRONMENT_NO_ACTIVE_BUILD, False),
        (sc.RUNTIME_FETCH, None, False),
        # Flash asks again.
        (sc.MANIFEST_FETCH, sc.ENVIRONMENT_ACTIVE, False),
    ],
)
def test_a_null_manifest(name: str, environment: str | None, *, is_bad: bool) -> None:
    """It is bad at the end of a whole read of an environment that has an active build."""
    attributes = {sc.MANIFEST_STATE: sc.MANIFEST_NULL, sc.ENVIRONMENT_STATE: environment}
    found = bad_reads.judge(name, attributes, None, None)
    assert (found is not None) is is_bad
    if found is not None:
        assert (found.kind, found.sentence, found.candidates) == (
            bad_reads.INCOMPLETE,
            LACKS,
            EMPTY,
        )


def test_another_clock_needs_a_margin(spans: Recorded, tmp_path: Path) -> None:
    """Beyond the skew that is assumed of two machines, the older manifest is older for certain."""
    active = manifest(1, "write", clock=OTHER_CLOCK)
    found = read(spans, active, tmp_path, carrier(7, "build"))
    assert found[sc.RUNTIME_FETCH].attributes[sc.ERROR_TYPE] == "manifest_outdated"


def test_a_manifest_without_endpoints_has_a_count_of_zero(spans: Recorded, tmp_path: Path) -> None:
    """So a backend can be searched for it; the bracketed lines stay as they are."""
    found = read(spans, manifest(2, "build", None), tmp_path)
    for name in (sc.RUNTIME_FETCH, sc.MANIFEST_FETCH):
        assert found[name].attributes[sc.ENDPOINT_COUNT] == 0
        assert sc.ENDPOINT_NAMES not in found[name].attributes
    text = "\n".join(
        line for name in found for line in format_lines(name, END, found[name].attributes)
    )
    assert "Manifest MISSING resources_endpoints!" in text
    assert "resources_endpoints contains 0 entries: EMPTY" in text


def test_the_description_names_the_fault_before_the_exception(spans: Recorded) -> None:
    """Code, meaning, exception: what a reader needs first stands first, everywhere the same."""

    @flash_otel.trace_manifest_fetch
    def attempt(_environment_id: str) -> Any:
        raise ConnectionError("GraphQL request failed: 401 - {}")

    with pytest.raises(ConnectionError):
        attempt("env-1")
    (record,) = spans.records
    assert record.status_message == (
        "unauthorized: The State Manager rejected the API key, or there was none. "
        "ConnectionError: GraphQL request failed: 401 - {}"
    )
    assert record.attributes[sc.ERROR_MESSAGE] == record.status_message
