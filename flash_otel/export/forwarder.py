"""The forwarder: one daemon thread per destination that sends what a source holds.

One each, so that a destination that hangs keeps no other waiting. Nobody waits for it but those
who flush and, within its budget, the exit.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from flash_otel.runtime import forks
from flash_otel.runtime.guard import guarded, swallowed

if TYPE_CHECKING:
    from flash_otel.export.batches import Tally
    from flash_otel.export.destination import Destination
    from flash_otel.export.outcome import Transport
    from flash_otel.export.source import Backlog, Source

GATHER_S: Final = 0.5
"""How long to wait for spans that go with the first one in one request."""

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_ELSEWHERE_S: Final = 0.5
# Of an exit's budget, this is left to a destination that has failed before: it seldom recovers
# in the very moment in which somebody waits for it.
_SHARE_OF_FAILING: Final = 0.15
_SLOW_S: Final = 1.0
_LEFT_FOR_TELLING_S: Final = 0.03


@dataclass(slots=True)
class Request:
    """Somebody waits until everything that waits was tried once.

    Attributes:
        last: Whether the forwarder ends with this.
        delivered: Whether nothing waits any more.
        done: Set when it was tried.
    """

    last: bool = False
    delivered: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def wait(self, deadline: float) -> bool:
        """Wait until then (monotonic, in seconds); tell whether nothing waits any more."""
        return self.done.wait(max(0.0, deadline - time.monotonic())) and self.delivered

    def settle(self, *, delivered: bool) -> None:
        """Wake up who waits here."""
        self.delivered = delivered
        self.done.set()


class Forwarder:
    """Sends the spans of a source to a destination, in the background.

    Args:
        destination: Where to.
        source: Where from.

    Attributes:
        has_delivered: Whether the destination has answered for a batch in this process.
    """

    def __init__(self, destination: Destination, source: Source) -> None:
        self.destination = destination
        self.source = source
        self._begin()

    def _begin(self) -> None:
        """Set up what one process has of its own."""
        self._inbox: SimpleQueue[Request | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._transport: Transport | None = None
        self._busy_since: float | None = None
        self._pause_s = 0.0
        self._closed = False
        self._asked: Request | None = None
        self.has_delivered = False

    def wake(self) -> None:
        """Learn that there is more to send; the first time, start the thread."""
        if not self._closed:
            self._inbox.put(None)
            self._start()

    def ask(self, *, last: bool = False) -> Request:
        """Have everything that waits tried once, now.

        Args:
            last: Whether the forwarder ends with this.
        """
        request = Request(last)
        if self._thread is None:
            request.settle(delivered=self.is_idle())
        elif not self._closed:
            self._asked = request
            self._inbox.put(request)
        self._closed = self._closed or last
        return request

    def is_asked(self) -> bool:
        """Tell whether somebody who has asked got no answer yet."""
        return self._asked is not None and not self._asked.done.is_set()

    def is_idle(self) -> bool:
        """Tell whether nothing waits."""
        found = self.backlog()
        return found is not None and not found.spans

    def patience(self, deadline: float) -> float:
        """Return until when an exit should wait: not so long for who has failed before.

        Args:
            deadline: On the monotonic clock, in seconds.
        """
        deadline -= _LEFT_FOR_TELLING_S
        now, busy_since = time.monotonic(), self._busy_since
        is_slow = busy_since is not None and now - busy_since > _SLOW_S
        backlog = self.backlog()
        if is_slow or (backlog is not None and backlog.is_failing):
            return now + (deadline - now) * _SHARE_OF_FAILING
        return deadline

    def backlog(self) -> Backlog | None:
        """Tell what waits; None where nobody can tell."""
        try:
            return self.source.backlog()
        except Exception:
            swallowed("forward backlog")
            return None

    def after_fork(self) -> None:
        """Begin anew in a forked child: thread and connection are the parent's."""
        _untouchable.append(self._transport)
        self._begin()

    def _start(self) -> None:
        # Not waiting: a signal handler may have interrupted the very start that it would wait for.
        if self._thread is not None or not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="flash_otel-forward", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:
            return  # none can be started while the interpreter exits
        finally:
            self._starting.release()

    def _run(self) -> None:
        from opentelemetry.instrumentation.utils import suppress_instrumentation

        with suppress_instrumentation():
            self._prepare()
            while self._step():
                pass
        if self._transport is not None:
            self._transport.close()

    def _prepare(self) -> None:
        """Import what sending needs while nobody waits for it.

        An import at exit costs time, and may cost a host that was interrupted its exit status: code
        that is run from a text resets what CPython remembers of the interrupt (3.11, pythonrun.c).
        """
        with guarded("the set-up of a forwarder"), forks.held_off():
            import encodings.idna  # a socket's, for its first host name

            from flash_otel.export import batches
            from flash_otel.export.outcome import taken
            from flash_otel.otlp.encode import encode_protobuf

            del encodings, batches
            encode_protobuf(())
            taken(b"")
            self._connected()

    def _step(self) -> bool:
        """Wait for a reason to send, and send; tell whether to go on."""
        requests = self._wait()
        delivered = False
        try:
            delivered = self._send()
        except Exception:
            self._pause_s = _LONGEST_PAUSE_S
            swallowed("forward")
        finally:
            for request in requests:
                request.settle(delivered=delivered)
        return not any(request.last for request in requests)

    def _wait(self) -> list[Request]:
        """Return who waits, after a moment in which more can come; soon if somebody does."""
        found: list[Request] = []
        until = time.monotonic() + self._pause_s if self._pause_s else None
        while not found:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                break
            with suppress(Empty):
                item = self._inbox.get(timeout=left)
                if item is not None:
                    found.append(item)
                elif until is None:
                    until = time.monotonic() + GATHER_S
        with suppress(Empty):
            while True:
                found += [one] if (one := self._inbox.get_nowait()) is not None else []
        return found

    def _send(self) -> bool:
        """Send what waits; tell whether nothing does any more."""
        from flash_otel.export.batches import send_all

        if not self.source.backlog().may_send:
            self._pause_s = _FIRST_PAUSE_S
            return False
        self._busy_since = time.monotonic()
        try:
            tally = send_all(self.source, self._connected(), self._note)
        finally:
            self._busy_since = None
        self._pause_s = self._pause_after(tally)
        return tally.trouble is None

    def _note(self, _: Tally) -> None:
        """Note that a batch was answered for, which starts the clock anew: that is not slow."""
        self.has_delivered = True
        self._busy_since = time.monotonic()

    def _pause_after(self, tally: Tally) -> float:
        if tally.is_elsewhere:
            return 0.0 if self.is_idle() else _ELSEWHERE_S
        if tally.trouble is None:
            return 0.0
        longer = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        return max(longer * random.uniform(0.8, 1.2), tally.trouble.wait_s or 0.0)  # noqa: S311 - spreads load, guards nothing

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = transport_to(self.destination)
        return self._transport


# Not even the garbage collector of a forked child may end its parent's connections.
_untouchable: list[Transport | None] = []


def transport_to(destination: Destination) -> Transport:
    """Make what carries spans to a destination."""
    from flash_otel.export.destination import GRPC

    if destination.protocol == GRPC:
        from flash_otel.export.grpc import GrpcTransport

        return GrpcTransport(destination)
    from flash_otel.export.http import HttpTransport

    return HttpTransport(destination)
