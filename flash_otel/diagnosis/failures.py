"""What kind of failure an exception stands for, told from its class and its text.

The classes and texts are those of runpod-flash 1.0.0-1.21.0 and of the HTTP clients it uses
(aiohttp, requests, httpx).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.evidence import Failure
from flash_otel.diagnosis.values import number, text

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

UNAUTHORIZED: Final = "unauthorized"
UNAVAILABLE: Final = "unavailable"
NOT_FOUND: Final = "not_found"
REJECTED: Final = "rejected"
OTHER: Final = "other"

_STATUS: Final = re.compile(
    r"(?:failed|error|status(?: code)?|returned|HTTP(?:/\d\.\d)?)['\"]?[\s:=('\"]{1,4}([1-5]\d\d)\b"
    r"|^(?:\w+: )?([45]\d\d)\b(?=\s*[,:-]|\s+[A-Z])",
    re.IGNORECASE,
)
# What the called function or route itself answered says nothing of Flash's own way to it
# (`ProductionWrapper._execute_remote_*`, `flash_sentinel._handle_sentinel_response`).
_CALLED: Final = re.compile(r"(?:\w+: )?remote (?:execution|LB call)\b", re.IGNORECASE)
_KEY_MISSING: Final = frozenset({"RunpodAPIKeyError"})
_NETWORK: Final = frozenset(
    {
        "_GraphQLNetworkError",
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ClientOSError",
        "ClientPayloadError",
        "ConnectError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "ConnectTimeout",
        "ManifestServiceUnavailableError",
        "ReadError",
        "ReadTimeout",
        "RemoteProtocolError",
        "ServerDisconnectedError",
        "ServerTimeoutError",
        "SSLError",
        "Timeout",
        "TimeoutError",
        "gaierror",
    }
)
# In this order: the first text that is found decides.
_TEXTS: Final = (
    (
        UNAUTHORIZED,
        (
            "unauthorized",
            "unauthenticated",
            "invalid api key",
            "not authenticated",
            "runpod_api_key is required",
        ),
    ),
    (NOT_FOUND, ("deploy it first with 'flash deploy'",)),
    (
        UNAVAILABLE,
        (
            "http request failed",
            "timed out",
            "timeout",
            "connection refused",
            "cannot connect",
            "connection reset",
            "server disconnected",
            "temporarily unavailable",
            "too many requests",
        ),
    ),
    (REJECTED, ("graphql error",)),
)
_STATUSES: Final = {401: UNAUTHORIZED, 403: UNAUTHORIZED, 404: NOT_FOUND, 429: UNAVAILABLE}


def failure_of(record: SpanRecord) -> Failure:
    """Describe why a span failed, as far as it says."""
    raised = [event for event in record.events if event.name == semconv.EXCEPTION]
    said = raised[-1].attributes if raised else {}
    kind = text(record.attributes, semconv.ERROR_TYPE) or text(said, semconv.EXCEPTION_TYPE) or ""
    told = text(said, semconv.EXCEPTION_MESSAGE) or ""
    message = told if raised else record.status_message
    status = number(record.attributes, semconv.HTTP_STATUS_CODE)
    return Failure(kind_of(kind, message, status), kind, message.strip())


def kind_of(error_type: str, message: str, status: int | None = None) -> str:
    """Name the kind of a failure.

    Args:
        error_type: Qualified name of the exception's class, or a fault's code.
        message: Its text.
        status: HTTP status of the answer, where it is known by itself.
    """
    name = error_type.rpartition(".")[2]
    if name in _KEY_MISSING:
        return UNAUTHORIZED
    if _CALLED.match(message):
        return OTHER
    by_status = _by_status(status if status is not None else _status_in(message))
    if by_status:
        return by_status
    lowered = message.lower()
    found = (kind for kind, texts in _TEXTS if any(one in lowered for one in texts))
    return next(found, UNAVAILABLE if name in _NETWORK else OTHER)


def _by_status(status: int | None) -> str:
    if status is None:
        return ""
    return UNAVAILABLE if status >= 500 else _STATUSES.get(status, "")  # noqa: PLR2004 - HTTP


def _status_in(message: str) -> int | None:
    found = _STATUS.search(message)
    return int(found[1] or found[2]) if found else None
