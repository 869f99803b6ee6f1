"""Reader of Jaeger: the traces of flash_otel that its API has, each whole and once.

Traces are searched by service and time, because Jaeger 2.13 ignores attributes in a search.
Related traces outside that range are found through links and the attributes that mirror them.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.readers import jaeger_client
from flash_otel.diagnosis.readers.input import NothingFoundError
from flash_otel.export.destination import parse_headers
from flash_otel.records import text
from flash_otel.runtime import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.diagnosis.readers.input import Progress
    from flash_otel.records import SpanRecord

    Find = Callable[[int, int, int], list[SpanRecord]]

DEFAULT_URL: Final = "http://localhost:16686"
LOOKBACK_S: Final = 7 * 86_400.0
MOST_TRACES: Final = 20_000
MOST_SERVICES: Final = 1_000
SECONDS: Final = 120.0
PAGE: Final = 100

_SECOND_NS: Final = 1_000_000_000
_AHEAD_S: Final = 3_600  # clocks of other machines may be ahead
_BEFORE_S: Final = 900  # a pipeline's span may begin before the deployment's
_NARROWEST_NS: Final = 1_000_000
_FIRST_WINDOW_NS: Final = 3_600 * _SECOND_NS
_GROWTH: Final = 4
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_PREFIX: Final = "flash."
_PARTIAL: Final = "what is older was left out: narrow it with --since AGE or --trace ID"


class JaegerReader:
    """Reads the spans of Flash's deployments and workers from a Jaeger.

    Args:
        url: Its base address, including its base path if any.
        since_ns: Earliest start, in nanoseconds since the epoch; None for a week ago.
        trace_id: Only this trace, in full, and traces that began after it.
        most: Number of traces of a service to read at most, the newest; None for all.
        on_note: Called with a sentence if not everything could be read.
        most_traces: Number of traces to read at most.
        seconds: Time for the whole reading.
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
        # Jaeger cannot look up a trace by its first digits.
        self._trace_id = whole if _TRACE_ID.fullmatch(whole) else None
        self._most = most
        self._on_note = on_note
        self._most_traces = most_traces
        self._seconds = seconds
        self.name = f"Jaeger at {jaeger_client.shown(url)}"

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the spans of every trace that is found.

        Raises:
            NothingFoundError: Jaeger has no trace of flash_otel.
            ReaderError: Jaeger cannot be read, or it is not Jaeger.
        """
        headers = parse_headers(environment.text(jaeger_client.HEADERS_VARIABLE))
        with jaeger_client.JaegerClient(self._url, headers, self._seconds) as client:
            search = _Search(client, self._most_traces, progress)
            try:
                yield from self._all(search)
            except jaeger_client.OutOfTimeError as error:
                if not search.seen:
                    raise
                self._on_note(f"{error}; {_PARTIAL}")
            if not search.seen:
                raise NothingFoundError(f"{self.name} holds no trace of flash_otel")
            if search.is_full:
                self._on_note(f"{self.name} holds more than {len(search.seen)} traces; {_PARTIAL}")

    def _all(self, search: _Search) -> Iterator[SpanRecord]:
        start_ns = self._since_ns
        if self._trace_id is not None:
            trace = list(search.follow([self._trace_id]))
            yield from trace
            begun_ns = min((record.start_ns for record in trace), default=None)
            start_ns = start_ns if begun_ns is None else begun_ns - _BEFORE_S * _SECOND_NS
        now_ns = time.time_ns()
        if start_ns is None:
            start_ns = now_ns - int(LOOKBACK_S * _SECOND_NS)
        end_ns = now_ns + _AHEAD_S * _SECOND_NS
        for service, operation in search.operations():
            yield from search.find(service, operation, start_ns, end_ns, self._most)
        yield from search.follow_links()


class _Search:
    """One pass over a Jaeger.

    Attributes:
        seen: Ids of the traces that were read or looked up.
        is_full: Whether more was found than may be read.
    """

    def __init__(
        self, client: jaeger_client.JaegerClient, most: int, progress: Progress | None
    ) -> None:
        self._client = client
        self._most = most
        self._progress = progress
        self._linked: dict[str, None] = {}  # an ordered set
        self.seen: set[str] = set()
        self.is_full = False

    def operations(self) -> Iterator[tuple[str, str]]:
        """Yield the service and the span name to search for; an empty name stands for any.

        A service that has only Flash's spans needs one search. Any other may have any number of
        unrelated traces, and needs one search for each of Flash's span names.
        """
        services = sorted(self._client.services())
        self.is_full = self.is_full or len(services) > MOST_SERVICES
        for service in services[:MOST_SERVICES]:
            names = set(self._client.operations(service))
            own = sorted(name for name in names if _is_flash(name))
            for operation in [""] if own and len(own) == len(names) else own:
                yield service, operation

    def find(
        self, service: str, operation: str, start_ns: int, end_ns: int, most: int | None
    ) -> Iterator[SpanRecord]:
        """Yield the spans of new traces between two times, the newest first."""

        def find(low: int, high: int, page: int) -> list[SpanRecord]:
            return self._client.find(service, operation, low, high, page)

        before = len(self.seen)
        for page in newest_first(find, start_ns, end_ns, PAGE, self._cut):
            yield from self._new(page)
            if self.is_full or (most is not None and len(self.seen) - before >= most):
                return

    def follow(self, trace_ids: Iterable[str]) -> Iterator[SpanRecord]:
        """Yield the spans of traces by their ids."""
        for trace_id in trace_ids:
            if trace_id in self.seen:
                continue
            if len(self.seen) >= self._most:
                self.is_full = True
                return
            yield from self._new(self._client.trace(trace_id))

    def follow_links(self) -> Iterator[SpanRecord]:
        """Yield the spans of linked traces, and of those that they link to."""
        asked: set[str] = set()
        while waiting := [link for link in self._linked if link not in self.seen | asked]:
            asked.update(waiting)
            yield from self.follow(waiting)
            if self.is_full:
                return

    def _new(self, records: list[SpanRecord]) -> Iterator[SpanRecord]:
        """Yield the records of traces that were not seen before."""
        fresh = dict.fromkeys(
            record.trace_id for record in records if record.trace_id not in self.seen
        )
        room = self._most - len(self.seen)
        self.is_full = self.is_full or len(fresh) > room
        taken = set(list(fresh)[:room])
        self.seen |= taken
        if self._progress is not None:
            self._progress(len(self.seen), 0)
        for record in records:
            if record.trace_id in taken:
                self._linked.update(dict.fromkeys(_links(record)))
                yield record

    def _cut(self) -> None:
        self.is_full = True


def _is_flash(name: str) -> bool:
    """Return True for the name of a span of Flash's; a verdict on them is none."""
    return name.startswith(_PREFIX) and name != semconv.DIAGNOSIS


def _links(record: SpanRecord) -> Iterator[str]:
    """Yield the traces that a span links to.

    The mirroring attribute comes first, because some storages drop links.
    """
    if not _is_flash(record.name):
        return
    mirrored = text(record.attributes, semconv.DEPLOY_TRACE_ID)
    if mirrored is not None and _TRACE_ID.fullmatch(mirrored):
        yield mirrored
    yield from (link.trace_id for link in record.links)


def newest_first(
    find: Find, start_ns: int, end_ns: int, page: int, on_cut: Callable[[], None]
) -> Iterator[list[SpanRecord]]:
    """Yield all records between two times, window by window, the newest window first.

    A search that returns a full page may have left something out. Jaeger has no cursor, so the
    window is halved and each half searched by itself.

    Args:
        find: Returns the spans of traces that began between two times; the last argument is the
            number of traces at most.
        start_ns: Earliest start, in nanoseconds since the epoch.
        end_ns: Latest start.
        page: Number of traces that a search returns at most.
        on_cut: Called if the narrowest window is still too full.
    """
    waiting = _windows(start_ns, end_ns)
    while waiting:
        low, high = waiting.pop()
        records = find(low, high, page)
        is_full = len({record.trace_id for record in records}) >= page
        if is_full and high - low > _NARROWEST_NS:
            middle = (low + high) // 2
            waiting += [(low, middle), (middle, high)]
            continue
        if is_full:
            on_cut()
        if records:
            yield records


def _windows(start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return windows that grow with their age, the newest last."""
    width = _FIRST_WINDOW_NS
    windows = [(max(start_ns, end_ns - width), end_ns)]
    while windows[-1][0] > start_ns:
        high, width = windows[-1][0], width * _GROWTH
        windows.append((max(start_ns, high - width), high))
    return windows[::-1]
