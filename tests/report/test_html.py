"""The HTML file: its documents, its policy, and that hostile text stays text."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from diagnosis.scenes import SCENES
from hypothesis import given
from hypothesis import strategies as st
from support.samples import IDS, OTHER, failed_deployment, healthy_deployment, span

from flash_otel import __version__, semconv
from flash_otel.diagnosis import diagnose
from flash_otel.otlp.encode import encode_json
from flash_otel.records import LINES_SCOPE, Event, SpanRecord
from flash_otel.report.html import page_document, page_html, trace_documents, trace_html
from flash_otel.report.json import diagnosis_json

VOID = {"meta"}


class _Page(HTMLParser):
    """Parses a page: checks that elements are balanced, and collects what they hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("id") or tag
        self.elements.append(name)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(name)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the name is the parser's
        self.open.pop()

    def handle_data(self, data: str) -> None:
        within = self.open[-1] if self.open else ""
        self.texts[within] = self.texts.get(within, "") + data

    def document(self, name: str) -> Any:
        return json.loads(self.texts[f"document-{name}"])


@cache
def _plain_elements() -> list[str]:
    return _Page(page_of([span(1, None, "a", 0, 1, error="b")])).elements


def page_of(records: list[SpanRecord]) -> str:
    return trace_html(records, diagnose(records))


def test_the_page_holds_what_show_and_diagnose_print() -> None:
    """Its documents are the OTLP JSON and the diagnosis, whole, and the page's own facts."""
    records = failed_deployment()
    page = _Page(page_of(records))
    assert page.document("trace") == json.loads(json.dumps(encode_json(records)))
    assert page.document("diagnosis") == diagnosis_json(diagnose(records))
    assert page.document("page") == {"kind": "trace", "flash_otel": __version__}
    assert page.document("report")["trace_id"] == records[0].trace_id
    assert page.open == []


def test_the_page_holds_the_bracketed_lines_with_their_spans() -> None:
    """Every line that the spans write is there, in the order of the spans."""
    lines = _Page(page_of(healthy_deployment())).document("report")["lines"]
    assert [line["text"].split("]")[0] for line in lines] == ["[DEPLOY SYNC"] * 3
    assert {line["span_id"] for line in lines} == {f"{8:016x}"}


def test_a_trace_that_was_rebuilt_from_lines_has_no_id() -> None:
    """An id that was made up is not shown as one."""
    rebuilt = [span(1, None, "flash.deploy", 0, 1)]
    rebuilt[0].scope_name = LINES_SCOPE
    assert _Page(page_of(rebuilt)).document("report")["trace_id"] is None


def test_without_scripts_the_verdict_is_there() -> None:
    """A reader without scripts gets the verdict, the sentence and the remedy."""
    records = failed_deployment()
    found = diagnose(records).findings[0]
    text = trace_html(records, diagnose(records))
    static = text.partition('<div id="root">')[2].partition("</div>")[0]
    assert "<h1>" in static
    assert found.remedy_deployer.split("`")[0][:20] in static


@pytest.mark.parametrize("number", [0, 1, 2])
def test_without_scripts_the_gravest_finding_is_there(number: int) -> None:
    """Of several findings it is the first one; without any there is the verdict alone."""
    records = failed_deployment()
    found = diagnose(records)
    findings = tuple(
        replace(found.findings[0], sentence=f"Found {n}.", remedy_deployer=f"Do <{n}>.")
        for n in range(number)
    )
    text = trace_html(records, replace(found, findings=findings))
    static = text.partition('<div id="root">')[2].partition("</div>")[0]
    said = "<p>Found 0.</p><p>Do &lt;0&gt;.</p>" if number else ""
    assert static == (
        f"<main><h1>manifest_never_written</h1>{said}"
        "<p>The rest of this page needs JavaScript.</p></main>"
    )


BROKEN = SCENES["a build that failed"].make()
CANCELLED = [
    replace(record, attributes={**record.attributes, semconv.OUTCOME: semconv.CANCELLED})
    if record.name in (semconv.DEPLOY, semconv.BUILD)
    else record
    for record in BROKEN
]
OPEN = [span(1, None, "flash.deploy", 0, None)]
OPEN_AND_FAILED = [
    replace(record, end_ns=None) if record.name == semconv.DEPLOY else record
    for record in failed_deployment()
]


@pytest.mark.parametrize(
    ("records", "runs", "expected"),
    [
        (BROKEN, True, ("the deployment failed", True, False)),
        (CANCELLED, True, ("the deployment was cancelled", False, False)),
        (
            failed_deployment(),
            True,
            ("The deployment ended between activation and manifest upload", False, False),
        ),
        (healthy_deployment(), True, ("no read yet", False, False)),
        (OPEN, True, ("the deployment is running", False, True)),
        (OPEN, None, ("inconclusive", False, False)),
        (
            OPEN_AND_FAILED,
            True,
            ("The deployment ended between activation and manifest upload", False, False),
        ),
    ],
    ids=["failed", "cancelled", "a fault", "unread", "running", "killed", "running with a fault"],
)
def test_how_a_deployment_stands(
    records: list[SpanRecord], runs: bool | None, expected: tuple[str, bool, bool]
) -> None:
    """A page calls a deployment failed or running only where no fault says more."""
    diagnosis = diagnose(records)
    asked = [trace_html(records, diagnosis, lambda _: runs)]
    if runs is None:
        asked.append(trace_html(records, diagnosis))
    for text in asked:
        report = _Page(text).document("report")
        assert (report["title"], report["has_failed"], report["is_running"]) == expected


def test_lines_are_in_the_order_of_the_starts_of_their_spans() -> None:
    """Whatever the order of the spans is, a line stands with the span that writes it."""
    made = healthy_deployment()
    read = span(9, None, "flash.runtime.fetch", -500, 20, trace_id=OTHER, attributes=IDS)
    for records in ([*made, read], [read, *made]):
        documents = trace_documents(records, diagnose(records))
        lines = documents["report"]["lines"]
        spans = list(dict.fromkeys((line["trace_id"], line["span_id"]) for line in lines))
        assert spans == [read.key, made[-1].key]


def test_a_page_of_another_view() -> None:
    """Its document names the view and what the view needs to know; nothing else is there."""
    document = page_document("list", codes={"none": "no fault"})
    assert document == {
        "kind": "list",
        "flash_otel": __version__,
        "codes": {"none": "no fault"},
    }
    page = _Page(page_html("a < b", {"page": document}))
    assert page.document("page") == document
    assert page.texts["title"] == "a < b"
    assert "root" not in page.texts
    assert page.open == []


def test_the_page_requests_nothing() -> None:
    """No element names an address, and the policy allows the page's own script and style alone."""
    text = page_of(healthy_deployment())
    page = _Page(text)
    assert {name for name, _ in page.attributes} <= {
        *("lang", "charset", "http-equiv", "content", "name", "id", "type"),
    }
    [policy] = [value or "" for name, value in page.attributes if "default-src" in (value or "")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashes = {
        tag: f"'sha256-{b64encode(sha256(page.texts[tag].encode()).digest()).decode()}'"
        for tag in ("script", "style")
    }
    assert rules == {
        "default-src": "'none'",
        "script-src": hashes["script"],
        "style-src": hashes["style"],
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize(
    "bad",
    ["</script><script>alert(1)</script>", "<!--<script>", '"><img src=x>', "\x1b[2J", "\u202e"],
)
def test_hostile_text_stays_text(bad: str) -> None:
    """Markup and control characters in names, values, events and statuses have no effect."""
    event = Event(bad, 0, {bad: bad})
    record = span(1, None, bad, 0, 1, attributes={bad: bad}, error=bad, events=(event,))
    text = page_of([record])
    page = _Page(text)
    assert page.elements == _plain_elements()
    assert page.document("trace") == json.loads(json.dumps(encode_json([record])))
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text) is None


@given(name=st.text(), key=st.text(), value=st.text())
def test_any_text_leaves_the_page_well_formed(name: str, key: str, value: str) -> None:
    """For any text in a span, every element is closed, none is added, and the text is kept."""
    records = [span(1, None, name, 0, 1, attributes={key: value}, error=value)]
    page = _Page(page_of(records))
    assert page.open == []
    assert page.elements == _plain_elements()
    assert page.document("trace") == json.loads(json.dumps(encode_json(records)))
