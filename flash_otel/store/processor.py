"""The span processor that keeps flash_otel's spans in the store.

The caller's thread only puts a span into a queue; one daemon thread, started with the first span,
converts and commits. A local root that is still open when its turn comes is written as started,
so that a deployment that is killed still shows.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanProcessor

from flash_otel import semconv
from flash_otel.runtime import forks
from flash_otel.runtime.guard import guarded, swallowed
from flash_otel.store.queue import Mark, SpanQueue
from flash_otel.store.writer import Follower, StoreSink, Warn

if TYPE_CHECKING:
    import os

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

MAX_QUEUED: Final = 32_768

_RETRY_S: Final = 0.5
_STALL_S: Final = 1.0  # without a commit for so long, an exit does not wait any more


class StoreSpanProcessor(SpanProcessor, forks.ForkAware):
    """Keeps every span of the scope `flash_otel` in the store at `path`.

    It raises nothing and blocks nobody but those who flush or shut down; trouble with the store
    is told in one line. A forked child goes on with a queue and a connection of its own.

    Args:
        path: The store's file.
        warn: Called, at most once, with a line that tells of trouble; None writes the line to
            standard error.
        max_queued: How many spans may wait; what exceeds it is lost, counted and told.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        warn: Warn | None = None,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        self._path = Path(path)
        self._warn = warn
        self._max_queued = max_queued
        self._follower: Follower | None = None
        self._closed = False
        self._begin()
        forks.register(self)

    def _begin(self) -> None:
        """Set up what one process has of its own."""
        self._queue = SpanQueue(self._max_queued)
        self._sink = StoreSink(self._path, self._warn, self._follower)
        self._in_store = threading.Lock()  # held during every call into SQLite
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._commits = 0
        self._forking = False

    def follow(self, follower: Follower) -> None:
        """Tell someone, from the writer's thread, before and after each commit from now on."""
        self._follower = self._sink.follower = follower

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note a local root, so that it is stored as started while it runs."""
        del parent_context
        try:
            parent = span.parent
            if (parent is None or parent.is_remote) and _is_ours(span) and self._is_open():
                self._queue.put_started(span)
        except Exception:
            swallowed("store on_start")

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        try:
            if _is_ours(span) and self._is_open():
                self._queue.put(span, len(self._sink.pending))
        except Exception:
            swallowed("store on_end")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything queued so far is in the store, or the time is over.

        Returns:
            Whether it is in the store.
        """
        if self._closed or self._is_idle():
            return not self._sink.dead
        mark = self._mark()
        return mark.reached.wait(timeout_millis / 1000) and mark.stored

    def hand_over(self) -> list[threading.Event]:
        """Have everything queued so far stored now; return what is set when it was tried."""
        return [] if self._closed or self._is_idle() else [self._mark().reached]

    def shutdown(self, timeout_millis: int = 10_000) -> None:
        """Store what is queued and end the writer; wait only while it gets on."""
        if self._closed:
            return
        self._closed = True
        if self._is_idle():
            return
        with guarded("store shutdown"):
            deadline = time.monotonic() + timeout_millis / 1000
            mark = self._mark(last=True)
            if not self._wait(mark, deadline):
                self._sink.warn(f"the last spans are not stored: {self._path} did not take them")
            elif self._thread is not None:
                self._thread.join(max(0.0, min(_STALL_S, deadline - time.monotonic())))

    def _is_idle(self) -> bool:
        return self._thread is None and self._queue.empty()

    def _is_open(self) -> bool:
        """Tell whether spans are taken; the first one starts the writer."""
        if self._closed or (self._sink.dead and self._follower is None):
            return False
        if self._thread is None:
            self._start()
        return True

    def _start(self) -> None:
        # Not waiting: a signal handler may have interrupted the very start that it would wait for.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="flash_otel-store", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:
            # No thread can be started (any more): whoever flushes writes on their own thread.
            return
        finally:
            self._starting.release()

    def _mark(self, *, last: bool = False) -> Mark:
        mark = self._queue.mark(last=last)
        if self._thread is None:
            self._start()
        if self._thread is None:
            self._write_queued()
        return mark

    def _wait(self, mark: Mark, deadline: float) -> bool:
        while True:
            commits, left = self._commits, deadline - time.monotonic()
            if mark.reached.wait(max(0.0, min(_STALL_S, left))):
                return mark.stored
            if commits == self._commits or left <= 0:
                return False

    def _run(self) -> None:
        ended = False
        while not ended:
            self._queue.wait(_RETRY_S if self._sink.pending else None)
            try:
                ended = self._write_queued()
            except Exception:
                swallowed("store writer")

    def _write_queued(self) -> bool:
        """Commit everything that is queued, in batches; tell whether the last mark was met."""
        ended = False
        while not ended:
            batch = self._queue.take()
            with self._in_store:
                stored = self._sink.commit(batch.records)
                ended = any(mark.last for mark in batch.marks)
                if ended and not stored:
                    stored = self._sink.rescue()
            if batch.lost:
                self._sink.warn(f"{batch.lost} spans are lost: too many waited to be stored")
            self._commits += stored
            for mark in batch.marks:
                mark.settle(stored=stored)
            if self._queue.empty():
                break
        with self._in_store:
            self._sink.close() if ended else self._sink.prune()
        return ended

    def before_fork(self) -> None:
        """Let no call into SQLite run, and no connection be open, while the process forks.

        A connection that a child inherits breaks the locks of both (sqlite.org/howtocorrupt.html,
        2.6).
        """
        self._forking = self._in_store.acquire(timeout=forks.PATIENCE_S)
        if self._forking:
            self._sink.close()

    def after_fork_in_parent(self) -> None:
        """Go on; the next commit opens the store again."""
        if self._forking:
            self._in_store.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: what is queued is the parent's to store."""
        if not self._forking:
            # Its connection must never be touched here, not even by the garbage collector.
            _untouchable.append(self._sink)
            self._closed = True
        self._begin()


_untouchable: list[StoreSink] = []


def _is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == semconv.SCOPE_NAME
