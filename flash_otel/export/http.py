"""OTLP over HTTP, with the client of the standard library.

Any other HTTP library takes time to import, and the host may have instrumented it. One deadline
covers a whole request, even if a server sends its response byte by byte.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from flash_otel._version import __version__
from flash_otel.export.destination import HTTP_JSON, Destination
from flash_otel.export.sending import LONGEST_WAIT_S, ExportResult, Verdict, parse_response
from flash_otel.otlp.encode import encode_json, encode_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from flash_otel.records import SpanRecord

_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
_VERDICTS: Final = {
    **dict.fromkeys((429, 502, 503, 504), Verdict.WAIT),
    413: Verdict.TOO_LARGE,
}
_OK: Final = range(200, 300)
_MOST_RESPONSE: Final = 65_536
_USER_AGENT: Final = f"flash-otel/{__version__}"


class HttpTransport:
    """Posts batches to one destination, over one connection while the server keeps it open.

    Args:
        destination: The receiver.

    Attributes:
        date: The Date header of the last response; empty if it had none.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._url = urlsplit(destination.url)
        self._connection: HTTPConnection | None = None
        self.date = ""

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def send(self, records: Iterable[SpanRecord]) -> ExportResult:
        """Send a batch and wait for the response."""
        return self._post_again_if_closed(self._body(records))

    def send_encoded(self, body: bytes) -> ExportResult:
        """Send a batch that is already encoded as protobuf, and wait for the response."""
        return self._post_again_if_closed(self._compressed(body))

    def _post_again_if_closed(self, body: bytes) -> ExportResult:
        is_reused = self._connection is not None
        try:
            try:
                return self._post(body)
            except (ConnectionError, HTTPException):
                self.close()
                if not is_reused:
                    raise
                # The server had closed the idle connection (RFC 9112, 9.5).
                return self._post(body)
        except Exception as error:
            self.close()
            return ExportResult(Verdict.WAIT, self._destination.plain(_reason(error)))

    def _body(self, records: Iterable[SpanRecord]) -> bytes:
        if self._destination.protocol == HTTP_JSON:
            encoded = json.dumps(encode_json(records), separators=(",", ":")).encode()
            return self._compressed(encoded)
        return self._compressed(encode_protobuf(records))

    def _compressed(self, body: bytes) -> bytes:
        return _COMPRESSORS.get(self._destination.compression, bytes)(body)

    def _post(self, body: bytes) -> ExportResult:
        connection, path = self._connected()
        with _Deadline(connection.sock, self._destination.timeout_s) as deadline:
            try:
                connection.request("POST", path, body, self._headers())
                with connection.getresponse() as response:
                    content = response.read(_MOST_RESPONSE)
                    is_read = response.isclosed()
            except (OSError, HTTPException):
                deadline.check()
                raise
            deadline.check()
        if response.will_close or not is_read:
            self.close()
        return self._result(response, content)

    def _headers(self) -> dict[str, str]:
        is_json = self._destination.protocol == HTTP_JSON
        compression = self._destination.compression
        return {
            "user-agent": _USER_AGENT,
            **self._destination.headers,
            "content-type": "application/json" if is_json else "application/x-protobuf",
            **({"content-encoding": compression} if compression else {}),
        }

    def _result(self, response: HTTPResponse, content: bytes) -> ExportResult:
        self.date = response.getheader("date") or ""
        if response.status in _OK:
            result = parse_response(content, is_json=self._destination.protocol == HTTP_JSON)
            return replace(result, reason=self._destination.plain(result.reason))
        verdict = _VERDICTS.get(response.status, Verdict.REJECTED)
        reason = self._destination.plain(f"HTTP {response.status} {response.reason}")
        return ExportResult(verdict, reason, wait_s=_retry_after(response.getheader("retry-after")))

    def _connected(self) -> tuple[HTTPConnection, str]:
        """Return an open connection, and the request target."""
        proxy = _proxy(self._url)
        path = self._url.path or "/"
        if self._url.query:
            path = f"{path}?{self._url.query}"
        if proxy is not None and self._url.scheme == "http":
            # A proxy gets the absolute form (RFC 9112, 3.2.2), without the user information.
            path = f"http://{self._url.netloc.rpartition('@')[2]}{path}"
        if self._connection is None:
            self._connection = self._new_connection(proxy)
            self._connection.connect()
        return self._connection, path

    def _new_connection(self, proxy: SplitResult | None) -> HTTPConnection:
        timeout = self._destination.timeout_s
        peer = proxy or self._url
        host = peer.hostname or "localhost"
        if self._url.scheme != "https":
            return HTTPConnection(host, peer.port, timeout=timeout)
        connection = HTTPSConnection(
            host, peer.port, timeout=timeout, context=_context(self._destination)
        )
        if proxy is not None:
            connection.set_tunnel(self._url.hostname or "", self._url.port or 443)
        return connection


class _Deadline:
    """Cuts a connection off when time is over: a socket's own timeout restarts with each byte."""

    def __init__(self, connected: socket.socket | None, seconds: float) -> None:
        self._socket = connected
        self._is_over = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.name = "flash_otel-deadline"

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Raise TimeoutError if the connection was cut off."""
        if self._is_over:
            raise TimeoutError

    def _cut(self) -> None:
        self._is_over = True
        if self._socket is not None:
            with suppress(OSError):
                # SSLSocket.shutdown would drop the encryption while another thread is reading.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _context(destination: Destination) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=destination.certificate or None)
    if destination.client_certificate:
        context.load_cert_chain(destination.client_certificate, destination.client_key or None)
    return context


def _proxy(url: SplitResult) -> SplitResult | None:
    found = getproxies().get(url.scheme)
    if not found or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _retry_after(text: str | None) -> float | None:
    """Return the seconds in a Retry-After header, which may be a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    try:
        seconds = float(unquote(text))
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if seconds == seconds else None  # noqa: PLR0124 - NaN


# The texts of exceptions differ between versions of Python and may quote a header, and so a
# credential.
_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (TimeoutError, "no answer in time"),
    (socket.gaierror, "the host's name cannot be resolved"),
    (ConnectionRefusedError, "connection refused"),
    (ssl.SSLCertVerificationError, "TLS: the certificate is not trusted"),
    (ssl.SSLError, "TLS handshake failed"),
    (FileNotFoundError, "a certificate or key file is missing"),
    (ConnectionError, "the connection was cut off"),
    (OSError, "the network is not reachable"),
    (HTTPException, "the answer is not HTTP"),
)


def _reason(error: Exception) -> str:
    return next((text for kind, text in _REASONS if isinstance(error, kind)), type(error).__name__)
