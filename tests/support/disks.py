"""Faults of stores: full and read-only disks, locks of other processes, damaged files.

A fault that needs a mount runs in its own mount namespace, which ends with the process; tests skip
it on machines that do not permit that.
"""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NAMESPACE: Final = ("unshare", "--user", "--map-root-user", "--mount")
NO_HOME: Final = (
    *("unshare", "--user", "--map-user=54321", "--map-group=54321"),
    *("env", "-u", "HOME", "-u", "XDG_STATE_HOME", "-u", "FLASH_OTEL_STORE"),
)
"""The prefix of a command of a user whom no database knows, without a home folder."""

_MOUNTS: Final = "mount -t tmpfs -o size=64k tmpfs /mnt"
# The files move to a small disk, which is then filled; in the end they are saved.
_FULL: Final = """
folder=$1; shift
kept=$(mktemp -d)
cp -a "$folder/." "$kept"
mount -t tmpfs -o size=1m tmpfs "$folder"
cp -a "$kept/." "$folder"
rm -rf "$kept"
dd if=/dev/zero of="$folder/filler" bs=4k 2>/dev/null
"$@"
status=$?
rm "$folder/filler"
mkdir -p "$saved"
cp -a "$folder/." "$saved"
exit $status
"""
_READ_ONLY: Final = """
folder=$1; shift
mount --bind "$folder" "$folder" && mount -o remount,bind,ro "$folder" || exit 99
exec "$@"
"""
LIMIT: Final = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
"""


@cache
def can_mount() -> bool:
    """Return True if this machine lets a process mount in a namespace of its own."""
    try:
        done = subprocess.run([*_NAMESPACE, "sh", "-c", _MOUNTS], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def full_disk(folder: Path, saved: Path) -> tuple[str, ...]:
    """Return the prefix of a command that runs with a full disk at `folder`.

    Args:
        folder: Mount point; the disk holds the files of the folder.
        saved: Receives the files in the end.
    """
    code = f"saved='{saved}'{_FULL}"
    return (*_NAMESPACE, "sh", "-c", code, "full", str(folder))


def read_only(folder: Path) -> tuple[str, ...]:
    """Return the prefix of a command to which `folder` is read-only."""
    return (*_NAMESPACE, "sh", "-c", _READ_ONLY, "read-only", str(folder))


@cache
def can_map_users() -> bool:
    """Return True if this machine lets a process be another user in a namespace of its own."""
    try:
        done = subprocess.run([*NO_HOME, "true"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a store inside the block, as another process would."""
    SpanStore(path).close()
    with locked_from_the_start(path):
        yield


@contextmanager
def locked_from_the_start(path: Path) -> Iterator[None]:
    """Hold the write lock of a store, which may be an empty file without tables."""
    path.touch(0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield


def _write_at(offset: int, content: bytes) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return plant


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    path.write_bytes(b"something else" * 1_000)


def _root_of_spans(path: Path) -> None:
    with closing(sqlite3.connect(path)) as plain:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'spans_key'"
        (page,) = plain.execute(query).fetchone()
        (size,) = plain.execute("PRAGMA page_size").fetchone()
    _write_at((page - 1) * size, b"\xff" * size)(path)


CORRUPT: Final[dict[str, Callable[[Path], None]]] = {
    "header": _write_at(0, b"\0" * 64),
    "middle page": _root_of_spans,
    "truncated": _truncate,
    "not SQLite": _overwrite,
}


def make_newer(path: Path) -> None:
    """Give a store a version of the future."""
    SpanStore(path).close()
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA user_version = 99")
