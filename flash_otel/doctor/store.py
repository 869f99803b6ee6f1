"""Checks of the store: path, permissions, integrity, and undelivered spans."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, UNKNOWN, DoctorCheck
from flash_otel.store import files

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_OTHERS: Final = 0o077
_KIB: Final = 1024
_NAME: Final = "FLASH_OTEL_STORE"


def store() -> Iterator[DoctorCheck]:
    """Check the store without changing it; the first deployment creates a missing one."""
    from flash_otel.store.store import newest

    path = files.default_path()
    if files.is_off():
        text = f"{_NAME} switches the store off: spans that cannot be sent are lost"
        yield DoctorCheck("store", NOTE, text)
    found = newest(path)
    if found is None and files.numbers(path):
        text = f"{path} is damaged, or not a store of flash_otel"
        hint = f"Move it away, or name another file in {_NAME}"
        yield DoctorCheck("store", PROBLEM, text, hint)
    elif found is None:
        yield DoctorCheck("store", OK, f"{path} (nothing is recorded yet)")
        yield from _folder(path.parent)
    else:
        yield from _file(found)
        yield from _content(found)


def _folder(folder: Path) -> Iterator[DoctorCheck]:
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    # The store creates missing folders, so only the deepest existing one matters.
    if not os.access(existing, os.W_OK | os.X_OK):
        text = f"{existing} is not writable: spans are not stored"
        yield DoctorCheck("store_rights", PROBLEM, text, f"Name a file elsewhere in {_NAME}.")


def _file(path: Path) -> Iterator[DoctorCheck]:
    files = [file for file in path.parent.glob(f"{path.name}*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    yield DoctorCheck("store", OK, f"{path} ({size // _KIB} KiB)")
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        text = f"{path} is a symbolic link, which flash_otel does not follow"
        yield DoctorCheck("store_rights", PROBLEM, text, f"Name the file itself in {_NAME}.")
    elif hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        text = f"{path} belongs to another user: flash_otel does not use it"
        yield DoctorCheck("store_rights", PROBLEM, text, f"Name a file of your own in {_NAME}.")
    elif os.name == "posix" and found.st_mode & _OTHERS:
        text = f"{path} is accessible to other users until the next deployment"
        yield DoctorCheck("store_rights", NOTE, text, f"chmod 600 {path}")
    elif not os.access(path, os.W_OK):
        yield DoctorCheck("store_rights", PROBLEM, f"{path} is not writable", f"chmod 600 {path}")
    else:
        yield DoctorCheck("store_rights", OK, "only its owner can read the store")


def _content(path: Path) -> Iterator[DoctorCheck]:
    from flash_otel.store.files import translated
    from flash_otel.store.store import SpanStore, StoreError

    try:
        with SpanStore(path, is_read_only=True) as opened, translated(path):
            database = opened.connection
            # Not integrity_check, which compares every index with its table as well.
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if answer != "ok":
                text = f"the store is damaged: {answer}"
                hint = (
                    "Move it away: flash_otel starts a new one, and "
                    "`flash-otel diagnose --from` reads the damaged one."
                )
                yield DoctorCheck("store_integrity", PROBLEM, text, hint)
                return
            (spans,) = database.execute("SELECT count(*) FROM spans").fetchone()
            yield DoctorCheck("store_integrity", OK, f"the store is intact and holds {spans} spans")
            yield from _undelivered(database)
    except StoreError as error:
        yield DoctorCheck("store_integrity", UNKNOWN, f"the store cannot be read now: {error}")


def _undelivered(database: sqlite3.Connection) -> Iterator[DoctorCheck]:
    from flash_otel.store.cursors import delivery_statuses

    for status in delivery_statuses(database):
        if status.waiting:
            why = f" ({status.reason})" if status.reason else ""
            text = f"{status.waiting} spans wait for {status.name}{why}"
            yield DoctorCheck("waiting", NOTE, text, "flash-otel push")
        if status.rejected:
            text = f"{status.name} rejected {status.rejected} spans ({status.rejected_reason})"
            yield DoctorCheck("rejected", NOTE, text, "flash-otel push --rejected")
