"""The store: where it is, who may read it, whether it is whole, and what waits in it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, UNKNOWN, Check
from flash_otel.store import paths

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_OTHERS: Final = 0o077
_KIB: Final = 1024
_NAME: Final = "FLASH_OTEL_STORE"


def store() -> Iterator[Check]:
    """Look at the store without changing it; a missing one is made by the first deployment."""
    from flash_otel.store.store import newest

    path = paths.default_path()
    if paths.is_off():
        yield Check("store", NOTE, f"{_NAME} switches the store off: what is not sent is lost")
    found = newest(path)
    if found is None and paths.numbers(path):
        said = f"{path} is damaged, or no store of flash_otel"
        yield Check("store", PROBLEM, said, "Move it away, or name another file in " + _NAME)
    elif found is None:
        yield Check("store", OK, f"{path} (nothing is recorded yet)")
        yield from _folder(path.parent)
    else:
        yield from _file(found)
        yield from _content(found)


def _folder(folder: Path) -> Iterator[Check]:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        said = f"{there} cannot be written to: spans are not stored"
        yield Check("store_rights", PROBLEM, said, f"Name a file elsewhere in {_NAME}.")


def _file(path: Path) -> Iterator[Check]:
    found = path.lstat()
    size = sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*") if one.is_file())
    yield Check("store", OK, f"{path} ({size // _KIB} KiB)")
    if stat.S_ISLNK(found.st_mode):
        said = f"{path} is a symbolic link: flash_otel does not follow it"
        yield Check("store_rights", PROBLEM, said, f"Name the file itself in {_NAME}.")
    elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        said = f"{path} belongs to another user: flash_otel does not use it"
        yield Check("store_rights", PROBLEM, said, f"Name a file of your own in {_NAME}.")
    elif os.name == "posix" and found.st_mode & _OTHERS:
        said = f"{path} can be read by others; the next deployment takes that back"
        yield Check("store_rights", NOTE, said, f"chmod 600 {path}")
    elif not os.access(path, os.W_OK):
        yield Check("store_rights", PROBLEM, f"{path} cannot be written to", f"chmod 600 {path}")
    else:
        yield Check("store_rights", OK, "only its owner can read the store")


def _content(path: Path) -> Iterator[Check]:
    from flash_otel.store.errors import translated
    from flash_otel.store.store import SpanStore, StoreError

    try:
        with SpanStore(path, is_read_only=True) as opened, translated(path):
            database = opened.connection
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                said = f"the store is damaged: {answer}"
                hint = (
                    "Move it away; a new one is begun, and `flash-otel diagnose --from` reads it."
                )
                yield Check("store_integrity", PROBLEM, said, hint)
                return
            (spans,) = database.execute("SELECT count(*) FROM spans").fetchone()
            yield Check("store_integrity", OK, f"the store is whole and holds {spans} spans")
            yield from _waiting(database)
    except StoreError as error:
        yield Check("store_integrity", UNKNOWN, f"the store cannot be read now: {error}")


def _waiting(database: sqlite3.Connection) -> Iterator[Check]:
    from flash_otel.store.cursors import delivery_statuses

    for one in delivery_statuses(database):
        if one.waiting:
            why = f" ({one.reason})" if one.reason else ""
            said = f"{one.waiting} spans wait for {one.name}{why}"
            yield Check("waiting", NOTE, said, "flash-otel push")
        if one.rejected:
            said = f"{one.rejected} spans were rejected by {one.name} ({one.rejected_reason})"
            yield Check("rejected", NOTE, said, "flash-otel push --rejected")
