"""Several workers that read at the same time write into one log, and no line names its worker."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readers.exports import EXPORTS
from readers.scenes import BEGIN_NS, LATER_NS, STEP_NS, deployment, judged, read, timed

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import open_reader
from flash_otel.records import LINES_LOOSE_COUNT

if TYPE_CHECKING:
    from readers.scenes import Entry

    from flash_otel.records import SpanRecord

READS: Final = {"whole": read(), "part": read(names=("gpu",)), "none": read(names=None)}
SECOND: Final = 10**9
plain = EXPORTS["plain"]


def paced(texts: list[str], begin_ns: int, pauses: list[int], unit_ns: int) -> list[Entry]:
    """Return an entry for each text, a pause behind the one before; times in whole units."""
    entries, now_ns = [], begin_ns
    for text, pause in zip(texts, pauses, strict=True):
        now_ns += pause
        entries.append((now_ns // unit_ns * unit_ns, text))
    return entries


def together(logs: list[list[Entry]]) -> bytes:
    """Return the entries of all logs in one, in the order of their times."""
    return plain(sorted((entry for log in logs for entry in log), key=lambda entry: entry[0]))


def records(data: bytes) -> list[SpanRecord]:
    """Read a log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.log"
        path.write_bytes(data)
        return list(open_reader(path).records())


def pair(first: str, second: str, offset_ns: int) -> list[list[Entry]]:
    """Return the logs of two workers, the second of which begins so much later."""
    begin_ns = BEGIN_NS + LATER_NS
    return [timed(READS[first], begin_ns), timed(READS[second], begin_ns + offset_ns)]


# Less than a step, each number of steps of a read, and apart.
OFFSETS: Final = (0, 1, 1_000, *(STEP_NS * step for step in range(9)), STEP_NS // 2, SECOND)


@pytest.mark.parametrize("offset_ns", sorted(set(OFFSETS)))
@pytest.mark.parametrize(("first", "second"), [("none", "whole"), ("whole", "none")])
def test_each_attempt_belongs_to_a_read_of_its_own(first: str, second: str, offset_ns: int) -> None:
    """Of two reads, each has one attempt, and received what this attempt retrieved."""
    found = records(together(pair(first, second, offset_ns)))
    fetches = {span.span_id: span for span in found if span.name == sc.RUNTIME_FETCH}
    attempts = [span for span in found if span.name == sc.MANIFEST_FETCH]
    assert len(fetches) == len(attempts) == 2
    assert {attempt.parent_span_id for attempt in attempts} == fetches.keys()
    for attempt in attempts:
        fetch = fetches[attempt.parent_span_id or ""]
        for name in (sc.MANIFEST_KEYS, sc.ENDPOINT_COUNT, sc.MANIFEST_STATE):
            assert fetch.attributes.get(name) == attempt.attributes.get(name)


@pytest.mark.parametrize("first", READS)
@pytest.mark.parametrize("second", READS)
def test_one_log_of_two_workers_is_judged_as_their_two_logs(
    first: str, second: str, tmp_path: Path
) -> None:
    """Two reads at the same moment, of which some lines are equal, time and all, stay two reads."""
    logs = pair(first, second, 0)
    alone = judged(tmp_path, plain(timed(deployment())), *map(plain, logs))
    assert judged(tmp_path, plain(timed(deployment())), together(logs))[0] == alone[0]


pauses = st.lists(
    st.sampled_from([0, 1_000, STEP_NS, 6 * STEP_NS]),
    min_size=len(READS["whole"]),
    max_size=len(READS["whole"]),
)
workers = st.tuples(st.sampled_from(sorted(READS)), st.integers(0, SECOND), pauses)


@given(st.lists(workers, min_size=2, max_size=3), st.sampled_from([1, 1_000, 10**6, SECOND]))
def test_no_read_of_another_worker_hides_a_fault_or_makes_one(
    read_by: list[tuple[str, int, list[int]]], unit_ns: int
) -> None:
    """At any pace and precision of times, whole reads are healthy, and any other is not."""
    begin_ns = BEGIN_NS + LATER_NS
    logs = [
        paced(READS[kind], begin_ns + offset, steps, unit_ns) for kind, offset, steps in read_by
    ]
    with tempfile.TemporaryDirectory() as folder:
        verdict, *_ = judged(Path(folder), plain(timed(deployment())), together(logs))
    is_healthy = {kind for kind, *_ in read_by} == {"whole"}
    assert (verdict == sc.NONE) == is_healthy


def test_a_retry_stays_with_its_read_beside_one_that_was_given_up() -> None:
    """A read that left no attempt, and no end, does not take another read's second attempt."""
    given_up = timed(read()[:3], BEGIN_NS)
    *begun, active, retrieved, has, received, entries, _ = read()
    nothing = f"{retrieved[: retrieved.index(', manifest keys')]}, manifest keys: NONE"
    retried = [*begun, active, nothing, active, retrieved, has, received, entries]
    found = records(plain([*given_up, *timed(retried, BEGIN_NS + SECOND)]))
    attempts = [span for span in found if span.name == sc.MANIFEST_FETCH]
    assert len(attempts) == 2
    assert len({attempt.parent_span_id for attempt in attempts}) == 1


def test_a_read_that_was_answered_has_no_further_attempt() -> None:
    """Another worker's attempt, of whose read the beginning is lost, stands alone."""
    *begun, active, retrieved, has, received, entries, _ = read()
    _, _, _, other_active, other_retrieved, missing, *_ = read(names=None)
    answered = [*begun, active, retrieved, has]
    lost = [other_active, other_retrieved, missing]
    found = records(plain(timed([*answered, *lost, received, entries])))
    attempts = [span for span in found if span.name == sc.MANIFEST_FETCH]
    assert [attempt.parent_span_id is None for attempt in attempts] == [False, True]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_read_without_an_attempt_beside_one_that_has_some(*, is_first: bool) -> None:
    """Where other reads have attempts, what it received may be of any build."""
    whole = read()
    texts = [[*whole[:3], *whole[6:]], whole]
    logs = [timed(log) for log in (texts if is_first else texts[::-1])]
    later = [(at + LATER_NS, text) for at, text in logs[1]]
    counts = [
        (span.attributes.get(sc.ENDPOINT_COUNT), span.attributes.get(LINES_LOOSE_COUNT))
        for span in records(plain([*logs[0], *later]))
        if span.name == sc.RUNTIME_FETCH
    ]
    expected = [(None, 2), (2, None)]
    assert counts == (expected if is_first else expected[::-1])
