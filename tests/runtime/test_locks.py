"""Locks between processes and threads."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from flash_otel.runtime.locks import file_lock, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 30

HOLD = """
import pathlib, sys
from flash_otel.runtime.locks import file_lock
print("waiting", flush=True)
with file_lock(pathlib.Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""

FORK = """
import os, pathlib, sys
from flash_otel.runtime.locks import try_lock
path = pathlib.Path(sys.argv[1])
with try_lock(path):
    for name in ("child", "other child"):
        if os.fork() == 0:
            with try_lock(path) as is_free:
                print(name, is_free, flush=True)
            os._exit(0)
        os.wait()
"""


@contextmanager
def locking(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that waits for the lock and holds it until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            yield process
        finally:
            process.kill()


def test_another_process_waits(tmp_path: Path) -> None:
    """While a process holds the lock another one waits; it goes on when the lock is released."""
    path = tmp_path / "sub" / "lock"
    with file_lock(path), locking(path) as process:
        assert process.poll() is None
    with locking(path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"


def test_a_process_that_dies_releases_its_lock(tmp_path: Path) -> None:
    """An attempt fails at once while another process holds the lock, but not after its death."""
    path = tmp_path / "lock"
    with locking(path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        with try_lock(path) as is_free:
            assert not is_free
        process.kill()
        process.wait(TIMEOUT_S)
        with try_lock(path) as is_free:
            assert is_free


def test_a_lock_excludes_its_own_process(tmp_path: Path) -> None:
    """Within a process, by whatever path, a lock is held once; other locks are free."""
    (tmp_path / "link").symlink_to(tmp_path)
    with try_lock(tmp_path / "a.lock") as first, try_lock(tmp_path / "b.lock") as other:
        assert (first, other) == (True, True)
        with try_lock(tmp_path / "link" / "a.lock") as again:
            assert not again
    with try_lock(tmp_path / "a.lock") as is_free:
        assert is_free


def test_threads_take_turns(tmp_path: Path) -> None:
    """Threads of one process exclude each other, too."""
    inside: list[int] = []

    def enter(number: int) -> bool:
        with file_lock(tmp_path / "lock"):
            inside.append(number)
            is_alone = inside == [number]
            inside.remove(number)
        return is_alone

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(enter, range(8)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_holds_no_lock(tmp_path: Path) -> None:
    """A child is kept out by its parent's lock like any process, and cannot release it."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(tmp_path / "lock")],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("child False\nother child False\n", "")


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link in the lock's place creates no file elsewhere."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="lock"), try_lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
