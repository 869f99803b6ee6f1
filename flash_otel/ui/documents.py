"""The documents that the page of `flash-otel ui` shows: lists, traces, comparisons.

They hold what `traces --json`, `show --json` and `diagnose --json` print, from the same functions.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flash_otel.diagnosis import Limits
from flash_otel.report.html import trace_documents
from flash_otel.report.listing import diagnosis_of
from flash_otel.report.overview import traces_around
from flash_otel.store.errors import AmbiguousTraceError, StoreError, translated
from flash_otel.store.store import open_for_reading
from flash_otel.ui.comparison import comparison_json
from flash_otel.ui.lists import Lists, QuestionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

    Opened = tuple[SpanStore, RecordedSpans]

MOST_SPANS: Final = 50_000
"""Spans of a trace, and of the traces that belong to it, that a page gets."""

LIST: Final = "entries"

_MOST_KEPT: Final = 6  # documents


class UnknownTraceError(Exception):
    """There is no such trace; the message names it."""


class SourceError(Exception):
    """The source cannot be opened; the message gives the cause."""


@dataclass(frozen=True, slots=True)
class UiSource:
    """What the page shows.

    Attributes:
        open: Opens the store and its spans, or yields None if nothing is recorded yet; raises
            `SourceError`.
        path: The local store, which may change while it is shown; None for other sources, which
            are read once.
        limits: Makes the assumptions of a diagnosis.
    """

    open: Callable[[], AbstractContextManager[Opened | None]]
    path: Path | None = None
    limits: Callable[[], Limits] = Limits


@dataclass
class Documents:
    """Makes documents; one thread must call all methods, as SQLite requires.

    Attributes:
        source: What is shown.
    """

    source: UiSource
    _opened: ExitStack = field(default_factory=ExitStack)
    _once: tuple[str, Opened | None] | None = None
    _kept: OrderedDict[tuple[object, ...], bytes] = field(default_factory=OrderedDict)
    _watched: list[SpanStore] = field(default_factory=list)
    _openings: int = 0
    _lists: Lists = field(default_factory=Lists)

    def prepare(self) -> None:
        """Open the source: other sources than the local store are read now."""
        self._open(self.version())

    def close(self) -> None:
        """Close the source."""
        self._forget()
        self._unwatch()

    def version(self) -> str:
        """Return a text that differs after each change of the source; empty without a store."""
        path = self.source.path
        if path is None:
            return "unchanging"
        try:
            with translated(path):
                return self._data_version(path)
        except (StoreError, OSError):
            self._unwatch()
            return ""

    def _data_version(self, path: Path) -> str:
        if not self._watched:
            store = open_for_reading(path, adopts=False)
            self._watched = [] if store is None else [store]
            self._openings += 1
        for store in self._watched:
            # A store that was replaced has another inode.
            inode = store.path.stat().st_ino
            # SQLite counts the commits of other connections, but each connection by itself.
            (commits,) = store.connection.execute("PRAGMA data_version").fetchone()
            return f"{self._openings}.{inode}.{commits}"
        return ""

    def _unwatch(self) -> None:
        while self._watched:
            self._watched.pop().close()

    def named(self, name: str, parameters: Mapping[str, str]) -> bytes:
        """Return a document as JSON.

        Args:
            name: `entries`, `comparison`, or a document of a trace: `report`, `trace` or
                `diagnosis`.
            parameters: The parameters of the request.

        Raises:
            QuestionError: A parameter is invalid.
            UnknownTraceError: There is no such trace, or no such document.
            SourceError: The source cannot be opened.
            StoreError: The store cannot be read.
        """
        make = _MAKERS.get(name)
        if make is None and name != LIST:
            raise UnknownTraceError(f"there is no document {name!r}")
        version, limits = self.version(), self.source.limits()
        key = (name, version, *sorted(parameters.items()))
        if key in self._kept:
            return self._kept[key]
        try:
            opened = self._open(version)
            if make is None:
                return _encoded(self._lists.entries(opened, parameters, version, limits))
            made = make(opened, parameters, limits)
        except StoreError:
            self._forget()
            raise
        for each, value in made.items():
            self._keep((each, *key[1:]), _encoded(value))
        return self._kept[key]

    def _keep(self, key: tuple[object, ...], document: bytes) -> None:
        self._kept[key] = document
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def _open(self, version: str) -> Opened | None:
        """Open the source, if it is not open as it is now.

        What a diagnosis has looked up is remembered as long as the source stays the same.
        """
        if self._once is None or self._once[0] != version:
            self._forget()
            self._once = (version, self._opened.enter_context(self.source.open()))
        return self._once[1]

    def _forget(self) -> None:
        self._once = None
        self._opened.close()


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- traces ---------------------------------------------------------------------------------------


def _trace(opened: Opened | None, parameters: Mapping[str, str], limits: Limits) -> dict[str, Any]:
    store, spans = _needed(opened)
    trace_id = _trace_id(store, parameters, "trace_id")
    diagnosis = _diagnosis(store, spans, trace_id, limits)
    return trace_documents(_records(store, trace_id, diagnosis), diagnosis, limits.is_running)


def _diagnosis(store: SpanStore, spans: RecordedSpans, trace_id: str, limits: Limits) -> Diagnosis:
    return diagnosis_of(spans, store.summary(trace_id), limits)


def _records(store: SpanStore, trace_id: str, diagnosis: Diagnosis) -> list[SpanRecord]:
    """Return a trace and the traces that belong to it, as far as a page can show them."""
    judged = diagnosis.judged[0] if diagnosis.judged else None
    found: list[SpanRecord] = []
    for known in traces_around(trace_id, judged, store.linked(trace_id)):
        if len(found) < MOST_SPANS:
            found += store.trace(known)
    return found[:MOST_SPANS]


def _comparison(
    opened: Opened | None, parameters: Mapping[str, str], limits: Limits
) -> dict[str, Any]:
    store, spans = _needed(opened)
    trace_ids = [_trace_id(store, parameters, name) for name in ("first", "second")]
    diagnoses = [_diagnosis(store, spans, trace_id, limits) for trace_id in trace_ids]
    first, second = (diagnosis.judged[0] for diagnosis in diagnoses)
    records = [store.trace(trace_id)[0] for trace_id in trace_ids]
    return {"comparison": comparison_json(first, second, records)}


def _needed(opened: Opened | None) -> Opened:
    if opened is None:
        raise UnknownTraceError("nothing is recorded yet")
    return opened


def _trace_id(store: SpanStore, parameters: Mapping[str, str], name: str) -> str:
    asked = parameters.get(name, "")
    try:
        found = store.trace_id(asked) if asked else None
    except AmbiguousTraceError as error:
        raise QuestionError(str(error)) from error
    if found is None:
        raise UnknownTraceError(f"no recorded trace begins with {asked!r}")
    return found


_MAKERS: Final[dict[str, Any]] = {
    "report": _trace,
    "trace": _trace,
    "diagnosis": _trace,
    "comparison": _comparison,
}
