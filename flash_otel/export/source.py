"""Where a forwarder takes spans from, and whom it tells what became of them."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from flash_otel.runtime.locks import try_lock
from flash_otel.store import cursors
from flash_otel.store.errors import StoreBusyError, translated
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from flash_otel.records import SpanRecord

# A forwarder is in no hurry, and must not keep an exit waiting.
BUSY_MS: Final = 250
# An answer that is not noted sends its batch again: that is worth waiting for a busy writer.
_SETTLE_MS: Final = 5_000

Placed = tuple[int, "SpanRecord"]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for a destination.

    Attributes:
        spans: How many.
        is_failing: Whether the last attempt, perhaps of an earlier process, failed.
        may_send: Whether the server has not asked to be left alone for now.
        reason: Why they wait, as far as it is known.
    """

    spans: int
    is_failing: bool = False
    may_send: bool = True
    reason: str = ""


class Source(Protocol):
    """Spans in the order of sending; one thread at a time takes them."""

    def alone(self) -> AbstractContextManager[bool]:
        """Keep other senders away; tell whether there was none."""

    def take(self, most: int) -> Sequence[Placed]:
        """Return the next spans, each with its place; they stay until they are settled."""

    def settle(self, places: Sequence[int], *, rejected: int = 0, reason: str = "") -> None:
        """Note that the server has answered for these."""

    def fail(self, reason: str, wait_s: float | None = None) -> None:
        """Note why nothing was taken, and how long the server asked to wait."""

    def backlog(self) -> Backlog:
        """Tell what waits."""


class StoreSource:
    """The spans of a store, for one destination.

    Every method but `alone` raises `StoreError` where the store cannot be used. The file is open
    only during a call, and never while the process forks (see `store_writer`).

    Args:
        path: The store's file.
        name: The destination's (`Destination.name`).
        in_use: Held during every call into SQLite.
    """

    def __init__(self, path: Path, name: str, in_use: threading.Lock | None = None) -> None:
        self._path = path
        self._name = name
        self._in_use = in_use or threading.Lock()

    @contextmanager
    def _opened(self, busy_ms: int = BUSY_MS) -> Iterator[sqlite3.Connection]:
        # Not for ever: a signal handler may have interrupted the very thread that holds it.
        if not self._in_use.acquire(timeout=busy_ms / 1000):
            raise StoreBusyError(f"{self._path} is in use by another thread")
        try:
            with (
                translated(self._path),
                SpanStore(self._path, busy_ms=busy_ms) as store,
            ):
                yield store.connection
        finally:
            self._in_use.release()

    def alone(self) -> AbstractContextManager[bool]:
        """Hold the lock file beside the store."""
        digest = sha256(self._name.encode()).hexdigest()[:12]
        return try_lock(self._path.with_name(f"{self._path.name}-{digest}.sending"))

    def take(self, most: int) -> Sequence[Placed]:
        """Read the spans behind the cursor."""
        with self._opened() as connection:
            return cursors.due(connection, self._name, most)

    def settle(self, places: Sequence[int], *, rejected: int = 0, reason: str = "") -> None:
        """Move the cursor."""
        with self._opened(_SETTLE_MS) as connection:
            cursors.advance(connection, self._name, places, rejected=rejected, reason=reason)

    def fail(self, reason: str, wait_s: float | None = None) -> None:
        """Keep the reason, for `flash-otel status` and for the next run."""
        retry_ns = 0 if wait_s is None else time.time_ns() + int(wait_s * 1e9)
        with self._opened() as connection:
            cursors.fail(connection, self._name, reason, retry_ns)

    def backlog(self) -> Backlog:
        """Count what waits."""
        with self._opened() as connection:
            found = cursors.standing(connection, self._name)
        if found is None:
            return Backlog(0)
        return Backlog(
            found.waiting,
            found.failing_since_ns is not None,
            not _is_ahead(found.retry_ns),
            found.reason,
        )


def _is_ahead(retry_ns: int) -> bool:
    """Tell whether a time is still to come; a clock that was set back must not stretch it."""
    from flash_otel.export.outcome import LONGEST_WAIT_S

    return 0 < retry_ns - time.time_ns() <= LONGEST_WAIT_S * 1e9
