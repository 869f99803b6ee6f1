"""Operations that are split between logs become whole, and only those."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any, Final

import pytest
from readers.exports import EXPORTS, utc
from readers.scenes import (
    BEGIN_NS,
    BUILD,
    OTHER_BUILD,
    OTHER_ENVIRONMENT,
    bare,
    deployment,
    read,
    timed,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis import mending
from flash_otel.diagnosis.mending import _count, _fits, _Fragment, _skipped, mended, without_lines
from flash_otel.diagnosis.readers import NothingFoundError, open_reader
from flash_otel.diagnosis.readers.log_text import LoggedLine, LogLines
from flash_otel.lines.format import ParsedLine
from flash_otel.records import LINES_PARTIAL, LINES_TORN
from flash_otel.store.references import instance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from readers.scenes import Entry

    from flash_otel.records import Attributes, AttributeValue, SpanRecord

SECOND_NS: Final = 10**9
QUARTER_S: Final = 15 * 60
FORMS: Final[dict[str, Callable[[list[Entry]], bytes]]] = {"bare": bare, "timed": EXPORTS["plain"]}
LOGS: Final = {
    "deployment": timed(deployment()),
    "read": timed(read()),
    "second attempt": timed(
        [
            *read()[:4],
            f"[STATE MANAGER] Retrieved build {BUILD}, manifest keys: NONE",
            *read()[3:],
        ]
    ),
}
ASKED: Final = read()[1:3]
ANSWERED: Final = read()[3:-1]
RECEIVED: Final = read()[6:-1]
"""The parts of a read: the question, the answer, and what the worker received at its end."""


def records_of(folder: Path, files: dict[str, bytes]) -> list[SpanRecord]:
    """Read files, in their order."""
    found: list[SpanRecord] = []
    for name, data in files.items():
        path = folder / name
        path.write_bytes(data)
        try:
            found += open_reader(path).records()
        except NothingFoundError:
            continue
    return found


def content(records: Iterable[SpanRecord]) -> list[tuple[Any, ...]]:
    """Return what records hold, without their ids and places, and whether a limit may cut it."""
    return sorted(
        (
            (record.name, record.start_ns, record.end_ns, sorted(_own(record.attributes).items()))
            for record in records
        ),
        key=repr,
    )


def _own(attributes: Attributes) -> dict[str, AttributeValue]:
    """Return the attributes that lines hold, without the notes of the reader."""
    notes = {LINES_TORN, LINES_PARTIAL}
    return {name: value for name, value in attributes.items() if name not in notes}


def whole_reads(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the reads that hold both the worker's question and the answer to it."""
    wanted = {sc.WORKER_ENDPOINT_ID, sc.ENDPOINT_COUNT}
    return [record for record in records if wanted <= record.attributes.keys()]


@pytest.mark.parametrize(
    ("log", "form", "count"),
    [
        ("deployment", "bare", 2),
        ("deployment", "timed", 2),
        ("read", "bare", 2),
        ("read", "timed", 2),
        ("read", "bare", 3),
        ("second attempt", "bare", 2),
    ],
)
def test_an_operation_in_several_files_is_whole(
    tmp_path: Path, log: str, form: str, count: int
) -> None:
    """Wherever a log is split, its records hold what those of the whole log hold."""
    entries, write = LOGS[log], FORMS[form]
    whole = records_of(tmp_path, {"0": write(entries)})
    lines = sorted(int(record.origin.rpartition(":")[2]) for record in whole)
    assert len(whole) == (3 if log == "second attempt" else 2)
    for cuts in combinations(range(1, len(entries)), count - 1):
        begins, ends = (0, *cuts), (*cuts, len(entries))
        parts = [entries[begin:end] for begin, end in zip(begins, ends, strict=True)]
        files = {f"part {at}": write(part) for at, part in enumerate(parts)}
        given = records_of(tmp_path, files)
        found = mended(given)
        assert content(found) == content(whole), cuts
        assert content(mended(given[::-1])) == content(whole), cuts
        first_lines = {f"{tmp_path}/part {at}": begin for at, begin in enumerate(begins)}
        places = [record.origin.rpartition(":") for record in found]
        assert sorted(first_lines[file] + int(line) for file, _, line in places) == lines, cuts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at", range(1, len(read()) - 2))
def test_the_parts_of_two_workers_logs_do_not_mix(tmp_path: Path, at: int, form: str) -> None:
    """Unless both are split behind the same line, where without times either may go on."""
    write, lines = FORMS[form], read()[1:-1]
    logs = [timed(lines), timed(read(OTHER_BUILD)[1:-1] * 2, BEGIN_NS + SECOND_NS)]
    whole = content(records_of(tmp_path, {f"log {n}": write(log) for n, log in enumerate(logs)}))
    for other in range(1, len(logs[1])):
        if form == "bare" and other % len(lines) == at:
            continue
        splits = [(log[:cut], log[cut:]) for log, cut in zip(logs, (at, other), strict=True)]
        parts = {f"part {n}": write(part) for n, part in enumerate(chain(*splits))}
        assert content(mended(records_of(tmp_path, parts))) == whole, other


def test_an_attempt_in_another_file_belongs_to_its_read(tmp_path: Path) -> None:
    """The joined read is the parent of its attempt, and both have one trace."""
    entries = timed(read())
    files = {"a": bare(entries[:4]), "b": bare(entries[4:])}
    whole, attempt = sorted(mended(records_of(tmp_path, files)), key=lambda one: one.name)[::-1]
    assert (whole.name, attempt.name) == (sc.RUNTIME_FETCH, sc.MANIFEST_FETCH)
    assert attempt.parent_span_id == whole.span_id
    assert attempt.trace_id == whole.trace_id


def test_the_parts_of_a_log_are_of_one_process(tmp_path: Path) -> None:
    """All that the later files hold was written by the process that wrote the first one."""
    more = read()[1:-1]
    files = {"a": bare(timed(ASKED)), "b": bare(timed([*ANSWERED, *more]))}
    apart = {instance_of(record) for record in records_of(tmp_path, files)}
    found = mended(records_of(tmp_path, files))
    assert len(apart) == 2
    assert {instance_of(record) for record in found} == {f"file {tmp_path}/a "}
    assert len(whole_reads(found)) == 2


def test_what_is_whole_stays_as_it_is(tmp_path: Path) -> None:
    """Of logs with nothing to join, only the noted lines are left out."""
    given = records_of(tmp_path, {"a": bare(timed(deployment())), "b": bare(timed(ASKED))})
    kept = mended(given)
    assert kept == [without_lines(record) for record in given]
    assert any(LINES_TORN in record.attributes for record in given)
    assert not any(LINES_TORN in record.attributes for record in kept)
    assert [record.attributes for record in kept] == [
        {name: value for name, value in record.attributes.items() if name != LINES_TORN}
        for record in given
    ]


def seconds(texts: list[str], at: float) -> bytes:
    """Return lines that were all written at one time."""
    return EXPORTS["plain"]([(BEGIN_NS + int(at * SECOND_NS), text) for text in texts])


def naive(texts: list[str], at: float) -> bytes:
    """Return lines whose time has no zone."""
    moment = utc(BEGIN_NS + int(at * SECOND_NS)).rstrip("Z").replace("T", " ")
    return "".join(f"{moment} {text}\n" for text in texts).encode()


def plain(*texts: str) -> bytes:
    """Return lines without times."""
    return "".join(f"{text}\n" for text in texts).encode()


UPLOADING: Final = deployment()[2:5]
PAIRS: Final[dict[str, tuple[dict[str, bytes], bool]]] = {
    "the answer at once": ({"a": seconds(ASKED, 0), "b": seconds(ANSWERED, 0)}, True),
    "the answer after a quarter of an hour": (
        {"a": seconds(ASKED, 0), "b": seconds(ANSWERED, QUARTER_S)},
        True,
    ),
    "the answer even later": (
        {"a": seconds(ASKED, 0), "b": seconds(ANSWERED, QUARTER_S + 1)},
        False,
    ),
    "the answer before the question": (
        {"a": seconds(ASKED, 1), "b": seconds(ANSWERED, 0)},
        False,
    ),
    "times in the first file only": ({"a": seconds(ASKED, 0), "b": plain(*ANSWERED)}, False),
    "times in the second file only": ({"a": plain(*ASKED), "b": seconds(ANSWERED, 0)}, False),
    "times without a zone": ({"a": naive(ASKED, 0), "b": naive(ANSWERED, 1)}, True),
    "a zone in one of two": ({"a": naive(ASKED, 0), "b": seconds(ANSWERED, 1)}, False),
    "one writer": (
        {
            "a": plain(*(f"web-1  | {text}" for text in ["up", *ASKED])),
            "b": plain(*(f"web-1  | {text}" for text in [*ANSWERED, "ready"])),
        },
        True,
    ),
    "two writers": (
        {
            "a": plain(*(f"web-1  | {text}" for text in ["up", *ASKED])),
            "b": plain(*(f"web-2  | {text}" for text in [*ANSWERED, "ready"])),
        },
        False,
    ),
    "the end and the beginning of one file": ({"a": plain(*ANSWERED, *ASKED)}, False),
    "another environment": (
        {"a": plain(*ASKED), "b": plain(*read(environment=OTHER_ENVIRONMENT)[3:-1])},
        False,
    ),
    "another build later on": (
        {"a": plain(*read()[1:4]), "b": plain(*read(OTHER_BUILD)[4:-1])},
        False,
    ),
    "another count at the end": (
        {"a": plain(*read()[1:6]), "b": plain(*read(names=("gpu",))[6:-1])},
        False,
    ),
    "the same count at the end": ({"a": plain(*read()[1:6]), "b": plain(*RECEIVED)}, True),
    "a part of the names at the end": (
        {"a": plain(*read()[1:6]), "b": plain(*RECEIVED)[:-8] + b"\n"},
        True,
    ),
    "a line too many": ({"a": plain(*ASKED), "b": plain(*ANSWERED[:-1], *RECEIVED)}, False),
    "the rest of a mapping": ({"a": plain(*ASKED), "b": plain('"gpu": "x"\n}', *ANSWERED)}, False),
    "an answer behind an upload": ({"a": plain(*UPLOADING), "b": plain(*ANSWERED[:3])}, False),
}


@pytest.mark.parametrize(("files", "is_joined"), PAIRS.values(), ids=PAIRS)
def test_which_pieces_belong_together(
    tmp_path: Path, files: dict[str, bytes], *, is_joined: bool
) -> None:
    """Their file, writer, clock and time allow it, and no line contradicts or is left over."""
    given = records_of(tmp_path, files)
    found = mended(given)
    kept = [without_lines(record) for record in given]
    assert (found != kept) is is_joined
    assert len({record.key for record in found}) == len(found)


def test_pieces_of_one_file_do_not_belong_together(tmp_path: Path) -> None:
    """The beginning of a file is no answer to its end, and no rival of another file's answer."""

    def piece(texts: list[str], file: str) -> _Fragment:
        found = LogLines().read([plain(*texts)])
        lines = [each for each in found if isinstance(each, LoggedLine)]
        return _Fragment(lines, [f"{file}:{each.number}" for each in lines], "", [])

    head = piece(ASKED, "C:/a.log")
    assert _fits(head, piece(ANSWERED, "C:/b.log"))
    assert not _fits(head, piece(ANSWERED, "C:/a.log"))
    files = {"a": plain(*ANSWERED, *ASKED), "b": plain(*read(OTHER_BUILD)[3:-1])}
    found = whole_reads(mended(records_of(tmp_path, files)))
    assert [record.attributes[sc.BUILD_ID] for record in found] == [OTHER_BUILD]


def test_equal_logs_are_each_joined(tmp_path: Path) -> None:
    """Copies, or workers that wrote the same, need no times: either answer fits either question."""
    files = {
        "a": plain(*ASKED),
        "b": plain("up", *ASKED),
        "c": plain(*ANSWERED),
        "d": plain("ok", *ANSWERED),
    }
    found = mended(records_of(tmp_path, files))
    assert len(whole_reads(found)) == 2
    assert len(found) == len({record.key for record in found}) == 4
    assert len({instance_of(record) for record in found}) == 2


@pytest.mark.parametrize("rival", ["c", "d"])
def test_one_different_rival_leaves_the_pair_open(tmp_path: Path, rival: str) -> None:
    """Among equal questions and answers, one that differs may be the right one."""
    files = {
        "a": plain(*ASKED),
        "b": plain(*ASKED),
        "c": plain(*ANSWERED),
        "d": plain(*ANSWERED),
        rival: plain(*read(OTHER_BUILD)[3:-1]),
    }
    assert whole_reads(mended(records_of(tmp_path, files))) == []


@pytest.mark.parametrize(
    ("first_s", "second_s", "expected"),
    [(1, 5, BUILD), (5, 1, OTHER_BUILD), (1, 1, None), (QUARTER_S + 1, 5, OTHER_BUILD)],
)
def test_the_answer_that_followed_first_is_the_question_s(
    tmp_path: Path, first_s: float, second_s: float, expected: str | None
) -> None:
    """Of two answers of the same time, either may be, and neither is taken."""
    files = {
        "a": seconds(ASKED, 0),
        "b": seconds(ANSWERED, first_s),
        "c": seconds(read(OTHER_BUILD)[3:-1], second_s),
    }
    given = records_of(tmp_path, files)
    for order in (given, given[::-1]):
        found = [record.attributes[sc.BUILD_ID] for record in whole_reads(mended(order))]
        assert found == ([] if expected is None else [expected])


def test_too_many_pieces_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the limit are joined, one more are not."""
    files = {"a": plain(*ASKED), "b": plain(*ANSWERED)}
    for limit, expected in ((2, 1), (1, 0)):
        monkeypatch.setattr(mending, "_MOST_PIECES", limit)
        assert len(whole_reads(mended(records_of(tmp_path, files)))) == expected


def test_a_mapping_that_has_lost_its_middle_is_unknown(tmp_path: Path) -> None:
    """If entries between two files are missing, the rest of the upload is joined without them."""
    lines = [
        "[DEPLOY SYNC] resources_endpoints mapping: {",
        '  "a": "https://a",',
        '  "b": "https://b",',
        '  "c": "https://c"',
        "}",
        f"[DEPLOY SYNC] Uploading manifest to State Manager - build_id={BUILD}, environment_id=e-1",
    ]
    confirmed = "[STATE MANAGER] Uploaded 3 endpoints: ['a', 'b', 'c']"
    urls = ("https://a", "https://b", "https://c")
    for middle, ending, count, known in (
        ([], [confirmed], 3, None),
        ([], [], None, None),
        ([lines[2]], [confirmed], 3, urls),
        ([lines[2]], [], None, None),
    ):
        files = {"x": plain(*lines[:2]), "y": plain(*middle, *lines[3:], *ending)}
        (upload,) = mended(records_of(tmp_path, files))
        assert upload.attributes.get(sc.ENDPOINT_COUNT) == count
        assert upload.attributes.get(sc.ENDPOINT_URLS) == known
        assert upload.attributes[sc.ENVIRONMENT_ID] == "e-1"


def line(key: str, **known: object) -> LoggedLine:
    return LoggedLine(1, ParsedLine(key, known))


@pytest.mark.parametrize(
    ("last", "first", "expected"),
    [
        ("querying", "worker", 0),
        ("querying", "entries", 6),
        ("activated", "mapping", 0),
        # A further attempt comes behind everything that may follow the last one.
        ("retrieved", "active_build", 13),
        ("worker", "worker", 14),
        ("retrieved", "missing_endpoints", 0),
    ],
)
def test_how_many_lines_may_be_missing(last: str, first: str, expected: int) -> None:
    """Counted in the order in which an operation writes its lines, between one and the other."""
    head = _Fragment([line("entries"), line(last)], ["a:1", "a:2"], "", [])
    rest = _Fragment([line(first), line("querying")], ["b:1", "b:2"], "", [])
    assert _skipped(head, rest) == expected


@pytest.mark.parametrize(
    ("fields", "cut", "expected"),
    [
        ({"endpoints": {"a": "x", "b": "y"}}, (), 2),
        ({"endpoints": {"a": "x", "b": "y"}}, ("endpoints",), -1),
        ({"endpoint_count": 3}, (), 3),
        ({"endpoint_count": 3}, ("endpoint_count",), -1),
        ({"endpoint_count": None}, (), -1),
        ({"endpoint_count": 3}, ("endpoints",), 3),
        ({"endpoints": {"a": "x"}, "endpoint_count": 3}, ("endpoints",), 3),
        ({"endpoints": {}}, (), 0),
        ({}, (), -1),
    ],
)
def test_the_number_of_endpoints_in_a_line(
    fields: dict[str, object], cut: tuple[str, ...], expected: int
) -> None:
    """It is that of a whole mapping or a whole number, and otherwise unknown."""
    assert _count(ParsedLine("contains", fields, frozenset(cut))) == expected


def test_pieces_are_in_the_order_of_their_times_then_of_their_places(tmp_path: Path) -> None:
    """The order in which files are given makes no difference to what is joined."""
    files = {
        "z": seconds(ASKED, 0),
        "m": seconds(ASKED, 5),
        "b": seconds(ANSWERED, 6),
        "a": plain(*ASKED),
    }
    given = records_of(tmp_path, files)
    torn = [record for record in given if LINES_TORN in record.attributes]
    for order in (torn, torn[::-1]):
        pieces = mending._pieces(order)
        assert [piece.places[0].rpartition("/")[2] for piece in pieces] == [
            "a:1",
            "z:1",
            "m:1",
            "b:1",
        ]
        assert [len(piece.lines) for piece in pieces] == [2, 2, 2, 5]
        assert [len(piece.records) for piece in pieces] == [1, 1, 1, 2]
        assert [piece.instance for piece in pieces] == [
            f"file {tmp_path}/{name} " for name in ("a", "z", "m", "b")
        ]


def test_a_record_of_another_place_keeps_its_process(tmp_path: Path) -> None:
    """Only the records of the joined files change their process."""
    files = {"a": plain(*ASKED), "b": plain(*ANSWERED), "c": plain(*deployment())}
    given = records_of(tmp_path, files)
    foreign = replace(given[-1], resource={sc.SERVICE_INSTANCE_ID: "cli-1"}, span_id="f" * 16)
    found = mended([*given, foreign])
    assert without_lines(foreign) in found
    assert {instance_of(record) for record in found} == {
        f"file {tmp_path}/a ",
        f"file {tmp_path}/c ",
        "cli-1",
    }
