"""The list of traces on the page: as much of it at a time as one request may take.

Judging a trace of a large store takes a while, and requests wait for each other. The first answer
therefore holds the newest traces, and asking again continues the list.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.report.entry import entry_json
from flash_otel.report.listing import Wanted, entries_of
from flash_otel.store.queries import TraceFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.diagnosis import Limits
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.report.entry import TraceEntry
    from flash_otel.store.store import SpanStore

MOST_LISTED: Final = 200
BUDGET_S: Final = 1.0

# Traces that are judged together: that takes little longer than to judge one of them.
_AT_FIRST: Final = 10
_AT_ONCE: Final = 50
_LISTED: Final = 50
_MOST_JUDGED: Final = 500  # traces of a list, in search of a verdict
_MOST_KNOWN: Final = 5_000


class QuestionError(Exception):
    """A parameter of a request is invalid; the message names it."""


@dataclass
class Lists:
    """Makes lists of traces, and remembers the entries until the source changes.

    Attributes:
        budget_s: Seconds after which a list is returned as far as it is.
    """

    budget_s: float = BUDGET_S
    _version: str = ""
    _known: dict[str, TraceEntry] = field(default_factory=dict)

    def entries(
        self,
        opened: tuple[SpanStore, RecordedSpans] | None,
        parameters: Mapping[str, str],
        version: str,
        limits: Limits,
    ) -> dict[str, Any]:
        """Return a list as JSON values; the same entries as `traces --json` prints.

        Args:
            opened: The store and its spans; None if nothing is recorded.
            parameters: The filters.
            version: The version of the source.
            limits: Assumptions of the diagnosis.

        Raises:
            QuestionError: A filter is invalid.
        """
        wanted = _wanted(parameters, limits)
        if opened is None:
            return _json([], is_empty=True)
        if self._version != version or len(self._known) > _MOST_KNOWN:
            self._version, self._known = version, {}
        return self._listed(*opened, wanted, limits)

    def _listed(
        self, store: SpanStore, spans: RecordedSpans, wanted: Wanted, limits: Limits
    ) -> dict[str, Any]:
        until = time.monotonic() + self.budget_s
        found: list[TraceEntry] = []
        is_late = False
        summaries = islice(store.matching_traces(wanted.filter), wanted.most_judged + 1)
        judged = 0
        while batch := list(islice(summaries, _AT_ONCE if self._known else _AT_FIRST)):
            unknown = [summary for summary in batch if summary.trace_id not in self._known]
            if unknown and is_late:
                return _json(found, is_partial=True)
            for entry in entries_of(store, spans, unknown, limits):
                self._known[entry.trace_id] = entry
            is_late = time.monotonic() > until
            for summary in batch:
                if judged == wanted.most_judged:
                    return _json(found, is_cut=True)
                judged += 1
                entry = self._known[summary.trace_id]
                found += [entry] if wanted.has_verdict(entry) else []
                if len(found) == wanted.limit:
                    return _json(found)
        return _json(found, is_empty=not found and store.latest_trace_id() is None)


def _json(
    found: list[TraceEntry],
    *,
    is_empty: bool = False,
    is_cut: bool = False,
    is_partial: bool = False,
) -> dict[str, Any]:
    """Return a list as JSON values.

    Args:
        found: Its entries.
        is_empty: Nothing is recorded at all.
        is_cut: Older traces were not searched for a verdict.
        is_partial: More follows if the same is asked again.
    """
    return {
        "entries": [entry_json(entry) for entry in found],
        "is_empty": is_empty,
        "is_cut": is_cut,
        "is_partial": is_partial,
    }


def _wanted(parameters: Mapping[str, str], limits: Limits) -> Wanted:
    fault = parameters.get("fault") or None
    if fault is not None and fault not in semconv.FAULTS:
        raise QuestionError(f"unknown fault code {fault!r}")
    asked = TraceFilter(
        parameters.get("env") or None,
        parameters.get("app") or None,
        _since_ns(parameters.get("since_s"), limits.now_ns),
        _conditions(parameters.get("where", "")),
    )
    limit = max(1, min(_whole("limit", parameters.get("limit", str(_LISTED))), MOST_LISTED))
    is_failed = parameters.get("failed") == "1"
    return Wanted(limit, asked, is_failed=is_failed, fault=fault, most_judged=_MOST_JUDGED)


def _conditions(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise QuestionError(f"not an attribute=value: {text!r}")
    return ((name, value),)


def _since_ns(seconds: str | None, now_ns: int) -> int | None:
    return now_ns - _whole("since_s", seconds) * 1_000_000_000 if seconds else None


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9):  # noqa: PLR2004 - thirty years
        raise QuestionError(f"{name} is not a whole number: {text!r}")
    return int(text)
