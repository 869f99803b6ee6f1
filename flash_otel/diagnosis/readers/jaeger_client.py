"""Client of Jaeger's HTTP API (`/api/v3`): each request is bounded in time and size.

Redirects are not followed: they lead to login pages, and the headers, which may hold credentials,
must not reach another host. Certificates are always verified; SSL_CERT_FILE and SSL_CERT_DIR add
authorities.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from threading import Thread
from time import gmtime, monotonic, sleep, strftime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.diagnosis.readers.input import ReaderError
from flash_otel.otlp.decode import decode
from flash_otel.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from flash_otel.records import Attributes, AttributeValue, SpanRecord

HEADERS_VARIABLE: Final = "FLASH_OTEL_JAEGER_HEADERS"
MOST_BYTES: Final = 256 * 1024 * 1024
REQUEST_S: Final = 30.0
CONNECT_S: Final = 5.0
LISTS: Final = frozenset({semconv.ENDPOINT_NAMES, semconv.ENDPOINT_URLS, semconv.MANIFEST_KEYS})
"""Attributes whose value is a list of strings."""

_GZIP_WINDOW: Final = 31  # zlib's number for "with a gzip header"
_PART_BYTES: Final = 1 << 20
_GRACE_S: Final = 0.5  # httpx's own timeouts, which name the cause, must come first
_TRIES: Final = 3
_PAUSE_S: Final = 0.5
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_REFUSED: Final = frozenset({401, 403, 407})
_NOT_FOUND: Final = 404
_PATH: Final = "another path"
_INVALID: Final = "an invalid address"
_NO_ADDRESSES: Final = frozenset({_PATH, _INVALID})
_EXAMPLE: Final = "--from jaeger=http://localhost:16686"
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")
_MAX_QUOTED: Final = 200  # characters of a response that an error quotes

_Parsed = TypeVar("_Parsed")


def shown(url: str) -> str:
    """Return an address without its secrets: user, password and query."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        return _PATH if url.startswith("/") else _INVALID
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


class OutOfTimeError(ReaderError):
    """The time for all requests together is over."""


class JaegerClient:
    """Queries one Jaeger. Every query raises `ReaderError` if Jaeger cannot be read.

    Args:
        url: Its base address, such as `http://localhost:16686`, including its base path if any.
        headers: Sent with each request; may hold credentials, so messages never show them.
        seconds: Time for all requests together.

    Attributes:
        name: The address without credentials.

    Raises:
        ReaderError: The client cannot be set up, for example with these headers.
    """

    def __init__(self, url: str, headers: Mapping[str, str], seconds: float) -> None:
        self.name = shown(url)
        if self.name in _NO_ADDRESSES:
            # Not quoted: what is malformed may hold a password.
            raise ReaderError("this is not the address of a Jaeger", f"Name it: {_EXAMPLE}")
        self._base = url.rstrip("/")
        self._seconds = seconds
        self._until = monotonic() + seconds
        own = {
            "user-agent": f"flash-otel/{__version__}",
            "accept": "application/json",
            "accept-encoding": "gzip",
        }
        try:
            self._http = httpx.Client(headers={**own, **headers}, follow_redirects=False)
        except (OSError, ValueError) as error:  # an invalid certificate file or header
            raise ReaderError(f"Jaeger cannot be queried: {_described(error)}") from None
        except ImportError:
            raise ReaderError(
                "Jaeger cannot be queried through a SOCKS proxy: unset ALL_PROXY, or "
                "pip install 'httpx[socks]'"
            ) from None
        except httpx.InvalidURL:  # its text may quote a part of a password
            raise ReaderError(
                "Jaeger cannot be queried: HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not an address"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def services(self) -> list[str]:
        """Return the names of all services that have sent spans."""
        return self._query("services", {}, lambda answer: names_of(answer, "services"))

    def operations(self, service: str) -> list[str]:
        """Return the names of the spans of a service."""
        parameters = {"service": service}
        return self._query(
            "operations", parameters, lambda answer: names_of(answer, "operations", "name")
        )

    def trace(self, trace_id: str) -> list[SpanRecord]:
        """Return the spans of a trace; none if Jaeger does not have it."""
        return self._query(f"traces/{trace_id}", {"raw_traces": "true"}, _spans)

    def find(
        self, service: str, operation: str, start_ns: int, end_ns: int, most: int
    ) -> list[SpanRecord]:
        """Return the spans of whole traces in which a service has a span.

        Args:
            service: The service.
            operation: Name of the span; empty for any.
            start_ns: Earliest start of the span, in nanoseconds since the epoch.
            end_ns: Latest start.
            most: Number of traces at most.
        """
        parameters = {
            "query.service_name": service,
            "query.start_time_min": _rfc3339(start_ns),
            "query.start_time_max": _rfc3339(end_ns),
            "query.num_traces": str(most),
            "query.raw_traces": "true",
        }
        if operation:
            parameters["query.operation_name"] = operation
        return self._query("traces", parameters, _spans)

    def _query(
        self, path: str, parameters: Mapping[str, str], parse: Callable[[Any], list[_Parsed]]
    ) -> list[_Parsed]:
        """Return the parsed answer; an empty list if Jaeger found nothing."""
        for tries_left in reversed(range(_TRIES)):
            status, kind, text = self._get(path, parameters)
            if status not in _RETRYABLE or not tries_left:
                break
            sleep(min(_PAUSE_S, self._remaining_s()))
        # Jaeger answers 404 for an empty result, with an error in JSON; other servers do not.
        if status == _NOT_FOUND and _error_in(text) is not None:
            return []
        if not httpx.codes.is_success(status):
            raise ReaderError(self._refusal(status, text))
        try:
            return parse(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise ReaderError(self._misfit(kind, text, error)) from None

    def _get(self, path: str, parameters: Mapping[str, str]) -> tuple[int, str, str]:
        """Return the status, the content type and the text of a response.

        In a thread, because each received byte restarts a timeout of httpx: endless headers or
        interim responses never exceed it.
        """
        seconds = min(REQUEST_S, self._remaining_s())
        found: list[tuple[int, str, str] | Exception] = []

        def request() -> None:
            try:
                found.append(self._request(path, parameters, seconds))
            except Exception as error:
                found.append(error)

        thread = Thread(target=request, name="flash_otel-jaeger", daemon=True)
        thread.start()
        thread.join(seconds + _GRACE_S)
        answer = found[0] if found else self._too_slow(seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _request(
        self, path: str, parameters: Mapping[str, str], seconds: float
    ) -> tuple[int, str, str]:
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_S, seconds))
        until = monotonic() + seconds
        try:
            with self._http.stream(
                "GET", f"{self._base}/api/v3/{path}", params=dict(parameters), timeout=timeout
            ) as response:
                if response.has_redirect_location:
                    raise ReaderError(self._redirection(response))
                text = self._body(response, until)
                return response.status_code, response.headers.get("content-type", ""), text
        except httpx.TimeoutException:
            raise self._too_slow(seconds) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, zlib.error) as error:
            raise self._failure(error) from None

    def _parts(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the decompressed parts of a response.

        httpx decompresses each part as a whole, with every encoding that the server names. With
        two of them, a part of kilobytes becomes gigabytes.
        """
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            yield from response.iter_raw()
            return
        if encoding != "gzip":
            raise ReaderError(f"{self.name} answers in an encoding that was not asked for")
        unpack = zlib.decompressobj(_GZIP_WINDOW)
        for packed in response.iter_raw():
            rest = packed
            while rest:
                yield unpack.decompress(rest, _PART_BYTES)
                rest = unpack.unconsumed_tail
            if unpack.eof:
                return  # the object would collect all bytes behind the stream
        yield unpack.flush()

    def _body(self, response: httpx.Response, until: float) -> str:
        parts, size = [], 0
        for part in self._parts(response):
            size += len(part)
            parts.append(part)
            if size > MOST_BYTES:
                megabytes = MOST_BYTES // 2**20
                raise ReaderError(f"{self.name} answered with more than {megabytes} MB")
            # httpx applies its own timeout to each part, which a trickling server never exceeds.
            if monotonic() > until:
                raise self._too_slow(REQUEST_S)
        return b"".join(parts).decode("utf-8", "replace")

    def _remaining_s(self) -> float:
        remaining = self._until - monotonic()
        if remaining <= 0:
            raise OutOfTimeError(f"reading {self.name} took longer than {self._seconds:g} s")
        return remaining

    # --- messages ------------------------------------------------------------------------------

    def _too_slow(self, seconds: float) -> ReaderError:
        self._remaining_s()  # raises if it is the time for all requests that is over
        return ReaderError(f"{self.name} did not answer within {seconds:.0f} s")

    def _failure(self, error: Exception) -> ReaderError:
        described = _described(error)
        if "CERTIFICATE_VERIFY_FAILED" in described:
            return ReaderError(
                f"the certificate of {self.name} is not trusted ({described})",
                "Name the file of the authority that signed it in SSL_CERT_FILE.",
            )
        if isinstance(error, httpx.ConnectError):
            return ReaderError(
                f"Jaeger at {self.name} cannot be reached: {_ERRNO.sub('', described)}",
                f"Start one: flash-otel collector up   (or name another: {_EXAMPLE})",
            )
        message = f"{self.name} cannot be read, the answer broke off or is not HTTP: {described}"
        return ReaderError(message)

    def _redirection(self, response: httpx.Response) -> str:
        target = shown(response.headers.get("location", ""))
        return (
            f"{self.name} redirects to {target} instead of answering: name Jaeger's own address "
            f"or, behind a login, give a header in {HEADERS_VARIABLE}"
        )

    def _refusal(self, status: int, text: str) -> str:
        if status in _REFUSED:
            return (
                f"{self.name} refuses the request with HTTP {status}: set {HEADERS_VARIABLE}, for "
                "example to Authorization=Bearer%20TOKEN"
            )
        if status == _NOT_FOUND:
            return (
                f"{self.name} has no /api/v3 (HTTP 404): it is not Jaeger, or its base path is "
                "missing in the address"
            )
        message = _error_in(text)
        quoted = f": {_quoted(message)}" if message else ""
        return f"{self.name} failed with HTTP {status}{quoted}"

    def _misfit(self, kind: str, text: str, error: Exception) -> str:
        begin = text.lstrip()[:1]
        if begin == "<":
            return (
                f"{self.name} answered with a page of HTML, not as Jaeger's API: it is another "
                "server, a login, or its base path is missing in the address"
            )
        if begin == "{" and "json" in kind.lower() and isinstance(error, json.JSONDecodeError):
            return f"the answer of {self.name} is damaged or was cut off: {_described(error)}"
        return f"{self.name} does not answer as Jaeger's API: {_described(error)}"


# --- parsing answers ---------------------------------------------------------------------------


def records_of(answer: object) -> Iterator[SpanRecord]:
    """Yield the spans of `{"result": {"resourceSpans": [...]}}`.

    Raises:
        ValueError: The answer does not have that form. Malformed spans within it are skipped.
    """
    result = answer.get("result") if isinstance(answer, Mapping) else None
    if not isinstance(result, Mapping):
        raise ValueError("there is no object 'result'")  # noqa: TRY004 - data, not an argument
    # Protobuf's JSON omits an empty list.
    groups = result.get("resourceSpans", [])
    for record in decode({"resourceSpans": groups}):
        yield replace(record, attributes=_with_lists(record.attributes))


def names_of(answer: object, field: str, name: str = "") -> list[str]:
    """Return the names in an answer.

    Args:
        answer: The result of a JSON parser.
        field: The field that holds the list; an answer without any names omits it.
        name: The field of an object that holds its name; empty if names are plain strings.

    Raises:
        ValueError: The answer does not have that form.
    """
    is_expected = isinstance(answer, Mapping) and set(answer) <= {field}
    items = answer.get(field, []) if isinstance(answer, Mapping) and is_expected else None
    if not isinstance(items, list):
        raise ValueError(f"there is no list {field!r}")  # noqa: TRY004 - data, not an argument
    named = (item.get(name) if name and isinstance(item, Mapping) else item for item in items)
    return [item for item in named if isinstance(item, str)]


def _spans(answer: object) -> list[SpanRecord]:
    return list(records_of(answer))


def _error_in(text: str) -> str | None:
    """Return the message of an error in Jaeger's form, or None."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    error = answer.get("error") if isinstance(answer, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else None
    return message if isinstance(message, str) else None


def _with_lists(attributes: Attributes) -> dict[str, AttributeValue]:
    # Storages of Jaeger's version 1 model (Badger, Elasticsearch, Cassandra) keep a list as its
    # JSON text.
    return {
        key: _list_from(value) if key in LISTS and isinstance(value, str) else value
        for key, value in attributes.items()
    }


def _list_from(text: str) -> Any:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return tuple(map(str, items)) if isinstance(items, list) else text


def _rfc3339(time_ns: int) -> str:
    seconds, nanos = divmod(max(0, time_ns), 1_000_000_000)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}.{nanos:09d}Z"


def _described(error: Exception) -> str:
    return _quoted(str(error) or type(error).__name__)


def _quoted(text: str) -> str:
    words = " ".join(scrub(text).split())
    return words if len(words) <= _MAX_QUOTED else f"{words[:_MAX_QUOTED]}..."
