"""How a trace is shown: on which page, with which overview, and what of it is opened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from flash_otel import semconv
from flash_otel.records import text
from flash_otel.report import words
from flash_otel.report.ids import ShortIds
from flash_otel.report.layout import Part
from flash_otel.report.wrapping import wrapped_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Line, Page
    from flash_otel.report.overview import Mark, Overview

_LEAST_CELLS: Final = 24  # of a note, however deep its span lies
_IDS: Final = (semconv.ENVIRONMENT_ID, semconv.BUILD_ID, semconv.PREVIOUS_BUILD_ID)


@dataclass(frozen=True, slots=True)
class View:
    """How a trace is shown.

    Attributes:
        page: The page.
        overview: What is known of the deployment; None for a trace without one.
        has_answers: Whether captured GraphQL responses are shown.
        now_ns: The present, in nanoseconds since the epoch, while the deployment runs.
        ids: The short forms of ids.
        marks: The evidence that a span is, by its key.
        traces: The traces that are shown.
    """

    page: Page
    overview: Overview | None = None
    has_answers: bool = False
    now_ns: int | None = None
    ids: ShortIds = field(default_factory=ShortIds)
    marks: Mapping[tuple[str, str], Sequence[Mark]] = field(default_factory=dict)
    traces: frozenset[str] = frozenset()

    def clean(self, value: object) -> str:
        """Return a value of a span as it is printed, with short ids."""
        return words.encodable(self.ids.within(words.clean(value)), self.page.encoding)

    def note(self, lead: str, parts: Iterable[Part]) -> Iterator[Line]:
        """Yield the lines of a note, each behind the same lead.

        Args:
            lead: What stands before each line, such as the guides of a tree.
            parts: The note.
        """
        width = self.page.width
        room = None if width is None else max(_LEAST_CELLS, width - cell_len(lead))
        for line in wrapped_lines([tuple(parts)], room):
            yield (Part(lead), *line)


def view_of(
    page: Page,
    records: Sequence[SpanRecord],
    overview: Overview | None = None,
    *,
    has_answers: bool = False,
    now_ns: int | None = None,
) -> View:
    """Return how spans are shown.

    Args:
        page: The page; ids are shortened if its lines must fit a terminal.
        records: All spans that are shown.
        overview: What is known of the deployment.
        has_answers: Whether captured GraphQL responses are shown.
        now_ns: The present, in nanoseconds since the epoch, while the deployment runs.
    """
    marks: dict[tuple[str, str], list[Mark]] = defaultdict(list)
    if overview is not None:
        for mark in overview.marks:
            # While a deployment runs, evidence is missing everywhere.
            if mark.code != semconv.INCONCLUSIVE or not overview.is_running:
                marks[mark.trace_id, mark.span_id].append(mark)
    ids = ShortIds() if page.width is None else ShortIds(_ids(records, overview))
    traces = frozenset(record.trace_id for record in records)
    return View(page, overview, has_answers, now_ns, ids, dict(marks), traces)


def _ids(records: Iterable[SpanRecord], overview: Overview | None) -> Iterator[str]:
    known = (text(record.attributes, name) for record in records for name in _IDS)
    yield from (value for value in known if value)
    if overview is not None:
        yield from filter(None, (overview.environment_id, overview.build_id))
