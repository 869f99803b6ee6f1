"""A verdict does not depend on the order and the packaging of the logs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readers.exports import EXPORTS, NAIVE, utc
from readers.scenes import (
    BEGIN_NS,
    BUILD,
    LATER_NS,
    OTHER_BUILD,
    SCENES,
    bare,
    deployment,
    judged,
    read,
    timed,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis.mending import mended
from flash_otel.diagnosis.readers import log_order, open_reader
from flash_otel.diagnosis.readers.containers import container_of
from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_order import Backwards, direction_of, ordered
from flash_otel.diagnosis.readers.log_text import LoggedLine
from flash_otel.lines.format import parse

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator

    from readers.scenes import Entry, Judged

    from flash_otel.records import SpanRecord

Logs = tuple[list["Entry"], list["Entry"]]


def logs_of(scene: str) -> Logs:
    written, got = SCENES[scene]
    return timed(written), timed(got, BEGIN_NS + LATER_NS)


def expected(folder: Path, scene: str) -> Judged:
    return judged(folder, *map(EXPORTS["plain"], logs_of(scene)))


def shuffled(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: hashlib.sha256(repr(entry).encode()).digest())


def noisy(entries: list[Entry]) -> list[Entry]:
    return [
        pair for at, text in entries for pair in ((at, text), (at + 1, "GET /ping 200, in 3 ms"))
    ]


CHANGES: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "reversed": lambda entries: entries[::-1],
    "duplicated": lambda entries: [entry for entry in entries for _ in range(2)],
    "twice": lambda entries: entries * 2,
    "with other lines": noisy,
    "reversed, with other lines": lambda entries: noisy(entries)[::-1],
    "sorted by text": lambda entries: sorted(entries, key=lambda entry: entry[1]),
    "shuffled": shuffled,
}
# A mapping over several lines is lost with their order. Its digest is not needed to decide these.
FORMS = ["plain", "logcli jsonl", "grafana", "kibana csv", "loki query_range", "journald", "cri"]


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("scene", list(SCENES))
def test_the_order_of_timed_lines_makes_no_difference(
    tmp_path: Path, scene: str, change: str
) -> None:
    """Lines with times may stand in any order."""
    wanted = expected(tmp_path, scene)
    for form in FORMS:
        files = [EXPORTS[form](CHANGES[change](entries)) for entries in logs_of(scene)]
        assert judged(tmp_path, *files) == wanted, form


@pytest.mark.parametrize("name", [name for name in EXPORTS if "rfc 3164" not in name])
@pytest.mark.parametrize("scene", list(SCENES))
def test_every_export_has_the_verdict(tmp_path: Path, scene: str, name: str) -> None:
    """The container makes no difference to verdict, codes and confidence."""
    form = bare if name in NAIVE else EXPORTS["plain"]
    wanted = judged(tmp_path, *map(form, logs_of(scene)))
    assert judged(tmp_path, *map(EXPORTS[name], logs_of(scene))) == wanted


@pytest.mark.parametrize("scene", list(SCENES))
def test_logs_in_an_archive(tmp_path: Path, scene: str) -> None:
    """An archive of GitHub Actions, with a log whole and by steps, is read as its files."""
    wanted = expected(tmp_path, scene)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, entries in enumerate(logs_of(scene)):
            text = EXPORTS["github actions"](entries)
            archive.writestr(f"{number}_job.txt", text)
            archive.writestr(f"job/{number}_step.txt", text)
            archive.writestr(f"job/{number}_set up.txt", b"nothing of Flash\n")
            archive.writestr(f"{number}.png", b"\x89PNG\r\n\x1a\n\0\0")
    assert judged(tmp_path, stream.getvalue()) == wanted


@pytest.mark.parametrize("scene", list(SCENES))
def test_logs_in_one_file(tmp_path: Path, scene: str) -> None:
    """Both logs in one file, in either order, or split over many, have the same verdict."""
    wanted = expected(tmp_path, scene)
    written, got = logs_of(scene)
    for entries in (written + got, got + written):
        assert judged(tmp_path, EXPORTS["plain"](entries))[0] == wanted[0]
    packed = [gzip.compress(EXPORTS["plain"](entries), mtime=0) for entries in (written, got)]
    assert judged(tmp_path, *packed) == wanted


@pytest.mark.parametrize("scene", list(SCENES))
def test_lines_without_times_are_read_from_the_end(tmp_path: Path, scene: str) -> None:
    """If the lines of operations stand in the opposite order throughout, the log is reversed."""
    wanted = judged(tmp_path, *(bare(entries) for entries in logs_of(scene)))
    files = [bare(entries[::-1]) for entries in logs_of(scene)]
    assert judged(tmp_path, *files) == wanted
    files = [
        "\n".join(json.dumps({"message": text}) for _, text in entries[::-1]).encode()
        for entries in logs_of(scene)
    ]
    assert judged(tmp_path, *files) == wanted


@given(st.randoms(use_true_random=False))
def test_lines_in_no_order_are_never_healthy_for_another_build(chance: random.Random) -> None:
    """Where neither times nor places show the order, a fault is not taken for its opposite."""
    texts = [text for _, text in timed(read(OTHER_BUILD))]
    chance.shuffle(texts)
    with tempfile.TemporaryDirectory() as folder:
        files = (bare(timed(deployment())), "\n".join(texts).encode())
        assert judged(Path(folder), *files)[0] in (sc.STALE_BUILD, sc.INCONCLUSIVE)


@pytest.mark.parametrize("name", [name for name in EXPORTS if "rfc 3164" not in name])
@pytest.mark.parametrize("scene", list(SCENES))
def test_every_export_may_be_newest_first(tmp_path: Path, scene: str, name: str) -> None:
    """The newest entry first, in every container; a split line is not joined, and lost."""
    wanted = expected(tmp_path, scene)[0]
    files = [EXPORTS[name](entries[::-1]) for entries in logs_of(scene)]
    found = judged(tmp_path, *files)[0]
    if name in NAIVE:
        wanted = judged(tmp_path, *(bare(entries) for entries in logs_of(scene)))[0]
    assert found in ((wanted, sc.INCONCLUSIVE) if "split" in name else (wanted,))


@pytest.mark.parametrize("is_swapped", [False, True])
@pytest.mark.parametrize("name", ["docker, split", "cri, split"])
def test_split_lines_newest_first_are_joined(tmp_path: Path, name: str, is_swapped: bool) -> None:
    """The parts of one line may be in their order or not: a whole line is put together."""
    names = tuple(f"endpoint-{number:03}" for number in range(12))
    entries = timed(["Starting worker", *read(names=names), "ready"])
    path = tmp_path / "worker.log"
    path.write_bytes(EXPORTS[name](entries))
    wanted = [record.attributes.get(sc.ENDPOINT_NAMES) for record in open_reader(path).records()]
    parts = [EXPORTS[name]([entry]).splitlines(keepends=True) for entry in reversed(entries)]
    path.write_bytes(b"".join(part for own in parts for part in (own if is_swapped else own[::-1])))
    found = [record.attributes.get(sc.ENDPOINT_NAMES) for record in open_reader(path).records()]
    assert names in wanted
    assert set(found) == set(wanted)


def test_equal_times_keep_their_order(tmp_path: Path) -> None:
    """Lines of one second are read in the log's order, forwards or backwards."""
    for scene in SCENES:
        wanted = expected(tmp_path, scene)
        logs = [[(entries[0][0], text) for _, text in entries] for entries in logs_of(scene)]
        assert judged(tmp_path, *map(EXPORTS["plain"], logs))[0] == wanted[0]


def test_two_reads_of_a_reversed_log_stay_apart(tmp_path: Path) -> None:
    """A later read of a log without times is the later one, also if the log is reversed."""
    first, second = (timed(read(build)) for build in (OTHER_BUILD, BUILD))
    path = tmp_path / "worker.log"
    found = []
    for data in (bare(first + second), bare((first + second)[::-1])):
        path.write_bytes(data)
        records = list(open_reader(path).records())
        records.sort(key=lambda record: int(record.origin.rpartition(":")[2]))
        found.append([record.attributes for record in records])
    assert found[0] == found[1]


def test_the_direction_of_a_log() -> None:
    """Times decide; without them, the places of lines; one line shows nothing."""
    entries = timed(read())
    for form in ("plain", "grafana", "logfmt"):
        for data, is_backwards in ((entries, False), (entries[::-1], True)):
            head = EXPORTS[form](data)
            direction = direction_of(container_of(head), head)
            assert (direction.is_backwards, direction.is_timed) == (is_backwards, True)
    for data, is_backwards in ((entries, False), (entries[::-1], True), (entries[3:4], False)):
        assert direction_of(None, bare(data)) == (is_backwards, False)


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\ufeff", exclude_categories=["Cs"]))))
def test_a_log_is_read_from_its_end(texts: list[str]) -> None:
    """Every entry comes back, the last one first."""
    data = "".join(f"{text}\n" for text in texts).encode()
    for is_timed in (True, False):
        found = list(Backwards(None, is_timed=is_timed).entries([data]))
        assert [entry.text for _, entry in found] == texts[::-1]
        numbers = [number for number, _ in found]
        counted = list(range(1, len(texts) + 1))
        assert numbers == (counted[::-1] if is_timed else counted)


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    """Blocks that are read from the end may begin within a line."""
    lines = [f"{utc(BEGIN_NS - at * 10**9)} GET /ping {'x' * (at % 97)}" for at in range(9_000)]
    lines[1:1] = [f"{utc(at)} {text}" for at, text in timed(deployment())[::-1]]
    path = tmp_path / "deploy.log"
    path.write_text("\n".join(lines), encoding="utf-8")
    activated, upload = open_reader(path).records()
    assert activated.attributes[sc.BUILD_ID] == upload.attributes[sc.BUILD_ID] == BUILD
    number = int(activated.origin.rpartition(":")[2])
    assert "activated with" in lines[number - 1]


@given(st.permutations(range(14)))
def test_reads_with_times_are_the_same_in_any_order(order: list[int]) -> None:
    """Every line finds the read that it belongs to by its time, wherever it stands."""
    entries = [line for text in (OTHER_BUILD, BUILD) for line in read(text)[1:-1]]
    stamped = [(BEGIN_NS + at * 10**9, line) for at, line in enumerate(entries)]
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder) / "worker.log", []
        for lines in (stamped, [stamped[at] for at in order]):
            path.write_bytes(EXPORTS["plain"](lines))
            found.append(
                sorted(
                    (record.start_ns, record.end_ns, record.name, repr(record.attributes))
                    for record in open_reader(path).records()
                )
            )
    assert found[1] == found[0]


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
@pytest.mark.parametrize(("near_s", "far_s"), [(1, 100), (30, 31), (0, 5)])
def test_the_nearest_answer_in_another_file_belongs_to_a_question(
    tmp_path: Path, order: str, near_s: int, far_s: int
) -> None:
    """Of two answers that lack their question, the one that followed it first is its own."""
    own, other = read(BUILD)[1:-1], read(OTHER_BUILD, names=("gpu",))[1:-1]
    parts = {"a": (own[:2], 0), "b": (own[2:], near_s), "c": (other[2:], far_s)}
    files = {
        name: EXPORTS["plain"]([(BEGIN_NS + seconds * 10**9, line) for line in lines])
        for name, (lines, seconds) in parts.items()
    }
    found: list[SpanRecord] = []
    for name in order:
        path = tmp_path / f"{name}.log"
        path.write_bytes(files[name])
        found += open_reader(path).records()
    asked = [
        record
        for record in mended(found)
        if record.name == sc.RUNTIME_FETCH and sc.WORKER_ENDPOINT_ID in record.attributes
    ]
    assert [record.attributes[sc.BUILD_ID] for record in asked] == [BUILD]
    assert [record.attributes[sc.ENDPOINT_COUNT] for record in asked] == [2]


def test_the_nearest_question_in_another_file_gets_an_answer(tmp_path: Path) -> None:
    """Of two questions without an answer, the answer belongs to the one right before it."""
    lines = read(BUILD)[1:-1]
    parts = {"a": (lines[:2], 0), "b": (lines[:2], 50), "c": (lines[2:], 51)}
    found: list[SpanRecord] = []
    for name, (own, seconds) in parts.items():
        path = tmp_path / f"{name}.log"
        path.write_bytes(EXPORTS["plain"]([(BEGIN_NS + seconds * 10**9, line) for line in own]))
        found += open_reader(path).records()
    builds = {
        (record.start_ns - BEGIN_NS) // 10**9: record.attributes.get(sc.BUILD_ID)
        for record in mended(found)
        if sc.WORKER_ENDPOINT_ID in record.attributes
    }
    assert builds == {0: None, 50: BUILD}


@pytest.mark.parametrize("seconds", [None, 5])
def test_an_answer_that_may_be_another_s_is_given_to_no_question(
    tmp_path: Path, seconds: int | None
) -> None:
    """Of two answers without times, or of the same time, neither belongs to a question for sure."""
    own, other = read(BUILD)[1:-1], read(OTHER_BUILD, names=("gpu",))[1:-1]
    found: list[SpanRecord] = []
    for name, lines, at in (("a", own[:2], 0), ("b", own[2:], seconds), ("c", other[2:], seconds)):
        path = tmp_path / f"{name}.log"
        write = bare if at is None or seconds is None else EXPORTS["plain"]
        path.write_bytes(write([(BEGIN_NS + (at or 0) * 10**9, line) for line in lines]))
        found += open_reader(path).records()
    (asked,) = (record for record in mended(found) if sc.WORKER_ENDPOINT_ID in record.attributes)
    assert sc.BUILD_ID not in asked.attributes


# --- how the direction is found, and what is ordered ---------------------------------------------


@pytest.mark.parametrize(
    ("keys", "is_backwards"),
    [
        ("", False),
        ("querying", False),
        ("worker", False),
        ("worker querying", True),
        ("worker querying worker querying", True),
        ("querying worker querying worker", False),
        ("querying worker querying", False),
        ("worker querying worker", False),
        ("mapping uploading", False),
        ("uploading mapping", True),
        ("mapping uploading mapping", False),
        ("uploading mapping uploading", False),
        ("entries received received entries", False),
        ("received received", False),
        ("entries received received", True),
        # Behind the last line of an operation, the first of another one shows nothing.
        ("entries mapping", False),
        ("uploaded_endpoints querying", False),
        ("uploaded_endpoints active_build", False),
        ("mapping entries", False),
        ("uploaded_keys active_build", False),
        ("active_build uploaded_keys", True),
        ("has_endpoints retrieved querying", True),
        ("retrieved missing_endpoints", False),
        ("missing_endpoints has_endpoints", True),
    ],
)
def test_the_places_of_lines_show_the_direction(keys: str, *, is_backwards: bool) -> None:
    """A log is backwards if no line of an operation stands in front of one that it follows."""
    assert log_order._is_backwards(keys.split()) == is_backwards


@pytest.mark.parametrize(
    ("times", "is_backwards", "is_timed"),
    [
        ([3, 2, 1], True, True),
        ([1, 2, 3], False, True),
        ([1], False, True),
        ([1, 1], False, True),
        ([2, 2, 1], True, True),
        ([*range(20, 10, -1), 15], True, True),
        ([*range(20, 11, -1), 15], False, True),
        ([*range(40, 22, -1), 30, 29, 35], True, True),
        ([*range(40, 23, -1), 30, 29, 35], False, True),
        ([], False, False),
    ],
)
def test_the_times_of_lines_show_the_direction(
    times: list[int], *, is_backwards: bool, is_timed: bool
) -> None:
    """One step in ten may go against the order, since several writers share a log."""
    head = "".join(f"2026-01-01 00:00:{second} x\n" for second in times if second > 9)
    head += "".join(f"2026-01-01 00:00:0{second} x\n" for second in times if second < 10)
    assert direction_of(None, head.encode()) == (is_backwards, is_timed)


ACTIVATED = deployment()[1]
LATE = "2026-01-01 00:00:09"


@pytest.mark.parametrize(
    ("text", "is_timed"),
    [
        (f"{LATE} {ACTIVATED}", True),
        (f"{ACTIVATED} {LATE}", False),
        (f"{'x' * 90} {LATE} {ACTIVATED}", True),
        (f"{'x' * 60} {LATE}", True),
        (f"{'x' * 61} {LATE}", False),
        (json.dumps({"time": LATE, "message": "x"}), True),
    ],
)
def test_the_time_of_a_line_stands_before_its_text(text: str, *, is_timed: bool) -> None:
    """What a line itself says of times is not its own."""
    assert direction_of(None, f"{text}\n".encode()).is_timed == is_timed


class Listed:
    """A container of given entries."""

    description = "a list"

    def __init__(self, entries: list[tuple[int, Unwrapped]]) -> None:
        self._entries = entries

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the entries, and a text for each chunk."""
        yield from self._entries
        for number, chunk in enumerate(chunks, 100):
            yield number, Unwrapped(chunk.decode())


def test_the_lines_of_one_entry_show_the_direction() -> None:
    """Entries of several lines have one time each, and the container's time comes first."""
    texts = read()[1:3]
    backwards = Unwrapped("\n".join(texts[::-1]))
    timed_ = Unwrapped(f"{LATE} {texts[0]}\nx", time_ns=1)
    assert direction_of(Listed([(1, backwards)]), b"") == (True, False)
    assert direction_of(Listed([(1, Unwrapped("\n".join(texts)))]), b"") == (False, False)
    assert direction_of(Listed([(1, timed_), (2, backwards)]), b"") == (False, True)
    assert direction_of(Listed([(1, timed_), (2, Unwrapped("x", time_ns=2))]), b"")[0] is False
    assert direction_of(Listed([(1, timed_), (2, Unwrapped("x", time_ns=0))]), b"") == (True, True)


@pytest.mark.parametrize(("is_timed", "numbers"), [(True, [100, 7, 3]), (False, [1, 2, 3])])
def test_entries_are_read_from_the_end_as_they_were(numbers: list[int], *, is_timed: bool) -> None:
    """All that a container knows of an entry stays; numbers are counted where no time is known."""
    first = Unwrapped("a\nb", "s", 5, zoned=True, partial=False, cut=True)
    second = Unwrapped("", "t", None, zoned=False, partial=True, cut=False)
    reversed_ = Backwards(Listed([(3, first), (7, second)]), is_timed=is_timed)
    assert reversed_.description == "a list"
    assert list(reversed_.entries([b"x"])) == list(
        zip(numbers, [Unwrapped("x"), second, first], strict=True)
    )
    plain = Backwards(None, is_timed=is_timed)
    assert plain.description == "text"
    numbers = [2, 1] if is_timed else [1, 2]
    assert [number for number, _ in plain.entries([b"a\nb\n"])] == numbers


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 100])
@pytest.mark.parametrize("data", [b"", b"\n", b"a", b"a\n", b"abcde\n\nf\ngh\n", b"\nabcdefg\nh"])
def test_lines_from_the_end_of_a_file(
    monkeypatch: pytest.MonkeyPatch, data: bytes, size: int
) -> None:
    """Lines come whole and without blank ones, in blocks of any size."""
    monkeypatch.setattr(log_order, "_BLOCK", size)
    lines = [line for line in data.split(b"\n")[::-1] if line]
    assert list(log_order._from_end(io.BytesIO(data))) == lines


WRITTEN = {at: parse(text) for at, text in enumerate(read()[1:-1])}
SPAN: Any = (0, "a span")


def logged(places: str, times: str = "", stream: str = "", *, zoned: bool = True) -> list[Any]:
    """Return the lines of a read by their places, each with a time if there are some."""
    found = []
    for at, place in enumerate(places):
        time_ns = int(times[at]) if times and times[at] != "-" else None
        parsed = WRITTEN[int(place)]
        assert parsed is not None
        found.append(LoggedLine(at, parsed, stream, time_ns, time_ns is not None and zoned))
    return found


def places_of(items: Iterable[Any]) -> str:
    """Return the places of lines; `s` for a span."""
    keys = [parsed.key for parsed in WRITTEN.values() if parsed is not None]
    return "".join(
        str(keys.index(item.parsed.key)) if isinstance(item, LoggedLine) else "s" for item in items
    )


@pytest.mark.parametrize(
    ("places", "times", "expected"),
    [
        ("0123456", "", "0123456"),
        ("0132456", "", "0132456"),
        ("0132456", "1243567", "0123456"),
        ("0132456", "124356-", "0132456"),
        ("6543210", "7654321", "0123456"),
        # Of one time, the places of the lines decide, if that makes more of them fit.
        ("1023456", "1111111", "0123456"),
        ("0165432", "1111111", "0123456"),
        # The clocks do not agree: sorted, no more of the lines would fit.
        ("3456012", "4567123", "0123456"),
        ("0123456", "7654321", "0123456"),
        ("6", "1", "6"),
        # A line that stands twice, with the same time.
        ("00123456", "00123456", "0123456"),
        ("00123456", "01123456", "00123456"),
        ("00123456", "--------", "00123456"),
        ("01234566", "01234566", "0123456"),
        ("00132456", "00132456", "0123456"),
    ],
)
def test_lines_are_sorted_where_more_of_them_then_fit(
    places: str, times: str, expected: str
) -> None:
    """Lines with times are in their order, without those that the log holds twice."""
    assert places_of(ordered(logged(places, times), 100)) == expected


def test_lines_of_clocks_with_and_without_an_offset_are_not_sorted() -> None:
    """Their times cannot be compared."""
    lines = logged("0132456", "1243567")
    naive = logged("0132456", "1243567", zoned=False)
    assert places_of(ordered([*lines[:3], *naive[3:]], 100)) == "0132456"
    assert places_of(ordered(naive, 100)) == "0123456"


def test_spans_stand_before_lines_that_are_sorted() -> None:
    """Where nothing is sorted, they stay where they are."""
    first, *rest = logged("0132456", "1243567")
    assert places_of(ordered([first, SPAN, *rest], 100)) == "s0123456"
    first, *rest = logged("0123456", "1234567")
    assert places_of(ordered([first, SPAN, *rest], 100)) == "0s123456"


def test_equal_lines_of_two_writers_are_both_kept() -> None:
    """Lines of one time may be of two workers that read at the same moment."""
    first, second = (logged("0123456", "1234567", stream) for stream in ("a", "b"))
    both = [line for pair in zip(first, second, strict=True) for line in pair]
    assert list(ordered(both, 100)) == both
    twice = logged("00112233445566", "11223344556677")
    assert places_of(ordered(twice, 100)) == "0123456"


def test_lines_that_seem_repeated_are_kept_where_more_of_them_then_fit() -> None:
    """One of the two reads would lack the lines that it shares with the other."""
    texts = [read()[1:-1], read(names=None)[1:-1]]
    lines: list[Any] = []
    for at in range(7):
        for text in (own[at] for own in texts if at < len(own)):
            parsed = parse(text)
            assert parsed is not None
            lines.append(LoggedLine(len(lines), parsed, "", at, zoned=True))
    assert len({(line.time_ns, line.parsed.key, str(line.parsed.fields)) for line in lines}) < 14
    assert list(ordered(lines, 100)) == lines
    for later in (4, 9, 12):
        moved = [*lines[:1], *lines[2:later], lines[1], *lines[later:]]
        assert list(ordered([SPAN, *moved], 100)) == [SPAN, *lines]


@pytest.mark.parametrize("window", [1, 2, 4, 7])
def test_so_many_items_are_looked_at_together(window: int) -> None:
    """A log is not held as a whole: what is sorted is yielded before more is read."""
    lines = logged("6543210", "7654321")
    taken: list[Any] = []

    def items() -> Iterator[Any]:
        for line in lines:
            taken.append(line)
            yield line

    found = ordered(items(), window)
    first = [next(found) for _ in range(window)]
    assert taken == lines[:window]
    assert sorted(first, key=lines.index) == taken
    assert sorted(found, key=lines.index) == lines[window:]
    assert places_of(ordered([], window)) == ""
