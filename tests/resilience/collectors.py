"""Collectors on loopback, over HTTP and gRPC: good ones, scripted ones, and every kind of bad."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]  # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OPENERS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}
_METHOD = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass(frozen=True)
class Reply:
    """What a collector answers: an HTTP status, or a gRPC code's name and details."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str = ""
    details: str = ""
    trailing: tuple[tuple[str, bytes], ...] = ()


def partial(rejected: int, message: str) -> Reply:
    """Take a batch but for some spans."""
    success = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return Reply(body=ExportTraceServiceResponse(partial_success=success).SerializeToString())


OK = Reply()


class Collector:
    """What both kinds have in common: what came, and what is answered next.

    Attributes:
        requests: Names of the spans of each request, in the order of their coming.
        keys: Ids of the spans of all requests that were taken.
        headers: The headers (or metadata) of each request.
        bodies: The bodies of HTTP requests, as they came.
    """

    def __init__(self, *replies: Reply, judge: Callable[[list[str]], Reply] | None = None) -> None:
        self.requests: list[list[str]] = []
        self.keys: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self._replies = list(replies)
        self._judge = judge
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names of all spans that came."""
        return [name for request in self.requests for name in request]

    def take(self, body: bytes, headers: dict[str, str], path: str = "") -> Reply:
        """Note a request and return the answer to it."""
        request = ExportTraceServiceRequest.FromString(body)
        spans = [
            span
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        names = [span.name for span in spans]
        with self._lock:
            self.requests.append(names)
            self.headers.append(headers)
            self.paths.append(path)
            if self._judge is not None:
                reply = self._judge(names)
            else:
                reply = self._replies.pop(0) if self._replies else OK
            if reply.status == OK.status and not reply.code:
                self.keys += [(span.trace_id.hex(), span.span_id.hex()) for span in spans]
            return reply


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: a process that ends lets its connection go."""


class HttpCollector(Collector):
    """A collector that speaks OTLP over HTTP; its URL is `url`."""

    protocol = "http/protobuf"

    def __enter__(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.bodies.append(body)
                opened = _OPENERS[self.headers.get("content-encoding", "")](body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = collector.take(opened, headers, self.path)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class GrpcCollector(Collector):
    """A collector that speaks OTLP over gRPC; its URL is `url`."""

    protocol = "grpc"

    def __enter__(self) -> Self:
        def export(body: bytes, context: Any) -> bytes:
            metadata = {key: value for key, value in context.invocation_metadata()}  # noqa: C416 - not typed as pairs
            reply = self.take(body, metadata)
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
        self._server.stop(0).wait()


KINDS: tuple[type[HttpCollector | GrpcCollector], ...] = (HttpCollector, GrpcCollector)


@contextmanager
def _listening(backlog: int = 16) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


def _url(listener: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """Yield the URL of a port that is taken, yet nobody listens there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield _url(holder)


@contextmanager
def silent() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with _listening() as listener:
        yield _url(listener)


@contextmanager
def dripping(interval_s: float = 0.05) -> Iterator[str]:
    """Yield the URL of a server that answers one byte at a time, without an end."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nx-drip: ")
                while not over.wait(interval_s):
                    connection.sendall(b"x")
            except OSError:
                return

    with _serving(drip) as url:
        try:
            yield url
        finally:
            over.set()


@contextmanager
def hanging_up() -> Iterator[str]:
    """Yield the URL of a server that closes every connection at once."""
    with _serving(lambda connection: connection.close()) as url:
        yield url


@contextmanager
def plain_for_tls() -> Iterator[str]:
    """Yield the https URL of a server that does not speak TLS."""

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with _serving(answer) as url:
        yield url.replace("http:", "https:")


@contextmanager
def black_hole() -> Iterator[str]:
    """Yield the URL of a port whose connections never come about: its queue is full.

    Linux drops what a full queue cannot take (`man 2 listen`), as a firewall does.
    """
    with _listening(backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        try:
            yield _url(listener)
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def unknown_host() -> Iterator[str]:
    """Yield a URL whose host has no address, by its top-level domain (RFC 6761)."""
    yield "http://collector.invalid:4318"


@contextmanager
def _serving(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve every connection in a thread of its own."""
    threads: list[threading.Thread] = []
    with _listening() as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield _url(listener)
        finally:
            # Closing alone would not wake up who waits in `accept`.
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()


BAD = {
    "refuses": refusing,
    "never answers": silent,
    "drips": dripping,
    "hangs up": hanging_up,
    "black hole": black_hole,
    "TLS error": plain_for_tls,
    "unknown host": unknown_host,
}
