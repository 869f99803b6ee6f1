from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import IDS, OTHER, TRACE, failed_deployment, healthy_deployment, span

from flash_otel.diagnosis import diagnose
from flash_otel.records import Event, Link
from flash_otel.report.html import MOST_SPANS, trace_html

VOID = {"meta"}


class _Page(HTMLParser):
    """Parses a page: checks that elements are balanced, and collects its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.classes: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.classes += [value or "" for name, value in attrs if name == "class"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_page_holds_every_span_and_the_diagnosis() -> None:
    """The page has every span with its id and attributes, the cause, and the verdict."""
    records = failed_deployment()
    page = _Page(trace_html(records, diagnose(records)))
    for record in records:
        assert record.name in page.text
        assert record.span_id in page.text
    assert "HTTP 500" in page.text
    assert "Verdict:" in page.text
    assert page.classes.count("failed") == 3
    assert page.open == []


def test_the_page_requests_nothing() -> None:
    """No script, no image, no link, and a policy that forbids each."""
    text = trace_html(healthy_deployment())
    assert "default-src 'none'" in text
    assert not {"script", "img", "link", "iframe", "a"} & _Page(text).seen
    assert "http" not in text.replace("http-equiv", "")


def test_linked_traces_follow_under_a_heading_of_their_own() -> None:
    """A read that links to the deployment is shown below it, with its trace id."""
    link = (Link(TRACE, f"{1:016x}"),)
    fetch = span(1, None, "flash.runtime.fetch", 50, 60, trace_id=OTHER, attributes=IDS, links=link)
    page = _Page(trace_html([*healthy_deployment(), fetch]))
    assert page.text.index("Traces linked") < page.text.index("flash.runtime.fetch")
    assert f"trace {OTHER}" in page.text


def test_a_long_trace_is_cut_with_a_note() -> None:
    """A page has a limited number of rows, and reports that there are more."""
    many = [span(n, 1 if n > 1 else None, "flash.graphql", 0, n) for n in range(1, MOST_SPANS + 9)]
    text = trace_html(many)
    assert text.count("<details") == MOST_SPANS
    assert f"Only {MOST_SPANS:,} spans" in text


@pytest.mark.parametrize("bad", ["<script>alert(1)</script>", '"><img src=x>', "\x1b[2J", "\u202e"])
def test_hostile_text_stays_text(bad: str) -> None:
    """Markup and control characters in names, values, events and statuses have no effect."""
    event = Event(bad, 0, {bad: bad})
    record = span(1, None, bad, 0, 1, attributes={bad: bad}, error=bad, events=(event,))
    text = trace_html([record], diagnose([record]))
    assert {"script", "img"}.isdisjoint(_Page(text).seen)
    assert "\x1b" not in text
    assert "\u202e" not in text


@given(name=st.text(), key=st.text(), value=st.text())
def test_any_text_leaves_the_page_well_formed(name: str, key: str, value: str) -> None:
    """For any text in a span, every element is closed and none is added."""
    page = _Page(trace_html([span(1, None, name, 0, 1, attributes={key: value}, error=value)]))
    assert page.open == []
    assert (
        page.seen
        == _Page(trace_html([span(1, None, "a", 0, 1, attributes={"a": "b"}, error="c")])).seen
    )
