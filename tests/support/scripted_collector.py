"""OTLP receivers on the loopback interface that record requests and answer by a script.

`HttpCollector` and `GrpcCollector` share one interface. As a program, this file serves HTTP until
it is killed: it prints its port, and answers GET with the number of spans since the last GET.
"""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from typing_extensions import Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

Key = tuple[str, str]
"""Trace id and span id, in hex."""

_DECOMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}
_METHOD: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
_POLL_S: Final = 0.01
# SO_LINGER with a timeout of zero: closing sends RST in place of FIN (`man 7 socket`).
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Reply:
    """The answer to one request.

    Attributes:
        status: HTTP status.
        headers: HTTP headers.
        body: Body of the response.
        code: Name of a gRPC status code; empty for success.
        details: Message of the gRPC status.
        trailing: gRPC trailing metadata.
        pause_s: Seconds to wait first; `ScriptedCollector.hurry` cuts them short.
        is_lost: Close the connection without a response (HTTP).
        is_reset: Do that with RST, and the spans are not taken (HTTP).
        closes: Close the connection after the response (HTTP).
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str = ""
    details: str = ""
    trailing: tuple[tuple[str, bytes], ...] = ()
    pause_s: float = 0.0
    is_lost: bool = False
    is_reset: bool = False
    closes: bool = False

    @property
    def takes_spans(self) -> bool:
        """Whether the collector has the spans, whether or not the client learns of it."""
        return self.status == 200 and not self.code and not self.is_reset


def partial(rejected: int, message: str) -> Reply:
    """Accept a request except for `rejected` of its spans."""
    success = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return Reply(body=ExportTraceServiceResponse(partial_success=success).SerializeToString())


OK: Final = Reply()


@dataclass
class ExportRequest:
    """One request as it arrived; decoded only when asked, which keeps the server fast.

    Attributes:
        body: The HTTP body, possibly compressed, or the gRPC message.
        headers: HTTP headers or gRPC metadata, names in lower case.
        path: HTTP request target.
        reply: The answer to it.
    """

    body: bytes
    headers: dict[str, str]
    path: str = ""
    reply: Reply = OK

    @cached_property
    def message(self) -> ExportTraceServiceRequest:
        """The decoded message."""
        content = _DECOMPRESS[self.headers.get("content-encoding", "")](self.body)
        message: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(content)
        return message

    @property
    def spans(self) -> list[Span]:
        """Its spans."""
        return [
            span
            for group in self.message.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    @property
    def names(self) -> list[str]:
        """Names of its spans."""
        return [span.name for span in self.spans]

    @property
    def keys(self) -> list[Key]:
        """Ids of its spans."""
        return [(span.trace_id.hex(), span.span_id.hex()) for span in self.spans]


class ScriptedCollector:
    """What both transports share: the recorded requests, and the script of replies.

    Args:
        replies: Answers to the first requests, in order; then everything succeeds.
        judge: Chooses the answer to each request by the names of its spans, instead.
        script: Chooses the answer to each request.

    Attributes:
        received: All requests, in order of arrival.
        url: Where it is reached, while it serves.
    """

    def __init__(
        self,
        *replies: Reply,
        judge: Callable[[list[str]], Reply] | None = None,
        script: Callable[[ExportRequest], Reply] | None = None,
    ) -> None:
        self.received: list[ExportRequest] = []
        self.url = ""
        self._replies = list(replies)
        self._script = script
        if judge is not None:
            self._script = lambda request: judge(request.names)
        self._lock = threading.Lock()
        self._hurried = threading.Event()

    @property
    def requests(self) -> list[list[str]]:
        """Span names of each request."""
        return [request.names for request in self._so_far()]

    @property
    def names(self) -> list[str]:
        """Names of all spans."""
        return [name for names in self.requests for name in names]

    @property
    def keys(self) -> list[Key]:
        """Ids of the spans of all requests that were taken."""
        taken = [request for request in self._so_far() if request.reply.takes_spans]
        return [key for request in taken for key in request.keys]

    @property
    def headers(self) -> list[dict[str, str]]:
        """Headers (or metadata) of each request."""
        return [request.headers for request in self._so_far()]

    @property
    def paths(self) -> list[str]:
        """Request target of each request."""
        return [request.path for request in self._so_far()]

    @property
    def bodies(self) -> list[bytes]:
        """Body of each request as it arrived."""
        return [request.body for request in self._so_far()]

    @property
    def spans(self) -> list[Span]:
        """All spans."""
        return [span for request in self._so_far() for span in request.spans]

    @property
    def services(self) -> set[str]:
        """The `service.name` of every resource."""
        return {
            pair.value.string_value
            for request in self._so_far()
            for group in request.message.resource_spans
            for pair in group.resource.attributes
            if pair.key == "service.name"
        }

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self.received.clear()

    def hurry(self) -> None:
        """End all pauses, now and from now on."""
        self._hurried.set()

    def take(self, request: ExportRequest) -> Reply:
        """Record a request and return the answer to it, after the reply's pause."""
        with self._lock:
            self.received.append(request)
            if self._script is not None:
                request.reply = self._script(request)
            elif self._replies:
                request.reply = self._replies.pop(0)
        if request.reply.pause_s:
            self._hurried.wait(request.reply.pause_s)
        return request.reply

    def _so_far(self) -> list[ExportRequest]:
        with self._lock:
            return list(self.received)


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, collector: HttpCollector) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.collector = collector

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients that end drop their connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.collector.take(ExportRequest(body, headers, self.path))
        self.close_connection = reply.is_lost or reply.is_reset or reply.closes
        if reply.is_reset:
            with suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.connection.close()
        elif not reply.is_lost:
            self._respond(reply)

    def do_GET(self) -> None:
        collector = self.server.collector
        count = len(collector.spans)
        collector.clear()
        self._respond(Reply(body=str(count).encode()))

    def _respond(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {
            "content-type": "application/x-protobuf",
            "content-length": str(len(reply.body)),
            **({"connection": "close"} if self.close_connection else {}),
            **reply.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class HttpCollector(ScriptedCollector):
    """OTLP over HTTP. After `stop`, which refuses connections, `start` serves on the same port.

    Attributes:
        tls: What encrypts the connections; None for HTTP in the clear.
    """

    protocol = "http/protobuf"
    tls: ssl.SSLContext | None = None

    _port = 0

    def start(self) -> None:
        """Listen and serve."""
        self._server = _Server(self._port, self)
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._port}"
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
            self.url = f"https://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,))
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.hurry()
        self.stop()
        # A collector may be entered again, on another port.
        self._port = 0
        self._hurried.clear()


class GrpcCollector(ScriptedCollector):
    """OTLP over gRPC."""

    protocol = "grpc"

    def __enter__(self) -> Self:
        def export(body: bytes, context: Any) -> bytes:
            metadata = {key: value for key, value in context.invocation_metadata()}  # noqa: C416 - not typed as pairs
            reply = self.take(ExportRequest(body, metadata))
            if reply.code:
                context.set_trailing_metadata(reply.trailing)
                context.abort(grpc.StatusCode[reply.code], reply.details)
            return reply.body

        handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_METHOD, handlers),)
        )
        self.url = self._listen(self._server)
        self._server.start()
        return self

    def _listen(self, server: Any) -> str:
        return f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"

    def __exit__(self, *_: object) -> None:
        self.hurry()
        self._server.stop(0).wait()


KINDS: Final[tuple[type[HttpCollector | GrpcCollector], ...]] = (HttpCollector, GrpcCollector)


def main() -> None:
    """Serve HTTP until this process is killed."""
    with HttpCollector() as collector:
        print(collector.url.rpartition(":")[2], flush=True)  # noqa: T201 - for its parent
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
