"""The guide's faults, named from a real Jaeger behind a real Collector, as from the store."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import loopback
from support.flash import ROOT
from support.ui_server import serving

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.otlp.encode import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.exported import Exported
    from support.real_collector import Collector


PAGE: Final = ROOT / "docs" / "jaeger.md"
_SECONDS: Final = 60.0


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_is_named_from_jaeger(
    name: str, exported: Callable[[str], Exported], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault of the guide is named from Jaeger alone, and none in a healthy run."""
    made = exported(name)
    capsys.readouterr()
    asked = ["--from", f"jaeger={made.url}", "--trace", str(made.result.trace_id)]
    status = run(["diagnose", "--json", *asked])
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == SCENARIOS[name].fault
    assert status == (0 if name == "healthy" else 1)
    assert said["deployments"][0]["build_id"] == made.result.build_id
    assert run(["show", str(made.result.trace_id), *asked[:2]]) == 0
    shown = capsys.readouterr().out
    assert sc.DEPLOY in shown
    assert sc.CALL in shown


@pytest.mark.flash
def test_the_page_shows_what_jaeger_holds(
    exported: Callable[[str], Exported], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`flash-otel ui` lists it with its verdict, and shows the spans and the diagnosis of it."""
    made = exported("stale_build")
    trace_id = str(made.result.trace_id)
    capsys.readouterr()
    run(["diagnose", "--json", "--from", f"jaeger={made.url}", "--trace", trace_id])
    diagnosis = json.loads(capsys.readouterr().out)
    with serving(tmp_path, "--from", f"jaeger={made.url}") as server, server.signed_in() as client:

        def got(name: str, **parameters: str) -> Any:
            answer = client.get(f"/documents/{name}", params=parameters)
            assert answer.status_code == 200, answer.text
            return answer.json()

        # Other tests use the same Jaeger: its newest traces need not be these.
        own = f"{sc.BUILD_ID}={made.result.build_id}"
        while (listed := got("entries", where=own))["is_partial"]:
            pass
        entries = {entry["trace_id"]: entry for entry in listed["entries"]}
        assert entries[trace_id]["verdict"] == diagnosis["verdict"] == sc.STALE_BUILD
        assert got("diagnosis", trace_id=trace_id) == diagnosis
        groups = got("trace", trace_id=trace_id)["resourceSpans"]
    shown = {
        span["spanId"] for group in groups for each in group["scopeSpans"] for span in each["spans"]
    }
    evidence = [exhibit["span_id"] for exhibit in diagnosis["findings"][0]["evidence"]]
    assert evidence
    # A verdict that was published in between is no evidence, and not shown.
    mine = [record for record in made.spans() if record.trace_id == trace_id]
    assert {record.span_id for record in mine if record.name != sc.DIAGNOSIS} <= shown
    assert {*evidence} <= shown


@pytest.mark.flash
def test_the_joined_trace_is_whole_in_jaeger(exported: Callable[[str], Exported]) -> None:
    """Jaeger's API has the spans of both phases in one trace, as the contract has them.

    Ids, times, status, links and every attribute of a deployment's span are those of the store; a
    worker's spans carry both phases' ids, and the call in its own trace links to the deployment.
    """
    made = exported("manifest_not_persisted")
    trace_id = str(made.result.trace_id)
    answer = loopback.get(f"{made.url}/api/v3/traces/{trace_id}", timeout=30).json()
    assert answer["result"]["resourceSpans"]
    found = {record.key: record for record in made.spans()}
    for stored in made.store:
        read = found[stored.key]
        for field in ("name", "kind", "parent_span_id", "start_ns", "end_ns", "status"):
            assert getattr(read, field) == getattr(stored, field), (stored.name, field)
        assert dict(read.attributes) == dict(stored.attributes)
        assert dict(read.resource) == dict(stored.resource)
        assert [link.span_id for link in read.links] == [link.span_id for link in stored.links]
    joined = [record for record in found.values() if record.trace_id == trace_id]
    names = {record.name for record in joined}
    assert {
        sc.DEPLOY,
        sc.ACTIVATE,
        sc.MANIFEST_UPLOAD,
        sc.RUNTIME_FETCH,
        sc.MANIFEST_FETCH,
    } <= names
    read = next(record for record in joined if record.name == sc.RUNTIME_FETCH)
    assert read.attributes[sc.ENVIRONMENT_ID] == made.result.environment_id
    assert read.attributes[sc.BUILD_ID] == made.result.build_id
    assert read.attributes[sc.MANIFEST_STATE] == sc.MANIFEST_INCOMPLETE
    call = next(record for record in found.values() if record.name == sc.CALL)
    assert call.trace_id != trace_id
    assert call.status == "error"
    assert call.attributes[sc.DEPLOY_TRACE_ID] == trace_id
    assert trace_id in {link.trace_id for link in call.links}


Row = tuple[str, str, str, str]


def _searches() -> list[Row]:
    """Return the rows of the page's first table: question, service, operation, tags."""
    table = PAGE.read_text(encoding="utf-8").split("\n\n")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]
    return [
        (question, service, operation, tags.strip("`"))
        for question, service, operation, tags in rows
    ]


@pytest.mark.flash
@pytest.mark.parametrize("search", _searches(), ids=lambda row: row[0])
def test_a_printed_search_answers_its_question(
    search: Row, exported: Callable[[str], Exported], running_collector: Collector
) -> None:
    """Each search of the page finds the run that answers it, through the API that the UI uses.

    Whatever else it finds has the tags that were asked for, too.
    """
    _, service, operation, tags = search
    made = exported("manifest_not_persisted")
    wanted = dict(part.split("=") for part in _filled(tags, made).split())
    worker = next(record for record in made.spans() if record.name == sc.RUNTIME_FETCH)
    asked: dict[str, Any] = {
        "service": service.replace("WORKER", str(worker.resource[sc.SERVICE_NAME])),
        "tags": json.dumps(wanted),
        "limit": 1500,
        "start": (time.time_ns() - 3_600 * 10**9) // 1_000,
        "end": (time.time_ns() + 60 * 10**9) // 1_000,
    }
    if operation != "all":
        asked["operation"] = operation
    mine = {record.trace_id for record in made.spans()}
    if service != "WORKER" and "error" in wanted:  # no deployment of the guide's scenarios fails
        mine = {_send_failed(made, running_collector)}
    deadline = time.monotonic() + _SECONDS
    while mine.isdisjoint(trace["traceID"] for trace in _found(made.url, asked)):
        assert time.monotonic() < deadline, asked
        time.sleep(0.2)
    for trace in _found(made.url, asked):
        assert any(_has(span, asked.get("operation"), wanted) for span in trace["spans"])


def _found(url: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    answer = loopback.get(f"{url}/api/traces", params=asked, timeout=30)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def _send_failed(made: Exported, collector: Collector) -> str:
    """Send the run's deployment once more, as one whose activation failed; return its trace id."""
    trace_id = secrets.token_hex(16)
    spans = [
        replace(
            record,
            trace_id=trace_id,
            status="error" if record.name == sc.ACTIVATE else record.status,
        )
        for record in made.store
        if record.trace_id == made.result.trace_id
    ]
    sent = loopback.post(f"{collector.http_url}/v1/traces", json=encode_json(spans), timeout=30)
    assert sent.status_code == 200
    return trace_id


def _filled(tags: str, made: Exported) -> str:
    ids = {
        "ENV": made.result.environment_id,
        "BUILD": made.result.build_id,
        "TRACE": made.result.trace_id,
    }
    for name, value in ids.items():
        tags = tags.replace(f"={name}", f"={value}")
    return tags


def _has(span: dict[str, Any], operation: str | None, wanted: dict[str, str]) -> bool:
    said = {tag["key"]: str(tag["value"]).lower() for tag in span["tags"]}
    named = operation in (None, span["operationName"])
    return named and all(said.get(key) == value for key, value in wanted.items())
