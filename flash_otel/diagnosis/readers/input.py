"""A file or standard input as chunks of bytes: compressed or not, seekable or not.

The first bytes can be looked at without losing them; memory stays flat whatever the size.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from flash_otel.diagnosis.readers.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.readers.base import Progress

CHUNK: Final = 4 * 1024 * 1024
HEAD: Final = 64 * 1024
STDIN: Final = "-"

_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's number for "with a gzip header"
# Windows PowerShell writes what it redirects in UTF-16.
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Input:
    """Bytes to read from a path, or from standard input for `-`.

    Args:
        path: The path, or `-`.
        chunk: Bytes to read at a time.

    Attributes:
        name: What a person calls it.
        head: The first bytes, decompressed and recoded; the same bytes are read again.
        size: Bytes in the file; 0 where that is unknown.

    Raises:
        SourceError: There is nothing to read there.
    """

    def __init__(self, path: str | os.PathLike[str], chunk: int = CHUNK) -> None:
        self.name = os.fspath(path)
        self.size = 0
        self._chunk = chunk
        self._stream: _Stream | None = None
        self._path: Path | None = None
        if self.name == STDIN:
            self.name = "standard input"
            self._stream = _Stream(sys.stdin.buffer, owned=False)
        else:
            self._look_up(Path(self.name))
        head = self._peek()
        # In UTF-16 every second byte of ordinary text is a zero; a log may begin with anything.
        self._is_utf16 = head.startswith(_UTF16) and head.count(0) > len(head) // 10
        self.head = head.decode("utf-16", "replace").encode() if self._is_utf16 else head

    def chunks(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Yield the bytes, decompressed and in an encoding that holds ASCII as ASCII.

        A compressed file that was cut in half yields what can be had.

        Raises:
            SourceError: Reading failed, or what can be read only once has been read.
        """
        stream = self._open()
        self._stream = None
        try:
            for chunk in self._recoded(_decompressed(stream, self._chunk)):
                yield chunk
                if progress is not None:
                    progress(stream.count, self.size)
        except OSError as error:
            raise _unreadable(self.name, error) from None
        finally:
            stream.close()

    def _look_up(self, path: Path) -> None:
        if not self.name:
            raise SourceError("an empty name is no file")
        try:
            found = path.stat()
            if stat.S_ISDIR(found.st_mode):
                raise SourceError(f"{self.name} is a directory: name the files in it")
            if stat.S_ISREG(found.st_mode):
                self._path, self.size = path, found.st_size
            else:
                # A pipe, such as `<(docker logs ...)`, can be opened and read once.
                self._stream = _Stream(_binary(path), owned=True)
        except FileNotFoundError:
            raise SourceError(f"{self.name} does not exist") from None
        except (OSError, ValueError) as error:
            raise _unreadable(self.name, error) from None

    def _open(self) -> _Stream:
        if self._stream is not None:
            return self._stream
        if self._path is None:
            raise SourceError(f"{self.name} has been read already")
        try:
            return _Stream(_binary(self._path), owned=True)
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def _peek(self) -> bytes:
        stream = self._open()
        try:
            head = stream.peek(HEAD)
            if head.startswith(_GZIP):
                head = zlib.decompressobj(_GZIP_WINDOW).decompress(head, HEAD)
        except zlib.error:
            raise SourceError(f"{self.name} begins like gzip, but is damaged") from None
        except OSError as error:
            raise _unreadable(self.name, error) from None
        finally:
            if stream is not self._stream:
                stream.close()
        return head

    def _recoded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        if not self._is_utf16:
            yield from chunks
            return
        decoder = codecs.getincrementaldecoder("utf-16")("replace")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "replace")


class _Stream(io.RawIOBase):
    """A stream that counts what was read, and can be looked at before."""

    def __init__(self, stream: BinaryIO, *, owned: bool) -> None:
        self._stream = stream
        self._owned = owned
        self._ahead = b""
        self.count = 0

    def peek(self, size: int) -> bytes:
        """Return the first bytes, which stay to be read; fewer only where there are no more."""
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
        """Close what was opened here (standard input was not)."""
        if self._owned:
            self._stream.close()
        super().close()


def _binary(path: Path) -> BinaryIO:
    return cast("BinaryIO", path.open("rb", buffering=0))


def _decompressed(stream: _Stream, size: int) -> Iterator[bytes]:
    if not stream.peek(len(_GZIP)).startswith(_GZIP):
        while chunk := stream.read(size):
            yield chunk
        return
    with gzip.GzipFile(fileobj=stream) as unpacked:
        try:
            while chunk := unpacked.read1(size):
                yield chunk
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return  # cut in half, or something else behind it: what came before is good


def _unreadable(name: str, error: Exception) -> SourceError:
    return SourceError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")
