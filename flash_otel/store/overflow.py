"""Spans set aside beside a store that takes none: OTLP JSON files that the next run takes in.

A process leaves such a file only if it ends while the store is locked or of a newer version. The
file is private like the store and appears complete, since it is renamed after it is written.
Taking it in twice does no harm: a span is unique in the store by its ids.
"""

from __future__ import annotations

import json
import os
import stat
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.guard import logger, swallowed
from flash_otel.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flash_otel.records import SpanRecord

SUFFIX: Final = ".unstored"

# Limits the disk space if no run ever takes the files in.
_MOST_FILES: Final = 1_000
_MODE: Final = 0o600


def keep(path: Path, records: Sequence[SpanRecord]) -> bool:
    """Write records beside the store whose first file is `path`; return True on success."""
    from flash_otel.otlp.encode import encode_json

    if sum(1 for _ in waiting(path)) >= _MOST_FILES:
        return False
    unfinished = path.with_name(f"{path.name}-{token_hex(8)}.writing")
    try:
        with os.fdopen(
            os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE), "w"
        ) as file:
            json.dump(encode_json(records), file, separators=(",", ":"))
        unfinished.rename(unfinished.with_suffix(SUFFIX))
    except OSError:
        unfinished.unlink(missing_ok=True)
        return False
    return True


def waiting(path: Path) -> Iterator[Path]:
    """Yield the files beside the store whose first file is `path`, the oldest first."""
    try:
        found = [
            file
            for file in path.parent.iterdir()
            if file.suffix == SUFFIX and file.name.startswith(f"{path.name}-")
        ]
        yield from sorted(found, key=lambda file: (file.stat().st_mtime_ns, file.name))
    except OSError:
        return


def adopt(write: Callable[[list[SpanRecord]], None], path: Path) -> None:
    """Store the spans that wait beside `path`, and delete their files.

    Args:
        write: Writes records to the store.
        path: The store's first file.

    Raises:
        StoreError: The store cannot be written to; the files stay.
    """
    for file in waiting(path):
        try:
            write(_read(file))
            file.unlink(missing_ok=True)
        except StoreError:
            raise
        except OSError:
            logger.debug("flash_otel: %s cannot be read", file, exc_info=True)
        except Exception:
            # Not written by `keep`: the file stays for a person to look at.
            swallowed("taking in spans from beside the store")


def _read(file: Path) -> list[SpanRecord]:
    """Read a file; one that another user could have planted raises `OSError`."""
    from flash_otel.otlp.decode import decode

    opened = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(opened, encoding="utf-8") as stream:
        found = os.fstat(opened)
        is_foreign = hasattr(os, "geteuid") and found.st_uid != os.geteuid()
        if is_foreign or not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{file} does not belong to this user or is not a regular file")
        return list(decode(json.load(stream)))
