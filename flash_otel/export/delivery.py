"""Delivery from the store: spans are stored first and forwarded afterwards.

The store's writer wakes one forwarder per destination after each commit. What the store cannot
take is forwarded from memory.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from flash_otel.export.forwarder import Forwarder, count_spans, describe, finish
from flash_otel.export.memory import MemoryDelivery
from flash_otel.export.sending import LONGEST_WAIT_S, Backlog, Placed
from flash_otel.runtime import options as opts
from flash_otel.runtime.locks import try_lock
from flash_otel.runtime.process import PATIENCE_S, ForkAware, register_for_forks
from flash_otel.store import cursors
from flash_otel.store.errors import StoreBusyError, translated
from flash_otel.store.processor import StoreSpanProcessor
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from opentelemetry.sdk.trace import SpanProcessor

    from flash_otel.export.destination import Destination
    from flash_otel.records import SpanRecord

# Short, because an exit may be waiting for the forwarder.
BUSY_MS: Final = 250
# Longer, because an answer that is not recorded sends its batch again.
_SETTLE_BUSY_MS: Final = 5_000


def delivery_to(
    destinations: Sequence[Destination], processors: Sequence[SpanProcessor]
) -> StoreDelivery | MemoryDelivery:
    """Return the delivery of a process, from its store if it has one, else from memory.

    Args:
        destinations: The receivers.
        processors: The processors of the provider so far; a delivery from the store follows the
            store's among them.
    """
    for processor in processors:
        if isinstance(processor, StoreSpanProcessor):
            delivery = StoreDelivery(destinations)
            processor.follow(delivery)
            return delivery
    if not opts.in_worker():
        return MemoryDelivery(destinations)
    from flash_otel.export.worker_log import write

    return MemoryDelivery(destinations, write)


class StoreSpanSource:
    """The spans of a store for one destination.

    The store is opened for each call, or once for all calls of a session. Every method raises
    `StoreError` if the store cannot be used.

    Args:
        path: The store's file.
        name: The destination's name (`Destination.name`).
        lock: Held during every use of the connection.
    """

    def __init__(self, path: Path, name: str, lock: threading.Lock | None = None) -> None:
        self._path = path
        self._name = name
        self._lock = lock or threading.Lock()
        self._store: SpanStore | None = None
        self._in_session = False

    @contextmanager
    def session(self) -> Iterator[bool]:
        """Hold the destination's lock file, and keep the store open."""
        digest = sha256(self._name.encode()).hexdigest()[:12]
        lock_file = self._path.with_name(f"{self._path.name}-{digest}.sending")
        with try_lock(lock_file) as is_alone:
            if not is_alone:
                yield False
                return
            self._in_session = True
            try:
                yield True
            finally:
                self._in_session = False
                with self._locked(_SETTLE_BUSY_MS):
                    self.close()

    def take(self, most: int) -> Sequence[Placed]:
        """Return the spans behind the cursor."""
        with self._connection() as connection:
            return cursors.due(connection, self._name, most)

    def settle(self, places: Sequence[int], *, rejected: int = 0, reason: str = "") -> None:
        """Move the cursor."""
        with self._connection(_SETTLE_BUSY_MS) as connection:
            cursors.advance(connection, self._name, places, rejected=rejected, reason=reason)

    def fail(self, reason: str, wait_s: float | None = None) -> None:
        """Record the reason for `flash-otel status` and for the next run."""
        retry_ns = 0 if wait_s is None else time.time_ns() + int(wait_s * 1e9)
        with self._connection() as connection:
            cursors.fail(connection, self._name, reason, retry_ns)

    def backlog(self) -> Backlog:
        """Count what waits."""
        with self._connection() as connection:
            status = cursors.delivery_status(connection, self._name)
            if status is None:
                # A command has removed it, but this process uses it: later spans wait for it again.
                cursors.register(connection, [self._name])
                return Backlog(0)
        return Backlog(
            status.waiting,
            status.failing_since_ns is not None,
            not _is_ahead(status.retry_ns),
            status.reason,
        )

    def close(self) -> None:
        """Close the store, with the lock held; the next call opens it again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    @contextmanager
    def _connection(self, busy_ms: int = BUSY_MS) -> Iterator[sqlite3.Connection]:
        with self._locked(busy_ms):
            try:
                if self._store is None:
                    self._store = SpanStore(self._path, busy_ms=busy_ms)
                with translated(self._path):
                    self._store.connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
                    yield self._store.connection
            finally:
                if not self._in_session:
                    self.close()

    @contextmanager
    def _locked(self, busy_ms: int) -> Iterator[None]:
        # With a timeout, because a signal handler may have interrupted the thread that holds it.
        if not self._lock.acquire(timeout=busy_ms / 1000):
            raise StoreBusyError(f"{self._path} is in use by another thread")
        try:
            yield
        finally:
            self._lock.release()


class StoreDelivery(ForkAware):
    """Follows the store's writer and forwards each commit to every destination.

    Args:
        destinations: The receivers.
    """

    def __init__(self, destinations: Sequence[Destination]) -> None:
        self._destinations = destinations
        # Held during every use of the store by a forwarder, and while the process forks.
        self._in_use = threading.Lock()
        self._is_forking = False
        self._path: Path | None = None
        # Those of files that turned out to be damaged, too: each may be in a session still.
        self._sources: list[StoreSpanSource] = []
        self._from_store: tuple[Forwarder, ...] = ()
        self._memory: MemoryDelivery | None = None
        register_for_forks(self)

    @property
    def forwarders(self) -> tuple[Forwarder, ...]:
        """All forwarders: those that read the store, and those of spans that it cannot take."""
        return (*self._from_store, *(() if self._memory is None else self._memory.forwarders))

    def before_write(self, store: SpanStore) -> None:
        """Register the destinations in a new file before anything is written to it."""
        if store.path == self._path:
            return
        with translated(store.path):
            cursors.register(store.connection, [each.name for each in self._destinations])
        self._path = store.path
        sources = [
            StoreSpanSource(store.path, each.name, self._in_use) for each in self._destinations
        ]
        self._sources += sources
        self._from_store = tuple(map(Forwarder, self._destinations, sources))

    def after_write(self) -> None:
        """Wake the forwarders."""
        for forwarder in self._from_store:
            forwarder.wake()

    def on_unstorable(self, records: list[SpanRecord]) -> None:
        """Forward spans from memory that the store cannot accept."""
        for record in records:
            if record.end_ns is not None and record.sampled and _is_own(record):
                self._memory = self._memory or MemoryDelivery(self._destinations)
                self._memory.put(record)

    def finish(self, deadline: float) -> str:
        """Send a last time until `deadline` (monotonic, in seconds), and end.

        Returns:
            A warning about the spans that wait in the store; empty if none do.
        """
        waiting = "; ".join(
            f"{count_spans(backlog.spans, 'waits', 'wait')} for {describe(forwarder, backlog)}"
            for forwarder, backlog in finish(self.forwarders, deadline)
            if forwarder in self._from_store
        )
        return f"{waiting}: the next run sends them, or: flash-otel push" if waiting else ""

    def before_fork(self) -> None:
        """Close the store: a connection must not be open while the process forks.

        A connection that a child inherits breaks the locks of both (sqlite.org/howtocorrupt.html,
        2.6).
        """
        self._is_forking = self._in_use.acquire(timeout=PATIENCE_S)
        if self._is_forking:
            for source in self._sources:
                source.close()

    def after_fork_in_parent(self) -> None:
        """Resume in the parent; a session opens the store again."""
        if self._is_forking:
            self._in_use.release()

    def after_fork_in_child(self) -> None:
        """Reset in the child, which gets threads and connections of its own."""
        # Kept from the garbage collector, which would close a connection that is open after all.
        _untouchable.append(self._sources)
        for forwarder in self._from_store:
            forwarder.after_fork_in_child()
        self._sources, self._from_store = [], ()
        self._memory = self._path = None
        self._in_use = threading.Lock()


_untouchable: list[list[StoreSpanSource]] = []


def _is_own(record: SpanRecord) -> bool:
    """Return True for spans of flash_otel's own provider: others have exporters of their own."""
    return record.resource.get("telemetry.distro.name") == "flash-otel"


def _is_ahead(retry_ns: int) -> bool:
    """Return True for a time in the future; a clock that was set back must not extend the wait."""
    return 0 < retry_ns - time.time_ns() <= LONGEST_WAIT_S * 1e9
