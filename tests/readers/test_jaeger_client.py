"""The client of Jaeger's API: what it asks for, what it makes of the answers, and its bounds."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from diagnosis.recordings import deployment, records

from flash_otel import semconv as sc
from flash_otel._version import __version__
from flash_otel.diagnosis.readers import ReaderError, jaeger_client
from flash_otel.diagnosis.readers.jaeger_client import (
    JaegerClient,
    OutOfTimeError,
    names_of,
    records_of,
)
from flash_otel.otlp.encode import encode_json

if TYPE_CHECKING:
    from collections.abc import Iterator

URL: Final = "http://jaeger.test:16686/base"
TRACE_ID: Final = "ab" * 16
SERVICES: Final = json.dumps({"services": ["a", "b"]}).encode()
SPANS: Final = records(deployment())[:2]
EXAMPLE: Final = "--from jaeger=http://localhost:16686"


class Parts(httpx.SyncByteStream):
    """A body that comes in parts; an exception among them is raised."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            yield part


def response(
    *parts: bytes | Exception, status: int = 200, kind: str = "application/json", **headers: str
) -> httpx.Response:
    """Return a response; keyword arguments are headers, with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers={"content-type": kind, **named}, stream=Parts(*parts))


@dataclass
class Server:
    """Answers one request after another, the last answer again and again.

    Attributes:
        answers: A response for each request, or what is raised for it.
        requests: The requests so far.
    """

    answers: list[httpx.Response | Exception]
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        found = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that were made, which take no time."""
    made: list[float] = []
    monkeypatch.setattr(jaeger_client, "sleep", made.append)
    return made


def client_of(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str] | None = None,
    seconds: float = 60,
    url: str = URL,
) -> JaegerClient:
    """Return a client of a server that is no process."""
    real = httpx.Client

    def connected(**given: Any) -> httpx.Client:
        return real(transport=httpx.MockTransport(server), trust_env=False, **given)

    with monkeypatch.context() as patched:
        patched.setattr(httpx, "Client", connected)
        return JaegerClient(url, headers or {}, seconds)


def refusal(server: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the message and the next step of the error that a query raises."""
    with pytest.raises(ReaderError) as caught:
        client_of(server, monkeypatch).services()
    return str(caught.value), caught.value.next_step


# --- requests ----------------------------------------------------------------------------------

BOUNDS: Final = {
    "query.service_name": "shop & co",
    "query.start_time_min": "2025-10-09T08:53:20.123456789Z",
    "query.start_time_max": "2025-10-09T08:53:21.000000000Z",
    "query.num_traces": "7",
    "query.raw_traces": "true",
}
BEGIN_NS: Final = 1_760_000_000_123_456_789
END_NS: Final = 1_760_000_001_000_000_000
QUERIES: Final[dict[str, tuple[Any, str, dict[str, str]]]] = {
    "services": (lambda client: client.services(), "services", {}),
    "operations": (lambda client: client.operations("a b"), "operations", {"service": "a b"}),
    "a trace": (
        lambda client: client.trace(TRACE_ID),
        f"traces/{TRACE_ID}",
        {"raw_traces": "true"},
    ),
    "traces": (
        lambda client: client.find("shop & co", "", BEGIN_NS, END_NS, 7),
        "traces",
        BOUNDS,
    ),
    "traces with a span": (
        lambda client: client.find("shop & co", sc.DEPLOY, BEGIN_NS, END_NS, 7),
        "traces",
        {**BOUNDS, "query.operation_name": sc.DEPLOY},
    ),
    "traces since ever": (
        lambda client: client.find("shop & co", "", -5, END_NS, 7),
        "traces",
        {**BOUNDS, "query.start_time_min": "1970-01-01T00:00:00.000000000Z"},
    ),
}


@pytest.mark.parametrize(("ask", "path", "parameters"), QUERIES.values(), ids=QUERIES)
def test_what_is_asked_for(
    ask: Any, path: str, parameters: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question is one GET below the base path, with its parameters and headers."""
    server = Server([response(b'{"error": {"message": "none"}}', status=404)])
    client = client_of(server, monkeypatch, {"x-key": "1", "accept": "text/plain"}, url=f"{URL}/")
    assert ask(client) == []
    (request,) = server.requests
    assert request.method == "GET"
    assert str(request.url).partition("?")[0] == f"{URL}/api/v3/{path}"
    assert dict(request.url.params) == parameters
    assert request.headers["user-agent"] == f"flash-otel/{__version__}"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["x-key"] == "1"
    assert request.headers["accept"] == "text/plain"


def test_json_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a header of the user's, JSON is asked for."""
    server = Server([response(SERVICES)])
    assert client_of(server, monkeypatch).services() == ["a", "b"]
    assert server.requests[0].headers["accept"] == "application/json"


@pytest.mark.parametrize(("seconds", "whole_s", "connect_s"), [(60, 30, 5), (20, 20, 5), (3, 3, 3)])
def test_a_request_is_bounded_in_time(
    seconds: float, whole_s: float, connect_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own limits, and by what is left of the time for all of them."""
    monkeypatch.setattr(jaeger_client, "monotonic", lambda: 100.0)
    server = Server([response(SERVICES)])
    client_of(server, monkeypatch, seconds=seconds).services()
    assert server.requests[0].extensions["timeout"] == {
        "connect": connect_s,
        "read": whole_s,
        "write": whole_s,
        "pool": whole_s,
    }


def test_the_client_closes_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of its block."""
    with client_of(Server([response(SERVICES)]), monkeypatch) as client:
        assert client.name == URL
        assert client.services() == ["a", "b"]
    assert client._http.is_closed


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not quoted, as it may hold a password."""
    for url in ("ftp://user:secret@host", "/path"):
        with pytest.raises(ReaderError) as caught:
            JaegerClient(url, {}, 1)
        assert str(caught.value) == "this is not the address of a Jaeger"
        assert caught.value.next_step == f"Name it: {EXAMPLE}"
    monkeypatch.setattr(httpx, "Client", _failing(ValueError("a\nbad header")))
    with pytest.raises(ReaderError, match=r"^Jaeger cannot be queried: a bad header$"):
        JaegerClient(URL, {}, 1)


def _failing(error: Exception) -> Any:
    def fail(**_: object) -> None:
        raise error

    return fail


SOCKS: Final = (
    "Jaeger cannot be queried through a SOCKS proxy: unset ALL_PROXY, or pip install 'httpx[socks]'"
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ImportError("socksio"),
            SOCKS,
        ),
        (
            httpx.InvalidURL("secret"),
            "Jaeger cannot be queried: HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is not an address",
        ),
        (OSError(), "Jaeger cannot be queried: OSError"),
    ],
)
def test_a_proxy_or_certificate_that_cannot_be_used(
    error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable, and not its value."""
    monkeypatch.setattr(httpx, "Client", _failing(error))
    with pytest.raises(ReaderError) as caught:
        JaegerClient(URL, {}, 1)
    assert str(caught.value) == expected


# --- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (response(SERVICES), ["a", "b"]),
        (response(SERVICES, kind="text/plain"), ["a", "b"]),
        (response(SERVICES[:5], SERVICES[5:]), ["a", "b"]),
        (response(SERVICES, content_encoding="identity"), ["a", "b"]),
        (response(gzip.compress(SERVICES), content_encoding="gzip"), ["a", "b"]),
        (response(gzip.compress(SERVICES), content_encoding=" GZIP "), ["a", "b"]),
        (response(gzip.compress(SERVICES), b"more", content_encoding="gzip"), ["a", "b"]),
        (response(*(bytes([one]) for one in gzip.compress(SERVICES)), content_encoding="gzip"),
         ["a", "b"]),
        (response(SERVICES, status=203), ["a", "b"]),
        (response(b'{"services": ["a\xff"]}'), ["a\ufffd"]),
        (response(b"{}"), []),
        (response(b'{"error": {"message": "no traces"}}', status=404), []),
    ],
)  # fmt: skip
def test_answers_that_are_read(
    answer: httpx.Response, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts or whole, packed or not; Jaeger's own 404 says that there is nothing."""
    assert client_of(Server([answer]), monkeypatch).services() == expected


def test_a_large_packed_answer_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are unpacked in parts of a bounded size, and none is lost between them."""
    monkeypatch.setattr(jaeger_client, "_PART_BYTES", 100)
    names = [f"{number:05}" for number in range(5000)]
    packed = gzip.compress(json.dumps({"services": names}).encode())
    server = Server([response(packed[:1000], packed[1000:], content_encoding="gzip")])
    assert client_of(server, monkeypatch).services() == names


@pytest.mark.parametrize(
    ("size", "is_read"), [(2 << 20, True), ((2 << 20) + 1, False)], ids=["limit", "above"]
)
def test_an_answer_is_bounded_in_size(
    size: int, monkeypatch: pytest.MonkeyPatch, *, is_read: bool
) -> None:
    """As many bytes as the limit are read; of more, the error tells the limit."""
    monkeypatch.setattr(jaeger_client, "MOST_BYTES", 2 << 20)
    client = client_of(Server([response(SERVICES.ljust(size))]), monkeypatch)
    if is_read:
        assert client.services() == ["a", "b"]
        return
    with pytest.raises(ReaderError) as caught:
        client.services()
    assert str(caught.value) == f"{URL} answered with more than 2 MB"


def error_json(message: object) -> bytes:
    return json.dumps({"error": {"httpCode": 500, "message": message}}).encode()


NO_API: Final = (
    f"{URL} has no /api/v3 (HTTP 404): it is not Jaeger, or its base path is missing in the address"
)
REFUSED: Final = (
    f"{URL} refuses the request with HTTP {{}}: set FLASH_OTEL_JAEGER_HEADERS, for example to "
    "Authorization=Bearer%20TOKEN"
)
HTML: Final = (
    f"{URL} answered with a page of HTML, not as Jaeger's API: it is another server, a login, or "
    "its base path is missing in the address"
)
NO_JAEGER: Final = f"{URL} does not answer as Jaeger's API: "
DAMAGED: Final = f"the answer of {URL} is damaged or was cut off: "
BROKE_OFF: Final = f"{URL} cannot be read, the answer broke off or is not HTTP: "
REDIRECTED: Final = (
    f"{URL} redirects to https://login.test/in instead of answering: name Jaeger's own address or, "
    "behind a login, give a header in FLASH_OTEL_JAEGER_HEADERS"
)
REFUSALS: Final[dict[str, tuple[httpx.Response, str]]] = {
    "404 of another server": (response(b"not found", status=404), NO_API),
    "404 in JSON": (response(b'{"message": "no"}', status=404), NO_API),
    "404 with an error of another form": (response(b'{"error": "no"}', status=404), NO_API),
    "404 without a text": (response(error_json(5), status=404), NO_API),
    "404 in a list": (response(b'["error"]', status=404), NO_API),
    "401": (response(b"", status=401), REFUSED.format(401)),
    "403": (response(error_json("no"), status=403), REFUSED.format(403)),
    "407": (response(b"", status=407), REFUSED.format(407)),
    "500": (response(error_json("the disk\nis full"), status=500),
            f"{URL} failed with HTTP 500: the disk is full"),
    "500 with a long text": (response(error_json("x" * 201), status=500),
                             f"{URL} failed with HTTP 500: {'x' * 200}..."),
    "500 with a text at the limit": (response(error_json("x" * 200), status=500),
                                     f"{URL} failed with HTTP 500: {'x' * 200}"),
    "500 without a text": (response(b"oops", status=500), f"{URL} failed with HTTP 500"),
    "300": (response(b"", status=300), f"{URL} failed with HTTP 300"),
    "a page": (response(b"\n <!DOCTYPE html>", kind="text/html"), HTML),
    "JSON that was cut": (
        response(b'{"services": ["a"', kind="Application/JSON; charset=utf-8"),
        f"{DAMAGED}Expecting ',' delimiter: line 1 column 18 (char 17)",
    ),
    "text with a brace": (
        response(b"{no", kind="text/plain"),
        f"{NO_JAEGER}Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "text": (response(b"pong"), f"{NO_JAEGER}Expecting value: line 1 column 1 (char 0)"),
    "nothing": (response(b""), f"{NO_JAEGER}Expecting value: line 1 column 1 (char 0)"),
    "another object": (response(b'{"data": []}'), f"{NO_JAEGER}there is no list 'services'"),
    "another encoding": (response(SERVICES, content_encoding="br"),
                         f"{URL} answers in an encoding that was not asked for"),
    "two encodings": (response(SERVICES, content_encoding="gzip, gzip"),
                      f"{URL} answers in an encoding that was not asked for"),
    "a login": (
        response(b"", status=302, location="https://login.test/in?token=1"),
        REDIRECTED,
    ),
    "an answer that breaks off": (
        response(SERVICES[:4], httpx.ReadError("it is gone")),
        f"{BROKE_OFF}it is gone",
    ),
    "damaged gzip": (
        response(b"\x1f\x8bzz", content_encoding="gzip"),
        f"{BROKE_OFF}Error -3 while decompressing data: unknown compression method",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_answers_that_are_refused(
    answer: httpx.Response, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the server, what it answered, and what the reason may be."""
    server = Server([answer])
    assert refusal(server, monkeypatch) == (expected, "")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            httpx.ConnectError("[Errno 111] Connection refused"),
            (
                f"Jaeger at {URL} cannot be reached: Connection refused",
                f"Start one: flash-otel collector up   (or name another: {EXAMPLE})",
            ),
        ),
        (
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] own"),
            (
                f"the certificate of {URL} is not trusted ([SSL: CERTIFICATE_VERIFY_FAILED] own)",
                "Name the file of the authority that signed it in SSL_CERT_FILE.",
            ),
        ),
        (
            httpx.RemoteProtocolError(""),
            (
                f"{BROKE_OFF}RemoteProtocolError",
                "",
            ),
        ),
        (httpx.ReadTimeout("slow"), (f"{URL} did not answer within 30 s", "")),
        (httpx.ConnectTimeout("slow"), (f"{URL} did not answer within 30 s", "")),
    ],
)
def test_a_server_that_does_not_answer(
    error: Exception, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error tells a refused connection, a certificate, a damaged answer and silence apart."""
    assert refusal(Server([error]), monkeypatch) == expected


def test_an_unforeseen_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes out of the request's thread."""
    with pytest.raises(ZeroDivisionError):
        client_of(Server([ZeroDivisionError()]), monkeypatch).services()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(
    status: int, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """Three times in all, with a pause between; then its answer counts."""
    busy = response(b"", status=status)
    server = Server([busy, response(b"", status=status), response(SERVICES)])
    assert client_of(server, monkeypatch).services() == ["a", "b"]
    assert (len(server.requests), pauses) == (3, [0.5, 0.5])
    server = Server([response(b"", status=status) for _ in range(5)])
    assert refusal(server, monkeypatch)[0] == f"{URL} failed with HTTP {status}"
    assert (len(server.requests), pauses) == (3, [0.5] * 4)


@pytest.mark.parametrize("status", [400, 500, 501, 505])
def test_other_failures_are_final(
    status: int, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """Asked again, the server would answer the same."""
    server = Server([response(b"", status=status)])
    refusal(server, monkeypatch)
    assert (len(server.requests), pauses) == (1, [])


# --- the time for all requests -----------------------------------------------------------------


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the client looks at."""
    found = Clock()
    monkeypatch.setattr(jaeger_client, "monotonic", found)
    return found


def test_the_time_for_all_requests(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request begins before its end, and none at it."""
    client = client_of(Server([response(SERVICES), response(SERVICES)]), monkeypatch, seconds=2.5)
    clock.now += 2.4
    assert client.services() == ["a", "b"]
    clock.now = 102.5
    with pytest.raises(OutOfTimeError) as caught:
        client.services()
    assert str(caught.value) == f"reading {URL} took longer than 2.5 s"


def test_a_pause_ends_with_the_time_for_all_requests(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """What is left may be less than a whole pause."""
    client = client_of(
        Server([response(b"", status=503), response(SERVICES)]), monkeypatch, seconds=60
    )
    clock.now += 59.75
    assert client.services() == ["a", "b"]
    assert pauses == [0.25]


@pytest.mark.parametrize(("late_s", "is_read"), [(30.0, True), (30.5, False)])
def test_an_answer_that_trickles(
    late_s: float, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, is_read: bool
) -> None:
    """The limit counts for the whole answer, whatever time its parts take."""

    class Trickling(Parts):
        def __iter__(self) -> Iterator[bytes]:
            clock.now += late_s
            yield SERVICES

    answer = httpx.Response(200, stream=Trickling())
    client = client_of(Server([answer]), monkeypatch)
    if is_read:
        assert client.services() == ["a", "b"]
        return
    with pytest.raises(ReaderError) as caught:
        client.services()
    assert str(caught.value) == f"{URL} did not answer within 30 s"
    assert not isinstance(caught.value, OutOfTimeError)


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it holds the connection where no timeout counts."""
    monkeypatch.setattr(jaeger_client, "REQUEST_S", 0.01)
    monkeypatch.setattr(jaeger_client, "_GRACE_S", 0.01)
    ended = threading.Event()

    class Silent(Server):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            ended.wait()
            return super().__call__(request)

    try:
        message, _ = refusal(Silent([response(SERVICES)]), monkeypatch)
    finally:
        ended.set()
    assert message == f"{URL} did not answer within 0 s"


# --- parsing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "name", "expected"),
    [
        ({"services": ["a", "b"]}, "", ["a", "b"]),
        ({"services": ["a", 1, None, {"name": "b"}, ["c"]]}, "", ["a"]),
        ({"services": [{"name": "a"}, {"name": 1}, {"x": "b"}, "c"]}, "name", ["a", "c"]),
        ({"services": []}, "", []),
        ({}, "name", []),
    ],
)
def test_the_names_of_an_answer(answer: object, name: str, expected: list[str]) -> None:
    """They are texts, or the texts of one field; anything else among them is left out."""
    assert names_of(answer, "services", name) == expected
    if not name:
        assert names_of(answer, "services") == expected


@pytest.mark.parametrize(
    "answer", [None, [], "services", {"other": []}, {"services": [], "total": 0}, {"services": {}}]
)
def test_an_answer_without_names(answer: object) -> None:
    """The error names the list that is missing."""
    with pytest.raises(ValueError, match=r"^there is no list 'services'$"):
        names_of(answer, "services")


@pytest.mark.parametrize("answer", [None, [], {}, {"result": []}, {"result": None}])
def test_an_answer_without_spans(answer: object) -> None:
    """The error names the object that is missing."""
    with pytest.raises(ValueError, match=r"^there is no object 'result'$"):
        list(records_of(answer))


def test_the_spans_of_an_answer() -> None:
    """An answer without any leaves the list out."""
    assert list(records_of({"result": {}})) == []
    assert list(records_of({"result": encode_json(SPANS)})) == list(SPANS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ("a", "b")),
        ("[1, true]", ("1", "True")),
        ("[]", ()),
        ('{"a": 1}', '{"a": 1}'),
        ("5", "5"),
        ("gpu", "gpu"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_list_that_a_storage_keeps_as_text(text: str, expected: object) -> None:
    """It becomes a list again if it is JSON of one, in an attribute that holds a list."""
    kept: dict[str, Any] = {
        sc.ENDPOINT_NAMES: text,
        sc.ENVIRONMENT_NAME: text,
        sc.ENDPOINT_COUNT: 2,
    }
    answer = {"result": encode_json([replace(SPANS[0], attributes=kept)])}
    (found,) = records_of(answer)
    assert found.attributes == {**kept, sc.ENDPOINT_NAMES: expected}
