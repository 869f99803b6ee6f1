"""Where the evidence of a diagnosis comes from: files and logs, each yielding span records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.diagnosis.readers import sniff
from flash_otel.diagnosis.readers.base import NothingFoundError, Progress, Source, SourceError
from flash_otel.diagnosis.readers.input import CHUNK, Input
from flash_otel.diagnosis.readers.logs import LogFile
from flash_otel.diagnosis.readers.otlp import OtlpJsonFile, OtlpProtobufFile

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["NothingFoundError", "Progress", "Source", "SourceError", "open_source"]

_SOURCES: Final[dict[str, Callable[[Input], Source]]] = {
    sniff.LOG: LogFile,
    sniff.OTLP_JSON: OtlpJsonFile,
    sniff.OTLP_PROTOBUF: OtlpProtobufFile,
}


def open_source(path: str | os.PathLike[str], chunk: int = CHUNK) -> Source:
    """Open a file, or standard input for `-`, as what its first bytes show it to be.

    Args:
        path: A log, or OTLP as JSON lines, as one JSON document or as protobuf; each gzipped or
            not.
        chunk: Bytes to read at a time.

    Raises:
        SourceError: It cannot be read; the message says what was found.
    """
    given = Input(path, chunk)
    kind = sniff.kind_of(given.head)
    if kind == sniff.SQLITE:
        raise SourceError(
            f"{given.name} is an SQLite database: if it is flash_otel's store, "
            f"name it by FLASH_OTEL_STORE={given.name} and read it with --from store"
        )
    if kind is None:
        raise SourceError(
            f"{given.name} is {sniff.description_of(given.head)}; "
            "a log or an OTLP file (JSON or protobuf) can be read"
        )
    return _SOURCES[kind](given)
