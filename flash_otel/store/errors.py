"""What can go wrong with the store, told apart by what to do about it.

- `StoreError`: this file cannot be used; the message says why and what to do.
  - `StoreCorruptError`: the file is damaged; a fresh one beside it can be used.
  - `StoreBusyError`: another process holds it; a later attempt can succeed.
  - `StoreDiskError`: the disk is full or fails; a later attempt can succeed.
  - `StoreNewerError`: a newer flash_otel made it, and can take in what waits beside it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StoreError(Exception):
    """The store cannot be used; the message names the file and the cause."""

    transient: ClassVar[bool] = False


class StoreCorruptError(StoreError):
    """The file is damaged or is no database."""


class StoreBusyError(StoreError):
    """Another process holds the database locked."""

    transient: ClassVar[bool] = True


class StoreDiskError(StoreError):
    """The disk is full or fails."""

    transient: ClassVar[bool] = True


class StoreNewerError(StoreError):
    """The file has a version that this flash_otel does not know."""

    transient: ClassVar[bool] = True


# SQLite's result codes as texts (sqlite.org/rescode.html): Python 3.10 gives no numbers.
_BY_TEXT: Final[tuple[tuple[str, type[StoreError]], ...]] = (
    ("locked", StoreBusyError),
    ("busy", StoreBusyError),
    ("locking protocol", StoreBusyError),
    ("full", StoreDiskError),
    ("disk I/O", StoreDiskError),
    ("malformed", StoreCorruptError),
    ("not a database", StoreCorruptError),
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise inside the block into `StoreError`s."""
    import sqlite3

    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = str(error)
        kind = next((kind for part, kind in _BY_TEXT if part in text), StoreError)
        raise kind(f"{path}: {text}") from error
