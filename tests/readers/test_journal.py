"""What is read of systemd's journals: each field, each line, and what a limit leaves out."""

from __future__ import annotations

import struct
from typing import Final

import pytest

from flash_otel.diagnosis.readers import journal
from flash_otel.diagnosis.readers.journal import journal_of
from flash_otel.diagnosis.readers.log_entry import Unwrapped

NS: Final = 10**9
EXPORT: Final = "__CURSOR="
VERBOSE: Final = "Sat 2026-11-28 10:00:09.500000 UTC [s=a;i=1]"
SIZES: Final = (1, 5, 1 << 20)


def read(kind: str, data: bytes, size: int = 1 << 20) -> list[tuple[int, Unwrapped]]:
    """Return the entries of a journal that is read in chunks of a size."""
    container = journal_of(kind)
    assert container is not None
    return list(container.entries(data[at : at + size] for at in range(0, len(data), size)))


def block(text: bytes) -> bytes:
    """Return a message with its length before it."""
    return b"MESSAGE\n" + struct.pack("<Q", len(text)) + text + b"\n"


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("__CURSOR=1", "a journal in systemd's export format"),
        ("__REALTIME_TIMESTAMP=1", "a journal in systemd's export format"),
        ("__MONOTONIC_TIMESTAMP=1", "a journal in systemd's export format"),
        ("__SEQNUM=1", "a journal in systemd's export format"),
        (VERBOSE, "a journal in systemd's verbose format"),
        ("Sat 2026-11-28 10:00:09 UTC [s=a]", "a journal in systemd's verbose format"),
        (" __CURSOR=1", None),
        ("MESSAGE=1", None),
        ("Sat 2026-11-28 10:00:09 UTC vm flash[42]: x", None),
    ],
)
def test_a_journal_is_known_by_its_beginning(text: str, description: str | None) -> None:
    """Either form begins with a field, or a line, that no other log begins with."""
    known = journal_of(text)
    assert (None if known is None else known.description) == description


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_of_an_export_has_its_own_line_time_and_writer(size: int) -> None:
    """The first message of an entry counts, and a message's own line ends count as lines."""
    data = (
        b"__REALTIME_TIMESTAMP=1795860001000000\n__CURSOR=1\n_HOSTNAME=vm\r\n"
        b"SYSLOG_IDENTIFIER=flash\n_PID=42\nMESSAGE=\r\rone\r\nMESSAGE=two\nHOST=x\nlower=y\n\n"
        b"__CURSOR=2\n" + block(b"three\nmore\n\nand more") + b"SYSLOG_IDENTIFIER=x\n\n"
        b"__CURSOR=3\nPRIORITY=6\n\n"
        b"__CURSOR=4\nMESSAGE=four\n"
    )
    assert read(EXPORT, data, size) == [
        (1, Unwrapped("\r\rone", "vm/flash[42]", 1_795_860_001 * NS, zoned=True)),
        (11, Unwrapped("three\nmore\n\nand more", "x")),
        (22, Unwrapped("four")),
    ]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_that_breaks_off_within_its_length_is_empty(size: int) -> None:
    """The bytes of half a length are no message, and the entry before it is read."""
    data = b"__CURSOR=1\nMESSAGE=one\n\n__CURSOR=2\nMESSAGE\n\x05\0\0"
    assert read(EXPORT, data, size) == [(1, Unwrapped("one")), (4, Unwrapped(""))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("length", "is_kept"), [(12, True), (13, False), (40, False)])
def test_a_line_beyond_the_limit_is_left_out(
    monkeypatch: pytest.MonkeyPatch, length: int, size: int, *, is_kept: bool
) -> None:
    """A line may be as long as the limit; a longer one costs its own field only."""
    monkeypatch.setattr(journal, "MAX_LINE", len("MESSAGE=") + 12)
    text = "x" * length
    data = f"__CURSOR=1\nMESSAGE={text}\n_PID=1\n\n__CURSOR=2\nMESSAGE=next\n\n".encode()
    kept = [(1, Unwrapped(text))] if is_kept else []
    assert read(EXPORT, data, size) == [*kept, (5, Unwrapped("next"))]


@pytest.mark.parametrize(("length", "is_kept"), [(12, True), (13, False)])
def test_a_length_beyond_the_limit_is_damaged(
    monkeypatch: pytest.MonkeyPatch, length: int, *, is_kept: bool
) -> None:
    """A message may be as long as the limit; of a longer one, nothing is read."""
    monkeypatch.setattr(journal, "MAX_LINE", 12)
    data = b"__CURSOR=1\n" + block(b"x" * length) + b"\n"
    assert read(EXPORT, data) == [(1, Unwrapped("x" * length if is_kept else ""))]


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_of_a_verbose_journal_has_its_own_line_time_and_writer(size: int) -> None:
    """A line without a name continues the field before it, without the field's own indent."""
    data = f"""\
{VERBOSE}
noise
    PRIORITY=6
    _HOSTNAME=vm
    MESSAGE=one = 1
              indented
            not indented
  elsewhere{"  "}
    lower=x
    _PID=42
    SYSLOG_IDENTIFIER=flash
Sat 2026-11-28 10:00:10 CET [s=a;i=2]
noise
    MESSAGE=two
Sat 2026-11-28 10:00:11 UTC [s=a;i=3]
    PRIORITY=6
Sat 2026-11-28 10:00:12 UTC [s=a;i=4]
    __REALTIME_TIMESTAMP=1795860001000000
    MESSAGE=three
"""
    text = "one = 1\n  indented\nnot indented\nelsewhere\nlower=x"
    assert read(VERBOSE, data.encode(), size) == [
        (1, Unwrapped(text, "vm/flash[42]", 1_795_860_009_500_000_000, zoned=True)),
        (12, Unwrapped("two", "", 1_795_860_010 * NS, zoned=False)),
        (17, Unwrapped("three", "", 1_795_860_001 * NS, zoned=True)),
    ]


def test_fields_without_a_head_are_counted_from_the_first_line() -> None:
    """An entry whose head is lost has no time."""
    data = b"noise\n    MESSAGE=one\n" + VERBOSE.encode() + b"\n    MESSAGE=two\n"
    assert [(at, entry.text, entry.zoned) for at, entry in read(VERBOSE, data)] == [
        (1, "one", False),
        (3, "two", True),
    ]
