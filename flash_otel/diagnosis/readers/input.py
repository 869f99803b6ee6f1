"""The bytes of a file or of standard input, compressed or not, and what kind of file they are.

The first bytes can be examined without being lost, even from a pipe; memory stays flat whatever
the size.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from flash_otel.diagnosis.readers.copies import Copied
from flash_otel.lines.table import MARK
from flash_otel.otlp.encode import LOG_MARK
from flash_otel.otlp.framing import looks_like_otlp

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 4 * 1024 * 1024
HEAD: Final = 64 * 1024
STDIN: Final = "-"

_MOSTLY: Final = 0.8  # share of zeros among every second byte
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's number for "with a gzip header"
# Windows PowerShell writes redirected output in UTF-16.
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes in total (0: unknown)."""


class ReaderError(Exception):
    """Records cannot be read; the message names the place and what was found there.

    Attributes:
        next_step: What to do about it; empty if nothing more specific is known.
    """

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


class NothingFoundError(ReaderError):
    """The place was read to its end, but holds no records of flash_otel."""


# --- the kind of a file ------------------------------------------------------------------------


class Kind(Enum):
    """The kinds of files that are recognised."""

    LOG = "log"
    OTLP_JSON = "otlp json"
    OTLP_PROTOBUF = "otlp protobuf"
    SQLITE = "sqlite"


_OTLP_START: Final = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*\[?\s*\{\s*"(?:resource_?(?:[Ss]pans|[Ll]ogs|[Mm]etrics)|partialSuccess)"'
)
_OTLP_LOGS: Final = re.compile(rb'[^"]*"resource_?[Ll]ogs"')
_OTLP_SPANS: Final = re.compile(rb'^\s*\{\s*"resource_?[Ss]pans"', re.MULTILINE)
_MARKS: Final = re.compile(f"{MARK.pattern}|{re.escape(LOG_MARK)}\\{{".encode())
# GELF over TCP: JSON objects, each with a zero behind it, which no JSON contains.
_FRAMED: Final = re.compile(rb'\s*\{\s*"[^\0]*\}\s*\0')
_SQLITE: Final = b"SQLite format 3\x00"

# First bytes of files that cannot be read, and what to call them.
_OTHERS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (
        b"PK\x03\x04",
        "a zip archive that is damaged or not a file; unpack it first",
    ),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data; unpack it first (zstd -d)"),
    (b"\xfd7zXZ\x00", "xz-compressed data; unpack it first (xz -d)"),
    (b"BZh", "bzip2-compressed data; unpack it first (bzip2 -d)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"\x7fELF", "a Linux program or library"),
    (b"MZ", "a Windows program or library"),
    (b"\xcf\xfa\xed\xfe", "a macOS program or library"),
    (b"\xca\xfe\xba\xbe", "a macOS program or Java class"),
    (b"PAR1", "a Parquet file"),
    (b"OggS", "an Ogg media file"),
    (b"RIFF", "a WAV, AVI or WebP media file"),
)
_TAR_MAGIC: Final = slice(257, 262)
_CONTROL: Final = re.compile(rb"[\x00-\x06\x0e-\x1a]")
_MAX_CONTROL_SHARE: Final = 0.05  # of a text's bytes


def kind_of(head: bytes) -> Kind | None:
    """Return the kind of a file by its first bytes, None if it cannot be read."""
    if head.startswith(_SQLITE):
        return Kind.SQLITE
    if _OTLP_START.match(head):
        # Logs that a collector exported hold bracketed lines in their bodies: search the text.
        is_log = _OTLP_LOGS.match(head) and not _OTLP_SPANS.search(head)
        return Kind.LOG if is_log else Kind.OTLP_JSON
    if looks_like_otlp(head):
        return Kind.OTLP_PROTOBUF
    return Kind.LOG if _MARKS.search(head) or description_of(head) is None else None


def description_of(head: bytes) -> str | None:
    """Return what to call a file that cannot be read; None for text."""
    if not head:
        return "an empty file"
    for magic, name in _OTHERS:
        if head.startswith(magic) and not _is_text(head):
            return name
    if head[_TAR_MAGIC] == b"ustar":
        return "a tar archive; unpack it first"
    return None if _is_text(head) else "binary data"


def _is_text(head: bytes) -> bool:
    # A log that was truncated while its writer had it open begins with a hole of zeros.
    text = head.lstrip(b"\x00")
    return len(_CONTROL.findall(text)) <= _MAX_CONTROL_SHARE * len(text)


# --- the bytes ---------------------------------------------------------------------------------


class Input:
    """The bytes of a path, or of standard input for `-`.

    Args:
        path: The path, or `-`.
        chunk: Bytes to read at a time.
        opened: Opens a source that is not a separate file, such as a file in an archive.

    Attributes:
        name: The path as given, or "standard input".
        head: The first bytes, decompressed and recoded. `chunks` yields them again.
        size: Bytes in the file; 0 if unknown.

    Raises:
        ReaderError: It cannot be opened or read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        chunk: int = CHUNK,
        opened: Callable[[], BinaryIO] | None = None,
    ) -> None:
        self.name = os.fspath(path)
        self.size = 0
        self._opened = opened
        self._chunk = chunk
        self._stream: _CountingStream | None = None  # of what can be read only once
        self._path: Path | None = None
        if opened is not None:
            pass
        elif self.name == STDIN:
            self.name = "standard input"
            self._stream = _CountingStream(sys.stdin.buffer, owned=False)
        else:
            self._examine(Path(self.name))
        head = self._peek()
        self._encoding = _encoding_of(head)
        head = head.decode(self._encoding, "replace").encode() if self._encoding else head
        self._is_framed = _FRAMED.match(head) is not None
        head = head.replace(b"\0", b"\n") if self._is_framed else head
        self._copied = Copied(head)
        self.head = self._copied.undone(head)

    def chunks(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Yield the bytes, decompressed and in an encoding that extends ASCII.

        A compressed file that was cut off yields the part that can be decompressed.

        Raises:
            ReaderError: Reading failed, or it can be read only once and was read before.
        """
        stream = self._open()
        self._stream = None
        try:
            recoded = self._recoded(_decompressed(stream, self._chunk))
            for chunk in self._copied.chunks(recoded) if self._copied else recoded:
                yield chunk
                if progress is not None:
                    progress(stream.count, self.size)
        except OSError as error:
            raise _unreadable(self.name, error) from None
        finally:
            stream.close()

    def _examine(self, path: Path) -> None:
        if not self.name:
            raise ReaderError("the name of a file is empty")
        try:
            found = path.stat()
            if stat.S_ISDIR(found.st_mode):
                files = str(path / "*")
                raise ReaderError(f"{self.name} is a directory", f"Name the files in it: {files}")
            if stat.S_ISREG(found.st_mode):
                self._path, self.size = path, found.st_size
            else:
                # A pipe, such as `<(docker logs ...)`, can be opened and read only once.
                self._stream = _CountingStream(_binary(path), owned=True)
        except FileNotFoundError:
            raise ReaderError(f"{self.name} does not exist", _correction(path)) from None
        except (OSError, ValueError) as error:
            raise _unreadable(self.name, error) from None

    def _open(self) -> _CountingStream:
        if self._stream is not None:
            return self._stream
        if self._opened is not None:
            return _CountingStream(self._opened(), owned=True)
        if self._path is None:
            raise ReaderError(f"{self.name} has been read already")
        try:
            return _CountingStream(_binary(self._path), owned=True)
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def _peek(self) -> bytes:
        stream = self._open()
        try:
            head = stream.peek(HEAD)
            if head.startswith(_GZIP):
                head = zlib.decompressobj(_GZIP_WINDOW).decompress(head, HEAD)
        except zlib.error:
            raise ReaderError(f"{self.name} begins like gzip, but is damaged") from None
        except OSError as error:
            raise _unreadable(self.name, error) from None
        finally:
            if stream is not self._stream:
                stream.close()
        return head

    def _recoded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        if not self._encoding:
            yield from (_unframed(chunks) if self._is_framed else chunks)
            return
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "replace")


def _unframed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk.replace(b"\0", b"\n")


def _encoding_of(head: bytes) -> str:
    """Return the name of an encoding in which every second byte of ordinary text is zero, or ""."""
    # The byte-order mark alone proves nothing: a log may begin with any bytes.
    if head.startswith(_UTF16):
        return "utf-16" if head.count(0) > len(head) // 10 else ""
    zeros = [head[at::2].count(0) * 2 for at in (0, 1)]
    for at, encoding in enumerate(("utf-16-be", "utf-16-le")):
        if zeros[at] > len(head) * _MOSTLY and zeros[1 - at] < len(head) * (1 - _MOSTLY):
            return encoding
    return ""


class _CountingStream(io.RawIOBase):
    """A stream that counts the bytes read, and whose first bytes can be peeked at."""

    def __init__(self, stream: BinaryIO, *, owned: bool) -> None:
        self._stream = stream
        self._owned = owned
        self._ahead = b""
        self.count = 0

    def peek(self, size: int) -> bytes:
        """Return the first bytes without consuming them; fewer only at the end of the stream."""
        while len(self._ahead) < size:
            more = self._stream.read(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int = CHUNK, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        if not taken:
            taken = self._stream.read(size) or b""
        self.count += len(taken)
        return taken

    def close(self) -> None:
        """Close the stream if it was opened here, which standard input was not."""
        if self._owned:
            self._stream.close()
        super().close()


def _binary(path: Path) -> BinaryIO:
    return cast("BinaryIO", path.open("rb", buffering=0))


def _decompressed(stream: _CountingStream, size: int) -> Iterator[bytes]:
    if not stream.peek(len(_GZIP)).startswith(_GZIP):
        while chunk := stream.read(size):
            yield chunk
        return
    with gzip.GzipFile(fileobj=stream) as unpacked:
        try:
            while chunk := unpacked.read1(size):
                yield chunk
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return  # cut off, or followed by something else: what was decompressed is good


def _correction(path: Path) -> str:
    """Return what to do about a name of no file: the most similar name, or where it was sought."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"There is no folder {path.parent}: correct the name."
    similar = get_close_matches(path.name, names, 1)
    if similar:
        return f"Did you mean {path.with_name(similar[0])}?"
    return f"Correct the name: the file was looked for in {path.parent.absolute()}."


def _unreadable(name: str, error: Exception) -> ReaderError:
    return ReaderError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")
