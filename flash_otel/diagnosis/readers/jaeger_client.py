"""Jaeger's HTTP API (`/api/v3`): one request at a time, each bounded in time and size.

Redirects are not followed: they lead to a login page, and headers must not go to another host.
Certificates are always verified; SSL_CERT_FILE and SSL_CERT_DIR name further authorities.
"""

from __future__ import annotations

import json
from time import gmtime, monotonic, sleep, strftime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx

from flash_otel._version import __version__
from flash_otel.diagnosis.readers.base import SourceError
from flash_otel.diagnosis.readers.jaeger_answers import error_in, names_of, records_of
from flash_otel.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from flash_otel.records import SpanRecord

HEADERS_VARIABLE: Final = "FLASH_OTEL_JAEGER_HEADERS"
MOST_BYTES: Final = 256 * 1024 * 1024
REQUEST_S: Final = 30.0
CONNECT_S: Final = 5.0

_TRIES: Final = 3
_PAUSE_S: Final = 0.5
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_REFUSED: Final = frozenset({401, 403, 407})
_NOT_FOUND: Final = 404
_MOST_SAID: Final = 200  # characters of an answer that an error quotes


_Parsed = TypeVar("_Parsed")


def shown(url: str) -> str:
    """Return an address without what may be secret in it: user, password, query."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        return "another path" if url.startswith("/") else "no HTTP address"
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


class OutOfTimeError(SourceError):
    """The time that the reading of Jaeger may take is over."""


class JaegerClient:
    """Asks one Jaeger.

    Args:
        url: Its base address, such as `http://localhost:16686`; with the base path, if any.
        headers: Sent with each request; may hold credentials, so they are never shown.
        seconds: How long all requests together may take.

    Attributes:
        name: What a person calls it: the address without credentials.

    Raises:
        SourceError: The address is no HTTP address.
    """

    def __init__(self, url: str, headers: Mapping[str, str], seconds: float) -> None:
        self.name = shown(url)
        self._base = url.rstrip("/")
        self._seconds = seconds
        self._until = monotonic() + seconds
        agent = {"user-agent": f"flash-otel/{__version__}", "accept": "application/json"}
        try:
            self._http = httpx.Client(headers={**agent, **headers}, follow_redirects=False)
        except (OSError, ValueError) as error:  # a certificate file that is none, odd headers
            raise SourceError(f"Jaeger cannot be asked: {_said(error)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def services(self) -> list[str]:
        """Return the names of all services that have sent spans.

        Raises:
            SourceError: Jaeger cannot be reached, or it is not Jaeger; so for every question.
        """
        return self._ask("services", {}, lambda said: names_of(said, "services"), [])

    def operations(self, service: str) -> list[str]:
        """Return the names of the spans of a service."""
        asked = {"service": service}
        return self._ask("operations", asked, lambda said: names_of(said, "operations", "name"), [])

    def trace(self, trace_id: str) -> list[SpanRecord]:
        """Return the spans of a trace; none of one that is not there."""
        return self._ask(f"traces/{trace_id}", {"raw_traces": "true"}, _records, [])

    def find(
        self, service: str, operation: str, start_ns: int, end_ns: int, most: int
    ) -> list[SpanRecord]:
        """Return whole traces that have a span of a service, begun in a span of time.

        Args:
            service: The service.
            operation: Name of the span; empty for any.
            start_ns: Earliest start, in nanoseconds since the epoch.
            end_ns: Latest start, in nanoseconds since the epoch.
            most: How many traces at most.
        """
        asked = {
            "query.service_name": service,
            "query.start_time_min": _moment(start_ns),
            "query.start_time_max": _moment(end_ns),
            "query.num_traces": str(most),
            "query.raw_traces": "true",
        }
        if operation:
            asked["query.operation_name"] = operation
        return self._ask("traces", asked, _records, [])

    def _ask(
        self,
        path: str,
        asked: Mapping[str, str],
        parse: Callable[[Any], _Parsed],
        nothing: _Parsed,
    ) -> _Parsed:
        """Return what `parse` makes of an answer, or `nothing` where Jaeger has none."""
        for left in reversed(range(_TRIES)):
            status, kind, text = self._get(path, asked)
            if status not in _TRY_AGAIN or not left:
                break
            sleep(min(_PAUSE_S, self._left()))
        if status == _NOT_FOUND and error_in(text) is not None:
            return nothing
        if not httpx.codes.is_success(status):
            raise SourceError(self._refusal(status, text))
        try:
            return parse(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise SourceError(self._misfit(kind, text, error)) from None

    def _get(self, path: str, asked: Mapping[str, str]) -> tuple[int, str, str]:
        seconds = min(REQUEST_S, self._left())
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_S, seconds))
        until = monotonic() + seconds
        try:
            with self._http.stream(
                "GET", f"{self._base}/api/v3/{path}", params=dict(asked), timeout=timeout
            ) as answer:
                if answer.has_redirect_location:
                    raise SourceError(self._redirection(answer))
                text = self._body(answer, until)
                return answer.status_code, answer.headers.get("content-type", ""), text
        except httpx.TimeoutException:
            raise self._too_slow(seconds) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise SourceError(self._trouble(error)) from None

    def _body(self, answer: httpx.Response, until: float) -> str:
        parts, size = [], 0
        for part in answer.iter_bytes():
            size += len(part)
            parts.append(part)
            if size > MOST_BYTES:
                megabytes = MOST_BYTES // 2**20
                raise SourceError(f"{self.name} answered with more than {megabytes} MB")
            if monotonic() > until:  # httpx's own timeout is for each part
                raise self._too_slow(REQUEST_S)
        return b"".join(parts).decode("utf-8", "replace")

    def _left(self) -> float:
        left = self._until - monotonic()
        if left <= 0:
            raise OutOfTimeError(f"reading {self.name} took longer than {self._seconds:g} s")
        return left

    def _too_slow(self, seconds: float) -> SourceError:
        self._left()  # all of the time is over rather than this request's
        return SourceError(f"{self.name} did not answer within {seconds:.0f} s")

    def _trouble(self, error: Exception) -> str:
        said = _said(error)
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return (
                f"the certificate of {self.name} is not trusted ({said}); SSL_CERT_FILE may name "
                "the authority that signed it"
            )
        if isinstance(error, httpx.ConnectError):
            return f"{self.name} cannot be reached: {said}"
        return f"{self.name} cannot be read, the answer broke off or is no HTTP: {said}"

    def _redirection(self, answer: httpx.Response) -> str:
        there = shown(answer.headers.get("location", ""))
        return (
            f"{self.name} sends to {there} instead of answering: name Jaeger's own address or, "
            f"behind a login, give a header in {HEADERS_VARIABLE}"
        )

    def _refusal(self, status: int, text: str) -> str:
        said = error_in(text)
        if status in _REFUSED:
            return (
                f"{self.name} refuses the request with HTTP {status}: set {HEADERS_VARIABLE}, for "
                "example to Authorization=Bearer%20TOKEN"
            )
        if status == _NOT_FOUND:
            return (
                f"{self.name} knows no /api/v3 (HTTP 404): it is not Jaeger, or its base path is "
                "missing in the address"
            )
        quoted = f": {_quoted(said)}" if said else ""
        return f"{self.name} failed with HTTP {status}{quoted}"

    def _misfit(self, kind: str, text: str, error: Exception) -> str:
        begin = text.lstrip()[:1]
        if begin == "<":
            return (
                f"{self.name} answered with a page of HTML, not as Jaeger's API: it is another "
                "server, a login, or its base path is missing in the address"
            )
        if begin == "{" and "json" in kind.lower() and isinstance(error, json.JSONDecodeError):
            return f"the answer of {self.name} is damaged or was cut off: {_said(error)}"
        return f"{self.name} does not answer as Jaeger's API: {_quoted(_said(error))}"


def _records(answer: object) -> list[SpanRecord]:
    return list(records_of(answer))


def _moment(time_ns: int) -> str:
    """Write a time as RFC 3339 does, with nanoseconds."""
    seconds, nanos = divmod(max(0, time_ns), 1_000_000_000)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}.{nanos:09d}Z"


def _said(error: Exception) -> str:
    return _quoted(str(error) or type(error).__name__)


def _quoted(text: str) -> str:
    found = " ".join(scrub(text).split())
    return found if len(found) <= _MOST_SAID else f"{found[:_MOST_SAID]}..."
