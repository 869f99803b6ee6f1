"""Lines that were broken at a width: how the width is found, and how they are joined."""

from __future__ import annotations

from typing import Final

import pytest

from flash_otel.diagnosis.readers import broken_lines
from flash_otel.diagnosis.readers.broken_lines import BrokenLines, width_of

BUILD: Final = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"
ENVIRONMENT: Final = "0483bffc-9a48-4e1b-bdcc-861ee2a2bd58"
UPLOADING: Final = "[DEPLOY SYNC] Uploading manifest to State Manager - build_id="
WHOLE: Final = f"{UPLOADING}{BUILD}, environment_id={ENVIRONMENT}"
ACTIVE: Final = "[STATE MANAGER] environment_id=e-1 → activeBuildId="
NAMES: Final = "[STATE MANAGER] Uploaded 2 endpoints: ['gpu',"
ENTRIES: Final = "[RUNTIME SYNC] resources_endpoints contains 2 entries: ['gpu',"
MAPPING: Final = "[DEPLOY SYNC] resources_endpoints mapping: {"
NOISE: Final = "z" * 30


def broken(line: str, width: int) -> list[str]:
    """Return the parts of a line."""
    return [line[at : at + width] for at in range(0, len(line), width)]


def joined(lines: list[str], width: int) -> list[tuple[int, str, bool]]:
    """Return the number, the text and the doubt of each entry."""
    data = "".join(f"{line}\n" for line in lines).encode()
    entries = BrokenLines(width).entries([data[:50], data[50:]])
    return [(number, entry.text, entry.cut) for number, entry in entries]


@pytest.mark.parametrize("width", [30, 61, 62, 70, 80, 97, 98, 99, 100, 120])
def test_the_parts_of_a_line_are_joined(width: int) -> None:
    """The line has the number of its first part, and the lines around it are their own."""
    lines = ["before", *broken(WHOLE, width), "[DEPLOY] after"]
    assert joined(lines, width) == [
        (1, "before", False),
        (2, WHOLE, False),
        (len(lines), "[DEPLOY] after", False),
    ]


@pytest.mark.parametrize(
    ("lines", "width", "expected"),
    [
        # The end of an id that fills its row is not seen, unless it is whole.
        ([f"{ACTIVE}b-1"], 54, [(1, f"{ACTIVE}b-1", True)]),
        ([f"{ACTIVE}b-1"], 55, [(1, f"{ACTIVE}b-1", False)]),
        ([f"{ACTIVE}{BUILD}"], 87, [(1, f"{ACTIVE}{BUILD}", False)]),
        ([f"{ACTIVE}{BUILD[:9]}"], 60, [(1, f"{ACTIVE}{BUILD[:9]}", True)]),
        ([NAMES], len(NAMES), [(1, NAMES, False)]),
        # What may be the rest of an id is joined if the id is then whole.
        ([f"{ACTIVE}b-1", "23"], 54, [(1, f"{ACTIVE}b-1", True), (1, "23", False)]),
        ([f"{ACTIVE}b-1", "23"], 55, [(1, f"{ACTIVE}b-1", False), (2, "23", False)]),
        ([f"{ACTIVE}{BUILD[:9]}", BUILD[9:]], 60, [(1, f"{ACTIVE}{BUILD}", False)]),
        ([f"{ACTIVE}{BUILD}", "ed"], 87, [(1, f"{ACTIVE}{BUILD}", True), (1, "ed", False)]),
        ([f"{UPLOADING}b-1", "23, environment_id=e"], 64,
         [(1, f"{UPLOADING}b-123, environment_id=e", False)]),
        ([f"{UPLOADING}b-1", ", environment_id=e"], 64,
         [(1, f"{UPLOADING}b-1", True), (1, ", environment_id=e", False)]),
        ([f"{ACTIVE}b-1", "2" * 54, "x" * 54], 54,
         [(1, f"{ACTIVE}b-1{'2' * 54}", True), (1, "x" * 54, True)]),
        # Lists and other lines.
        ([NAMES, " 'cpu']"], len(NAMES), [(1, f"{NAMES} 'cpu']", False)]),
        ([NOISE, "yy", NOISE], 30, [(1, f"{NOISE}yy", False), (3, NOISE, False)]),
        ([], 30, []),
    ],
)  # fmt: skip
def test_an_id_is_whole_or_in_doubt(
    lines: list[str], width: int, expected: list[tuple[int, str, bool]]
) -> None:
    """Where the rest of an id may be missing, or may be another line, its end is not proven."""
    assert joined(lines, width) == expected


@pytest.mark.parametrize(
    "line",
    [
        "[DEPLOY] x", "DEPLOY SYNC] x", "2026-01-01 10", "2026/01/01T10", "[2026-01-01 10",
        "10:00:00 x", "> 10:00:00", "Nov 28 x", "Nov  8 x", "",
    ],
)  # fmt: skip
def test_a_line_that_begins_anew_is_no_rest(line: str) -> None:
    """A mark, a time or nothing begins a line of its own."""
    assert joined([NOISE, line, "end"], 30) == [
        (1, NOISE, False),
        (2, line, False),
        (3, "end", False),
    ]


@pytest.mark.parametrize("line", ["2026-01-01", "1:2:3", "NOV 28", "Nov 28", "(((10:00:00", "x"])
def test_any_other_line_may_be_a_rest(line: str) -> None:
    """What only looks like the beginning of a time continues the line before it."""
    assert joined([NOISE, line], 30) == [(1, NOISE + line, False)]


def test_the_lines_of_an_error_record_are_no_part_of_a_line() -> None:
    """PowerShell's positions are left out; the numbers of lines count them."""
    position = ["At line:1 char:1", "+ flash deploy", "+ ~~~~~", "    + CategoryInfo", " ~~ "]
    assert joined([NOISE, *position, "\x1b[31mend\x1b[0m", "At line:x"], 30) == [
        (1, f"{NOISE}end", False),
        (8, "At line:x", False),
    ]


def test_a_line_is_joined_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that make a longer text are another line."""
    monkeypatch.setattr(broken_lines, "_LONGEST", 90)
    assert joined([NOISE] * 4, 30) == [(1, NOISE * 3, False), (4, NOISE, False)]
    monkeypatch.setattr(broken_lines, "_LONGEST", 91)
    assert joined([NOISE] * 4, 30) == [(1, NOISE * 4, False)]


COLOURED: Final = [f"\x1b[1m{part}\x1b[0m\r" for part in broken(WHOLE, 80)]
OTHER: Final = "[RUNTIME SYNC] Querying State Manager with environment_id=e-1"


@pytest.mark.parametrize(
    ("lines", "width"),
    [
        ([*broken(WHOLE, 80), ""], 80),
        ([*COLOURED, ""], 80),
        ([*broken(WHOLE, 80), "z" * 81, ""], None),
        ([*broken(WHOLE, 80), f"+ {'z' * 90}", ""], 80),
        ([*broken(WHOLE, 80), f"+ {'z' * 90}"], None),
        ([WHOLE, "next"], None),
        ([WHOLE], None),
        ([""], None),
        # The rest of an id: digits, or few letters; a longer word is another line.
        ([f"{ACTIVE}b-1", "23"], 54),
        ([f"{ACTIVE}b-1", "abc"], 54),
        ([f"{ACTIVE}b-1", " abc "], 54),
        ([f"{ACTIVE}b-1", "abcd"], None),
        ([f"{ACTIVE}b-1", "abcd1"], 54),
        ([f"{ACTIVE}b-1", "a word"], None),
        ([f"{ACTIVE}b-1", "10:00:00"], None),
        ([f"{ACTIVE}b-1", ""], None),
        ([f"{ACTIVE}b-1", "[DEPLOY] x"], None),
        ([f"{ACTIVE}{BUILD}", "23"], None),
        ([f"{ACTIVE}{BUILD[:20]}", BUILD[20:]], 71),
        ([f"{ACTIVE}b-1", "next", f"{ACTIVE}b-1", "23"], 54),
        (["first", f"{ACTIVE}b-1", "23", "x y"], 54),
        ([f"{ACTIVE}{BUILD[:-6]}", "abcdef"], 81),
        # Further fields, or the rest of a list; but not the entries of a mapping.
        ([f"{UPLOADING}b-1,", " environment_id=e"], 65),
        ([f"{UPLOADING}b-1", "is another line"], None),
        ([NAMES, " 'cpu']"], len(NAMES)),
        ([NAMES, "is another line"], None),
        ([MAPPING, '  "gpu": "https://a"'], None),
        # A limit instead of a width: the lines do not go on.
        ([f"{ACTIVE}{BUILD[:20]}", "[DEPLOY] x"], 71),
        ([f"{ACTIVE}{BUILD[:8]}", "[DEPLOY] x"], None),
        ([f"{ACTIVE}{BUILD[:8]}", f"[DEPLOY] {BUILD}"], 59),
        ([f"{ACTIVE}{BUILD[:8]}", f"[DEPLOY] {BUILD[:14]}"], 59),
        ([f"{ACTIVE}{BUILD}", "[DEPLOY] x"], None),
        ([f"{ACTIVE}z", f"[DEPLOY] {BUILD[:14]}"], None),
        ([f"{OTHER}2345", ENTRIES, "[DEPLOY] x"], None),
        ([OTHER.ljust(len(ENTRIES), "2"), ENTRIES, "[DEPLOY] x"], 62),
        ([OTHER.ljust(len(ENTRIES), "2"), "x y", ENTRIES], None),
        ([ENTRIES, ENTRIES, "[DEPLOY] x"], None),
    ],
)
def test_the_width_of_a_log(lines: list[str], width: int | None) -> None:
    """It is the length of the longest lines, if one goes on in the next or a limit cut several."""
    assert width_of("\n".join(lines)) == width
