"""The table of recorded traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.report import words
from flash_otel.report.layout import STYLES, Line, Page, Part, fitted, page_for, print_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from flash_otel.store.store import TraceSummary

SHORT_ID: Final = 16  # digits of a trace id that a terminal shows; `show` takes any prefix
_LONGEST: Final = 40  # cells of one column on a terminal


def _took(summary: TraceSummary) -> str:
    if summary.end_ns is None or summary.unfinished:
        return "?"
    return words.duration(summary.end_ns - summary.start_ns)


def result(summary: TraceSummary) -> str:
    """Say how a trace ended."""
    if summary.unfinished:
        return words.UNFINISHED
    if summary.status == "error":
        return semconv.FAILED
    return f"{summary.error_count} failed inside" if summary.error_count else semconv.RETURNED


def _environment(summary: TraceSummary) -> str:
    known = [part for part in (summary.environment_name, summary.environment_id) if part]
    return f"{known[0]} ({known[1]})" if len(known) > 1 else "".join(known)


COLUMNS: Final[dict[str, Callable[[TraceSummary], object]]] = {
    "TRACE": lambda summary: summary.trace_id,
    "STARTED": lambda summary: words.moment(summary.start_ns),
    "TOOK": _took,
    "RESULT": result,
    "SPANS": lambda summary: summary.span_count,
    "NAME": lambda summary: summary.root_name,
    "APP": lambda summary: summary.app_name or "",
    "ENVIRONMENT": _environment,
    "BUILD": lambda summary: summary.build_id or "",
}


def render_traces(summaries: Sequence[TraceSummary], console: Console) -> None:
    """Print a table of traces; on a terminal with short ids, piped with whole ones."""
    print_lines(table_lines(summaries, page_for(console)), console)


def table_lines(summaries: Sequence[TraceSummary], page: Page) -> list[Line]:
    """Return the lines of the table, its head first."""
    from rich.cells import cell_len

    table = [
        list(COLUMNS),
        *([_cell(read(one), page) for read in COLUMNS.values()] for one in summaries),
    ]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    styles = ["bold", *(STYLES.get(result(one), STYLES[semconv.FAILED]) for one in summaries)]
    return [_line(cells, widths, style, page) for cells, style in zip(table, styles, strict=True)]


def _cell(value: object, page: Page) -> str:
    text = words.clean(value)
    if page.width is None or len(text) <= _LONGEST:
        return text
    return text[:_LONGEST] + page.glyphs.cut


def _line(cells: list[str], widths: list[int], style: str, page: Page) -> Line:
    fields = [fitted(cell, width, page.glyphs) for cell, width in zip(cells, widths, strict=True)]
    return tuple(
        Part(f"{text}  ", style if index in {0, 3} else "") for index, text in enumerate(fields)
    )
