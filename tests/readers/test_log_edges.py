"""The lines at the edges of a log, which may be the halves of an operation, and their encoding."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.diagnosis.readers.log_edges import Edges, decoded, encoded
from flash_otel.diagnosis.readers.log_text import LoggedLine
from flash_otel.lines.format import ParsedLine
from flash_otel.lines.table import LINES

READ: Final = ("querying", "worker", "received", "entries")
UPLOADED: Final = ("mutation", "uploaded_keys", "uploaded_endpoints")
MOST: Final = 40


def noted(*keys: str) -> Edges:
    """Return the edges of a log with these lines of one writer, numbered from 1."""
    edges = Edges()
    for number, key in enumerate(keys, 1):
        edges.note(LoggedLine(number, ParsedLine(key, {}), "w-1"))
    return edges


def pieces(edges: Edges, count: int) -> list[list[int]]:
    """Return the numbers of the lines around each line of a log."""
    return [
        [line.number for line in edges.lines_around("w-1", number)]
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (READ[:2], [[1, 2]] * 2),
        (READ, [[]] * 4),
        (READ[2:], [[1, 2]] * 2),
        (UPLOADED, [[1, 2, 3]] * 3),
        ((*UPLOADED, "received"), [*[[1, 2, 3]] * 3, []]),
        ((*UPLOADED, *READ[:2]), [*[[1, 2, 3]] * 3, *[[4, 5]] * 2]),
        ((*UPLOADED[1:2], *READ[:2]), [[1], [2, 3], [2, 3]]),
        ((*READ, *READ[:3]), [*[[]] * 4, *[[5, 6, 7]] * 3]),
        ((*READ[:2], *READ[:3]), [[], [], *[[3, 4, 5]] * 3]),
        ((*READ, "received"), [[]] * 5),
        (("activated", "mapping", "uploading"), [[], [2, 3], [2, 3]]),
        (("retrieved", "activated", "retrieved"), [[1], [], []]),
    ],
)
def test_the_pieces_of_a_log(keys: tuple[str, ...], expected: list[list[int]]) -> None:
    """They are the lines before the first whole operation, and those of one that has no end."""
    assert pieces(noted(*keys), len(keys)) == expected


@pytest.mark.parametrize(("count", "is_piece"), [(MOST, True), (MOST + 1, False), (99, False)])
def test_a_piece_that_is_too_long_is_none(count: int, *, is_piece: bool) -> None:
    """No operation has so many lines, however often it tried."""
    whole = [*range(1, count + 1)] if is_piece else []
    assert pieces(noted(*["retrieved"] * count), count) == [whole] * count
    assert pieces(noted("querying", *["retrieved"] * (count - 1)), count) == [whole] * count


def test_writers_have_their_own_edges() -> None:
    """The end of one writer's operation ends none of another's."""
    edges = noted("querying", "worker")
    edges.note(LoggedLine(3, ParsedLine("entries", {}), "w-2"))
    assert pieces(edges, 3) == [[1, 2], [1, 2], []]
    assert [line.number for line in edges.lines_around("w-2", 3)] == [3]
    assert edges.lines_around("w-3", 1) == []


VALUES = (
    st.none()
    | st.integers(0, 9)
    | st.text(max_size=4)
    | st.lists(st.text(max_size=4), max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=4), st.none() | st.text(max_size=4), max_size=2)
)
NAMES = st.sampled_from(["build_id", "endpoints", "endpoint_names", "manifest_keys"])
LOGGED = st.builds(
    LoggedLine,
    number=st.integers(1, 99),
    parsed=st.builds(
        ParsedLine,
        key=st.sampled_from([line.key for line in LINES]),
        fields=st.dictionaries(NAMES, VALUES, max_size=4),
        cut=st.frozensets(NAMES),
        last=st.none() | NAMES,
    ),
    stream=st.text(max_size=4),
    time_ns=st.none() | st.integers(0, 10**19),
    zoned=st.booleans(),
    is_longest=st.booleans(),
    begun=st.text(max_size=4),
    before=st.text(max_size=4),
)


@given(LOGGED)
def test_any_line_comes_back_from_an_attribute(line: LoggedLine) -> None:
    """A line is decoded as it was encoded, with all that is known of it."""
    again = decoded(encoded(line))
    assert again == line
    assert again.parsed.last == line.parsed.last
