"""The span processor that stores flash_otel's spans.

The caller's thread only queues a span. A daemon thread, started with the first span, converts and
commits. A local root that still runs when it is dequeued is stored as started, so a deployment that
is killed is recorded, too.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.runtime.process import PATIENCE_S, ForkAware, guarded, register_for_forks, swallowed
from flash_otel.runtime.sdk import SpanProcessor, is_ours
from flash_otel.store.queue import FlushMark, SpanQueue
from flash_otel.store.writer import Follower, Rescue, StoreWriter, Warn

if TYPE_CHECKING:
    import os

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

MAX_QUEUED: Final = 32_768

_RETRY_S: Final = 0.5
_STALL_S: Final = 1.0
"""An exit stops waiting after this time without a commit, in seconds."""


class StoreSpanProcessor(SpanProcessor, ForkAware):
    """Stores every span of the scope `flash_otel` in the store at `path`.

    It raises nothing and blocks only flushes and shutdowns; a failing store causes one warning.
    A forked child gets its own queue and connection.

    Args:
        path: The store's first file.
        warn: Called, at most once, with a warning; None writes it to standard error.
        rescue: Called with spans that can never be stored, unless a follower takes them.
        max_queued: Maximum number of waiting spans; spans beyond it are lost and counted.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        warn: Warn | None = None,
        rescue: Rescue | None = None,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        self._path = Path(path)
        self._warn = warn
        self._rescue = rescue
        self._max_queued = max_queued
        self._follower: Follower | None = None
        self._closed = False
        self._reset()
        register_for_forks(self)

    def _reset(self) -> None:
        """Create the state of one process."""
        self._queue = SpanQueue(self._max_queued)
        self._writer = StoreWriter(self._path, self._warn, self._follower, self._rescue)
        self._in_store = threading.Lock()  # held during every call into SQLite
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._commits = 0
        self._is_forking = False

    def follow(self, follower: Follower) -> None:
        """Call `follower` from the writer's thread around each commit from now on."""
        self._follower = self._writer.follower = follower

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Queue a local root, which is stored as started while it runs."""
        del parent_context
        try:
            parent = span.parent
            if (parent is None or parent.is_remote) and is_ours(span) and self._is_open():
                self._queue.put_started(span)
        except Exception:
            swallowed("store on_start")

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        try:
            if is_ours(span) and self._is_open():
                self._queue.put(span, len(self._writer.pending))
        except Exception:
            swallowed("store on_end")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything queued so far is stored, or the time is over.

        Returns:
            Whether it is stored.
        """
        if self._closed or self._is_idle():
            return not self._writer.dead
        mark = self._mark()
        return mark.reached.wait(timeout_millis / 1000) and mark.is_stored

    def request_flush(self) -> list[threading.Event]:
        """Have everything queued so far stored now; return events that are set afterwards."""
        return [] if self._closed or self._is_idle() else [self._mark().reached]

    def shutdown(self, timeout_millis: int = 10_000) -> None:
        """Store what is queued and end the writer; wait only while commits succeed."""
        if self._closed:
            return
        self._closed = True
        if self._is_idle():
            return
        with guarded("store shutdown"):
            deadline = time.monotonic() + timeout_millis / 1000
            mark = self._mark(is_last=True)
            if not self._wait(mark, deadline):
                self._writer.warn(f"the last spans are not stored: {self._path} did not take them")
            elif self._thread is not None:
                self._thread.join(max(0.0, min(_STALL_S, deadline - time.monotonic())))

    def _is_idle(self) -> bool:
        return self._thread is None and self._queue.empty()

    def _is_open(self) -> bool:
        """Return True if spans are accepted; the first one starts the writer's thread."""
        has_use = not self._writer.dead or self._follower is not None or self._rescue is not None
        if self._closed or not has_use:
            return False
        if self._thread is None:
            self._start()
        return True

    def _start(self) -> None:
        # Without blocking, because a signal handler may have interrupted this very start.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="flash_otel-store", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:
            # No thread can be started at exit: a flush writes on its own thread.
            return
        finally:
            self._starting.release()

    def _mark(self, *, is_last: bool = False) -> FlushMark:
        mark = self._queue.mark(is_last=is_last)
        if self._thread is None:
            self._start()
        if self._thread is None:
            self._write_queued()
        return mark

    def _wait(self, mark: FlushMark, deadline: float) -> bool:
        while True:
            commits, left = self._commits, deadline - time.monotonic()
            if mark.reached.wait(max(0.0, min(_STALL_S, left))):
                return mark.is_stored
            if commits == self._commits or left <= 0:
                return False

    def _run(self) -> None:
        has_ended = False
        while not has_ended:
            self._queue.wait(_RETRY_S if self._writer.pending else None)
            try:
                has_ended = self._write_queued()
            except Exception:
                swallowed("store writer")

    def _write_queued(self) -> bool:
        """Commit everything that is queued, in batches; return True after the last mark."""
        has_ended = False
        while not has_ended:
            batch = self._queue.take()
            with self._in_store:
                is_stored = self._writer.commit(batch.records)
                has_ended = any(mark.is_last for mark in batch.marks)
                if has_ended and not is_stored:
                    is_stored = self._writer.spill()
            if batch.lost:
                self._writer.warn(f"{batch.lost} spans are lost: too many waited to be stored")
            self._commits += is_stored
            for mark in batch.marks:
                mark.settle(is_stored=is_stored)
            if self._queue.empty():
                break
        with self._in_store:
            self._writer.close() if has_ended else self._writer.prune()
        return has_ended

    def before_fork(self) -> None:
        """Close the store: a connection must not be open while the process forks.

        A connection that a child inherits breaks the locks of both (sqlite.org/howtocorrupt.html,
        2.6).
        """
        self._is_forking = self._in_store.acquire(timeout=PATIENCE_S)
        if self._is_forking:
            self._writer.close()

    def after_fork_in_parent(self) -> None:
        """Resume; the next commit opens the store again."""
        if self._is_forking:
            self._in_store.release()

    def after_fork_in_child(self) -> None:
        """Reset in the child; queued spans belong to the parent."""
        if not self._is_forking:
            # Its connection must never be touched here, not even by the garbage collector.
            _untouchable.append(self._writer)
            self._closed = True
        self._reset()


_untouchable: list[StoreWriter] = []
