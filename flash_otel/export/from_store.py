"""Store first, forward after: the forwarders of a process that follow its store's writer."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flash_otel.export.forwarder import Forwarder
from flash_otel.runtime import forks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flash_otel.export.destination import Destination
    from flash_otel.export.memory_queue import MemoryQueue
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore


class StoreForwarding(forks.ForkAware):
    """Follows a store's writer, and wakes a forwarder per destination after each commit.

    What the store does not take is sent from memory, as if there were no store.

    Args:
        destinations: Where to.
    """

    def __init__(self, destinations: Sequence[Destination]) -> None:
        self._stored: tuple[Forwarder, ...] = ()
        self._unstored: tuple[Forwarder, ...] = ()
        self._queues: tuple[MemoryQueue, ...] = ()
        self._destinations = destinations
        self._path: Path | None = None
        self._in_use = threading.Lock()
        self._forking = False
        forks.register(self)

    @property
    def forwarders(self) -> tuple[Forwarder, ...]:
        """All forwarders: those that read the store, and those of what is not in it."""
        return (*self._stored, *self._unstored)

    def committing(self, store: SpanStore) -> None:
        """Make the destinations known to a file before anything is written to it."""
        if store.path == self._path:
            return
        from flash_otel.export.source import StoreSource
        from flash_otel.store.cursors import register
        from flash_otel.store.errors import translated

        with translated(store.path):
            register(store.connection, [one.name for one in self._destinations])
        self._path = store.path
        self._stored = tuple(
            Forwarder(one, StoreSource(store.path, one.name, self._in_use))
            for one in self._destinations
        )

    def committed(self) -> None:
        """Wake the forwarders."""
        for forwarder in self._stored:
            forwarder.wake()

    def unstored(self, records: list[SpanRecord]) -> None:
        """Send from memory what the store would have had sent."""
        due = [one for one in records if one.end_ns is not None and one.sampled and _is_own(one)]
        if not due:
            return
        from flash_otel.export.memory_queue import MemoryQueue

        if not self._queues:
            self._queues = tuple(MemoryQueue() for _ in self._destinations)
            self._unstored = tuple(map(Forwarder, self._destinations, self._queues))
        for queue, forwarder in zip(self._queues, self._unstored, strict=True):
            for record in due:
                queue.put(record)
            forwarder.wake()

    def hand_over(self) -> list[threading.Event]:
        """Have nothing sent now: what is in the store waits there safely."""
        return []

    def back_up(self) -> None:
        """Write nothing down: the store holds it."""

    def before_fork(self) -> None:
        """Let no forwarder have the store open while the process forks."""
        self._forking = self._in_use.acquire(timeout=forks.PATIENCE_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._forking:
            self._in_use.release()

    def after_fork_in_child(self) -> None:
        """Begin anew, with threads and connections of its own."""
        for forwarder in self.forwarders:
            forwarder.after_fork()
        self._stored, self._unstored, self._queues, self._path = (), (), (), None
        self._in_use = threading.Lock()


def _is_own(record: SpanRecord) -> bool:
    """Tell whether a provider of ours made it: those of others are sent by their own exporters."""
    return record.resource.get("telemetry.distro.name") == "flash-otel"
