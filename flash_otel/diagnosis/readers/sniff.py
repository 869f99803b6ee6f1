"""Tells by its first bytes what a file is."""

from __future__ import annotations

import re
from typing import Final

from flash_otel.lines.table import MARK
from flash_otel.otlp.encode import LOG_MARK
from flash_otel.otlp.framing import looks_like_otlp

OTLP_JSON: Final = "otlp json"
OTLP_PROTOBUF: Final = "otlp protobuf"
LOG: Final = "log"
SQLITE: Final = "sqlite"

_OTLP_START: Final = re.compile(
    rb'(?:\xef\xbb\xbf)?\s*\[?\s*\{\s*"(?:resource_?(?:[Ss]pans|[Ll]ogs|[Mm]etrics)|partialSuccess)"'
)
_MARKS: Final = re.compile(f"{MARK.pattern}|{re.escape(LOG_MARK)}\\{{".encode())
_SQLITE: Final = b"SQLite format 3\x00"

# First bytes and what begins with them.
_OTHERS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive (or wheel, or Office document); unpack it first"),
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
_MOSTLY_TEXT: Final = 0.05


def kind_of(head: bytes) -> str | None:
    """Return what can be read, by its first bytes; None for anything else."""
    if head.startswith(_SQLITE):
        return SQLITE
    if _OTLP_START.match(head):
        # Collected container logs are logs, whatever they are wrapped in.
        return OTLP_JSON if b"pans" in head or b"etrics" in head[:200] else LOG
    if looks_like_otlp(head):
        return OTLP_PROTOBUF
    return LOG if _MARKS.search(head) or description_of(head) is None else None


def description_of(head: bytes) -> str | None:
    """Name what cannot be read; None for text."""
    if not head:
        return "an empty file"
    for magic, name in _OTHERS:
        if head.startswith(magic) and not _is_text(head):
            return name
    if head[_TAR_MAGIC] == b"ustar":
        return "a tar archive; unpack it first"
    return None if _is_text(head) else "binary data"


def _is_text(head: bytes) -> bool:
    # A log that was truncated under its writer begins with a hole of zeros.
    text = head.lstrip(b"\x00")
    return len(_CONTROL.findall(text)) <= _MOSTLY_TEXT * len(text)
