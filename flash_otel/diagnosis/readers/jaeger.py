"""Jaeger as a source: the traces of flash_otel that its API has, each whole and once.

Jaeger 2.13 ignores attributes in a search, so that traces are searched by service and time. What
belongs to them but lies outside is found through links and the attributes that mirror them.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.readers.base import NothingFoundError
from flash_otel.diagnosis.readers.jaeger_client import (
    HEADERS_VARIABLE,
    JaegerClient,
    OutOfTimeError,
    shown,
)
from flash_otel.diagnosis.readers.jaeger_windows import newest_first
from flash_otel.diagnosis.values import text
from flash_otel.export.destination import parse_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.diagnosis.readers.base import Progress
    from flash_otel.records import SpanRecord

DEFAULT_URL: Final = "http://localhost:16686"
LOOKBACK_S: Final = 7 * 86_400.0
MOST_TRACES: Final = 20_000
MOST_SERVICES: Final = 1_000
SECONDS: Final = 120.0
PAGE: Final = 100

_AHEAD_S: Final = 3_600  # clocks of other machines may be ahead
_BEFORE_S: Final = 900  # a pipeline's span may begin before the deployment's
_WHOLE_ID: Final = re.compile(r"[0-9a-f]{32}")
_PREFIX: Final = "flash."


class JaegerSource:
    """The spans that a Jaeger holds of Flash's deployments and workers.

    Args:
        url: Its base address; with the base path, if any.
        since_ns: Earliest start, in nanoseconds since the epoch; None for a week ago.
        trace_id: Only this trace, in full, and what began after it.
        most: How many traces of a service to read at most, the newest; None for all.
        on_note: Called with a sentence where not all could be read.
        most_traces: How many traces to read at most.
        seconds: How long the reading may take at most.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        since_ns: int | None = None,
        trace_id: str | None = None,
        most: int | None = None,
        on_note: Callable[[str], None] = lambda _: None,
        most_traces: int = MOST_TRACES,
        seconds: float = SECONDS,
    ) -> None:
        self._url = url
        self._since_ns = since_ns
        whole = (trace_id or "").strip().lower()
        self._trace_id = whole if _WHOLE_ID.fullmatch(whole) else None
        self._most = most
        self._on_note = on_note
        self._most_traces = most_traces
        self._seconds = seconds
        self.name = f"Jaeger at {shown(url)}"

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the spans of every trace that is found.

        Raises:
            NothingFoundError: Jaeger holds nothing of flash_otel's.
            SourceError: Jaeger cannot be read, or it is not Jaeger.
        """
        headers = parse_headers(os.environ.get(HEADERS_VARIABLE, ""))
        with JaegerClient(self._url, headers, self._seconds) as client:
            reading = _Reading(client, self._most_traces, progress)
            try:
                yield from self._all(reading)
            except OutOfTimeError as error:
                if not reading.seen:
                    raise
                self._on_note(f"{error}; {_PARTLY}")
            if not reading.seen:
                raise NothingFoundError(f"{self.name} holds no trace of flash_otel")
            if reading.full:
                self._on_note(f"{self.name} holds more than {len(reading.seen)} traces; {_PARTLY}")

    def _all(self, reading: _Reading) -> Iterator[SpanRecord]:
        start_ns = self._since_ns
        if self._trace_id is not None:
            first = list(reading.follow([self._trace_id]))
            yield from first
            begun = min((one.start_ns for one in first), default=None)
            start_ns = start_ns if begun is None else begun - _BEFORE_S * 10**9
        now_ns = time.time_ns()
        if start_ns is None:
            start_ns = now_ns - int(LOOKBACK_S * 1e9)
        for service, operation in reading.searches():
            yield from reading.search(
                service, operation, start_ns, now_ns + _AHEAD_S * 10**9, self._most
            )
        yield from reading.follow_links()


_PARTLY: Final = "what is older was left out: narrow it with --since AGE or --trace ID"


class _Reading:
    """One pass over a Jaeger: what was seen, and which traces that points to.

    Attributes:
        seen: Ids of the traces that were read or asked for.
        full: Not all that was found fits into what may be read.
    """

    def __init__(self, client: JaegerClient, most: int, progress: Progress | None) -> None:
        self._client = client
        self._most = most
        self._progress = progress
        self._linked: dict[str, None] = {}
        self.seen: set[str] = set()
        self.full = False

    def searches(self) -> Iterator[tuple[str, str]]:
        """Yield the service and the span name of each search; an empty name stands for any.

        A service of which all spans are Flash's needs one search; another one, which may have
        any number of other traces, one for each span of Flash's.
        """
        services = sorted(self._client.services())
        self.full = self.full or len(services) > MOST_SERVICES
        for service in services[:MOST_SERVICES]:
            names = set(self._client.operations(service))
            own = sorted(name for name in names if name.startswith(_PREFIX))
            for operation in [""] if own and len(own) == len(names) else own:
                yield service, operation

    def search(
        self, service: str, operation: str, start_ns: int, end_ns: int, most: int | None
    ) -> Iterator[SpanRecord]:
        """Yield the spans of new traces in a span of time, the newest first."""

        def find(low: int, high: int, page: int) -> list[SpanRecord]:
            return self._client.find(service, operation, low, high, page)

        taken = len(self.seen)
        for found in newest_first(find, start_ns, end_ns, PAGE, self._cut):
            yield from self._new(found)
            if self.full or (most is not None and len(self.seen) - taken >= most):
                return

    def follow(self, trace_ids: Iterable[str]) -> Iterator[SpanRecord]:
        """Yield the spans of traces by their ids."""
        for trace_id in trace_ids:
            if trace_id in self.seen:
                continue
            if len(self.seen) >= self._most:
                self.full = True
                return
            yield from self._new(self._client.trace(trace_id))

    def follow_links(self) -> Iterator[SpanRecord]:
        """Yield the spans of the traces that were pointed to, and of those that they point to."""
        asked: set[str] = set()
        while waiting := [one for one in self._linked if one not in self.seen | asked]:
            asked.update(waiting)
            yield from self.follow(waiting)
            if self.full:
                return

    def _new(self, found: list[SpanRecord]) -> Iterator[SpanRecord]:
        """Yield what belongs to traces that were not seen before."""
        fresh = dict.fromkeys(one.trace_id for one in found if one.trace_id not in self.seen)
        room = self._most - len(self.seen)
        self.full = self.full or len(fresh) > room
        taken = set(list(fresh)[:room])
        self.seen |= taken
        if self._progress is not None:
            self._progress(len(self.seen), 0)
        for record in found:
            if record.trace_id in taken:
                self._linked.update(dict.fromkeys(_pointed(record)))
                yield record

    def _cut(self) -> None:
        self.full = True


def _pointed(record: SpanRecord) -> Iterator[str]:
    """Yield the traces that a span points to: by the mirrored attribute, or by links."""
    if not record.name.startswith(_PREFIX):
        return
    mirrored = text(record.attributes, semconv.DEPLOY_TRACE_ID)
    if mirrored is not None and _WHOLE_ID.fullmatch(mirrored):
        yield mirrored
    yield from (link.trace_id for link in record.links)
