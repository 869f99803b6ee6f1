"""OTLP over HTTP, with the standard library's own client.

No other HTTP library: the host may have instrumented it, and each of them costs an import. One
deadline covers a whole request, also where a server answers byte by byte.
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
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from flash_otel._version import __version__
from flash_otel.export.destination import HTTP_JSON
from flash_otel.export.outcome import LONGEST_WAIT_S, Answer, Verdict, taken
from flash_otel.otlp.encode import encode_json, encode_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from urllib.parse import SplitResult

    from typing_extensions import Self

    from flash_otel.export.destination import Destination
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
    """Posts batches to one destination, over one connection as long as the server keeps it.

    Args:
        destination: Where to.

    Attributes:
        date: What the server's clock said with its last answer (HTTP's Date), as far as it did.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._url = urlsplit(destination.url)
        self._connection: HTTPConnection | None = None
        self.date = ""

    def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def send(self, records: Iterable[SpanRecord]) -> Answer:
        """Send a batch and wait for the answer."""
        return self._sent(self._body(records))

    def carry(self, body: bytes) -> Answer:
        """Send a batch that is encoded as protobuf already, and wait for the answer."""
        return self._sent(self._compressed(body))

    def _sent(self, body: bytes) -> Answer:
        reused = self._connection is not None
        try:
            try:
                return self._post(body)
            except (ConnectionError, HTTPException):
                self.close()
                if not reused:
                    raise
                # The server has closed a connection that waited for the next batch.
                return self._post(body)
        except Exception as error:
            self.close()
            return Answer(Verdict.WAIT, self._destination.plain(_words(error)))

    def _body(self, records: Iterable[SpanRecord]) -> bytes:
        if self._destination.protocol == HTTP_JSON:
            encoded = json.dumps(encode_json(records), separators=(",", ":")).encode()
            return self._compressed(encoded)
        return self._compressed(encode_protobuf(records))

    def _compressed(self, body: bytes) -> bytes:
        return _COMPRESSORS.get(self._destination.compression, bytes)(body)

    def _post(self, body: bytes) -> Answer:
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
        return self._judged(response, content)

    def _headers(self) -> dict[str, str]:
        is_json = self._destination.protocol == HTTP_JSON
        compression = self._destination.compression
        return {
            "user-agent": _USER_AGENT,
            **self._destination.headers,
            "content-type": "application/json" if is_json else "application/x-protobuf",
            **({"content-encoding": compression} if compression else {}),
        }

    def _judged(self, response: HTTPResponse, content: bytes) -> Answer:
        self.date = response.getheader("date") or ""
        if response.status in _OK:
            answer = taken(content, is_json=self._destination.protocol == HTTP_JSON)
            return Answer(answer.verdict, self._destination.plain(answer.reason), answer.rejected)
        verdict = _VERDICTS.get(response.status, Verdict.REJECTED)
        reason = self._destination.plain(f"HTTP {response.status} {response.reason}")
        return Answer(verdict, reason, wait_s=_retry_after(response.getheader("retry-after")))

    def _connected(self) -> tuple[HTTPConnection, str]:
        """Return an open connection, and what to ask for on it."""
        proxy = _proxy(self._url)
        path = self._url.path or "/"
        if self._url.query:
            path = f"{path}?{self._url.query}"
        if proxy is not None and self._url.scheme == "http":
            path = f"http://{self._url.netloc.rpartition('@')[2]}{path}"
        if self._connection is None:
            self._connection = self._made(proxy)
            self._connection.connect()
        return self._connection, path

    def _made(self, proxy: SplitResult | None) -> HTTPConnection:
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
    """Cuts a connection off when time is over; a socket's timeout begins anew with each byte."""

    def __init__(self, connected: socket.socket | None, seconds: float) -> None:
        self._socket = connected
        self._over = False
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
        if self._over:
            raise TimeoutError

    def _cut(self) -> None:
        self._over = True
        if self._socket is not None:
            with suppress(OSError):
                # Not SSLSocket's own: it would take the encryption away from under a reader.
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
    """Read a Retry-After header: seconds, or a date."""
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


# What went wrong, in words that do not change from one Python to the next.
_WORDS: Final[tuple[tuple[type[BaseException], str], ...]] = (
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


def _words(error: Exception) -> str:
    # An unknown error's text may quote a header, and so a credential.
    return next((text for kind, text in _WORDS if isinstance(error, kind)), type(error).__name__)
