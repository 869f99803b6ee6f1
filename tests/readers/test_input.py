"""The bytes of a file: what kind they are, how they are decoded, and what cannot be read."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
from typing import TYPE_CHECKING, Final

import pytest

from flash_otel.diagnosis.readers.input import (
    HEAD,
    Input,
    Kind,
    NothingFoundError,
    ReaderError,
    _CountingStream,
    description_of,
    kind_of,
)

if TYPE_CHECKING:
    from pathlib import Path

LINE: Final = b"[STATE MANAGER] environment_id=e-1 -> activeBuildId=b-1\n"
PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x00\x00\x00"
# A request of one resource with one empty scope.
PROTOBUF: Final = bytes([0x0A, 2, 0x12, 0])

KINDS: Final[dict[str, tuple[bytes, Kind | None]]] = {
    "a store": (b"SQLite format 3\x00 and more", Kind.SQLITE),
    "the text of a store's name": (b"SQLite format 3\n", Kind.LOG),
    "spans": (b'{"resourceSpans":[]}', Kind.OTLP_JSON),
    "spans in an array, indented": (b' [\n {\n "resourceSpans" : []', Kind.OTLP_JSON),
    "spans by the names of protobuf": (b'{"resource_spans":[]}', Kind.OTLP_JSON),
    "spans behind a mark of UTF-8": (b'\xef\xbb\xbf{"resourceSpans":[]}', Kind.OTLP_JSON),
    "the answer to an export": (b'{"partialSuccess":{}}', Kind.OTLP_JSON),
    "metrics": (b'{"resourceMetrics":[]}', Kind.OTLP_JSON),
    "logs": (b'{"resourceLogs":[]}', Kind.LOG),
    "logs by the names of protobuf": (b'{"resource_logs":[]}', Kind.LOG),
    "logs and then spans": (b'{"resourceLogs":[]}\n{"resourceSpans":[]}', Kind.OTLP_JSON),
    "logs that quote spans": (b'{"resourceLogs":["{\\"resourceSpans\\""]}', Kind.LOG),
    "spans and then logs": (b'{"resourceSpans":[]}\n{"resourceLogs":[]}', Kind.OTLP_JSON),
    "protobuf": (PROTOBUF, Kind.OTLP_PROTOBUF),
    "text": (b"hello\n", Kind.LOG),
    "a line of a log": (LINE, Kind.LOG),
    "a line among other bytes": (bytes(range(256)) + LINE, Kind.LOG),
    "a span of a worker among other bytes": (bytes(256) + b'\x01\x02flash_otel {"a"', Kind.LOG),
    "the name of the package among other bytes": (b"\x01\x02flash_otel ", None),
    "a picture": (PNG, None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("head", "expected"), KINDS.values(), ids=KINDS)
def test_the_kind_of_a_file(head: bytes, expected: Kind | None) -> None:
    """The first bytes show it: a name of a field, a signature, or a bracketed line anywhere."""
    assert kind_of(head) is expected


NUL: Final = b"\x00\x01\x02\x03"
DESCRIPTIONS: Final[dict[bytes, str]] = {
    PNG: "a PNG image",
    b"\xff\xd8\xff" + NUL: "a JPEG image",
    b"GIF89a" + NUL: "a GIF image",
    b"%PDF-1.7\n" + NUL: "a PDF document",
    b"PK\x03\x04" + NUL: "a zip archive that is damaged or not a file; unpack it first",
    b"\x28\xb5\x2f\xfd" + NUL: "zstd-compressed data; unpack it first (zstd -d)",
    b"\xfd7zXZ\x00" + NUL: "xz-compressed data; unpack it first (xz -d)",
    b"BZh9" + NUL: "bzip2-compressed data; unpack it first (bzip2 -d)",
    b"7z\xbc\xaf\x27\x1c" + NUL: "a 7-Zip archive; unpack it first",
    b"\x7fELF" + NUL: "a Linux program or library",
    b"MZ\x90" + NUL: "a Windows program or library",
    b"\xcf\xfa\xed\xfe" + NUL: "a macOS program or library",
    b"\xca\xfe\xba\xbe" + NUL: "a macOS program or Java class",
    b"PAR1" + NUL: "a Parquet file",
    b"OggS" + NUL: "an Ogg media file",
    b"RIFF" + NUL: "a WAV, AVI or WebP media file",
    b"a" * 257 + b"ustar" + NUL: "a tar archive; unpack it first",
    b"": "an empty file",
    b"?" + NUL: "binary data",
}


@pytest.mark.parametrize("head", DESCRIPTIONS, ids=DESCRIPTIONS.values())
def test_what_cannot_be_read_has_a_name(head: bytes) -> None:
    """The name tells what to do, too, if there is a program that unpacks it."""
    assert description_of(head) == DESCRIPTIONS[head]


@pytest.mark.parametrize("begin", [b"MZ", b"BZh", b"GIF8", b"RIFF", b"%PDF-", b"OggS", b"PAR1"])
def test_text_may_begin_like_another_file(begin: bytes) -> None:
    """The first letters of a log are no signature if text follows."""
    assert description_of(begin + b" is the name of a server\n") is None


@pytest.mark.parametrize(
    ("head", "is_text"),
    [
        (b"\x01" * 5 + b"a" * 95, True),
        (b"\x01" * 6 + b"a" * 94, False),
        (b"\x1a" * 6 + b"a" * 94, False),
        (b"\x0e" * 6 + b"a" * 94, False),
        (b"\x06" * 6 + b"a" * 94, False),
        (b"a" + b"\x00" * 6 + b"a" * 93, False),
        # Tabs, ends of lines and pages, the beginning of a colour, and the bell are of text.
        (b"\t\n\v\f\r\x07\x08" * 10, True),
        (b"\x1b[1m" * 10, True),
        (b"\xff\xfe\xe9" * 10, True),
        (b"\x00" * 900 + b"hello", True),
        (b"\x00" * 900, True),
    ],
)
def test_text_has_few_control_characters(head: bytes, *, is_text: bool) -> None:
    """One of twenty bytes at most, but for a hole of zeros at the beginning."""
    assert description_of(head) == (None if is_text else "binary data")


# --- the bytes ---------------------------------------------------------------------------------


def given_bytes(data: bytes, chunk: int = 1000) -> Input:
    """Return an input that is no separate file."""
    return Input("given", chunk, lambda: io.BytesIO(data))


FEW_ZEROS: Final = b"\xff\xfe" + b"a" * 88 + b"\x00" * 10
ENCODED: Final[dict[str, tuple[bytes, bytes]]] = {
    "utf-8": ("é".encode() + LINE, "é".encode() + LINE),
    "utf-16, little end first": (b"\xff\xfe" + LINE.decode().encode("utf-16-le"), LINE),
    "utf-16, big end first": (b"\xfe\xff" + LINE.decode().encode("utf-16-be"), LINE),
    "utf-16-le without a mark": (LINE.decode().encode("utf-16-le"), LINE),
    "utf-16-be without a mark": (LINE.decode().encode("utf-16-be"), LINE),
    "a mark before other bytes": (FEW_ZEROS, FEW_ZEROS),
    "a damaged character": (b"\xff\xfea\x00\x00\xd8b\x00c\x00", b"a\xef\xbf\xbdbc"),
    "zeros in a third of the places": (b"ab\x00" * 20, b"ab\x00" * 20),
    "zeros only": (b"\x00" * 40, b"\x00" * 40),
    "frames": (b'{"a": 1}\x00{"a": 2}\x00', b'{"a": 1}\n{"a": 2}\n'),
    "frames behind spaces": (b' { "a": 1} \x00x\x00', b' { "a": 1} \nx\n'),
    "a zero behind text": (b"text\x00more\x00", b"text\x00more\x00"),
}


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize(("data", "expected"), ENCODED.values(), ids=ENCODED)
def test_bytes_are_decoded(data: bytes, expected: bytes, chunk: int) -> None:
    """UTF-16 becomes UTF-8 and frames become lines, in the first bytes and in all of them."""
    for packed in (data, gzip.compress(data, mtime=0)):
        given = given_bytes(packed, chunk)
        assert given.head == expected
        assert b"".join(given.chunks()) == expected


@pytest.mark.parametrize(
    ("zeros", "is_encoded"), [((17, 3), True), ((16, 3), False), ((17, 4), False)]
)
def test_how_many_zeros_show_utf_16(zeros: tuple[int, int], *, is_encoded: bool) -> None:
    """More than four fifths of one half of the bytes, and less than one fifth of the other."""
    high = [0] * zeros[0] + [1] * (20 - zeros[0])
    low = [0] * zeros[1] + [65] * (20 - zeros[1])
    for halves in ((high, low), (low, high)):
        data = bytes(byte for pair in zip(*halves, strict=True) for byte in pair)
        assert (given_bytes(data).head != data) is is_encoded


@pytest.mark.parametrize(("zeros", "is_encoded"), [(11, True), (10, False)])
def test_how_many_zeros_prove_the_mark_of_utf_16(zeros: int, *, is_encoded: bool) -> None:
    """More than a tenth of the bytes: the mark alone may be any bytes of a log."""
    data = b"\xff\xfe" + b"\x01" * (98 - zeros) + b"\x00" * zeros
    assert (given_bytes(data).head != data) is is_encoded


def test_the_first_bytes_are_bounded(tmp_path: Path) -> None:
    """No more of a file is examined than a fixed number of bytes, packed or not."""
    data = b"x" * (HEAD + 1000)
    for name, written in (("plain", data), ("packed", gzip.compress(data, mtime=0))):
        path = tmp_path / name
        path.write_bytes(written)
        given = Input(path)
        assert given.head == data[:HEAD]
        assert (given.name, given.size) == (str(path), len(written))
    assert given_bytes(b"abc").size == 0


def test_bytes_come_in_chunks_with_their_progress(tmp_path: Path) -> None:
    """No chunk is larger than was asked for, and the bytes read so far are told behind it."""
    path = tmp_path / "log"
    path.write_bytes(b"abcdefgh")
    told: list[tuple[int, int]] = []
    assert list(Input(path, 3).chunks(lambda *done: told.append(done))) == [b"ab", b"cde", b"fgh"]
    assert told == [(2, 8), (5, 8), (8, 8)]
    packed = given_bytes(gzip.compress(b"abcdefgh", mtime=0), 3)
    assert max(map(len, packed.chunks())) <= 3


def test_a_file_can_be_read_again(tmp_path: Path) -> None:
    """A file has all its bytes each time, also one in an archive."""
    path = tmp_path / "log"
    path.write_bytes(LINE)
    for given in (Input(path), given_bytes(LINE)):
        assert [b"".join(given.chunks()) for _ in range(2)] == [LINE, LINE]


def test_streams_are_closed() -> None:
    """That of the first bytes, and that of all bytes, even if they are not read to the end."""
    opened: list[io.BytesIO] = []

    def open_one() -> io.BytesIO:
        opened.append(io.BytesIO(LINE))
        return opened[-1]

    given = Input("given", 3, open_one)
    assert [stream.closed for stream in opened] == [True]
    chunks = given.chunks()
    next(chunks)
    assert [stream.closed for stream in opened] == [True, False]
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert [stream.closed for stream in opened] == [True, True]


@pytest.mark.parametrize(
    ("end", "expected"),
    [(b"", LINE), (b"trailing bytes", LINE), (gzip.compress(b"more", mtime=0), LINE + b"more")],
)
def test_what_follows_packed_bytes(end: bytes, expected: bytes) -> None:
    """A second part is unpacked; anything else costs nothing that came before."""
    assert b"".join(given_bytes(gzip.compress(LINE, mtime=0) + end).chunks()) == expected


def test_packed_bytes_that_are_cut_off() -> None:
    """What can be unpacked is read."""
    data = b"".join(hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(50))
    cut = gzip.compress(data, mtime=0)[:-500]
    found = b"".join(given_bytes(cut, 100).chunks())
    assert 1000 < len(found) < len(data)
    assert data.startswith(found)


class Failing(io.BytesIO):
    """A stream whose disk fails after some bytes."""

    def __init__(self, error: Exception, after: int = 0) -> None:
        super().__init__(LINE[:after])
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the bytes before the failure."""
        if found := super().read(size):
            return found
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(5, "Input/output error"), "given cannot be read: Input/output error"),
        (OSError("the share is gone"), "given cannot be read: the share is gone"),
    ],
)
def test_a_failing_disk_is_named(error: Exception, expected: str) -> None:
    """With the system's reason, whether it fails at once or later."""
    with pytest.raises(ReaderError) as caught:
        Input("given", 10, lambda: Failing(error))
    assert str(caught.value) == expected
    streams = iter([io.BytesIO(LINE), Failing(error, 10)])
    given = Input("given", 10, lambda: next(streams))
    with pytest.raises(ReaderError) as caught:
        list(given.chunks())
    assert str(caught.value) == expected


def test_damaged_packed_bytes_are_named() -> None:
    """A file that only begins like gzip is no log."""
    with pytest.raises(ReaderError) as caught:
        given_bytes(b"\x1f\x8b\x08\x00" + b"\xff" * 40)
    assert str(caught.value) == "given begins like gzip, but is damaged"


def test_names_of_no_file(tmp_path: Path) -> None:
    """Each error has the name and what to do: the most similar name, or where it was sought."""
    (tmp_path / "deploy.log").write_bytes(LINE)
    rows = {
        tmp_path: (f"{tmp_path} is a directory", f"Name the files in it: {tmp_path / '*'}"),
        tmp_path / "deplyo.log": (
            f"{tmp_path / 'deplyo.log'} does not exist",
            f"Did you mean {tmp_path / 'deploy.log'}?",
        ),
        tmp_path / "worker.txt": (
            f"{tmp_path / 'worker.txt'} does not exist",
            f"Correct the name: the file was looked for in {tmp_path}.",
        ),
        tmp_path / "no" / "a.log": (
            f"{tmp_path / 'no' / 'a.log'} does not exist",
            f"There is no folder {tmp_path / 'no'}: correct the name.",
        ),
    }
    for path, expected in rows.items():
        with pytest.raises(ReaderError) as caught:
            Input(path)
        assert (str(caught.value), caught.value.next_step) == expected
        assert not isinstance(caught.value, NothingFoundError)
    with pytest.raises(ReaderError, match=r"^the name of a file is empty$") as caught:
        Input("")
    assert caught.value.next_step == ""


def test_a_name_in_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without a folder was sought in the current one, which the error names in full."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReaderError) as caught:
        Input("worker.txt")
    expected = f"Correct the name: the file was looked for in {tmp_path}."
    assert caught.value.next_step == expected


class Standard:
    """A stand-in for `sys.stdin`."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first bytes come again with all bytes; a second reading is an error."""
    stream = Standard(LINE)
    monkeypatch.setattr(sys, "stdin", stream)
    given = Input("-", 10)
    assert (given.name, given.size, given.head) == ("standard input", 0, LINE)
    told: list[tuple[int, int]] = []
    assert b"".join(given.chunks(lambda *done: told.append(done))) == LINE
    assert told[-1] == (len(LINE), 0)
    assert not stream.buffer.closed
    with pytest.raises(ReaderError) as caught:
        next(given.chunks())
    assert str(caught.value) == "standard input has been read already"


def test_the_bytes_of_a_stream_are_counted_when_they_are_read() -> None:
    """Bytes that were only looked at come first, and count once."""
    stream = _CountingStream(io.BytesIO(b"abcdefgh"), owned=True)
    assert (stream.peek(3), stream.peek(5), stream.peek(2)) == (b"abc", b"abcde", b"ab")
    assert stream.count == 0
    assert (stream.read(2), stream.count) == (b"ab", 2)
    assert (stream.read(9), stream.count) == (b"cde", 5)
    assert (stream.read(2), stream.count) == (b"fg", 7)
    assert (stream.peek(9), stream.read()) == (b"h", b"h")
    assert (stream.read(), stream.count) == (b"", 8)
    assert stream.peek(1) == b""


@pytest.mark.parametrize("owned", [False, True])
def test_only_a_stream_of_its_own_is_closed(*, owned: bool) -> None:
    """Standard input stays open for whoever reads it next."""
    inner = io.BytesIO(b"")
    stream = _CountingStream(inner, owned=owned)
    stream.close()
    assert stream.closed
    assert inner.closed is owned
