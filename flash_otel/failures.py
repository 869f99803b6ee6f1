"""Classify failures: one table each of exception classes, HTTP statuses and message texts.

A span names a fault while the process runs, a diagnosis weighs a record against others, and
`verify` reports on a request of its own; all three classify with these tables. The classes and
texts are those of runpod-flash 1.0.0-1.21.0 and of the HTTP clients that it uses (aiohttp,
requests, httpx). Classes are matched by name: a record holds only the name, and a process need not
have imported the client that raised.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

UNAUTHORIZED: Final = "unauthorized"
UNAVAILABLE: Final = "unavailable"
NOT_FOUND: Final = "not_found"
REJECTED: Final = "rejected"
OTHER: Final = "other"

CANCELLATIONS: Final = frozenset({"CancelledError", "KeyboardInterrupt", "GeneratorExit"})
"""Exceptions that end a call from outside: it did not fail by itself."""

MAX_CAUSES: Final = 10

_NEVER_SENT: Final = "never sent"  # nothing can have taken effect
_ANSWER_LOST: Final = "answer lost"  # a write may have taken effect

# Class name -> kind of failure, and what became of the request.
_CLASSES: Final[dict[str, tuple[str, str | None]]] = {
    "RunpodAPIKeyError": (UNAUTHORIZED, None),
    "EndpointNotFound": (NOT_FOUND, None),  # runpod 2
    "ClientConnectorCertificateError": (UNAVAILABLE, _NEVER_SENT),
    "ClientConnectorDNSError": (UNAVAILABLE, _NEVER_SENT),
    "ClientConnectorError": (UNAVAILABLE, _NEVER_SENT),
    "ClientConnectorSSLError": (UNAVAILABLE, _NEVER_SENT),
    "ConnectError": (UNAVAILABLE, _NEVER_SENT),
    "ConnectTimeout": (UNAVAILABLE, _NEVER_SENT),
    "ConnectionRefusedError": (UNAVAILABLE, _NEVER_SENT),
    "ConnectionTimeoutError": (UNAVAILABLE, _NEVER_SENT),
    "gaierror": (UNAVAILABLE, _NEVER_SENT),
    "ClientOSError": (UNAVAILABLE, _ANSWER_LOST),
    "ClientPayloadError": (UNAVAILABLE, _ANSWER_LOST),
    "ConnectionResetError": (UNAVAILABLE, _ANSWER_LOST),
    "ReadError": (UNAVAILABLE, _ANSWER_LOST),
    "ReadTimeout": (UNAVAILABLE, _ANSWER_LOST),
    "RemoteProtocolError": (UNAVAILABLE, _ANSWER_LOST),
    "ServerDisconnectedError": (UNAVAILABLE, _ANSWER_LOST),
    "ServerTimeoutError": (UNAVAILABLE, _ANSWER_LOST),
    "SocketTimeoutError": (UNAVAILABLE, _ANSWER_LOST),
    "TimeoutError": (UNAVAILABLE, _ANSWER_LOST),
    # Flash's own: what became of the request depends on the client's exception that they wrap.
    "ManifestServiceUnavailableError": (UNAVAILABLE, None),
    "_GraphQLNetworkError": (UNAVAILABLE, None),
    # Base classes: whether the request went out depends on the subclass.
    "ConnectionError": (UNAVAILABLE, None),
    "SSLError": (UNAVAILABLE, None),
    "Timeout": (UNAVAILABLE, None),
    # A pipe breaks for local reasons, too (`flash deploy | head`), so the server is not blamed.
    "BrokenPipeError": (OTHER, _ANSWER_LOST),
    "ConnectionAbortedError": (OTHER, _ANSWER_LOST),
}

_STATUSES: Final = {401: UNAUTHORIZED, 403: UNAUTHORIZED, 404: NOT_FOUND, 429: UNAVAILABLE}
_SERVER_ERRORS: Final = 500

# Words before the number: a bare 401 may be part of an id.
_STATUS: Final = re.compile(
    r"(?:failed|error|status(?: code)?|returned|HTTP(?:/\d\.\d)?)['\"]?[\s:=('\"]{1,4}([1-5]\d\d)\b"
    r"|^(?:\w+: )?([45]\d\d)\b(?=\s*[,:-]|\s+[A-Z])",
    re.IGNORECASE,
)
# An error that the called function or route answered with describes the user's code, not Flash's
# way to it (`ProductionWrapper._execute_remote_*`, `flash_sentinel._handle_sentinel_response`).
_REMOTE: Final = re.compile(r"(?:\w+: )?remote (?:execution|LB call)\b", re.IGNORECASE)

# `_execute_graphql` (1.0.0-1.21.0) raises "GraphQL request failed: STATUS - BODY".
_SERVER_ERROR: Final = r"failed: 5\d\d\b"


# What identifies each kind of failure in a message in lower case; the first match wins.
_TEXTS: Final = (
    (
        UNAUTHORIZED,
        re.compile(
            "unauthori[sz]ed|forbidden|unauthenticated|invalid api key|not authenticated"
            "|runpod_api_key is required"
        ),
    ),
    (NOT_FOUND, re.compile("deploy it first with 'flash deploy'")),
    (
        UNAVAILABLE,
        re.compile(
            "http request failed|timed? ?out|connection refused|cannot connect|connection reset"
            "|server disconnected|temporarily unavailable|too many requests"
        ),
    ),
    (REJECTED, re.compile("graphql error")),
)
# A single such failure shows that the State Manager did not respond. After others, such as
# HTTP 429, a retry may have succeeded, which only a diagnosis sees.
_CERTAINLY_UNAVAILABLE: Final = re.compile(
    rf"{_SERVER_ERROR}|timed? ?out|cannot connect|http request failed"
)


def kind_of(error_type: str, message: str, status: int | None = None) -> str:
    """Classify a failure by everything that a record holds of it.

    Args:
        error_type: Qualified name of the exception's class, or a fault's code.
        message: The exception's text.
        status: HTTP status of the response, where it is recorded separately.

    Returns:
        `UNAUTHORIZED`, `UNAVAILABLE`, `NOT_FOUND`, `REJECTED` or `OTHER`.
    """
    by_class = _kind_of_class(error_type)
    if by_class == UNAUTHORIZED:
        return UNAUTHORIZED
    if _REMOTE.match(message):
        return OTHER
    by_status = _kind_of_status(status if status is not None else _status_in(message))
    if by_status is not None:
        return by_status
    lowered = message.lower()
    return next((kind for kind, texts in _TEXTS if texts.search(lowered)), by_class)


def certain_kind(error: BaseException) -> str:
    """Classify an exception by what admits no other explanation: a span may name the fault.

    Returns:
        `UNAUTHORIZED`, `UNAVAILABLE`, or `OTHER` where the exception proves neither.
    """
    message = str(error)
    kind = kind_of(type(error).__name__, message)
    is_certain = kind == UNAUTHORIZED or (
        kind == UNAVAILABLE and _CERTAINLY_UNAVAILABLE.search(message.lower()) is not None
    )
    return kind if is_certain else OTHER


def is_server_error(message: str) -> bool:
    """Return True if a message of Flash's client names a 5xx response: the server was reached."""
    return re.search(_SERVER_ERROR, message) is not None


def is_cancellation(error: BaseException) -> bool:
    """Return True if an exception interrupts a call rather than being its own failure."""
    return not CANCELLATIONS.isdisjoint(_class_names(error))


def is_answer_lost(error: BaseException) -> bool:
    """Return True if a request may have reached the server without its response coming back.

    Flash wraps the client's exception (`_GraphQLNetworkError`, 1.6.1+), so causes count, too.
    """
    for cause in causes(error):
        fates = {_CLASSES[name][1] for name in _class_names(cause) if name in _CLASSES}
        # aiohttp's connector errors derive from those that lose an answer.
        if _NEVER_SENT in fates:
            return False
        if _ANSWER_LOST in fates:
            return True
    return False


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its chain of causes or contexts, at most `MAX_CAUSES` of them."""
    current: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def _class_names(error: BaseException) -> set[str]:
    return {base.__name__ for base in type(error).__mro__}


def _kind_of_class(error_type: str) -> str:
    return _CLASSES.get(error_type.rpartition(".")[2], (OTHER, None))[0]


def _kind_of_status(status: int | None) -> str | None:
    if status is None:
        return None
    return UNAVAILABLE if status >= _SERVER_ERRORS else _STATUSES.get(status)


def _status_in(message: str) -> int | None:
    found = _STATUS.search(message)
    return int(found[1] or found[2]) if found else None
