"""A trace and its diagnosis as a single HTML file, to attach to a ticket.

The file is self-contained: its content security policy forbids scripts, fonts and requests. Text
from a span is cleaned as for a terminal, then escaped.
"""

from __future__ import annotations

from html import escape
from importlib import resources
from itertools import islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.report import words
from flash_otel.report.diagnosis import diagnosis_lines
from flash_otel.report.layout import UNICODE, Axis, Line, Page, axis_for
from flash_otel.report.trace import label, notes
from flash_otel.report.tree import Node, Row, build_forest, split, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.diagnosis.judge import Diagnosis
    from flash_otel.records import Attributes, SpanRecord

MOST_SPANS: Final = 2000  # more make a browser slow; `--json` has all

_PAGE: Final = Page(width=None, cells=0, glyphs=UNICODE)
_DEEPEST: Final = 24  # levels of indentation
_AXIS_CELLS: Final = 1000  # bars are placed in tenths of a percent
# The words of a Rich style, such as `bold red`, are the CSS classes of the page (`report.css`).
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def trace_html(records: Sequence[SpanRecord], diagnosis: Diagnosis | None = None) -> str:
    """Return the page of a trace.

    Args:
        records: The spans of the trace, with those of linked traces after them; at least one.
        diagnosis: Their diagnosis; None leaves it out.
    """
    main = records[0].trace_id
    own, linked = split(build_forest(records), main)
    body = [f"<h1>{_text(own[0].record.name)} <small>{_text(main)}</small></h1>"]
    body.append(f"<p>{_text(words.moment(own[0].record.start_ns))}</p>")
    if diagnosis is not None:
        body.append(
            f"<h2>Diagnosis</h2>\n<pre>{lines_html(diagnosis_lines(diagnosis, _PAGE))}</pre>"
        )
    body += ["<h2>Trace</h2>", *_spans([own], is_linked=False)]
    if linked:
        traces = [[root] for root in linked]
        body += ["<h2>Traces linked to this one</h2>", *_spans(traces, is_linked=True)]
    return _document(f"{own[0].record.name} {main[:12]}", body)


def lines_html(lines: Iterable[Line]) -> str:
    """Return lines of a terminal report as HTML, each style as classes."""
    return "\n".join(
        "".join(
            f'<span class="{part.style}">{_text(part.text)}</span>'
            if part.style
            else _text(part.text)
            for part in line
        )
        for line in lines
    )


def _document(title: str, body: Iterable[str]) -> str:
    style = resources.files("flash_otel.report").joinpath("report.css").read_text(encoding="utf-8")
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            *body,
            f"<footer>flash_otel {__version__}</footer>\n</body>\n</html>\n",
        )
    )


def _spans(groups: Iterable[Sequence[Node]], *, is_linked: bool) -> Iterator[str]:
    """Yield the spans of a section's traces, each trace with a time axis of its own."""
    left = MOST_SPANS
    for roots in groups:
        nodes = list(islice(walk(roots), left + 1))
        axis = axis_for(roots[0].record, (node.record for node in nodes), _AXIS_CELLS)
        depths: dict[tuple[str, str], int] = {}
        for node in nodes[:left]:
            depth = 0 if node.parent is None else depths[node.parent.record.key] + 1
            depths[node.record.key] = depth
            yield _span(node, depth, axis, is_linked=is_linked)
        left -= len(nodes)
        if left < 0:
            yield f"<p>Only {MOST_SPANS:,} spans are shown; <code>--json</code> has all.</p>"
            return


def _span(node: Node, depth: int, axis: Axis, *, is_linked: bool) -> str:
    record, row = node.record, Row((node,), (True,))
    outcome = words.outcome(record)
    bar = axis.bar(record)
    position = f"left:{bar.offset / 10}%;width:{bar.length / 10}%"
    unusual = "" if outcome == semconv.RETURNED else outcome
    shown_notes = "".join(
        f'<div class="note {note.style}">{_text(note.text)}</div>'
        for note in notes(row, _PAGE, is_linked=is_linked)
    )
    return (
        f'<details class="{outcome}">'
        f'<summary style="--depth:{min(depth, _DEEPEST)}">'
        f'<span class="name">{_text(label(row, UNICODE))}</span>'
        f'<span class="took">{_text(words.duration(record.duration_ns))}</span>'
        f'<span class="outcome">{unusual}</span>'
        f'<span class="track"><i style="{position}"></i></span>{shown_notes}</summary>'
        f"<table>{''.join(_details(record))}</table></details>"
    )


def _details(record: SpanRecord) -> Iterator[str]:
    """Yield the table rows of a span: ids, attributes, events, resource."""
    yield from _rows("span", {"id": record.span_id, "kind": record.kind, "status": record.status})
    yield from _rows("attribute", record.attributes)
    for event in record.events:
        yield from _rows(f"event {event.name}", event.attributes)
    yield from _rows("resource", record.resource)


def _rows(kind: str, values: Attributes) -> Iterator[str]:
    for name, value in values.items():
        yield f"<tr><th>{_text(kind)}</th><td>{_text(name)}</td><td>{_text(value)}</td></tr>"


def _text(value: object) -> str:
    return escape(words.clean(value))
