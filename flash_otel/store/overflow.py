"""What waits beside a store that takes nothing now: OTLP JSON files that the next run takes in.

Only a process that ends while the store is locked, or is of a newer version, leaves one. It is
private like the store, complete or absent (renamed when it is written), and taken in once: a span
is unique in the store by its ids.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.guard import logger, swallowed
from flash_otel.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

SUFFIX: Final = ".unstored"

# Where nobody ever takes them in, the disk must not fill.
_MOST_FILES: Final = 1_000
_MODE: Final = 0o600


def keep(path: Path, records: Sequence[SpanRecord]) -> bool:
    """Write records beside the store whose first file is `path`; tell whether they are there."""
    from flash_otel.otlp.decode import encode

    if sum(1 for _ in waiting(path)) >= _MOST_FILES:
        return False
    unfinished = path.with_name(f"{path.name}-{token_hex(8)}.writing")
    try:
        with os.fdopen(
            os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE), "w"
        ) as file:
            json.dump(encode(records), file, separators=(",", ":"))
        unfinished.rename(unfinished.with_suffix(SUFFIX))
    except OSError:
        unfinished.unlink(missing_ok=True)
        return False
    return True


def waiting(path: Path) -> Iterator[Path]:
    """Yield the files beside the store whose first file is `path`, the oldest first."""
    try:
        found = [one for one in path.parent.iterdir() if _is_spool(one, path)]
        yield from sorted(found, key=lambda one: (one.stat().st_mtime_ns, one.name))
    except OSError:
        return


def adopt(store: SpanStore, path: Path) -> None:
    """Store what waits beside `path`, and delete it there.

    Raises:
        StoreError: The store takes nothing; everything still waits.
    """
    for file in waiting(path):
        try:
            store.write(_read(file))
            file.unlink(missing_ok=True)
        except StoreError:
            raise
        except OSError:
            logger.debug("flash_otel: %s cannot be read", file, exc_info=True)
        except Exception:
            # Not what `keep` has written: left as it is, for a person to look at.
            swallowed("taking in spans from beside the store")


def adopt_if_possible(store: SpanStore, path: Path) -> None:
    """Do the same for somebody who only reads: what the store does not take goes on waiting."""
    with suppress(StoreError):
        adopt(store, path)


def _is_spool(file: Path, path: Path) -> bool:
    return file.suffix == SUFFIX and file.name.startswith(f"{path.name}-")


def _read(file: Path) -> list[SpanRecord]:
    """Read a file that is ours; one that somebody else could have planted raises `OSError`."""
    from flash_otel.otlp.decode import decode

    opened = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(opened, encoding="utf-8") as stream:
        found = os.fstat(opened)
        foreign = hasattr(os, "geteuid") and found.st_uid != os.geteuid()
        if foreign or not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{file} is no file of this user's")
        return list(decode(json.load(stream)))
