from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from functools import partialmethod
from typing import TYPE_CHECKING

import pytest
from support.commands import flash_otel, in_process, keep
from support.samples import OTHER, TRACE, failed_deployment, healthy_deployment, span

from flash_otel.otlp.encode import encode_json
from flash_otel.report.listing import Wanted
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

KILLED = "ab" * 16
LATER_NS = 10_000_000_000


def record(folder: Path) -> None:
    """Store a healthy deployment, a later failed one and an even later killed one."""
    # Not only the trace has ids of its own: a deployment is known by the span id of its root.
    other = [
        replace(
            record,
            trace_id=OTHER,
            span_id=f"a{record.span_id[1:]}",
            parent_span_id=record.parent_span_id and f"a{record.parent_span_id[1:]}",
            start_ns=record.start_ns + LATER_NS,
            end_ns=(record.end_ns or 0) + LATER_NS,
        )
        for record in failed_deployment()
    ]
    staging = {"deployment.environment.name": "staging", "flash.environment_id": "env789"}
    keep(folder, healthy_deployment())
    keep(folder, other)
    keep(
        folder, [span(99, None, "flash.deploy", 90_000, None, trace_id=KILLED, attributes=staging)]
    )


def test_the_newest_trace_comes_first_with_its_verdict(tmp_path: Path) -> None:
    """A killed deployment is unfinished, a failed one has its fault; a pipe gets plain text."""
    record(tmp_path)
    found = flash_otel(tmp_path, "traces")
    head, *lines = found.stdout.splitlines()
    assert head.split() == [
        *("TRACE", "KIND", "AGE", "STARTED", "TOOK"),
        *("APP", "ENV", "BUILD", "SPANS", "VERDICT"),
    ]
    assert [(line.split()[0], line.split("  ")[-1]) for line in lines] == [
        (KILLED, "unfinished"),
        (OTHER, "manifest_never_written"),
        (TRACE, "no read yet"),
    ]
    assert "  4.00 s  shop  prod (env456)     abc123  8      manifest" in lines[1]
    assert (found.returncode, found.stderr) == (0, "")
    assert "\x1b" not in found.stdout


@pytest.mark.parametrize("source", ["store", "recording.json"])
def test_places_in_the_list_name_traces(source: str, tmp_path: Path) -> None:
    """`last^N` is row N + 1 of the list for `show` and `diagnose`, of any source."""
    record(tmp_path)
    records = [*SpanStore(tmp_path / "spans.db").spans()]
    (tmp_path / "recording.json").write_text(json.dumps(encode_json(records)), encoding="utf-8")
    chosen = ("--from", source)
    listed = json.loads(flash_otel(tmp_path, "traces", "--json", *chosen).stdout)
    assert len(listed) == 3
    for name, entry in zip(("last", "last^1", "last^2"), listed, strict=True):
        shown = json.loads(flash_otel(tmp_path, "show", name, "--json", *chosen).stdout)
        (resource,) = shown["resourceSpans"]
        spans = [span for scope in resource["scopeSpans"] for span in scope["spans"]]
        assert {span["traceId"] for span in spans} == {entry["trace_id"]}
        by_place = flash_otel(tmp_path, "diagnose", "--trace", name, "--json", *chosen)
        by_id = flash_otel(tmp_path, "diagnose", "--trace", entry["trace_id"], "--json", *chosen)
        assert by_place.stdout == by_id.stdout
        assert json.loads(by_id.stdout)["verdict"] == entry["verdict"]


@pytest.mark.parametrize("command", [("show",), ("diagnose", "--trace")])
def test_a_place_outside_of_the_list_is_a_clear_mistake(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """With too few traces, and with none, the next step is named."""
    record(tmp_path)
    found = flash_otel(tmp_path, *command, "last^3")
    assert (found.returncode, found.stdout) == (2, "")
    assert "there is no last^3: fewer traces are recorded." in found.stderr
    assert "flash-otel traces" in found.stderr
    (tmp_path / "spans.db").unlink()
    assert "No traces are recorded yet." in flash_otel(tmp_path, *command, "last").stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--env", "staging"), [KILLED]),
        (("--env", "env456", "--limit", "1"), [OTHER]),
        (("-n", "2"), [KILLED, OTHER]),
        (("--app", "shop"), [OTHER, TRACE]),
        (("--failed",), [OTHER]),
        (("--fault", "inconclusive"), [KILLED, TRACE]),
        (
            ("--where", "flash.build_id=abc123", "--where", "flash.resource_name=gpu"),
            [OTHER, TRACE],
        ),
        (("--where", "flash.build_id="), []),
        (("--since", "1h"), []),
    ],
)
def test_filters(options: tuple[str, ...], expected: list[str], tmp_path: Path) -> None:
    """Each option selects, and together they narrow; an empty result is not an error."""
    record(tmp_path)
    found = in_process(tmp_path, "traces", "--json", *options)
    assert [entry["trace_id"] for entry in json.loads(found.stdout)] == expected
    assert (found.returncode, found.stderr) == (0, "")
    if not expected:
        text = in_process(tmp_path, "traces", *options).stdout
        assert text == "No recorded trace matches.\nList all: flash-otel traces\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ("--fault", "stale"),
            "unknown fault code: 'stale'.\nThe codes are: environment_mismatch,",
        ),
        (("--where", "stale"), "invalid condition: 'stale'.\nGive the name of an attribute"),
        (("--where", "=x"), "invalid condition: '=x'."),
        (("--since", "x"), "invalid age: 'x'."),
        (("-n", "0"), "See: flash-otel traces --help"),
    ],
)
def test_a_mistake_names_the_next_step(
    options: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    """A wrong option ends with status 2, before anything is read."""
    found = in_process(tmp_path, "traces", *options)
    assert (found.returncode, found.stdout) == (2, "")
    assert expected in found.stderr


def test_a_search_that_ends_early_is_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If older traces may match, standard error says so."""
    monkeypatch.setattr(Wanted, "__init__", partialmethod(Wanted.__init__, most_judged=2))
    record(tmp_path)
    found = in_process(tmp_path, "traces", "--fault", "stale_build")
    assert found.stdout.startswith("No recorded trace matches.")
    assert "searched the newest 2 traces" in found.stderr


def test_json_is_one_object_for_each_trace(tmp_path: Path) -> None:
    """Objects hold full ids, nanoseconds, null for unknown values, and the verdict."""
    record(tmp_path)
    killed, failed, healthy = json.loads(flash_otel(tmp_path, "traces", "--json").stdout)
    started = datetime.fromisoformat(healthy.pop("started"))
    assert (started.timestamp(), started.tzinfo is None) == (1_000_000_000, False)
    assert healthy.pop("sentence") == "No worker's read of its endpoints is recorded."
    assert healthy == {
        "trace_id": TRACE,
        "short_id": TRACE[:8],
        "kind": "deploy",
        "root_name": "flash.deploy",
        "start_ns": 1_000_000_000_000_000_000,
        "end_ns": 1_000_000_004_000_000_000,
        "deployment_duration_ns": 4_000_000_000,
        "span_count": 8,
        "error_count": 0,
        "outcome": "returned",
        "status": "unset",
        "result": "returned",
        "failed_step": None,
        "app_name": "shop",
        "environment_id": "env456",
        "environment_name": "prod",
        "build_id": "abc123",
        "deployment_id": "0000000000000001",
        "unfinished": False,
        "verdict": "inconclusive",
        "confidence": "certain",
        "is_unread": True,
        "label": "no read yet",
    }
    assert (killed["end_ns"], killed["unfinished"], killed["label"]) == (None, True, "unfinished")
    assert killed["outcome"] == "unfinished"
    assert failed["failed_step"] == "flash.manifest.upload"
    assert failed["label"] == failed["verdict"] == "manifest_never_written"


@pytest.mark.parametrize("outcome", ["unknown", "cancelled"])
def test_an_end_that_is_no_success(outcome: str, tmp_path: Path) -> None:
    """A root without an error, whose end was not observed or that was stopped, is not returned."""
    keep(tmp_path, [span(1, None, "flash.deploy", 0, 1, attributes={"flash.outcome": outcome})])
    assert flash_otel(tmp_path, "traces").stdout.endswith(f" {outcome}\n")
    (found,) = json.loads(flash_otel(tmp_path, "traces", "--json").stdout)
    assert (found["status"], found["outcome"], found["result"]) == ("unset", outcome, outcome)
    assert found["label"] == outcome


def test_an_empty_store_prints_the_next_step(tmp_path: Path) -> None:
    """Before the first recording the list is empty, and no store is created."""
    found = flash_otel(tmp_path, "traces")
    assert found.returncode == 0
    assert found.stdout.splitlines()[0] == "No traces are recorded yet."
    assert "flash-otel run -- flash deploy" in found.stdout
    assert flash_otel(tmp_path, "traces", "--json").stdout == "[]\n"
    assert not (tmp_path / "spans.db").exists()


def test_a_foreign_file_exits_with_3(tmp_path: Path) -> None:
    """A damaged or foreign file is reported in one line and left unchanged."""
    path = tmp_path / "spans.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    before = path.read_bytes()
    found = flash_otel(tmp_path, "traces")
    assert found.returncode == 3
    assert str(path) in found.stderr
    assert "Traceback" not in found.stderr
    assert path.read_bytes() == before


def test_another_store_can_be_named(tmp_path: Path) -> None:
    """`--store` reads another file than the user's own."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    keep(elsewhere, [span(1, None, "flash.build", 0, 5)])
    found = flash_otel(tmp_path, "traces", "--store", str(elsewhere / "spans.db"))
    _, row = found.stdout.splitlines()
    assert row.split()[:2] == [TRACE, "flash.build"]
