"""The lines of a log that hold a mark, and the layers that runtimes and loggers put around them."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.diagnosis.readers import log_scan
from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_scan import (
    JOURNAL_NEEDLES,
    NEEDLES,
    Scanner,
    text_lines,
    unwrap,
    with_prefix,
    without_colours,
)

TIME: Final = "2026-11-28T12:00:09Z"
TIME_NS: Final = 1_795_867_209 * 10**9
LINE: Final = "[DEPLOY] x"
OUTER: Final = Unwrapped("outer", "pod", 5, zoned=True, cut=True)

# --- scanning ------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"\n", b"\r\n", b"\r", b"X", b"DEPLOY", b"DEP", b"LOY", b"STATE MANAGER", b"STATE ",
        b"RUNTIME SYNC", b"flash_otel {", b"flash_otel", b'"MESSAGE":[', b'"MESSAGE": [', b"_YU",
    ]
)  # fmt: skip


def sliced(data: bytes, size: int) -> list[bytes]:
    """Return data in chunks."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(
    st.lists(PIECES, max_size=24).map(b"".join),
    st.integers(1, 40),
    st.sampled_from([(), JOURNAL_NEEDLES]),
)
def test_just_the_lines_with_a_needle(data: bytes, size: int, more: tuple[bytes, ...]) -> None:
    """Each has its number and no line end, and only that of the log's end may have had none."""
    lines = data.split(b"\n")
    expected = [
        (number, line.rstrip(b"\r"), number < len(lines))
        for number, line in enumerate(lines, 1)
        if any(needle in line for needle in NEEDLES + more)
    ]
    assert list(Scanner(more).lines(sliced(data, size))) == expected


@pytest.mark.parametrize("needle", NEEDLES)
def test_a_log_that_begins_with_a_rare_letter(needle: bytes) -> None:
    """The lines behind it are found."""
    for letter in needle:
        data = bytes([letter]) + b"\n" + needle + b"\n"
        assert list(Scanner().lines([data])) == [(2, needle, True)]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_line_behind_one_is_wanted_too(size: int) -> None:
    """A reader may ask for the next line whatever it holds, and for the ones behind it."""
    scanner = Scanner()
    data = b"one\n[DEPLOY] two\nthree\nfour {\n\nsix\n[DEPLOY] seven {\neight"
    found = []
    for number, line, ended in scanner.lines(sliced(data, size)):
        found.append((number, line, ended))
        scanner.follow = line.endswith((b"o", b"e", b"{"))
    assert found == [
        (2, b"[DEPLOY] two", True),
        (3, b"three", True),
        (4, b"four {", True),
        (5, b"", True),
        (7, b"[DEPLOY] seven {", True),
        (8, b"eight", False),
    ]


@pytest.mark.parametrize(("length", "is_split"), [(100, False), (101, True)])
def test_a_line_that_is_too_long_is_searched_in_parts(
    monkeypatch: pytest.MonkeyPatch, length: int, *, is_split: bool
) -> None:
    """A part has no end, and the lines behind it keep their numbers."""
    monkeypatch.setattr(log_scan, "MAX_LINE", 100)
    part = LINE.encode().ljust(length, b"x")
    chunks = [b"first\n", part[:60], part[60:], b"rest\nthird\n[DEPLOY] fourth\n"]
    expected = (2, part, False) if is_split else (2, part + b"rest", True)
    assert list(Scanner().lines(chunks)) == [expected, (4, b"[DEPLOY] fourth", True)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"oneX\r\ntwo\n\nthree", ["oneX", "two", "", "three"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n", ["one", "\ufefftwo"]),
        ("é\n→".encode(), ["é", "→"]),
        (b"a\xffb\n\xe2\x86", ["a\ufffdb", "\ufffd"]),
        (b"one\n", ["one"]),
        (b"one\r", ["one\r"]),
        (b"", []),
    ],
)
def test_all_lines_of_a_text(data: bytes, expected: list[str], size: int) -> None:
    """They are decoded across chunks, without line ends; what is no text is replaced."""
    assert list(text_lines(sliced(data, size))) == expected


# --- unwrapping ----------------------------------------------------------------------------------


def known(
    text: str, stream: str = "", *, partial: bool | None = None, cut: bool = False
) -> Unwrapped:
    """Return a line of which the time is known."""
    return Unwrapped(text, stream, TIME_NS, zoned=True, partial=partial, cut=cut)


LAYERS: Final[dict[str, tuple[str, Unwrapped]]] = {
    "nothing": ("a text", Unwrapped("a text")),
    "kubernetes": (f"{TIME} stderr F a textX\r", known("a textX", partial=False)),
    "kubernetes, a part": (f"{TIME} stdout P a text", known("a text", partial=True)),
    "kubernetes, with a tag": (f"{TIME} stdout F:x a text", known("a text", partial=False)),
    "kubernetes, of another flag": (f"{TIME} stdout X a", Unwrapped(f"{TIME} stdout X a")),
    "buildkite": (f"\x1b_bk;t={TIME_NS // 10**6}\x07a textX\r", known("a textX")),
    "buildkite, another end": (f"bk;t={TIME_NS // 10**6}\x1b\\a text", known("a text")),
    "logcli": (f'{TIME} {{Xpod="w-1", x="\\""}} a text', known("a text", 'Xpod="w-1", x="\\""')),
    "logcli, without labels": (f"{TIME} {{}} a text", known("a text")),
    "logcli, coloured": (f'\x1b[34m{TIME}\x1b[0m {{pod="w"}} a text', known("a text", 'pod="w"')),
    "syslog": (f"<14>1 {TIME} vm app 42 ID - a#011b", known("a\tb", "vm app[42]")),
    "syslog, with data": (f'<14>1 {TIME} vm app 42 - [a b="\\"]"] x', known("x", "vm app[42]")),
    "syslog, without a time": ("<14>1 - vm app 42 ID - x", Unwrapped("x", "vm app[42]")),
    "old syslog": ("Nov 28 12:00:09 vm a: b#012c", Unwrapped("Nov 28 12:00:09 vm a: b\nc")),
    "old syslog, no number": (
        'Nov 28 12:00:09 vm a: {"message": "b#0z", "time": "2026-11-28T12:00:09Z"}',
        known("b#0z"),
    ),
    "no syslog": ("a: b#012c", Unwrapped("a: b#012c")),
    "json": ('{"message": "a text", "pod": "w-1"}  ', Unwrapped("a text", "w-1")),
    "json behind a writer": ('w-1  | {"message": "a text"}', Unwrapped("a text", "w-1")),
    "json behind a time": (f'{TIME} {{"message": "a text"}}', known("a text")),
    "json without a text": ('{"level": "info"}', Unwrapped('{"level": "info"}')),
    "json without fields": ("w-1 | {}", Unwrapped("w-1 | {}")),
    "json before a text": ('{"message": "a"} b', Unwrapped('{"message": "a"} b')),
    "json that is broken": ('{"message": a}', Unwrapped('{"message": a}')),
    "json that is too deep": (
        '{"a":' * 100_000 + "}", Unwrapped('{"a":' * 100_000 + "}"),
    ),
    "fluent bit": (
        f'[0] w: [[{TIME_NS // 10**9}.000000000, {{}}], {{"log"=>"a", "n"=>"b=>c"}}]',
        known("a"),
    ),
    "fluent bit, with a time": (f'w: [1700000000, {{"log":"a","time":"{TIME}"}}]', known("a")),
    "fluent bit, without a text": (
        'w: [1700000000, {"n":1}]', Unwrapped('w: [1700000000, {"n":1}]'),
    ),
    "fluent bit, broken": ('w: [1700000000, {"n":}]', Unwrapped('w: [1700000000, {"n":}]')),
    "teamcity": (
        f"{TIME} ##teamcity[message text='a|nb|rc|'d|0x0041|z' status='NORMAL']",
        known("a\nb\rc'dAz"),
    ),
    "teamcity, an output": ("##teamcity[testStdOut name='x' out='a']", Unwrapped("a")),
    "teamcity, no text": ("##teamcity[x y='a']", Unwrapped("##teamcity[x y='a']")),
    "logfmt": (f'time={TIME} host=h msg="a \\"text\\"" n=1 ', known('a "text"', "h")),
    "logfmt, the text first": ('msg="a text" n=1', Unwrapped("a text")),
    "logfmt, one pair": ('msg="a text"', Unwrapped('msg="a text"')),
    "logfmt, one pair with a mark": (f'msg="{LINE}"', Unwrapped(LINE)),
    "logfmt in a text": ('see msg="a text"', Unwrapped('see msg="a text"')),
    "logfmt behind a writer": (f'w-1  | n=1 msg="{LINE}" m=2', Unwrapped(LINE, "w-1")),
    "logfmt before a text": (f'n=1 msg="{LINE}" and more', Unwrapped(LINE)),
    "logfmt behind and before a text": (f'see msg="{LINE}" n="1"', Unwrapped(LINE)),
    "logfmt without a text": ('n=1 level="info"', Unwrapped('n=1 level="info"')),
    "logfmt that is cut": (f'n=1 msg="{LINE} \\', Unwrapped(f"{LINE} ", cut=True)),
    "logfmt with a cut before it": (f'n="a" msg="{LINE}', Unwrapped(LINE, cut=True)),
    "logfmt with escapes of Go": ('n=1 msg="a\\x41\\n"', Unwrapped("aA")),
    "a member": (f'  "message" : "{LINE} \\"y\\"",', Unwrapped(f'{LINE} "y"')),
    "a member without a mark": ('"message": "a"', Unwrapped('"message": "a"')),
    "a member of another name": (f'"title": "{LINE}"', Unwrapped(f'"title": "{LINE}"')),
    "a member that is broken": (f'"message": "{LINE}\\z"', Unwrapped(f'"message": "{LINE}\\z"')),
    "a string": (' "a \\"text\\"X\\r\\n" ', Unwrapped('a "text"X')),
    "a string with a tab": ('"a\tb"', Unwrapped("a\tb")),
    "logfmt with a tab": ('n=1 msg="a\tb\\ud83d\\ude00"', Unwrapped("a\tb\U0001f600")),
    "a member with a tab": (f'"message": "{LINE}\ty"', Unwrapped(f"{LINE}\ty")),
    "an empty string": ('""', Unwrapped("")),
    "a quote": ('"', Unwrapped('"')),
    "two strings": ('"a" "b"', Unwrapped('"a" "b"')),
    "an open string": ('"a', Unwrapped('"a')),
    "yaml": ("  textPayload: 'it''s a text'", Unwrapped("it's a text")),
    "yaml, in a list": ("- message: 'a text' ", Unwrapped("a text")),
    "yaml, of another name": ("level: 'info'", Unwrapped("level: 'info'")),
    "docker in kubernetes": (
        f'{TIME} stdout F {{"log":"a","stream":"stderr","time":"{TIME}"}}',
        known("a", partial=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), LAYERS.values(), ids=LAYERS)
def test_a_layer_is_taken_off(line: str, expected: Unwrapped) -> None:
    """The text, the writer and the time are what the layer says; anything else is unchanged."""
    assert unwrap(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a text", Unwrapped("a text", "pod", 5, zoned=True, cut=True)),
        (f"{TIME} stderr F a", known("a", "pod", partial=False, cut=True)),
        (f'{TIME} {{pod="w"}} a', known("a", 'pod/pod="w"', cut=True)),
        ("<14>1 - vm app 42 ID - a", Unwrapped("a", "pod/vm app[42]", 5, zoned=True, cut=True)),
        ('w-1  | {"message": "a"}', Unwrapped("a", "pod/w-1", 5, zoned=True, cut=True)),
        (
            'w: [1700000000, {"log":"a"}]', Unwrapped("a", "pod", 5, zoned=True, cut=True),
        ),
        ('n=1 msg="a"', Unwrapped("a", "pod", 5, zoned=True, cut=True)),
        (f'"message": "{LINE}"', Unwrapped(LINE, "pod", 5, zoned=True, cut=True)),
        ('"a"', Unwrapped("a", "pod", 5, zoned=True, cut=True)),
        ("message: 'a'", Unwrapped("a", "pod", 5, zoned=True, cut=True)),
        ("##teamcity[message text='a']", Unwrapped("a", "pod", 5, zoned=True, cut=True)),
    ],
)  # fmt: skip
def test_a_layer_within_a_container(line: str, expected: Unwrapped) -> None:
    """What a container knows of a line stays, and its writer is around that of the line."""
    assert unwrap(line, OUTER) == expected


@pytest.mark.parametrize(("layers", "left"), [(1, 0), (4, 0), (5, 1), (6, 2)])
def test_four_layers_are_taken_off(layers: int, left: int) -> None:
    """More of them are no log."""

    def within(count: int) -> str:
        return json.dumps({"message": within(count - 1)}) if count else "a text"

    assert unwrap(within(layers)) == Unwrapped(within(left))


@pytest.mark.parametrize(
    ("prefix", "stream", "time"),
    [
        ("", "", None),
        ("[pod/w-1/app] ", "w-1/app", None),
        ("\ufeff[pod/w-1/app] ", "w-1/app", None),
        ("\x1b[32mX-1  | \x1b[0m", "X-1", None),
        ("shop/w@h | 2026-11-28 12:00:09 ", "shop/w@h", (TIME_NS, False)),
        (f"{TIME} vm flash[42]: ", "vm flash[42]", (TIME_NS, True)),
        (f"w-1  | 10%\rw-2  | {TIME} 20%\r", "", None),
        (f"10%\rw-2  | {TIME} ", "w-2", (TIME_NS, True)),
        ("INFO: ", "", None),
        ("one worker-1  | ", "", None),
    ],
)
def test_what_the_text_before_a_mark_names(
    prefix: str, stream: str, time: tuple[int, bool] | None
) -> None:
    """Its writer, and its time where the line has none; what was overwritten is not looked at."""
    line = Unwrapped("a text")
    time_ns, zoned = time or (None, False)
    assert with_prefix(line, prefix) == Unwrapped("a text", stream, time_ns, zoned=zoned)
    inner = f"pod/{stream}" if stream else "pod"
    assert with_prefix(OUTER, prefix) == Unwrapped("outer", inner, 5, zoned=True, cut=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a text", "a text"),
        ("\x1b[1;32ma\x1b[0m \x1b[Ktext", "a text"),
        ("\x1b]0;title\x07a text", "a text"),
        ("\x1b_command\x1b\\a text", "a text"),
        ("\x1b(a text", "\x1b(a text"),
    ],
)
def test_the_controls_of_a_terminal_are_removed(text: str, expected: str) -> None:
    """Colours, titles and commands are; other escapes stay."""
    assert without_colours(text) == expected
