"""How failures are classified: by a span, by a diagnosis, and by `verify`, from the same tables."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import socket
from typing import Final, NamedTuple

import pytest

from flash_otel import failures, semconv
from flash_otel.failures import (
    NOT_FOUND,
    OTHER,
    REJECTED,
    UNAUTHORIZED,
    UNAVAILABLE,
    kind_of,
)
from flash_otel.tracing import outcome
from flash_otel.verify import client

DENIED: Final = semconv.UNAUTHORIZED
DOWN: Final = semconv.STATE_MANAGER_UNAVAILABLE


class Row(NamedTuple):
    """An exception, and how each reader classifies it.

    Attributes:
        name: The exception's class.
        message: Its text.
        kind: The kind that a diagnosis sees in the record.
        on_span: The fault that a failed read names on its own span.
        verified: The fault that `verify` reports.
        read: The outcome of a reading call.
        write: The outcome of a writing call.
    """

    name: str
    message: str
    kind: str
    on_span: str | None = None
    verified: str | None = None
    read: str = "failed"
    write: str = "failed"

    def error(self) -> BaseException:
        """Make the exception; classes of HTTP clients are made up under the same name."""
        known = {"CancelledError": asyncio.CancelledError, "gaierror": socket.gaierror}
        found = getattr(builtins, self.name, None) or known.get(self.name)
        error: BaseException = (found or type(self.name, (Exception,), {}))(self.message)
        return error


ROWS: Final = (
    Row("BrokenPipeError", "", OTHER, write="unknown"),
    Row("CancelledError", "", OTHER, read="cancelled", write="unknown"),
    Row(
        "ClientConnectorCertificateError",
        "Cannot connect to host api.runpod.io:443 ssl:True [certificate verify failed]",
        UNAVAILABLE,
        DOWN,
        None,
        "failed",
        "failed",
    ),
    Row("ClientConnectorDNSError", "", UNAVAILABLE),
    Row("ClientConnectorError", "", UNAVAILABLE),
    Row(
        "ClientConnectorSSLError",
        "Cannot connect to host api.runpod.io:443 ssl:default [SSL handshake failed]",
        UNAVAILABLE,
        DOWN,
        None,
        "failed",
        "failed",
    ),
    Row("ClientOSError", "", UNAVAILABLE, write="unknown"),
    Row("ClientPayloadError", "", UNAVAILABLE, write="unknown"),
    Row("ConnectError", "", UNAVAILABLE),
    Row("ConnectTimeout", "", UNAVAILABLE),
    Row("ConnectionAbortedError", "", OTHER, write="unknown"),
    Row("ConnectionError", "", UNAVAILABLE),
    Row("ConnectionRefusedError", "", UNAVAILABLE),
    Row("ConnectionResetError", "", UNAVAILABLE, write="unknown"),
    Row(
        "ConnectionTimeoutError",
        "Connection timeout to host https://api.runpod.io/graphql",
        UNAVAILABLE,
        DOWN,
        None,
        "failed",
        "failed",
    ),
    Row("GeneratorExit", "", OTHER, read="cancelled", write="unknown"),
    Row("GraphQLError", "", OTHER),
    Row("HTTPStatusError", "", OTHER),
    Row("KeyboardInterrupt", "", OTHER, read="cancelled", write="unknown"),
    Row("ManifestServiceUnavailableError", "", UNAVAILABLE),
    Row("ReadError", "", UNAVAILABLE, write="unknown"),
    Row("ReadTimeout", "", UNAVAILABLE, write="unknown"),
    Row("RemoteProtocolError", "", UNAVAILABLE, write="unknown"),
    Row("RunpodAPIKeyError", "", UNAUTHORIZED, DENIED, DENIED),
    Row("SSLError", "", UNAVAILABLE),
    Row("ServerDisconnectedError", "", UNAVAILABLE, write="unknown"),
    Row("ServerTimeoutError", "", UNAVAILABLE, write="unknown"),
    Row(
        "SocketTimeoutError",
        "Timeout on reading data from socket",
        UNAVAILABLE,
        DOWN,
        None,
        "failed",
        "unknown",
    ),
    Row("SystemExit", "", OTHER),
    Row("Timeout", "", UNAVAILABLE),
    Row("TimeoutError", "", UNAVAILABLE, write="unknown"),
    Row("ValueError", "", OTHER),
    Row("_GraphQLNetworkError", "", UNAVAILABLE),
    Row("gaierror", "", UNAVAILABLE),
    Row(
        "Exception",
        "GraphQL request failed: 400 - bad request",
        OTHER,
        None,
        None,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "GraphQL request failed: 401 - {}",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "GraphQL request failed: 403 - {}",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row("Exception", "GraphQL request failed: 404 - {}", NOT_FOUND),
    Row("Exception", "GraphQL request failed: 408 - {}", OTHER),
    Row(
        "Exception", "GraphQL request failed: 429 - {}", UNAVAILABLE, None, None, "failed", "failed"
    ),
    Row(
        "Exception", "GraphQL request failed: 500 - {}", UNAVAILABLE, DOWN, DOWN, "failed", "failed"
    ),
    Row(
        "Exception",
        "GraphQL request failed: 503 - upstream",
        UNAVAILABLE,
        DOWN,
        DOWN,
        "failed",
        "failed",
    ),
    Row("Exception", "GraphQL request failed: 5000 - an id", OTHER),
    Row(
        "Exception",
        "GraphQL errors: Something went wrong",
        REJECTED,
        None,
        None,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "GraphQL errors: Unauthorized",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row("Exception", "GraphQL errors: unauthorised", UNAUTHORIZED, DENIED, DENIED),
    Row("Exception", "GraphQL errors: Forbidden", UNAUTHORIZED, DENIED, DENIED),
    Row(
        "Exception",
        "GraphQL errors: Not authenticated",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "GraphQL errors: Unauthenticated",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "GraphQL errors: request timed out",
        UNAVAILABLE,
        DOWN,
        None,
        "failed",
        "failed",
    ),
    Row("Exception", "HTTP request failed: gone", UNAVAILABLE, DOWN),
    Row("Exception", "HTTP request failed: 401", UNAUTHORIZED, DENIED, DENIED),
    Row("Exception", "HTTP 502 Bad Gateway", UNAVAILABLE),
    Row("Exception", "returned 401", UNAUTHORIZED, DENIED, DENIED),
    Row("Exception", "status code: 503", UNAVAILABLE),
    Row("Exception", "status=403", UNAUTHORIZED, DENIED, DENIED),
    Row(
        "Exception",
        "401 Unauthorized | Make sure Runpod API key is set",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "404 Client Error: Not Found for url: x",
        NOT_FOUND,
        None,
        None,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "Client error '404 Not Found' for url",
        NOT_FOUND,
        None,
        None,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "Client error '403 Forbidden' for url 'x'",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row("Exception", "Forbidden", UNAUTHORIZED, DENIED, DENIED),
    Row("Exception", "invalid API key", UNAUTHORIZED, DENIED, DENIED),
    Row("Exception", "RUNPOD_API_KEY is required", UNAUTHORIZED, DENIED, DENIED),
    Row(
        "Exception",
        "endpoint not found; deploy it first with 'flash deploy'",
        NOT_FOUND,
        None,
        None,
        "failed",
        "failed",
    ),
    Row("Exception", "timed out", UNAVAILABLE, DOWN),
    Row("Exception", "timedout", UNAVAILABLE, DOWN),
    Row("Exception", "time out", UNAVAILABLE, DOWN),
    Row("Exception", "a timeout of 30 s", UNAVAILABLE, DOWN),
    Row("Exception", "connection refused", UNAVAILABLE),
    Row("Exception", "Connection reset by peer", UNAVAILABLE),
    Row("Exception", "Server disconnected", UNAVAILABLE),
    Row(
        "Exception",
        "Cannot connect to host api.runpod.io:443",
        UNAVAILABLE,
        DOWN,
        None,
        "failed",
        "failed",
    ),
    Row("Exception", "temporarily unavailable", UNAVAILABLE),
    Row("Exception", "Too Many Requests", UNAVAILABLE),
    Row(
        "Exception",
        "Remote execution on 'gpu' failed: 401 Unauthorized",
        OTHER,
        None,
        None,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "Remote LB call to f (POST u) returned 404: no",
        OTHER,
        None,
        None,
        "failed",
        "failed",
    ),
    Row(
        "Exception",
        "RuntimeError: remote execution failed: timed out",
        OTHER,
        None,
        None,
        "failed",
        "failed",
    ),
    Row("Exception", "build 404a5 has port 8500", OTHER),
    Row("Exception", "no such app", OTHER),
    Row("Exception", "", OTHER),
    Row("HTTPStatusError", "500 Server Error: x", UNAVAILABLE),
    Row("RunpodAPIKeyError", "no key is set", UNAUTHORIZED, DENIED, DENIED),
    Row(
        "TimeoutError",
        "GraphQL request failed: 401 - {}",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "unknown",
    ),
    Row(
        "_GraphQLHTTPStatusError",
        "GraphQL request failed: 401 - {}",
        UNAUTHORIZED,
        DENIED,
        DENIED,
        "failed",
        "failed",
    ),
    Row(
        "RemoteExecutionError",
        "Remote execution on 'gpu' timed out",
        OTHER,
        None,
        None,
        "failed",
        "failed",
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}: {row.message}")
def test_every_reader_classifies_alike(row: Row) -> None:
    """A span, `verify` and a diagnosis see one kind; a span names it only if it is certain."""
    assert row.on_span in ({UNAUTHORIZED: (DENIED,), UNAVAILABLE: (DOWN, None)}).get(
        row.kind, (None,)
    )
    assert (row.verified == DENIED) == (row.kind == UNAUTHORIZED)
    error = row.error()
    assert kind_of(row.name, row.message) == row.kind
    assert outcome.detect(semconv.MANIFEST_FETCH, {}, error) == row.on_span
    assert client.query_error(error, "the read").code == row.verified
    assert outcome.classify(error, writes=False) == row.read
    assert outcome.classify(error, writes=True) == row.write


@pytest.mark.parametrize(
    ("error_type", "message", "kind"),
    [
        ("x.RunpodAPIKeyError", "set it", UNAUTHORIZED),
        ("x._GraphQLHTTPStatusError", "GraphQL request failed: 401 - {}", UNAUTHORIZED),
        ("x._GraphQLHTTPStatusError", "GraphQL request failed: 403 - {}", UNAUTHORIZED),
        ("x._GraphQLHTTPStatusError", "GraphQL request failed: 500 - {}", UNAVAILABLE),
        ("x._GraphQLHTTPStatusError", "GraphQL request failed: 429 - {}", UNAVAILABLE),
        ("httpx.HTTPStatusError", "Client error '404 Not Found' for url", NOT_FOUND),
        ("requests.HTTPError", "404 Client Error: Not Found for url: x", NOT_FOUND),
        ("RuntimeError", "401 Unauthorized | Make sure Runpod API key is set", UNAUTHORIZED),
        ("x._GraphQLNetworkError", "HTTP request failed: gone", UNAVAILABLE),
        ("TimeoutError", "", UNAVAILABLE),
        ("Exception", "GraphQL errors: Something went wrong", REJECTED),
        ("Exception", "GraphQL errors: Unauthorized", UNAUTHORIZED),
        ("x.RemoteExecutionError", "Remote execution on 'gpu' failed: 401 Unauthorized", OTHER),
        ("x.RemoteExecutionError", "Remote LB call to f (POST u) returned 404: no", OTHER),
        ("RuntimeError", "remote execution failed: timed out", OTHER),
        ("ValueError", "build 404a5 has port 8500", OTHER),
        ("ValueError", "", OTHER),
    ],
)
def test_records_are_classified_by_class_and_text(error_type: str, message: str, kind: str) -> None:
    """Errors of Flash and its HTTP clients have a kind; those of the called function have none."""
    assert kind_of(error_type, message) == kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UNAUTHORIZED),
        (404, NOT_FOUND),
        (429, UNAVAILABLE),
        (502, UNAVAILABLE),
        (400, REJECTED),
    ],
)
def test_a_recorded_status_outweighs_the_text(status: int, kind: str) -> None:
    """A status that was recorded as an attribute is used before any number in the message."""
    assert kind_of("Exception", "GraphQL error: returned 500 rows", status) == kind


def test_an_aiohttp_connector_error_never_sent_its_request() -> None:
    """Its base class loses answers, but no connection means that nothing was written."""
    base = type("ClientOSError", (Exception,), {})
    error = type("ClientConnectorError", (base,), {})()
    assert not failures.is_answer_lost(error)
    wrapped = RuntimeError("HTTP request failed")
    wrapped.__cause__ = base()
    assert failures.is_answer_lost(wrapped)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, concurrent.futures.CancelledError])
def test_a_cancelled_task_and_a_cancelled_future_are_alike(kind: type[BaseException]) -> None:
    """Both exceptions interrupt a call; neither is its own failure."""
    assert failures.is_cancellation(kind())
    assert outcome.classify(kind(), writes=False) == "cancelled"
