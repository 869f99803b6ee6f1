"""A collector that fails at random, by a seed, and knows what it took and did not answer."""

from __future__ import annotations

import gzip
import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

Key = tuple[str, str]

HANG_S: Final = 3.0
_RST: Final = struct.pack("ii", 1, 0)
# What a request comes to, and how often of a hundred.
WEIGHTS: Final = {
    "taken": 40,
    "503, Retry-After": 12,
    "hangs": 8,
    "acknowledgement lost": 14,
    "reset": 14,
    "partial success": 6,
    "502": 6,
}
# Seconds for which it listens, and then refuses every connection.
UP_S: Final = (10.0, 25.0)
DOWN_S: Final = (2.0, 6.0)


class FlakyCollector:
    """Serves OTLP over HTTP and fails; `heal` ends that.

    Args:
        seed: Of its randomness.

    Attributes:
        taken: How often each span was taken.
        unacknowledged: Spans that were taken without an answer, and how often.
        refused: Spans that a partial success has left out.
        outcomes: How often each thing has happened.
    """

    def __init__(self, seed: int) -> None:
        self.taken: Counter[Key] = Counter()
        self.unacknowledged: Counter[Key] = Counter()
        self.refused: set[Key] = set()
        self.outcomes: Counter[str] = Counter()
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self._over = threading.Event()
        self._port = 0

    def __enter__(self) -> Self:
        self._serve()
        self._outages = threading.Thread(target=self._go_down_and_up)
        self._outages.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.heal()
        self._stop()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._port}"

    def heal(self) -> None:
        """Take and acknowledge everything from now on."""
        self._healed.set()
        self._outages.join()

    def chance(self) -> str:
        """Choose what the next request comes to."""
        if self._healed.is_set():
            return "taken"
        with self._lock:
            return self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    def note(self, outcome: str, body: bytes) -> bytes:
        """Note what became of a request, and return the answer's body."""
        request = ExportTraceServiceRequest.FromString(body)
        keys = [
            (span.trace_id.hex(), span.span_id.hex())
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        refused = keys[:1] if outcome == "partial success" else []
        with self._lock:
            self.taken.update(keys[len(refused) :])
            self.refused.update(refused)
            if outcome == "acknowledgement lost":
                self.unacknowledged.update(keys)
        partial = ExportTracePartialSuccess(rejected_spans=len(refused), error_message="refused")
        response = ExportTraceServiceResponse(partial_success=partial if refused else None)
        return response.SerializeToString()

    def _serve(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _go_down_and_up(self) -> None:
        while not self._healed.wait(self._random.uniform(*UP_S)):
            self._stop()
            self.outcomes["outage (connections refused)"] += 1
            self._healed.wait(self._random.uniform(*DOWN_S))
            self._serve()


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients go away whenever they like."""


def _handler(  # noqa: C901 - the class is made for its collector
    collector: FlakyCollector,
) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            outcome = collector.chance()
            collector.outcomes[outcome] += 1
            self.close_connection = True
            if outcome == "reset":
                self._reset()
                return
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if outcome == "hangs":
                collector._healed.wait(HANG_S)  # noqa: SLF001 - its own
            elif outcome.startswith("50"):
                self._answer(int(outcome[:3]), b"")
            else:
                answer = collector.note(outcome, body)
                if outcome != "acknowledgement lost":
                    self.close_connection = False
                    self._answer(200, answer)

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", "1")
            if self.close_connection:
                self.send_header("Connection", "close")
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _reset(self) -> None:
            with suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
