"""The search of a Jaeger: its windows, its limits, and the traces that others lead to."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import NothingFoundError, jaeger, jaeger_client
from flash_otel.diagnosis.readers.jaeger import PAGE, JaegerReader, _Search, newest_first
from flash_otel.diagnosis.readers.jaeger_client import HEADERS_VARIABLE, OutOfTimeError
from flash_otel.records import Link, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Self

HOUR_NS: Final = 3_600 * 10**9
BEGIN_NS: Final = 1_000 * HOUR_NS
END_NS: Final = BEGIN_NS + 2 * HOUR_NS
URL: Final = "http://someone:secret@jaeger.test"


def trace_id(number: int) -> str:
    return f"{number:032x}"


def span(
    number: int, name: str = sc.DEPLOY, leads_to: int | None = None, linked: Iterable[int] = ()
) -> SpanRecord:
    """Return a span of a trace of its own, which begins a second later than the one before."""
    return SpanRecord(
        trace_id=trace_id(number),
        span_id=f"{number:016x}",
        parent_span_id=None,
        name=name,
        kind="client",
        start_ns=BEGIN_NS + number * 10**9,
        end_ns=None,
        attributes={} if leads_to is None else {sc.DEPLOY_TRACE_ID: trace_id(leads_to)},
        links=tuple(Link(trace_id(other), "1" * 16) for other in linked),
    )


class Client:
    """A Jaeger with traces of one span each.

    Attributes:
        spans: The spans.
        names: The names of the spans of each service.
        asked: The traces that were asked for by their ids.
        searched: Service, operation and page of each search.
    """

    def __init__(self, spans: Iterable[SpanRecord], **names: list[str]) -> None:
        self.spans = list(spans)
        self.names = names
        self.asked: list[str] = []
        self.searched: list[tuple[str, str, int]] = []

    def services(self) -> list[str]:
        """Return the names of its services, in no order."""
        return sorted(self.names, reverse=True)

    def operations(self, service: str) -> list[str]:
        """Return the names of the spans of a service."""
        return self.names[service]

    def trace(self, wanted: str) -> list[SpanRecord]:
        """Return a trace."""
        self.asked.append(wanted)
        return [record for record in self.spans if record.trace_id == wanted]

    def find(
        self, service: str, operation: str, start_ns: int, end_ns: int, most: int
    ) -> list[SpanRecord]:
        """Return the traces between two times."""
        self.searched.append((service, operation, most))
        return [record for record in self.spans if start_ns <= record.start_ns <= end_ns][:most]


def numbers(found: Iterable[SpanRecord]) -> list[int]:
    return [int(record.trace_id, 16) for record in found]


def search_of(
    client: Client, most: int = 100, told: list[tuple[int, int]] | None = None
) -> _Search:
    """Return a search that may read a number of traces."""
    given: Any = client
    return _Search(given, most, None if told is None else lambda *done: told.append(done))


# --- services and their spans ------------------------------------------------------------------


def test_which_searches_a_service_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One if all its spans are Flash's, else one for each name of these; a verdict is none."""
    client = Client(
        [],
        flash=[sc.DEPLOY, sc.ACTIVATE, sc.ACTIVATE],
        mixed=["GET /", sc.CALL, "flashy", sc.ACTIVATE],
        verdicts=[sc.DIAGNOSIS],
        both=[sc.DIAGNOSIS, sc.DEPLOY],
        none=[],
        other=["POST /flash."],
    )
    search = search_of(client)
    assert list(search.operations()) == [
        ("both", sc.DEPLOY),
        ("flash", ""),
        ("mixed", sc.ACTIVATE),
        ("mixed", sc.CALL),
    ]
    assert not search.is_full
    for most, expected, is_full in ((6, 4, False), (5, 4, True), (2, 2, True)):
        monkeypatch.setattr(jaeger, "MOST_SERVICES", most)
        search = search_of(client)
        assert len(list(search.operations())) == expected
        assert search.is_full is is_full
    search.is_full = True
    monkeypatch.setattr(jaeger, "MOST_SERVICES", 6)
    list(search.operations())
    assert search.is_full


# --- windows -----------------------------------------------------------------------------------


def windows(start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return the windows that a search looks at if it finds nothing."""
    seen: list[tuple[int, int]] = []

    def find(low: int, high: int, page: int) -> list[SpanRecord]:
        assert page == 7
        seen.append((low, high))
        return []

    def cut() -> None:
        raise AssertionError

    assert list(newest_first(find, start_ns, end_ns, 7, cut)) == []
    return seen


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (0, [(0, 0)]),
        (0.5, [(0, 0.5)]),
        (1, [(0, 1)]),
        (2, [(1, 2), (0, 1)]),
        (5, [(4, 5), (0, 4)]),
        (6, [(5, 6), (1, 5), (0, 1)]),
        (30, [(29, 30), (25, 29), (9, 25), (0, 9)]),
    ],
)
def test_the_windows_of_a_search(hours: float, expected: list[tuple[float, float]]) -> None:
    """The last hour first; each earlier window is four times as long, up to the start."""
    end_ns = BEGIN_NS + int(hours * HOUR_NS)
    found = windows(BEGIN_NS, end_ns)
    assert found == [
        (BEGIN_NS + int(low * HOUR_NS), BEGIN_NS + int(high * HOUR_NS)) for low, high in expected
    ]


def test_a_full_window_is_halved_until_it_is_narrow() -> None:
    """The newer half comes first; a window of a millisecond that is full is cut."""
    seen: list[tuple[int, int]] = []
    cuts: list[bool] = []
    pair = [span(1), span(2)]

    def find(low: int, high: int, page: int) -> list[SpanRecord]:
        seen.append((low, high))
        return pair[:page] if high > BEGIN_NS + 2_500_000 else []

    end_ns = BEGIN_NS + 4_000_000
    pages = list(newest_first(find, BEGIN_NS, end_ns, 2, lambda: cuts.append(True)))
    milliseconds = [((low - BEGIN_NS) / 1e6, (high - BEGIN_NS) / 1e6) for low, high in seen]
    assert milliseconds == [(0, 4), (2, 4), (3, 4), (2, 3), (0, 2)]
    assert (pages, cuts) == ([pair, pair], [True, True])


def test_spans_of_one_trace_do_not_fill_a_page() -> None:
    """A page is counted in traces."""
    same = [replace(span(1), span_id=f"{at:016x}") for at in range(5)]
    pages = newest_first(lambda *_: same, BEGIN_NS, BEGIN_NS + 1, 2, lambda: None)
    assert list(pages) == [same]


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "expected", "is_full"),
    [(4, [1, 2, 3], False), (3, [1, 2, 3], False), (2, [1, 2], True), (0, [], True)],
)
def test_a_search_reads_a_number_of_traces(
    most: int, expected: list[int], *, is_full: bool
) -> None:
    """As many as may be read; the search is full if there are more."""
    client = Client([span(1), span(2), span(3), replace(span(1), span_id="f" * 16)])
    told: list[tuple[int, int]] = []
    search = search_of(client, most, told)
    found = list(search.find("shop", "name", BEGIN_NS, BEGIN_NS + HOUR_NS, None))
    assert sorted(set(numbers(found))) == expected
    assert len(found) == len(expected) + (1 in expected)
    assert search.seen == {trace_id(number) for number in expected}
    assert search.is_full is is_full
    assert told == [(len(expected), 0)]
    assert client.searched == [("shop", "name", PAGE)]


def test_a_full_search_stops() -> None:
    """No further window is looked at."""
    client = Client([span(7_000), span(7_001), span(1)])
    search = search_of(client, 1)
    found = numbers(search.find("shop", "", BEGIN_NS, END_NS, None))
    assert (found, search.is_full, len(client.searched)) == ([7_000], True, 1)
    # It stays full, whatever comes.
    assert numbers(search.find("shop", "", BEGIN_NS, BEGIN_NS + HOUR_NS, None)) == []
    assert search.is_full


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1, [7_000, 7_001]),
        (2, [7_000, 7_001]),
        (3, [7_000, 7_001, 1]),
        (None, [7_000, 7_001, 1]),
    ],
)
def test_the_newest_traces_of_a_service(most: int | None, expected: list[int]) -> None:
    """The search ends with the window in which there are enough, and is not full."""
    client = Client([span(7_000), span(7_001), span(1)])
    search = search_of(client)
    assert numbers(search.find("shop", "", BEGIN_NS, END_NS, most)) == expected
    assert not search.is_full
    # What was found before does not count for another service.
    client.spans.append(span(6_000))
    assert numbers(search.find("other", "", BEGIN_NS, END_NS, 1)) == [6_000]


def test_a_trace_is_yielded_once() -> None:
    """By its id or by a search, the first time only."""
    client = Client([span(1), span(2)])
    search = search_of(client)
    assert numbers(search.follow([trace_id(1)])) == [1]
    assert numbers(search.follow([trace_id(1)])) == []
    assert client.asked == [trace_id(1)]
    assert numbers(search.find("shop", "", BEGIN_NS, BEGIN_NS + HOUR_NS, None)) == [2]


def test_traces_by_their_ids_are_bounded() -> None:
    """At the limit no further trace is asked for, and the search is full."""
    client = Client([span(1), span(2), span(3)])
    search = search_of(client, 2)
    wanted = [trace_id(number) for number in (1, 2, 1, 3)]
    found = [(numbers(search.follow(part)), search.is_full) for part in (wanted[:3], wanted)]
    assert found == [([1, 2], False), ([], True)]
    assert client.asked == wanted[:2]


def test_traces_of_one_moment_that_fill_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cannot be told apart by time, so that some may be missing: the search is full."""
    monkeypatch.setattr(jaeger, "PAGE", 2)
    client = Client([span(1), *(replace(span(at), start_ns=BEGIN_NS) for at in (2, 3))])
    search = search_of(client)
    assert numbers(search.find("shop", "", BEGIN_NS, BEGIN_NS + 1_000_000, None)) == [2, 3]
    assert search.is_full
    search = search_of(client)
    assert numbers(search.find("shop", "", BEGIN_NS + 1, BEGIN_NS + 2 * 10**9, None)) == [1]
    assert not search.is_full


# --- links -------------------------------------------------------------------------------------


def linked_from(search: _Search, *wanted: int) -> list[int]:
    """Return the traces that some traces lead to."""
    list(search.follow(map(trace_id, wanted)))
    return numbers(search.follow_links())


def test_links_lead_to_other_traces() -> None:
    """By attribute first, then by link, and on from what is found; each trace once."""
    client = Client(
        [
            span(1, leads_to=2, linked=[3, 2]),
            span(2, linked=[1]),
            span(3, linked=[4, 9]),
            span(4, leads_to=3),
            span(5),
        ]
    )
    assert linked_from(search_of(client), 1) == [2, 3, 4]
    assert client.asked == [trace_id(number) for number in (1, 2, 3, 4, 9)]


@pytest.mark.parametrize(
    "leading",
    [
        span(1, "GET /", leads_to=2),
        span(1, "GET /", linked=[2]),
        span(1, sc.DIAGNOSIS, linked=[2]),
        replace(span(1), attributes={sc.DEPLOY_TRACE_ID: "2"}),
        replace(span(1), attributes={sc.DEPLOY_TRACE_ID: trace_id(2) + "0"}),
        replace(span(1), attributes={sc.DEPLOY_TRACE_ID: 2}),
    ],
)
def test_other_spans_lead_nowhere(leading: SpanRecord) -> None:
    """Links of other libraries, of a verdict, and ids that are none are not followed."""
    client = Client([leading, span(2)])
    assert linked_from(search_of(client), 1) == []
    assert client.asked == [trace_id(1)]


def test_links_beyond_the_limit_are_left_out() -> None:
    """The search is full then, and asks for nothing more."""
    client = Client([span(1, linked=[2, 3]), span(2, linked=[4]), span(3), span(4)])
    search = search_of(client, 2)
    assert linked_from(search, 1) == [2]
    assert search.is_full
    assert client.asked == [trace_id(1), trace_id(2)]


# --- the reader --------------------------------------------------------------------------------


class Connected(Client):
    """A Jaeger that the reader connects to; out of time after a number of searches."""

    def __init__(self, spans: Iterable[SpanRecord], searches: int = 99) -> None:
        super().__init__(spans, shop=[sc.DEPLOY])
        self.searches = searches
        self.given: tuple[Any, ...] = ()
        self.is_closed = False

    def __call__(self, *given: Any) -> Connected:
        """Connect."""
        self.given = given
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def find(self, *asked: Any) -> list[SpanRecord]:
        """Return the traces between two times, or raise that the time is over."""
        if len(self.searched) >= self.searches:
            raise OutOfTimeError("it took too long")
        return super().find(*asked)


def reading(
    client: Connected, monkeypatch: pytest.MonkeyPatch, notes: list[str], **more: Any
) -> Iterator[SpanRecord]:
    """Read a Jaeger, from the beginning."""
    monkeypatch.setattr(jaeger_client, "JaegerClient", client)
    monkeypatch.setattr(time, "time_ns", lambda: END_NS)
    monkeypatch.setenv(HEADERS_VARIABLE, "x-key=1")
    return JaegerReader(URL, since_ns=BEGIN_NS, on_note=notes.append, **more).records()


PARTIAL: Final = "what is older was left out: narrow it with --since AGE or --trace ID"


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (3, []),
        (2, [f"Jaeger at http://jaeger.test holds more than 2 traces; {PARTIAL}"]),
    ],
)
def test_a_note_tells_that_traces_were_left_out(
    most: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if there were too many."""
    client, notes = Connected([span(1), span(2), span(3)]), list[str]()
    found = list(reading(client, monkeypatch, notes, most_traces=most, seconds=5))
    assert (len(found), notes, client.is_closed) == (most, expected, True)
    assert client.given == (URL, {"x-key": "1"}, 5)


def test_a_note_tells_that_the_time_was_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read until then counts; without any trace, it is an error."""
    client, notes = Connected([span(8_000), span(1)], searches=1), list[str]()
    assert numbers(reading(client, monkeypatch, notes)) == [8_000]
    assert notes == [f"it took too long; {PARTIAL}"]
    client, notes = Connected([span(1)], searches=0), []
    with pytest.raises(OutOfTimeError):
        list(reading(client, monkeypatch, notes))
    assert (notes, client.is_closed) == ([], True)


def test_a_jaeger_without_traces_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names its address without the password."""
    with pytest.raises(NothingFoundError) as caught:
        list(reading(Connected([]), monkeypatch, []))
    assert str(caught.value) == "Jaeger at http://jaeger.test holds no trace of flash_otel"


def test_the_search_goes_an_hour_beyond_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks of other machines may be ahead by so much."""
    late = [replace(span(at), start_ns=END_NS + HOUR_NS + at - 1) for at in (1, 2)]
    assert numbers(reading(Connected(late), monkeypatch, [])) == [1]


def test_a_reader_needs_nobody_who_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `on_note` and progress, notes are dropped."""
    client = Connected([span(1), span(2)])
    monkeypatch.setattr(jaeger_client, "JaegerClient", client)
    reader = JaegerReader(URL, since_ns=BEGIN_NS, most_traces=1)
    assert numbers(reader.records()) == [1]
    told: list[tuple[int, int]] = []
    assert numbers(reader.records(lambda *done: told.append(done))) == [1]
    assert told[-1] == (1, 0)
