"""Reader of zip archives, such as the log archives of GitHub Actions."""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast

from flash_otel.diagnosis.readers.input import Input, NothingFoundError, ReaderError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from flash_otel.diagnosis.readers.input import Progress
    from flash_otel.records import SpanRecord

MOST_FILES: Final = 2_000
# `zipfile` decompresses these in parts. A part of BZIP2 or LZMA is decompressed as a whole, and may
# be a hundred thousand times larger than in the archive.
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# Raised by `zipfile` for damage, a password, and an unknown compression method.
_ERRORS: Final = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class ZipReader:
    """Reads each file of an archive as if it were passed separately.

    Args:
        path: The archive.
        chunk: Bytes to read at a time.
        read: Yields the records of a file; raises `ReaderError` if it cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        chunk: int,
        read: Callable[[Input], Iterator[SpanRecord]],
    ) -> None:
        self.name = str(path)
        self._chunk = chunk
        self._read = read

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the records of all files, in the order of their names.

        Raises:
            ReaderError: The archive is damaged or encrypted, or holds very many files.
            NothingFoundError: No file in it holds a record.
        """
        found = False
        try:
            with zipfile.ZipFile(self.name) as archive:
                names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
                if len(names) > MOST_FILES:
                    raise ReaderError(f"{self.name} holds {len(names)} files: unpack it first")
                for number, name in enumerate(names, 1):
                    for record in self._of(archive, name):
                        found = True
                        yield record
                    if progress is not None:
                        progress(number, len(names))
        except _ERRORS as error:
            raise ReaderError(f"{self.name} cannot be read: {error}") from None
        if not found:
            raise NothingFoundError(
                f"{self.name} is a zip archive in which none of the files ({len(names)}) holds a "
                "bracketed line or a span of flash_otel"
            )

    def _of(self, archive: zipfile.ZipFile, name: str) -> Iterator[SpanRecord]:
        opened = cast("Callable[[], BinaryIO]", partial(_opened, archive, name))
        given = Input(f"{self.name}/{name}", self._chunk, opened)
        try:
            yield from self._read(given)
        except ReaderError:
            return  # an archive may hold other files, too


def _opened(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    if archive.getinfo(name).compress_type not in _METHODS:
        raise NotImplementedError("only stored and deflated files can be read: unpack it first")
    return archive.open(name)
