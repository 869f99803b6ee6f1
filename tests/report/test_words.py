"""The words of reports: durations, times, outcomes, causes, retries and links."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import EPOCH_NS, raised, retried, span

from flash_otel import semconv
from flash_otel.records import Event, Link
from flash_otel.report import ending, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEYOND: Final = 10**30  # nanoseconds, in a year that no calendar has


@pytest.mark.parametrize(
    ("nanoseconds", "said"),
    [
        (None, "?"),
        (0, "0.00 ms"),
        (850_000, "0.85 ms"),
        (9_999_999, "9.99 ms"),
        (12_999_999, "12 ms"),
        (999_999_999, "999 ms"),
        (1_000_000_000, "1.00 s"),
        (59_999_999_999, "59.99 s"),
        (60_000_000_000, "1 min 00 s"),
        (3_599_999_999_999, "59 min 59 s"),
        (3_720_000_000_000, "1 h 02 min"),
        (-2_500_000_000, "-2.50 s"),
    ],
)
def test_durations_have_the_unit_that_fits(nanoseconds: int | None, said: str) -> None:
    """A duration never rounds up into the next unit, and a negative one keeps its sign."""
    assert words.duration(nanoseconds) == said


@given(st.integers())
def test_any_number_is_a_duration_and_a_moment(nanoseconds: int) -> None:
    """No time in a damaged recording raises."""
    assert words.duration(nanoseconds)
    assert words.moment(nanoseconds)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """What moves the process to a time zone."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IST-05:30", ("2001-09-09 07:16:40", " IST", " +05:30")),
        ("NST+03:30", ("2001-09-08 22:16:40", " NST", " -03:30")),
        ("LMT-00:19:32", ("2001-09-09 02:06:12", " LMT", " +00:19")),
    ],
    ids=["east of Greenwich", "west of Greenwich", "apart by seconds"],
)
def test_a_moment_is_that_of_the_local_clock(
    name: str, expected: tuple[str, str, str], zone: Callable[[str], None]
) -> None:
    """A time is shown in the local zone, by choice with the zone's name or its offset."""
    zone(name)
    local, abbreviation, offset = expected
    assert words.moment(EPOCH_NS) == local
    assert words.moment(EPOCH_NS, has_zone=True) == local + abbreviation
    assert words.zoned_moment(EPOCH_NS) == local + offset


@pytest.mark.parametrize("nanoseconds", [BEYOND, -BEYOND])
def test_a_moment_beyond_the_calendar_is_a_number(nanoseconds: int) -> None:
    """A time that no calendar has is shown as it is recorded, with its unit."""
    assert words.moment(nanoseconds, has_zone=True) == f"{nanoseconds} ns"
    assert words.zoned_moment(nanoseconds) == f"{nanoseconds} ns"


@given(st.text())
def test_clean_text_is_one_line_without_control_characters(text: str) -> None:
    """No text can move the cursor, set colours, reorder text or break a line."""
    cleaned = words.clean(text)
    assert len(cleaned.splitlines()) <= 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)
    assert not set(cleaned) & {"\u202e", "\u2066", "\u200b", "\u2028", "\ufeff"}


def test_clean_escapes_visibly() -> None:
    """An escape sequence, a newline and a reversal stay visible; other text is unchanged."""
    assert words.clean("a\x1b[2Jb\nc\u202ed\x9be") == r"a\x1b[2Jb\nc\u202ed\x9be"
    assert words.clean("gpu_info → größe 模型") == "gpu_info → größe 模型"


@given(
    st.text(st.characters(exclude_categories=[])),
    st.sampled_from(["ascii", "cp1252", "utf-8", "no-such"]),
)
def test_encodable_text_can_be_written_to_its_stream(text: str, encoding: str) -> None:
    """No character, not even half a surrogate pair, breaks a stream of any encoding."""
    shown = words.encodable(text, encoding)
    assert shown.encode("ascii" if encoding == "no-such" else encoding) is not None


@pytest.mark.parametrize(
    ("end", "error", "said", "outcome"),
    [
        (1, None, None, "returned"),
        (1, "boom", None, "failed"),
        (1, "boom", "cancelled", "cancelled"),
        (1, "boom", "unknown", "unknown"),
        (1, "boom", "returned", "failed"),
        (1, None, 7, "returned"),
        (None, None, "returned", "unfinished"),
    ],
)
def test_outcome(end: float | None, error: str | None, said: object, outcome: str) -> None:
    """An open span is unfinished; an error is a failure even if Flash's call returned."""
    attributes = {} if said is None else {"flash.outcome": said}
    record = span(1, None, "flash.deploy", 0, end, error=error, attributes=attributes)  # type: ignore[arg-type]  # a recording may hold anything
    assert words.outcome(record) == outcome


@pytest.mark.parametrize(
    ("fault", "outcome"), [({}, "returned"), ({"flash.fault": "stale_build"}, "failed")]
)
def test_a_bad_read_has_returned(fault: dict[str, str], outcome: str) -> None:
    """A read that several faults allow is no failure of its own; one that proves a fault is."""
    attributes = {"flash.outcome": "returned", "flash.fault.candidates": ("stale_build",), **fault}
    record = span(1, None, "flash.runtime.fetch", 0, 1, error="old", attributes=attributes)
    assert words.outcome(record) == outcome


def test_cause_prefers_the_fault_then_the_exception_then_the_status() -> None:
    """The most specific cause that a span holds is shown."""
    record = span(1, None, "flash.deploy", 0, 1, error="the status")
    exception = replace(record, events=(raised("a.b.First", "1"), raised("a.b.Last", "two\nlines")))
    fault = replace(exception, attributes={"flash.fault": "stale_build"})
    assert words.cause(record) == "the status"
    assert words.cause(exception) == r"Last: two\nlines"
    assert words.cause(fault) == f"stale_build: {semconv.FAULTS['stale_build']}"
    assert words.cause(replace(record, status_message="")) == "no cause was recorded"
    assert words.cause(replace(record, attributes={"flash.fault": "invented"})) == "the status"


def test_cause_falls_back_to_the_type_of_the_error() -> None:
    """If only `error.type` is known, it is the cause."""
    record = span(1, None, "flash.deploy", 0, 1, attributes={"error.type": "TimeoutError"})
    assert words.cause(replace(record, status="error")) == "TimeoutError"


def test_retries_are_counted_by_reason() -> None:
    """Retries with equal reasons are counted; other events are ignored."""
    events = (*[retried("TimeoutError")] * 2, retried("HTTP 502"), raised("E", "x"))
    record = span(1, None, "flash.artifact.upload", 0, 1, events=events)
    assert words.retries(record) == ["retried twice: TimeoutError", "retried once: HTTP 502"]


def test_retries_without_a_reason_are_counted() -> None:
    """A retry counts even if nobody wrote down why; control characters of a reason are shown."""
    events = (*[Event(semconv.RETRY, 0, {})] * 3, retried("a\x1b[2Jb"))
    record = span(1, None, "flash.artifact.upload", 0, 1, events=events)
    assert words.retries(record) == [
        "retried 3 times: no reason was recorded",
        r"retried once: a\x1b[2Jb",
    ]


@pytest.mark.parametrize(
    ("code", "confidence", "said"),
    [
        ("none", "certain", "no fault found"),
        ("none", "likely", "no fault found (likely)"),
        ("stale_build", "certain", "stale_build"),
        ("stale_build", "possible", "stale_build (possible)"),
        ("inconclusive", "certain", "inconclusive"),
    ],
)
def test_a_verdict_names_its_doubt(code: str, confidence: str, said: str) -> None:
    """A verdict is its code, unless no fault was found, with any doubt in brackets."""
    assert words.verdict(code, confidence) == said


def test_links_name_their_targets() -> None:
    """A read links to a deployment and perhaps to its caller; a deployment to its build."""
    links = (Link("ab" * 16, "cd" * 8), Link("ef" * 16, "cd" * 8))
    told = {"flash.deploy.trace_id": "ab" * 16}
    read = span(1, None, "flash.runtime.fetch", 0, 1, links=links, attributes=told)
    assert words.links(read) == [f"deployment trace {'ab' * 16}", f"linked trace {'ef' * 16}"]
    deploy = span(1, None, "flash.deploy", 0, 1, links=links[:1])
    assert words.links(deploy) == [f"build trace {'ab' * 16}"]


@pytest.mark.parametrize("name", sorted(semconv.EVIDENCE))
def test_every_span_has_a_step_and_a_remedy(name: str) -> None:
    """Every span name has a step in words and a remedy."""
    record = span(1, None, name, 0, 1)
    assert name in semconv.STEPS
    assert name in ending.REMEDIES
    assert ending.remedy(record, is_activated=True).endswith(".")


@pytest.mark.parametrize(
    ("name", "trigger", "expected"),
    [
        ("flash.call", None, "call"),
        ("process gpu", "pubsub", "job"),
        ("GET /gpu", "http", "request"),
        ("GET /gpu", "timer", "next span"),
        ("anything", None, "next span"),
    ],
)
def test_what_begins_after_a_pause(name: str, trigger: str | None, expected: str) -> None:
    """What a worker serves is named after it, and known by what has triggered it."""
    attributes = {} if trigger is None else {"faas.trigger": trigger}
    assert words.arrival(span(1, None, name, 0, 1, attributes=attributes)) == expected
