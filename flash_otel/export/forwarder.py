"""The forwarder: one daemon thread per destination that sends the spans of a source.

Each destination has its own thread, so one that hangs does not delay the others. Only flushes and,
within its budget, the exit wait for it.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from flash_otel.export.sending import (
    Backlog,
    Refusal,
    SpanSource,
    Tally,
    Transport,
    parse_response,
    send_all,
)
from flash_otel.runtime.process import forks_held_off, guarded, swallowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.export.destination import Destination

GATHER_S: Final = 0.5
"""How long the first span waits for others that go with it in one request."""

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_ELSEWHERE_S: Final = 0.5
# The share of an exit's budget for a destination that failed last time: it seldom recovers just
# while the exit waits for it.
_SHARE_OF_FAILING: Final = 0.15
_SLOW_S: Final = 1.0
_LEFT_FOR_WARNING_S: Final = 0.03
_NO_ANSWER: Final = "no answer yet"
_NO_TIME: Final = "there was no time for more"


@dataclass(slots=True)
class FlushRequest:
    """A request to try everything that waits once.

    Attributes:
        is_last: Whether the forwarder ends afterwards.
        is_delivered: Whether nothing waits any more.
        done: Set after the attempt.
    """

    is_last: bool = False
    is_delivered: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def wait(self, deadline: float) -> bool:
        """Wait for the attempt until `deadline` (monotonic, in seconds); return `is_delivered`."""
        return self.done.wait(max(0.0, deadline - time.monotonic())) and self.is_delivered

    def settle(self, *, is_delivered: bool) -> None:
        """Record the attempt and wake the thread that waits for it."""
        self.is_delivered = is_delivered
        self.done.set()


class Forwarder:
    """Sends the spans of a source to a destination, in the background.

    Args:
        destination: The receiver.
        source: The spans.

    Attributes:
        has_delivered: Whether the destination has answered for a batch in this process.
    """

    def __init__(self, destination: Destination, source: SpanSource) -> None:
        self.destination = destination
        self.source = source
        self._reset()

    def _reset(self) -> None:
        """Create the state of one process."""
        self._inbox: SimpleQueue[FlushRequest | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._transport: Transport | None = None
        self._busy_since: float | None = None
        self._pause_s = 0.0
        self._closed = False
        self._latest: FlushRequest | None = None
        self.has_delivered = False

    def wake(self) -> None:
        """Announce more spans; the first call starts the thread."""
        if not self._closed:
            self._inbox.put(None)
            self._start()

    def request_flush(self, *, last: bool = False) -> FlushRequest:
        """Have everything that waits tried once, now.

        Args:
            last: Whether the forwarder ends afterwards.
        """
        request = FlushRequest(last)
        if self._thread is None:
            request.settle(is_delivered=self.is_idle())
        elif not self._closed:
            self._latest = request
            self._inbox.put(request)
        self._closed = self._closed or last
        return request

    def is_flushing(self) -> bool:
        """Return True while the latest flush request is open."""
        return self._latest is not None and not self._latest.done.is_set()

    def is_idle(self) -> bool:
        """Return True if nothing waits."""
        backlog = self.backlog()
        return backlog is not None and not backlog.spans

    def exit_deadline(self, deadline: float) -> float:
        """Return until when an exit waits: earlier for a destination that fails or is slow.

        Args:
            deadline: The end of the exit's budget, on the monotonic clock, in seconds.
        """
        deadline -= _LEFT_FOR_WARNING_S
        now, busy_since = time.monotonic(), self._busy_since
        is_slow = busy_since is not None and now - busy_since > _SLOW_S
        backlog = self.backlog()
        if is_slow or (backlog is not None and backlog.is_failing):
            return now + (deadline - now) * _SHARE_OF_FAILING
        return deadline

    def backlog(self) -> Backlog | None:
        """Return what waits; None if the source cannot be read now."""
        try:
            return self.source.backlog()
        except Exception:
            swallowed("forward backlog")
            return None

    def after_fork_in_child(self) -> None:
        """Reset in a forked child: thread and connection belong to the parent."""
        _untouchable.append(self._transport)
        self._reset()

    def _start(self) -> None:
        # Without blocking, because a signal handler may have interrupted this very start.
        if self._thread is not None or not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="flash_otel-forward", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:
            return  # no thread can be started while the interpreter exits
        finally:
            self._starting.release()

    def _run(self) -> None:
        from flash_otel.runtime.instrumentation import utils

        with utils.suppress_instrumentation():
            self._import_early()
            while self._step():
                pass
        if self._transport is not None:
            self._transport.close()

    def _import_early(self) -> None:
        """Import what sending needs, before an exit waits for it.

        An import at exit takes time. It may also cost an interrupted host its exit status: running
        code from a string resets what CPython remembers of the interrupt (3.11, pythonrun.c).
        """
        with guarded("the set-up of a forwarder"), forks_held_off():
            import encodings.idna  # used by sockets for their first host name

            from flash_otel.otlp.encode import encode_protobuf

            del encodings
            encode_protobuf(())
            parse_response(b"")
            self._connected()

    def _step(self) -> bool:
        """Wait for a reason to send, then send; return False after the last request."""
        requests = self._wait()
        is_delivered = False
        try:
            is_delivered = self._send()
        except Exception:
            self._pause_s = _LONGEST_PAUSE_S
            swallowed("forward")
        finally:
            for request in requests:
                request.settle(is_delivered=is_delivered)
        return not any(request.is_last for request in requests)

    def _wait(self) -> list[FlushRequest]:
        """Return the open requests; without any, wait for more spans and for the pause to end."""
        requests: list[FlushRequest] = []
        until = time.monotonic() + self._pause_s if self._pause_s else None
        while not requests:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                break
            with suppress(Empty):
                item = self._inbox.get(timeout=left)
                if item is not None:
                    requests.append(item)
                elif until is None:
                    until = time.monotonic() + GATHER_S
        return requests + self._queued()

    def _queued(self) -> list[FlushRequest]:
        """Return the requests that need not be waited for, and forget that there are spans."""
        requests = []
        with suppress(Empty):
            while True:
                item = self._inbox.get_nowait()
                requests += [] if item is None else [item]
        return requests

    def _send(self) -> bool:
        """Send what waits; return True if nothing does any more."""
        with self.source.session() as is_alone:
            if not is_alone:
                # The other sender sends this process's spans, too; look again after a moment.
                self._pause_s = 0.0 if self.is_idle() else _ELSEWHERE_S
                return True
            if not self.source.backlog().may_send:
                self._pause_s = _FIRST_PAUSE_S
                return False
            tally = self._send_alone()
        self._pause_s = self._pause_after(tally)
        return tally.trouble is None

    def _send_alone(self) -> Tally:
        self._busy_since = time.monotonic()
        try:
            return send_all(self.source, self._connected(), self._note_progress)
        finally:
            self._busy_since = None

    def _note_progress(self, _: Tally) -> None:
        self.has_delivered = True
        # A destination that answers for batch after batch is not slow.
        self._busy_since = time.monotonic()

    def _pause_after(self, tally: Tally) -> float:
        if tally.trouble is None:
            return 0.0
        longer = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        return max(longer * random.uniform(0.8, 1.2), tally.trouble.wait_s or 0.0)  # noqa: S311 - spreads load, guards nothing

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = transport_to(self.destination)
        return self._transport


# In a forked child, not even the garbage collector may close its parent's connections.
_untouchable: list[Transport | None] = []


def transport_to(destination: Destination) -> Transport:
    """Return a transport to a destination; nothing is connected yet."""
    from flash_otel.export.destination import GRPC

    if problem := destination.problem:
        return Refusal(problem)
    if destination.protocol == GRPC:
        from flash_otel.export.grpc import GrpcTransport

        return GrpcTransport(destination)
    from flash_otel.export.http import HttpTransport

    return HttpTransport(destination)


def flush(forwarders: Sequence[Forwarder], deadline: float) -> bool:
    """Have everything tried once; return True if nothing waits any more.

    Args:
        forwarders: The forwarders to flush.
        deadline: How long to wait at most, on the monotonic clock, in seconds.
    """
    requests = [forwarder.request_flush() for forwarder in forwarders]
    delivered = [request.wait(deadline) for request in requests]
    return all(delivered)


def finish(forwarders: Sequence[Forwarder], deadline: float) -> list[tuple[Forwarder, Backlog]]:
    """Have everything tried a last time, and end the forwarders.

    Returns:
        The forwarders for which spans wait still, with what waits.
    """
    asked = [
        (forwarder, forwarder.request_flush(last=True), forwarder.exit_deadline(deadline))
        for forwarder in forwarders
    ]
    unfinished = [forwarder for forwarder, request, until in asked if not request.wait(until)]
    found = [(forwarder, forwarder.backlog()) for forwarder in unfinished]
    return [(forwarder, backlog) for forwarder, backlog in found if backlog and backlog.spans]


def describe(forwarder: Forwarder, backlog: Backlog) -> str:
    """Return a destination's host and why spans wait for it; record that it never answered."""
    reason = backlog.reason
    if not reason and forwarder.has_delivered:
        reason = _NO_TIME
    elif not reason:
        reason = _NO_ANSWER
        forwarder.source.fail(reason)
    return f"{forwarder.destination.host} ({reason})"


def count_spans(count: int, singular: str = "", plural: str = "") -> str:
    """Return a count of spans, with a verb if it is given, such as `1 span waits`."""
    return f"{count} span {singular}".rstrip() if count == 1 else f"{count} spans {plural}".rstrip()
