"""Reads that are recorded in several pieces become one, where only one way is possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import EndpointSet, ManifestFetch, Origin, RuntimeFetch
from flash_otel.diagnosis.pieces import fuller, joined, merged

HELD: Final = EndpointSet(2, ("gpu", "web"))
SECOND: Final = 10**9


def span(number: int, **known: Any) -> RuntimeFetch:
    """Return a read of a span."""
    origin = Origin(file="a.log", line=number, trace_id="a", span_id=f"{number}")
    given: dict[str, Any] = {
        "origin": origin,
        "environment_id": "e-1",
        "build_id": "b-1",
        "endpoints": HELD,
        "in_log": True,
        **known,
    }
    return RuntimeFetch(**given)


def lines(number: int, file: str = "a.log", **known: Any) -> RuntimeFetch:
    """Return a read of lines, which alone know the worker's ids."""
    origin = Origin(file=file, line=number, rebuilt=True)
    return span(number, **{"origin": origin, "worker_endpoint_id": f"w-{number}", **known})


def filled_by(reads: list[RuntimeFetch]) -> dict[int, str | None]:
    """Return which lines have completed which span."""
    return {read.origin.line: read.worker_endpoint_id for read in reads if not read.by_lines}


def test_what_is_known_of_endpoints_stays() -> None:
    """Other endpoints count only where the number is not known; zero is a number."""
    assert fuller(EndpointSet(1), HELD) == EndpointSet(1)
    assert fuller(EndpointSet(0, ()), HELD) == EndpointSet(0, ())
    assert fuller(EndpointSet(), HELD) == HELD
    assert fuller(EndpointSet(None, ("gpu",)), HELD) == HELD


# --- a read as a span and as lines ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "is_merged"),
    [
        ({}, True),
        ({"environment_id": "e-2"}, False),
        ({"build_id": "b-2"}, False),
        ({"endpoints": EndpointSet(1, ("gpu",))}, False),
        ({"endpoints": EndpointSet(2, ("other", "names"))}, True),
        ({"manifest_state": sc.MANIFEST_INCOMPLETE, "endpoints": EndpointSet()}, False),
    ],
)
def test_lines_of_the_same_read_belong_to_its_span(
    known: dict[str, Any], *, is_merged: bool
) -> None:
    """It is the same environment, build and number of endpoints that make the same read."""
    own = lines(2, **known)
    found = merged([own, span(1)])
    assert len(found) == (1 if is_merged else 2)
    assert found[0].origin.line == 1
    assert found[0].worker_endpoint_id == ("w-2" if is_merged else None)
    assert found[1:] == ([] if is_merged else [own])


@pytest.mark.parametrize("state", [sc.MANIFEST_NULL, sc.MANIFEST_INCOMPLETE])
def test_a_missing_manifest_is_not_one_without_endpoints(state: str) -> None:
    """Both hold no endpoints, but lines of the one are not those of the other."""
    empty: dict[str, Any] = {"endpoints": EndpointSet(), "manifest_state": sc.MANIFEST_NULL}
    found = merged([span(1, **empty), lines(2, **{**empty, "manifest_state": state})])
    assert len(found) == (1 if state == sc.MANIFEST_NULL else 2)


@pytest.mark.parametrize(
    ("spans", "own", "nearest"),
    [
        # By time, if the lines have one.
        ([(1, 9), (20, 6)], lines(2, start_ns=5 * SECOND), 20),
        ([(1, 9), (20, 2)], lines(2, start_ns=5 * SECOND), 20),
        ([(1, 6), (20, 9)], lines(2, start_ns=5 * SECOND), 1),
        # By place, if they have none.
        ([(1, 9), (20, 6)], lines(2), 1),
        ([(1, 9), (20, 6)], lines(19), 20),
        ([(1, 9), (20, 6)], lines(19, start_ns=0), 20),
        ([(1, 9), (20, 6)], lines(10), 1),
        # In time equally near, in place not.
        ([(1, 4), (20, 6)], lines(19, start_ns=5 * SECOND), 20),
        # In another file, no place is nearer: the first one in order.
        ([(20, 6), (1, 9)], lines(19, "b.log"), 1),
        ([(5, None), (1, 9)], lines(3, start_ns=SECOND), 5),
    ],
)
def test_lines_belong_to_the_nearest_of_equal_spans(
    spans: list[tuple[int, int | None]], own: RuntimeFetch, nearest: int
) -> None:
    """The nearest in time, then in place, is completed, and no other."""
    made = [span(number, start_ns=None if at is None else at * SECOND) for number, at in spans]
    expected = {
        number: own.worker_endpoint_id if number == nearest else None for number, _ in spans
    }
    assert filled_by(merged([*made, own])) == expected
    assert filled_by(merged([own, *made[::-1]])) == expected


def test_a_span_in_the_lines_own_file_is_nearer_than_any_other() -> None:
    """However far away its line is."""
    other = span(5, origin=Origin(file="0.log", line=5))
    found = merged([other, span(10**6), lines(4)])
    assert filled_by(found) == {5: None, 10**6: "w-4"}


def test_spans_come_before_lines_that_stand_alone() -> None:
    """Both in the order in which they were given."""
    alone = [lines(3, build_id="b-3"), lines(2, build_id="b-2")]
    spans = [span(9), span(8, build_id="b-8")]
    assert merged([alone[0], spans[0], alone[1], spans[1]]) == [*spans, *alone]
    assert merged([]) == []


# --- a read in several pieces ---------------------------------------------------------------------

NOTHING: Final = EndpointSet()


def question(file: str = "a.log", number: int = 9, **known: Any) -> RuntimeFetch:
    """Return a refresh without an answer, at the end of a log."""
    return lines(number, file, **{"build_id": None, "endpoints": NOTHING, **known})


def answer(file: str = "b.log", number: int = 1, **known: Any) -> RuntimeFetch:
    """Return an answer without a question, at the beginning of a log."""
    own = {"bare": True, "worker_endpoint_id": None, "attempts": (ManifestFetch(),), **known}
    return lines(number, file, **own)


QUESTION: Final = question()
ANSWER: Final = answer()


def test_a_question_and_the_answer_in_another_log_are_one_read() -> None:
    """It holds both, stands at the question's place, and replaces both."""
    for order in ([QUESTION, ANSWER], [ANSWER, QUESTION]):
        (read,) = joined(order)
        assert read.origin == QUESTION.origin
        assert (read.build_id, read.endpoints, read.worker_endpoint_id) == ("b-1", HELD, "w-9")
        assert read.attempts == ANSWER.attempts
        assert not read.bare


def test_a_joined_read_stands_between_those_of_its_answers_log() -> None:
    """The other reads of both logs stay, each log's in order; reads of no log come first."""
    early, late = lines(1, "a.log"), lines(7, "b.log")
    elsewhere = span(5, in_log=False)
    found = joined([late, QUESTION, ANSWER, elsewhere, early])
    places = [(read.origin.file, read.origin.line) for read in found]
    assert found[0] == elsewhere
    assert sorted(places[1:]) == [("a.log", 1), ("a.log", 9), ("b.log", 7)]
    assert places.index(("a.log", 9)) + 1 == places.index(("b.log", 7))


@pytest.mark.parametrize(
    "reads",
    [
        [QUESTION, answer("a.log")],
        [replace(QUESTION, in_log=False), ANSWER],
        # Neither stands at the edge of its log.
        [QUESTION, lines(12), ANSWER],
        [QUESTION, lines(0, "b.log"), ANSWER],
        # What both hold differs.
        [QUESTION, answer(environment_id="e-2")],
        [question(build_id="b-2"), ANSWER],
        [question(endpoints=EndpointSet(None, ("gpu",))), ANSWER],
        # The first is no question: it has an answer, asks nothing, or is a span or an answer.
        [question(endpoints=HELD), ANSWER],
        [question(manifest_state=sc.MANIFEST_NULL), ANSWER],
        [question(environment_id=None), ANSWER],
        [question(bare=True), ANSWER],
        [question(origin=Origin(file="a.log", line=9)), ANSWER],
        # The second is no rest: it has a question of its own, or nothing is known of it.
        [QUESTION, answer(bare=False)],
        [QUESTION, answer(build_id=None, endpoints=NOTHING)],
        # Several are possible.
        [QUESTION, ANSWER, answer("c.log")],
        [QUESTION, question("c.log"), ANSWER],
    ],
)
def test_pieces_that_do_not_surely_belong_together_stay_apart(reads: list[RuntimeFetch]) -> None:
    """Each read stays as it was."""
    found = joined(reads)
    assert sorted(found, key=lambda read: read.origin) == sorted(
        reads, key=lambda read: read.origin
    )


@pytest.mark.parametrize(
    "rest",
    [
        answer(),
        answer(build_id=None),
        answer(endpoints=NOTHING),
        answer(environment_id=None),
        answer(bare=False, environment_id=None),
        answer(bare=False, origin=Origin(file="b.log", line=1)),
    ],
)
def test_what_may_be_the_rest_of_a_question(rest: RuntimeFetch) -> None:
    """An answer, the end of a refresh, or a span, of which a build or a count is known."""
    (read,) = joined([QUESTION, rest])
    assert read.origin == (QUESTION.origin if rest.by_lines else rest.origin)
    assert (read.environment_id, read.worker_endpoint_id) == ("e-1", "w-9")


def test_pairs_that_do_not_compete_are_each_joined() -> None:
    """A second question and its answer, of another environment, leave the first pair sure."""
    others = [question("c.log", environment_id="e-2"), answer("d.log", environment_id="e-2")]
    found = joined([QUESTION, ANSWER, *others])
    assert [(read.origin.file, read.environment_id, read.build_id) for read in found] == [
        ("a.log", "e-1", "b-1"),
        ("c.log", "e-2", "b-1"),
    ]


# The end of a refresh whose beginning stands in another log, beside its attempt.
ATTEMPT: Final = answer(endpoints=NOTHING, environment_id="e-1")
REFRESH: Final = lines(2, "b.log", environment_id=None, build_id=None, worker_endpoint_id=None)
ELSEWHERE: Final = lines(1, "c.log", build_id="b-3")


@pytest.mark.parametrize("reads", [[ATTEMPT, REFRESH], [REFRESH, ATTEMPT]])
def test_an_attempt_and_the_refresh_behind_it_are_one(reads: list[RuntimeFetch]) -> None:
    """The first two pieces of a log may be one read without its question."""
    later = lines(8, "b.log")
    found = joined([later, ELSEWHERE, *reads])
    whole = [read for read in found if read.origin.file == "b.log"]
    assert [read.origin.line for read in whole] == [2, 8]
    assert (whole[0].environment_id, whole[0].build_id, whole[0].endpoints) == ("e-1", "b-1", HELD)
    assert whole[0].attempts == ATTEMPT.attempts


def test_a_question_and_the_answer_in_two_pieces_are_one_read() -> None:
    """The pieces of the answer are joined first, so that the question has a single rest."""
    (read,) = joined([replace(ATTEMPT, environment_id=None), REFRESH, QUESTION])
    assert (read.origin, read.worker_endpoint_id) == (QUESTION.origin, "w-9")
    assert (read.environment_id, read.build_id, read.endpoints) == ("e-1", "b-1", HELD)


@pytest.mark.parametrize(
    "reads",
    [
        [ATTEMPT],
        [REFRESH],
        [ATTEMPT, replace(REFRESH, bare=True)],
        [replace(ATTEMPT, bare=False), REFRESH],
        [ATTEMPT, replace(REFRESH, environment_id="e-1")],
        [ATTEMPT, replace(REFRESH, build_id="b-2")],
        [replace(ATTEMPT, origin=Origin(file="b.log", line=1)), REFRESH],
        [ATTEMPT, lines(1, "b.log"), REFRESH],
    ],
)
def test_other_first_pieces_of_a_log_stay_apart(reads: list[RuntimeFetch]) -> None:
    """Only one attempt and one headless refresh, which agree, directly behind each other."""
    found = joined([ELSEWHERE, *reads])
    assert sorted(found, key=repr) == sorted([ELSEWHERE, *reads], key=repr)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (sc.UNKNOWN, sc.RETURNED, sc.RETURNED),
        (sc.RETURNED, sc.UNKNOWN, sc.RETURNED),
        (sc.FAILED, sc.UNKNOWN, sc.FAILED),
    ],
)
def test_the_outcome_of_two_pieces(first: str, second: str, expected: str) -> None:
    """A read returned if its second piece shows it; otherwise the first one decides."""
    (read,) = joined([question(outcome=first, end_ns=5), answer(outcome=second, end_ns=None)])
    assert (read.outcome, read.end_ns) == (expected, 5)
    (read,) = joined([question(end_ns=5), answer(end_ns=7)])
    assert read.end_ns == 7
