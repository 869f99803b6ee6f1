"""Logs copied out of a page, an editor or a search, and logs that are one text of another file."""

from __future__ import annotations

import json
import re
from itertools import cycle
from typing import TYPE_CHECKING, Final

import pytest
from readers.exports import EXPORTS, teamcity, utc
from readers.scenes import (
    BEGIN_NS,
    BUILD,
    LATER_NS,
    OTHER_BUILD,
    SCENES,
    URLS,
    bare,
    deployment,
    judged,
    read,
    timed,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis import collect
from flash_otel.diagnosis.readers import copies, open_reader
from flash_otel.diagnosis.readers.copies import Copied
from flash_otel.lines.values import read_id, write_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from readers.scenes import Entry

RED: Final = "\x1b[01;31m\x1b[K"
PLAIN: Final = "\x1b[m\x1b[K"


def coloured(text: str, words: str) -> str:
    """Colour what a search found."""
    return re.sub(words, rf"{RED}\g<0>{PLAIN}", text)


COPIES: Final[dict[str, Callable[[str], str]]] = {
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "no-break spaces in words": lambda text: re.sub(r"(?<=\S) (?=\S)", "\u00a0", text),
    "narrow no-break spaces": lambda text: text.replace(" ", "\u202f"),
    "markdown": lambda text: re.sub(r"[\[\]_*{}]", r"\\\g<0>", text),
    "markdown, words": lambda text: text.replace("_", r"\_"),
    "en dashes": lambda text: text.replace("-", "\u2013"),
    "no-break hyphens": lambda text: text.replace("-", "\u2011"),
    "minus signs": lambda text: text.replace("-", "\u2212"),
    "soft hyphens": lambda text: text.replace("-", "-\u00ad"),
    "zero-width spaces": lambda text: re.sub(r"(?<=[_/.-])(?=\w)", "\u200b", text),
    "word joiners": lambda text: re.sub(r"(?<=[_/.-])(?=\w)", "\u2060", text),
    "dashes, soft hyphens and no-break spaces": lambda text: text.replace(
        "-", "\u2013\u00ad"
    ).replace(" ", "\u00a0"),
    "jira": lambda text: re.sub(r"[\[\]{}]", r"\\\g<0>", text),
    "one word found": lambda text: coloured(text, "SYNC|MANAGER"),
    "each word found": lambda text: coloured(text, "DEPLOY|RUNTIME|STATE|SYNC|MANAGER"),
    "the space found": lambda text: coloured(text, " "),
}
# Nothing undoes these, because within JSON they may be meant: the names in a list are lost.
QUOTES: Final[dict[str, Callable[[str], str]]] = {
    "curly quotes": lambda text: re.sub("'([^']*)'", "\u2018\\1\u2019", text),
    "curly double quotes": lambda text: re.sub('"([^"]*)"', "\u201c\\1\u201d", text),
    "right quotes": lambda text: text.replace("'", "\u2019").replace('"', "\u201d"),
}
FORMS: Final = {"bare": bare, "timed": EXPORTS["plain"]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("copy", [*COPIES, *QUOTES])
def test_a_copied_log_has_the_verdict_of_its_original(
    copy: str, scene: str, form: str, tmp_path: Path
) -> None:
    """What a copy changed everywhere is undone, or is not needed for the verdict."""
    files = [FORMS[form](timed(texts, BEGIN_NS)) for texts in SCENES[scene]]
    change = (COPIES | QUOTES)[copy]
    copies = [change(data.decode()).encode() for data in files]
    assert judged(tmp_path, *copies) == judged(tmp_path, *files)


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_undone_across_chunks(copy: str, chunk: int, tmp_path: Path) -> None:
    """A sequence of bytes that two chunks share is undone, too."""
    path = tmp_path / "log"
    data = bare(timed(deployment()))
    path.write_bytes(data)
    original = list(open_reader(path).records())
    path.write_bytes(COPIES[copy](data.decode()).encode())
    assert list(open_reader(path, chunk).records()) == original


@pytest.mark.parametrize("name", [name for name in EXPORTS if "gzip" not in name])
def test_no_export_is_taken_for_a_copy(name: str) -> None:
    """Escapes of JSON and colours around whole lines are left to the readers of exports."""
    assert not Copied(EXPORTS[name](timed(deployment())))


UNDONE: Final = {
    "no-break spaces": ("[DEPLOY\u00a0SYNC] a\u00a0b\u202fc", "[DEPLOY SYNC] a b c"),
    "narrow ones": ("STATE\u202fMANAGER a\u00a0b", "STATE MANAGER a b"),
    "no-break spaces elsewhere": ("[DEPLOY SYNC] a\u00a0b", None),
    "invisible characters": ("a\u200bb\u2060c\u200dd\u00ade", "abcde"),
    "one before a word": ("caf\u00e9 \u200bx", "caf\u00e9 x"),
    "one behind a word": ("x\u00ad \u00e9", "x \u00e9"),
    "one alone": ("caf\u00e9 \u200b \u00e9", None),
    "dashes": (
        f"{BUILD.replace('-', chr(0x2013))} a\u2011b a \u2212 b -\u2013-",
        f"{BUILD} a-b a - b -\u2013-",
    ),
    "a dash elsewhere": ("0c069c1f\u20139ac9 a\u2013b", None),
    "a coloured space": ("STATE\x1b[1m \x1b[0mMANAGER] \x1b[Kx", "STATE MANAGER] x"),
    "a coloured word": ("STATE \x1b[1;31mMANAGER] \x1b[m", "STATE MANAGER] "),
    "a coloured line": ("\x1b[1mSTATE MANAGER\x1b[0m", None),
    "escaped brackets": (r"\[DEPLOY\] a\_b \q \-", r"[DEPLOY] a_b \q -"),
    "an escaped underscore": (r"build\_id=a\*", "build_id=a*"),
    "escaped backslashes": (r"\\[DEPLOY\]", None),
    "another underscore": (r"x\_y", None),
    "several": ("\\[DEPLOY\u00a0SYNC\\] a\u200bb", "[DEPLOY SYNC] ab"),
}


@pytest.mark.parametrize(("text", "expected"), UNDONE.values(), ids=UNDONE)
def test_only_what_the_beginning_shows_is_undone(text: str, expected: str | None) -> None:
    """A mark, an id or a word shows what was done to it; the same elsewhere may be meant."""
    copied = Copied(text.encode())
    assert bool(copied) == (expected is not None)
    assert copied.undone(text.encode()).decode() == (text if expected is None else expected)


def test_a_copied_log_is_undone_in_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of any length is held until its end, but no longer than a limit."""
    monkeypatch.setattr(copies, "_LONGEST", 8)
    copied = Copied(b"a\xc2\xadb")
    chunks = [
        b"1\n2\xc2",
        b"\xad3\n",
        b"12345678",
        b"9\nx\n",
        b"123456789",
        b"a\nb",
        b"\xc2\xad",
    ]
    assert list(copied.chunks(iter(chunks))) == [
        b"1\n", b"23\n", b"123456789\nx\n", b"123456789", b"a\n", b"b",
    ]  # fmt: skip
    assert list(copied.chunks([b"a\n"])) == [b"a\n"]
    assert list(copied.chunks([])) == []


# --- one text in another file --------------------------------------------------------------------

TASK: Final = {"changed": True, "rc": 0}
TEXTS: Final[dict[str, Callable[[str], str]]] = {
    "a result of Ansible": lambda text: (
        "changed: [vm] => "
        + json.dumps({**TASK, "stderr": text, "stderr_lines": text.split("\n")}, indent=4)
    ),
    "an object": lambda text: json.dumps({**TASK, "captured": text}, indent=1),
    "an object on a line": lambda text: json.dumps({**TASK, "captured": text}),
    "a line with escapes": lambda text: text.replace("\n", r"\n"),
    "carriage returns": lambda text: text.replace("\n", "\r"),
    "a line with spaces": lambda text: text.replace("\n", " "),
    "syslog": lambda text: f"Nov 28 10:00:01 vm flash[4]: {text.replace(chr(10), '#012')}\n",
}


@pytest.mark.parametrize("build", [BUILD, OTHER_BUILD])
@pytest.mark.parametrize("form", TEXTS)
def test_deployments_in_one_text_are_in_order(form: str, build: str, tmp_path: Path) -> None:
    """Of two deployments in one entry, the later is judged: the place in the text shows it."""
    written = "\n".join([*deployment(), *deployment(OTHER_BUILD)])
    expected = sc.NONE if build == OTHER_BUILD else sc.INCONCLUSIVE
    got = bare(timed(read(build)))
    assert judged(tmp_path, f"{written}\n".encode(), got)[0] == expected
    assert judged(tmp_path, TEXTS[form](written).encode(), got)[0] == expected


def test_the_whole_text_of_an_entry_is_read(tmp_path: Path) -> None:
    """GELF and others hold the beginning of a text beside the text."""

    def gelf(entries: list[Entry]) -> bytes:
        values = [{"short_message": f"{t[:50]}…", "full_message": t} for _, t in entries]
        return "".join(f"{json.dumps(value)}\n" for value in values).encode()

    for written, got in SCENES.values():
        logs = [timed(written), timed(got)]
        assert judged(tmp_path, *map(gelf, logs)) == judged(tmp_path, *map(bare, logs))


def test_a_line_with_a_time_is_no_header(tmp_path: Path) -> None:
    """The Collector's debug exporter begins with a line that looks like the names of columns."""

    def debug(entries: list[Entry]) -> bytes:
        records = "".join(f"LogRecord #{at}\nBody: Str({t})\n" for at, (_, t) in enumerate(entries))
        return f'{utc(entries[0][0])}\tinfo\tLogs\t{{"log records": 3}}\n{records}'.encode()

    logs = [timed(texts) for texts in SCENES["an endpoint is missing"]]
    assert judged(tmp_path, *map(debug, logs)) == judged(tmp_path, *map(bare, logs))


@pytest.mark.parametrize("between", ["2026-11-28T10:00:01.050Z", "10:00:01", "1795860001050", ""])
def test_times_between_the_lines_of_a_mapping(between: str, tmp_path: Path) -> None:
    """The console of CloudWatch copies the time of each line as a line of its own."""
    plain = bare(timed(deployment())).decode()
    copied = "".join(f"{between}\n{line}\n" for line in plain.splitlines())
    found = []
    for text in (plain, copied):
        path = tmp_path / "log"
        path.write_text(text)
        records = list(open_reader(path).records())
        found.append([record.attributes.get(sc.ENDPOINT_URLS) for record in records])
    assert found[0] == found[1]
    assert any(found[0])


# --- parts of ids --------------------------------------------------------------------------------

PLACEHOLDERS: Final = (
    "00000000-0000-0000-0000-000000000000", "0000", "____", "----", "..", "~", ":id", ":build_id",
)  # fmt: skip


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_is_no_id(text: str, tmp_path: Path) -> None:
    """Different ids in whose place the same text stands are unknown, not equal."""
    assert read_id(text)[1]
    assert read_id(write_id(text)) == (text, False)
    for build in (BUILD, OTHER_BUILD):
        written, got = bare(timed(deployment())), bare(timed(read(build)))
        masked = [re.sub(r"\w{8}-\w{4}-[\w-]{22}", text, data.decode()) for data in (written, got)]
        assert judged(tmp_path, *(data.encode() for data in masked))[0] == sc.INCONCLUSIVE


@pytest.mark.parametrize("widths", [(20,), (24,), (30,), (20, 30), (30, 12, 24)])
def test_a_part_of_an_id_tells_deployments_apart(widths: tuple[int, ...], tmp_path: Path) -> None:
    """A deployment whose build is known in part, or in parts, does not become one with another."""
    earlier, later = (timed(deployment(build), BEGIN_NS) for build in (BUILD, OTHER_BUILD))
    later = [(at + LATER_NS, text) for at, text in later]
    width = cycle(widths)

    def cut(found: re.Match[str]) -> str:
        return found[0][: next(width)]

    log = [(at, re.sub(r"(?<=build_id=)[\w-]{36}.*", cut, text)) for at, text in (*earlier, *later)]
    old, new = (timed(read(build), BEGIN_NS + 2 * LATER_NS) for build in (BUILD, OTHER_BUILD))
    plain = EXPORTS["plain"]
    assert judged(tmp_path, plain(log), plain(old))[0] == sc.INCONCLUSIVE
    assert judged(tmp_path, plain(log), plain(new))[0] == sc.NONE
    (tmp_path / "deploy.log").write_bytes(plain(log))
    found = collect(open_reader(tmp_path / "deploy.log").records()).deployments
    assert [(known.activation is None, known.upload is None) for known in found] == [
        (False, False)
    ] * 2


def test_a_service_message_of_several_lines(tmp_path: Path) -> None:
    """TeamCity's escapes of line ends, quotes, brackets and arrows are undone."""
    texts = deployment()
    assert any("\n" in text for text in texts)
    read_from = []
    for name, data in {
        "whole": bare([(BEGIN_NS, text) for text in texts]),
        "escaped": "".join(f"{teamcity(BEGIN_NS, text)}\n" for text in texts).encode(),
    }.items():
        (path := tmp_path / name).write_bytes(data)
        read_from.append([record.attributes for record in open_reader(path).records()])
    assert read_from[0] == read_from[1]
    assert [values[sc.ENDPOINT_URLS] for values in read_from[1][1:]] == [URLS]
