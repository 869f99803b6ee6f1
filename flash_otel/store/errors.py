"""Why a store cannot be used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StoreError(Exception):
    """The store cannot be used; the message names the file, the cause and a remedy."""

    transient: ClassVar[bool] = False


class StoreCorruptError(StoreError):
    """The file is damaged or not a database: a fresh one beside it can be used."""


class StoreBusyError(StoreError):
    """Another process holds the database locked: a later attempt can succeed."""

    transient: ClassVar[bool] = True


class StoreDiskError(StoreError):
    """The disk is full or fails: a later attempt can succeed."""

    transient: ClassVar[bool] = True


class StoreNewerError(StoreError):
    """A newer flash_otel made the file: that version can take in what is set aside beside it."""

    transient: ClassVar[bool] = True


class StoreEmptyError(StoreError):
    """The file is still empty: its first writer has not written yet, or was blocked."""


class StoreOutdatedError(StoreError):
    """An older flash_otel made the file: opened for writing, it is migrated."""


class AmbiguousTraceError(StoreError):
    """Several traces begin with the given digits."""


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
