"""A view of a recording as one HTML file, to attach to a ticket.

The file holds documents as JSON, and the script and the style sheet that show them (the sources are
in `page/`). Its content security policy allows these two by their hashes, and no request at all.
Without scripts, as in the preview of a mail, the file still shows the verdict.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END, START
from flash_otel.otlp.encode import encode_json
from flash_otel.records import LINES_SCOPE
from flash_otel.report import words
from flash_otel.report.json import diagnosis_json
from flash_otel.report.overview import diagnosis_label, overview_of, readers_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flash_otel.diagnosis.evidence import Deployment
    from flash_otel.diagnosis.judge import Diagnosis
    from flash_otel.records import SpanRecord

SCRIPT: Final = "page.js"
STYLE: Final = "page.css"

_WORDS: Final = {
    "results": words.RESULTS,
    "differences": words.DIFFERENCES,
    "arrivals": words.ARRIVALS,
    "other_arrival": words.OTHER_ARRIVAL,
    "by_own_clock": words.BY_OWN_CLOCK,
    "unknown_order": words.UNKNOWN_ORDER,
}
"""Words of the terminal that the page shows, too."""

# In a script element only `<` has a meaning; the others keep the text harmless anywhere.
_ESCAPES: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


@cache
def asset(name: str) -> str:
    """Return the text of a file of the bundle, `SCRIPT` or `STYLE`."""
    folder = resources.files("flash_otel.report").joinpath("page")
    return folder.joinpath(name).read_text(encoding="utf-8")


def trace_html(
    records: Sequence[SpanRecord],
    diagnosis: Diagnosis,
    is_running: Callable[[Deployment], bool | None] = lambda _: None,
) -> str:
    """Return the page of a trace.

    Args:
        records: The spans of the trace, with those of linked traces after them; at least one.
        diagnosis: Their diagnosis.
        is_running: Whether a deployment's process still runs; None if unknown.
    """
    first = records[0]
    title = f"{diagnosis_label(diagnosis)}: {first.name} {first.trace_id[:8]}"
    documents = {"page": page_document("trace"), **trace_documents(records, diagnosis, is_running)}
    return page_html(title, documents, "".join(_without_script(diagnosis)))


def page_document(kind: str, **facts: Any) -> dict[str, Any]:
    """Return the document that names a page's view.

    Args:
        kind: A key of `VIEWS` in `page/src/main.jsx`.
        facts: What the view needs to know besides its documents.
    """
    return {"kind": kind, "flash_otel": __version__, **facts}


def trace_documents(
    records: Sequence[SpanRecord],
    diagnosis: Diagnosis,
    is_running: Callable[[Deployment], bool | None] = lambda _: None,
) -> dict[str, Any]:
    """Return the documents of the view of a trace, by name.

    `trace` and `diagnosis` are what `show --json` and `diagnose --json` print; `report` is what
    the terminal shows besides them.

    Args:
        records: As for `trace_html`.
        diagnosis: As for `trace_html`.
        is_running: Whether a deployment's process still runs; None if unknown.
    """
    first, overview = records[0], overview_of(diagnosis.judged[0], records, is_running)
    report = {
        "trace_id": None if first.scope_name == LINES_SCOPE else first.trace_id,
        "title": overview.title,
        "label": overview.label,
        "has_failed": overview.has_ended_badly and overview.outcome == semconv.FAILED,
        "is_running": overview.is_running and not overview.is_fault,
        "words": _WORDS,
        "readers": readers_line(overview),
        "marks": [asdict(mark) for mark in overview.marks],
        "lines": list(_bracketed_lines(records)),
    }
    return {
        "report": report,
        "diagnosis": diagnosis_json(diagnosis),
        "trace": encode_json(records),
    }


def page_html(title: str, documents: Mapping[str, Any], without_script: str = "") -> str:
    """Return a self-contained page.

    Args:
        title: Its title, as plain text.
        documents: JSON values by name. `page` names the view by its `kind`.
        without_script: HTML to show where scripts do not run.
    """
    script, style = asset(SCRIPT), asset(STYLE)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>",
            f'<div id="root">{without_script}</div>',
            *(_document(name, value) for name, value in documents.items()),
            f"<script>{script}</script>\n</body>\n</html>\n",
        )
    )


def _hash(text: str) -> str:
    """Return the hash by which a content security policy allows an inline element."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _document(name: str, value: object) -> str:
    text = json.dumps(value, separators=(",", ":")).translate(_ESCAPES)
    return f'<script type="application/json" id="document-{name}">{text}</script>'


def _bracketed_lines(records: Sequence[SpanRecord]) -> Iterator[dict[str, str]]:
    """Yield the bracketed lines of spans in the order of their starts, each with its span."""
    for record in sorted(records, key=lambda record: record.start_ns):
        for moment in (START, END):
            for text in format_lines(record.name, moment, record.attributes):
                yield {"trace_id": record.trace_id, "span_id": record.span_id, "text": text}


def _without_script(diagnosis: Diagnosis) -> Iterator[str]:
    yield f"<main><h1>{_text(diagnosis_label(diagnosis))}</h1>"
    for finding in diagnosis.findings[:1]:
        yield f"<p>{_text(finding.sentence)}</p><p>{_text(finding.remedy_deployer)}</p>"
    yield "<p>The rest of this page needs JavaScript.</p></main>"


def _text(value: object) -> str:
    return escape(words.clean(value))
