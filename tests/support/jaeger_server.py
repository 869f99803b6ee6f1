"""Loopback HTTP servers that answer like Jaeger's API, or in any other way."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from flash_otel.otlp.encode import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flash_otel.records import SpanRecord

NOT_FOUND: Final = {"error": {"httpCode": 404, "message": "No traces found"}}


@contextmanager
def serving(
    handle: Callable[[BaseHTTPRequestHandler], None], tls: Path | None = None
) -> Iterator[str]:
    """Serve GET requests with a function; yield the server's address.

    Args:
        handle: Answers one request.
        tls: A PEM file with a certificate and its key, to serve HTTPS.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        # The handshake runs in the connection's thread: if it fails, the server goes on.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def respond(
    to: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    kind: str = "application/json",
    **headers: str,
) -> None:
    """Send a response; keyword arguments are headers, with `_` for `-`."""
    to.send_response(status)
    to.send_header("Content-Type", kind)
    lengths = {"content_length": str(len(body)), **headers}
    for name, value in lengths.items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(body)


class Jaeger:
    """Answers from records as Jaeger's `/api/v3` does: search by service, name and start.

    Args:
        records: Its spans; a record's service is in its resource.
        as_text: Return lists as their JSON text and links without attributes, as Badger does.

    Attributes:
        asked: The path and parameters of each request.
        headers: The headers of each request.
    """

    def __init__(self, records: Sequence[SpanRecord], *, as_text: bool = False) -> None:
        self._records = records
        self._as_text = as_text
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []

    def handle(self, to: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        parts = urlsplit(to.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.asked.append((parts.path, asked))
        self.headers.append({name.lower(): value for name, value in to.headers.items()})
        answer = self._answer(parts.path.removeprefix("/api/v3/"), asked)
        found = answer is not None
        kind = "application/json" if found else "text/plain; charset=utf-8"
        respond(
            to, 200 if found else 404, json.dumps(answer if found else NOT_FOUND).encode(), kind
        )

    def _answer(self, path: str, asked: dict[str, str]) -> Any:
        if path == "services":
            names = sorted({_service(record) for record in self._records})
            return {"services": names} if names else {}
        if path == "operations":
            service = asked["service"]
            own = {record.name for record in self._records if _service(record) == service}
            return {"operations": [{"name": name, "spanKind": "client"} for name in sorted(own)]}
        return self._traces(self._ids(path, asked))

    def _ids(self, path: str, asked: dict[str, str]) -> list[str]:
        if path.startswith("traces/"):
            return [path.removeprefix("traces/")]
        low, high = (_nanoseconds(asked[f"query.start_time_{end}"]) for end in ("min", "max"))
        found = {
            record.trace_id: None
            for record in self._records
            if _service(record) == asked["query.service_name"]
            and asked.get("query.operation_name", record.name) == record.name
            and low <= record.start_ns <= high
        }
        return list(found)[: int(asked["query.num_traces"])]

    def _traces(self, ids: list[str]) -> Any:
        # Each trace in chunks, as if several exports had delivered it.
        spans = [span for trace_id in ids for span in self._records if span.trace_id == trace_id]
        groups = [group for span in spans for group in encode_json([span])["resourceSpans"]]
        if self._as_text:
            _flatten(groups)
        return {"result": {"resourceSpans": groups}} if groups else None


def _service(record: SpanRecord) -> str:
    return str(record.resource.get("service.name", "unknown"))


def _nanoseconds(text: str) -> int:
    whole, _, rest = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(rest)


def _flatten(groups: list[Any]) -> None:
    """Reduce the spans to what a storage of Jaeger's version 1 model keeps."""
    for span in (
        span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]
    ):
        for link in span.get("links", ()):
            link.pop("attributes", None)
        for attribute in span.get("attributes", ()):
            values = attribute["value"].get("arrayValue", {}).get("values")
            if values is not None:
                listed = [next(iter(item.values())) for item in values]
                attribute["value"] = {"stringValue": json.dumps(listed, separators=(",", ":"))}
