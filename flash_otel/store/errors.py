"""Errors of the store, one class for each way to handle them.

- `StoreError`: this file cannot be used; the message gives the cause and a remedy.
  - `StoreCorruptError`: the file is damaged; a fresh one beside it can be used.
  - `StoreBusyError`: another process holds the lock; a later attempt can succeed.
  - `StoreDiskError`: the disk is full or fails; a later attempt can succeed.
  - `StoreNewerError`: a newer flash_otel made the file; that version can take in what is set
    aside beside it.
  - `StoreOutdatedError`: an older flash_otel made the file; opened for writing, it is migrated.
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
    """The file is damaged or not a database."""


class StoreBusyError(StoreError):
    """Another process holds the database locked."""

    transient: ClassVar[bool] = True


class StoreDiskError(StoreError):
    """The disk is full or fails."""

    transient: ClassVar[bool] = True


class StoreNewerError(StoreError):
    """The file has a version that this flash_otel does not know."""

    transient: ClassVar[bool] = True


class StoreOutdatedError(StoreError):
    """The file must be migrated before it can be read."""


# Matched by text, because Python 3.10 does not expose SQLite's result codes
# (sqlite.org/rescode.html).
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
    """Raise errors of SQLite and of the file system inside the block as `StoreError`s."""
    import sqlite3

    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = str(error)
        kind = next((kind for part, kind in _BY_TEXT if part in text), StoreError)
        raise kind(f"{path}: {text}") from error
