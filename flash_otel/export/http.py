"""OTLP over HTTP, with the client of the standard library.

Any other HTTP library takes time to import, and the host may have instrumented it. Redirects are
not followed. One deadline covers a whole request, even if a server responds byte by byte.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from flash_otel._version import __version__
from flash_otel.export.address import is_latin
from flash_otel.export.connection import Connection, Deadline, reason_of
from flash_otel.export.destination import HTTP_JSON, Destination
from flash_otel.export.proxy import PROXY_AUTHENTICATION_REQUIRED, refused
from flash_otel.export.sending import LONGEST_WAIT_S, ExportResult, Verdict, parse_response
from flash_otel.otlp.encode import encode_json, encode_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flash_otel.records import SpanRecord

_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
_VERDICTS: Final = {
    # The last two come from a proxy or a network, not from the collector (RFC 6585, 6).
    **dict.fromkeys((429, 502, 503, 504, PROXY_AUTHENTICATION_REQUIRED, 511), Verdict.WAIT),
    413: Verdict.TOO_LARGE,
}
_OK: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
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
        self._connection: Connection | None = None
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
            return ExportResult(Verdict.WAIT, self._destination.plain(reason_of(error)))

    def _body(self, records: Iterable[SpanRecord]) -> bytes:
        if self._destination.protocol == HTTP_JSON:
            encoded = json.dumps(encode_json(records), separators=(",", ":")).encode()
            return self._compressed(encoded)
        return self._compressed(encode_protobuf(records))

    def _compressed(self, body: bytes) -> bytes:
        return _COMPRESSORS.get(self._destination.compression, bytes)(body)

    def _post(self, body: bytes) -> ExportResult:
        with Deadline(self._destination.timeout_s) as deadline:
            try:
                connection = self._connected(deadline)
                connection.request("POST", connection.target, body, self._headers(connection))
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

    def _headers(self, connection: Connection) -> dict[str, str | bytes]:
        is_json = self._destination.protocol == HTTP_JSON
        compression = self._destination.compression
        return {
            "user-agent": _USER_AGENT,
            **connection.headers,
            **{name: _encoded(value) for name, value in self._destination.headers.items()},
            "content-type": "application/json" if is_json else "application/x-protobuf",
            **({"content-encoding": compression} if compression else {}),
        }

    def _result(self, response: HTTPResponse, content: bytes) -> ExportResult:
        self.date = response.getheader("date") or ""
        if response.status in _OK:
            result = parse_response(content, is_json=self._destination.protocol == HTTP_JSON)
            return replace(result, reason=self._destination.plain(result.reason))
        verdict = _VERDICTS.get(response.status, Verdict.REJECTED)
        reason = self._destination.plain(_refusal(response))
        return ExportResult(verdict, reason, wait_s=_retry_after(response.getheader("retry-after")))

    def _connected(self, deadline: Deadline) -> Connection:
        if self._connection is not None:
            deadline.connection = self._connection
            return self._connection
        self._connection = deadline.connection = Connection(self._destination)
        self._connection.connect()
        return self._connection


def _encoded(value: str) -> str | bytes:
    """Return a header's value; as UTF-8 if `http.client`, which uses Latin-1, cannot encode it."""
    return value if is_latin(value) else value.encode()


def _refusal(response: HTTPResponse) -> str:
    if response.status == PROXY_AUTHENTICATION_REQUIRED:
        return refused(response.status)
    text = f"HTTP {response.status} {response.reason}"
    # Never followed: the credentials belong to the address that the user named.
    where = response.getheader("location") if response.status in _REDIRECTS else None
    return f"{text}: the address has moved to {where}" if where else text


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
