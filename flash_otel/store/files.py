"""The files of a store: their names, their permissions, and spans that are set aside.

Spans reveal what a person deploys, so folder and file are private to their owner. A file that
another user could have planted (a symbolic link, a foreign owner) is refused.

Spans that a locked or newer store cannot accept are set aside beside it, as OTLP JSON that the next
run takes in. Such a file is private like the store, and is renamed after it is written, so readers
only see complete files. Taking it in twice is harmless: a span is unique in the store by its ids.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.process import logger, swallowed
from flash_otel.store.errors import StoreError
from flash_otel.store.location import FILE_NAME, is_state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flash_otel.records import SpanRecord

SUFFIX: Final = ".unstored"

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
_MOST_DAMAGED: Final = 100
# Limits the disk space if no run ever takes in the files.
_MOST_SET_ASIDE: Final = 1_000
# The files beside a database that SQLite trusts as much as the database itself
# (sqlite.org/tempfiles.html).
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


def numbered(path: Path, number: int) -> Path:
    """Return the file that replaces `path` after `number` damaged files (0 is `path`)."""
    return path if number == 0 else path.with_name(f"{path.stem}.{number}{path.suffix}")


def numbers(path: Path) -> list[int]:
    """Return the numbers of the existing files of this store, the newest first."""
    prefix, suffix = f"{path.stem}.", path.suffix
    found = {0} if os.path.lexists(path) else set()
    for name in _names(path.parent):
        middle = name[len(prefix) : len(name) - len(suffix)]
        if name == f"{prefix}{middle}{suffix}" and middle.isdecimal() and middle.isascii():
            found.add(int(middle))
    return sorted(found, reverse=True)


def files_to_write(path: Path, damaged: Path | None = None) -> Iterator[Path]:
    """Yield the file to write to, then those to try if it turns out to be damaged.

    Args:
        path: The store's first file, such as `spans.db`.
        damaged: A file of the store that is known to be damaged.
    """
    known = numbers(path)
    first = next(iter(known), 0)
    if damaged is not None:
        bad = next((number for number in known if numbered(path, number) == damaged), first)
        first = max(first, bad + 1)
    return (numbered(path, number) for number in range(first, first + _MOST_DAMAGED))


def prepare(path: Path) -> None:
    """Create the folder and an empty file if they are missing; make sure that both are private.

    Raises:
        StoreError: The file is a symbolic link, not a regular file, or belongs to another user.
        OSError: The folder or the file cannot be created.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    if is_state_folder(path.parent):
        _tighten(path.parent, _FOLDER_MODE)
    _refuse_foreign_folder(path.parent)
    if not os.path.lexists(path):
        _create(path)
    refuse_unsafe(path)
    _tighten(path, _FILE_MODE)


def refuse_unsafe(path: Path) -> None:
    """Refuse a store that another user could have planted.

    Raises:
        StoreError: A file of the store is a symbolic link, not a regular file, or belongs to
            another user; so does the folder.
        OSError: The file or its folder is missing.
    """
    _refuse_foreign_folder(path.parent)
    _refuse_unsafe_file(path)
    for suffix in _COMPANIONS:
        companion = path.with_name(path.name + suffix)
        if os.path.lexists(companion):
            _refuse_unsafe_file(companion)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _create(path: Path) -> None:
    # Only ever a new file: closing a descriptor of a database that is open in this process
    # would drop SQLite's locks on it (POSIX advisory locks; sqlite.org/howtocorrupt.html, 2.2).
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE))
    except FileExistsError:
        return


def _refuse_foreign_folder(folder: Path) -> None:
    for found in (os.lstat(folder), folder.stat()):
        if _is_foreign(found, allowed=0):
            raise StoreError(f"{folder} belongs to another user: the span store is not kept there")


def _refuse_unsafe_file(path: Path) -> None:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise StoreError(f"{path} is a symbolic link: the span store does not follow it")
    if stat.S_ISDIR(found.st_mode):
        raise StoreError(
            f"{path} is a folder, not a regular file: name a file in it, such as {path / FILE_NAME}"
        )
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is not a regular file: the span store cannot be kept there")
    if _is_foreign(found):
        raise StoreError(f"{path} belongs to another user: the span store does not use it")


def _is_foreign(found: os.stat_result, allowed: int | None = None) -> bool:
    if not hasattr(os, "geteuid"):
        return False
    return found.st_uid not in (os.geteuid(), allowed)


def _tighten(path: Path, mode: int) -> None:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        path.chmod(mode)


def set_aside(path: Path, records: Sequence[SpanRecord]) -> bool:
    """Write records beside the store whose first file is `path`; return True on success."""
    from flash_otel.otlp.encode import encode_json

    if sum(1 for _ in waiting(path)) >= _MOST_SET_ASIDE:
        return False
    unfinished = path.with_name(f"{path.name}-{os.urandom(8).hex()}.writing")
    try:
        opened = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _FILE_MODE)
        with os.fdopen(opened, "w") as file:
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
            # Not written by `set_aside`: the file stays for a person to look at.
            swallowed("taking in spans from beside the store")


def _read(file: Path) -> list[SpanRecord]:
    """Read a file; one that another user could have planted raises `OSError`."""
    from flash_otel.otlp.decode import decode

    # Without O_NONBLOCK, opening a FIFO would wait for a writer before it can be refused.
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    opened = os.open(file, os.O_RDONLY | flags)
    with os.fdopen(opened, encoding="utf-8") as stream:
        found = os.fstat(opened)
        if _is_foreign(found) or not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{file} does not belong to this user or is not a regular file")
        return list(decode(json.load(stream)))
