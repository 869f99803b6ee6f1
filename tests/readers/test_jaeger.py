"""The reader of Jaeger: it reads traces completely, and names what is not Jaeger."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import EPOCH_NS, TWO, deployment, moved, read, records
from diagnosis.scenes import SCENES
from hypothesis import given
from hypothesis import strategies as st
from support.any_records import RECORDS
from support.jaeger_server import Jaeger, respond, serving

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.diagnosis.readers import (
    NothingFoundError,
    ReaderError,
    jaeger,
    jaeger_client,
)
from flash_otel.diagnosis.readers.jaeger import PAGE, JaegerReader, newest_first
from flash_otel.diagnosis.readers.jaeger_client import (
    HEADERS_VARIABLE,
    LISTS,
    names_of,
    records_of,
)
from flash_otel.otlp.encode import encode_json
from flash_otel.records import Link, SpanRecord
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler

LONG_AGO: Final = EPOCH_NS - 86_400 * 10**9
NOW_NS: Final = EPOCH_NS + 30 * 86_400 * 10**9
BEFORE_NS: Final = jaeger._BEFORE_S * 10**9
CANARY: Final = "canary-token-7f3a"
PEM: Final = Path(__file__).with_name("loopback.pem")
"""A self-signed certificate for 127.0.0.1 and its key, used only by these tests."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["result", "resourceSpans", "scopeSpans", "spans", "services", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Raise internal errors, and ignore the user's store, headers and proxies."""
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))
    monkeypatch.delenv(HEADERS_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


def everything(url: str, **more: Any) -> list[SpanRecord]:
    return list(JaegerReader(url, since_ns=LONG_AGO, **more).records())


def served(record: SpanRecord) -> SpanRecord:
    """Return a record with a service name, by which Jaeger files spans."""
    name = record.resource.get(sc.FAAS_NAME, "flash-cli")
    return replace(record, resource={**record.resource, sc.SERVICE_NAME: str(name)})


def keys(found: list[SpanRecord]) -> list[tuple[str, str]]:
    return sorted(record.key for record in found)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    "scene", ["a first deployment and a read", "a read in the open window, on one clock"]
)
def test_the_verdict_is_the_same_as_from_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scene: str, as_text: bool
) -> None:
    """The same spans give the same diagnosis from Jaeger, with any storage, and from the store."""
    made = [served(record) for record in SCENES[scene].make()]
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(made)
    with serving(Jaeger(made, as_text=as_text).handle) as url:
        asked = ["diagnose", "--json", "--since", "9999w"]
        statuses = run(asked), run([*asked, "--from", f"jaeger={url}"])
    first, second = _objects(capsys.readouterr().out)
    assert statuses[0] == statuses[1]
    assert first["verdict"] == second["verdict"] == SCENES[scene].verdict
    assert first["findings"] == second["findings"]


def _objects(text: str) -> list[Any]:
    decoder, found = json.JSONDecoder(), []
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def test_traces_and_show_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`traces` and `show` read Jaeger, and assemble a trace from its chunks."""
    made = [served(record) for record in records(deployment(), read(10, held=TWO))]
    with serving(Jaeger(made).handle) as url:
        assert run(["traces", "--json", "--since", "9999w", "--from", f"jaeger={url}"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert {row["trace_id"] for row in listed} == {record.trace_id for record in made}
        root = next(record for record in made if record.name == sc.DEPLOY)
        assert run(["show", root.trace_id, "--json", "--from", f"jaeger={url}"]) == 0
    shown = list(records_of({"result": json.loads(capsys.readouterr().out)}))
    assert keys([record for record in shown if record.trace_id == root.trace_id]) == keys(
        [record for record in made if record.trace_id == root.trace_id]
    )


def test_temporary_files_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command removes its temporary files when it ends, even when interrupted."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = [served(record) for record in records(deployment())]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with serving(Jaeger(made).handle) as url:
        assert run(["show", made[0].trace_id, "--from", f"jaeger={url}"]) == 0
        monkeypatch.setattr(
            "flash_otel.store.store.SpanStore.trace",
            lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        assert run(["show", made[0].trace_id, "--from", f"jaeger={url}"]) == 130
    assert list(tmp_path.glob("flash-otel-*")) == []
    capsys.readouterr()


def test_linked_traces_outside_the_search_are_found() -> None:
    """A recent read leads to its old deployment, by attribute or by link."""
    before = [served(record) for record in records(deployment())]
    older = before[0].trace_id
    late = [served(moved(record, 9e5)) for record in read(10, held=TWO)]
    for pointing in (
        replace(late[0], attributes={**late[0].attributes, sc.DEPLOY_TRACE_ID: older}, links=()),
        replace(late[0], links=(Link(older, "1" * 16),)),
    ):
        with serving(Jaeger([*before, pointing, *late[1:]]).handle) as url:
            source = JaegerReader(url, since_ns=late[0].start_ns - 10**9)
            assert keys(list(source.records())) == keys([*before, *late])


def test_a_requested_trace_bounds_the_search() -> None:
    """`--trace` fetches that trace, and searches only for later traces."""
    made = [served(record) for record in records(deployment(), read(10, held=TWO))]
    elder = [
        replace(served(moved(record, -9e6)), trace_id="e" * 32) for record in records(deployment())
    ]
    jaeger = Jaeger([*elder, *made])
    with serving(jaeger.handle) as url:
        found = list(JaegerReader(url, trace_id=made[0].trace_id.upper()).records())
    assert keys(found) == keys(made)
    assert jaeger.asked[0][0] == f"/api/v3/traces/{made[0].trace_id}"


def test_a_service_with_other_spans_is_searched_by_span_name() -> None:
    """Of a service that has other spans, too, only traces with Flash's spans are fetched."""
    call = served(records(read(10, held=TWO))[0])
    own = [
        replace(call, name="GET /", trace_id=f"{n:032x}", span_id=f"{n:016x}") for n in range(1, 9)
    ]
    foreign = [replace(record, resource={sc.SERVICE_NAME: "shop"}) for record in own]
    jaeger = Jaeger([call, *own, *(replace(record, trace_id="f" * 32) for record in foreign)])
    with serving(jaeger.handle) as url:
        assert keys(everything(url)) == [call.key]
    searched = [asked for path, asked in jaeger.asked if path == "/api/v3/traces"]
    assert {query["query.operation_name"] for query in searched} == {call.name}
    assert "shop" not in {query["query.service_name"] for query in searched}


def test_full_pages_are_split_until_all_traces_are_read() -> None:
    """The window of a full page is halved until every trace has been read once."""
    root = served(records(deployment())[0])
    many = [
        replace(root, trace_id=f"{n:032x}", span_id=f"{n:016x}", start_ns=EPOCH_NS + n * 10**9)
        for n in range(1, 2 * PAGE + 50)
    ]
    with serving(Jaeger(many).handle) as url:
        found = everything(url)
    assert keys(found) == keys(many)


def test_the_newest_traces_are_read_if_there_are_too_many() -> None:
    """Above the limit, the newest traces are read, and a note mentions it."""
    root = served(records(deployment())[0])
    hour = 3_600 * 10**9
    many = [
        replace(root, trace_id=f"{n:032x}", span_id=f"{n:016x}", start_ns=EPOCH_NS + n * hour * 400)
        for n in range(1, 11)
    ]
    notes: list[str] = []
    with serving(Jaeger(many).handle) as url:
        found = everything(url, most_traces=4, on_note=notes.append)
    assert len(found) == 4
    assert len(notes) == 1
    assert "--since" in notes[0]


def test_the_newest_traces_of_each_service_are_enough() -> None:
    """A search ends when it has found as many traces as are wanted, whatever others found."""
    root, now_ns = served(records(deployment())[0]), time.time_ns()
    ages = [hours * 3_600 * 10**9 for hours in (1, 10, 60)]  # in three windows of a search
    made = [
        replace(
            root,
            resource={**root.resource, sc.SERVICE_NAME: service},
            trace_id=f"{number}{at}".rjust(32, "0"),
            start_ns=now_ns - age,
            end_ns=now_ns - age + 10**9,
        )
        for number, service in enumerate(("first", "second"), 1)
        for at, age in enumerate(ages)
    ]
    with serving(Jaeger(made).handle) as url:
        found = list(JaegerReader(url, most=2).records())
    assert keys(found) == keys([*made[:2], *made[3:5]])


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When time runs out, the traces so far are used, and a note mentions it."""
    made = [served(record) for record in records(deployment(), read(10, held=TWO))]
    notes: list[str] = []
    now = [0.0]
    with serving(Jaeger(made).handle) as url:
        with monkeypatch.context() as patched:
            patched.setattr(f"{jaeger_client.__name__}.monotonic", lambda: now[0])
            found = JaegerReader(url, since_ns=LONG_AGO, on_note=notes.append).records()
            next(found)
            now[0] = 1e6
            assert 0 < len(list(found)) < len(made) - 1
        assert "longer than 120 s" in notes[0]
        with pytest.raises(ReaderError, match="longer than 0 s"):
            everything(url, seconds=0)


HTML: Final = b"<!DOCTYPE html><html><title>Sign in</title></html>"
WHOLE: Final = json.dumps({"services": ["flash-cli"]}).encode()


def answering(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    return lambda to: respond(to, status, body, kind, **headers)


def garbage(to: BaseHTTPRequestHandler) -> None:
    to.wfile.write(b"\x00\x01 no HTTP at all\r\n\r\n")


MISBEHAVING: Final[dict[str, tuple[Callable[[BaseHTTPRequestHandler], None], str]]] = {
    "a page": (answering(200, HTML, "text/html"), "page of HTML"),
    "a page declared as JSON": (answering(200, HTML), "page of HTML"),
    "another server": (answering(404, b"404 page not found", "text/plain"), "not Jaeger"),
    "a login": (
        answering(302, b"", location=f"https://login.test/in?token={CANARY}"),
        "redirects to https://login.test/in instead",
    ),
    "a relative login": (answering(307, b"", location="/login"), "redirects to another path"),
    "no authority": (answering(401, b""), HEADERS_VARIABLE),
    "a refusal": (answering(403, HTML, "text/html"), "HTTP 403"),
    "an answer that ends early": (answering(200, WHOLE, content_length="999"), "broke off"),
    "JSON that was cut": (answering(200, WHOLE[:-5]), "damaged or was cut off"),
    "another API": (answering(200, b'{"data": [], "total": 0}'), "not answer as Jaeger's API"),
    "a list": (answering(200, b"[]"), "not answer as Jaeger's API"),
    "text": (answering(200, b"pong", "text/plain"), "not answer as Jaeger's API"),
    "a failure": (
        answering(500, json.dumps({"error": {"httpCode": 500, "message": "no disk"}}).encode()),
        "HTTP 500: no disk",
    ),
    "a failure of a proxy": (answering(502, HTML, "text/html"), "HTTP 502"),
    "damaged gzip": (
        answering(200, b"\x1f\x8bzzzzzzzzzzzzz", content_encoding="gzip"),
        "broke off",
    ),
    "not HTTP": (garbage, "not HTTP"),
    "deep JSON": (answering(200, b"[" * 100_000), "not answer as Jaeger's API"),
}


@pytest.mark.parametrize("form", MISBEHAVING)
def test_the_error_describes_a_misbehaving_server(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the server and the problem, and shows no secret."""
    monkeypatch.setattr(jaeger_client, "_PAUSE_S", 0.0)
    monkeypatch.setenv(HEADERS_VARIABLE, f"authorization=Bearer%20{CANARY}")
    handle, expected = MISBEHAVING[form]
    with serving(handle) as url:
        address = url.replace("://", f"://someone:{CANARY}@")
        assert run(["diagnose", "--from", f"jaeger={address}"]) == 2
    printed = capsys.readouterr().err
    assert expected in printed
    assert url in printed
    assert CANARY not in printed


def test_headers_are_sent_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each request has the variable's headers; credentials in the address become basic auth."""
    monkeypatch.setenv(HEADERS_VARIABLE, f"Authorization=Bearer%20{CANARY},x-scope-orgid=7")
    jaeger = Jaeger([served(record) for record in records(deployment(), read(10, held=TWO))])
    with serving(jaeger.handle) as url:
        assert run(["diagnose", "--since", "9999w", "--from", f"jaeger={url}"]) == 0
        assert {headers["authorization"] for headers in jaeger.headers} == {f"Bearer {CANARY}"}
        assert {headers["x-scope-orgid"] for headers in jaeger.headers} == {"7"}
        monkeypatch.delenv(HEADERS_VARIABLE)
        address = url.replace("://", f"://someone:{CANARY}@")
        assert run(["diagnose", "--since", "9999w", "--from", f"jaeger={address}"]) == 0
    assert jaeger.headers[-1]["authorization"].startswith("Basic ")
    assert CANARY not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("socks5://127.0.0.1:9", "through a SOCKS proxy"),
        (f"http://user:{CANARY}#pw@host:99999", "is not an address"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    proxy: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy's variable is the user's mistake, and its password is not printed."""
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ReaderError, match=message) as caught:
        everything("http://127.0.0.1:9")
    assert CANARY not in str(caught.value)


def test_a_refused_connection_is_named() -> None:
    """The error distinguishes a server that cannot be reached."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ReaderError, match="cannot be reached"):
        everything(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["localhost:16686", "ftp://host", "http://", "http://[::1", ""])
def test_an_invalid_address_is_an_error(address: str) -> None:
    """An invalid address raises the documented error."""
    with pytest.raises(ReaderError):
        everything(address)


def test_a_silent_and_a_trickling_server_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither server holds the command longer than the limit of a request."""
    monkeypatch.setattr(jaeger_client, "REQUEST_S", 0.3)
    ended = threading.Event()

    def silent(_: BaseHTTPRequestHandler) -> None:
        ended.wait()

    def trickle(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.end_headers()
        try:
            while not ended.wait(0.02):
                to.wfile.write(b" ")
        except OSError:
            return  # the client has gone

    try:
        for handle in (silent, trickle):
            with serving(handle) as url:
                with pytest.raises(ReaderError, match="did not answer within"):
                    everything(url)
                ended.set()
            ended.clear()
    finally:
        ended.set()


def test_an_endless_answer_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer above the size limit is rejected while it is read."""
    monkeypatch.setattr(jaeger_client, "MOST_BYTES", 1 << 20)
    with serving(answering(200, b" " * (2 << 20))) as url, pytest.raises(ReaderError, match="1 MB"):
        everything(url)


def test_temporary_errors_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP 503 and similar statuses are retried a few times."""
    monkeypatch.setattr(jaeger_client, "_PAUSE_S", 0.0)
    jaeger = Jaeger([served(record) for record in records(deployment())])
    refused = iter([503, 429])

    def handle(to: BaseHTTPRequestHandler) -> None:
        status = next(refused, None)
        if status is None:
            jaeger.handle(to)
        else:
            respond(to, status, b"")

    with serving(handle) as url:
        assert len(everything(url)) == len(records(deployment()))


def test_certificates_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrusted certificate is rejected; SSL_CERT_FILE can name its authority."""
    jaeger = Jaeger([served(record) for record in records(deployment())])
    with serving(jaeger.handle, PEM) as url:
        with pytest.raises(ReaderError, match=r"certificate .* not trusted"):
            everything(url)
        assert jaeger.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
        assert len(everything(url)) == len(records(deployment()))


def test_an_empty_jaeger_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """Without Flash's spans in Jaeger, the message suggests the next step."""
    with serving(Jaeger([]).handle) as url:
        with pytest.raises(NothingFoundError, match="no trace of flash_otel"):
            everything(url)
        assert run(["diagnose", "--from", f"jaeger={url}"]) == 3
    assert "flash-otel verify" in capsys.readouterr().err


@given(st.lists(RECORDS, max_size=4))
def test_spans_round_trip(made: list[SpanRecord]) -> None:
    """Exported spans are read back unchanged."""
    assert list(records_of({"result": encode_json(made)})) == _decoded(made)


@given(st.lists(RECORDS, max_size=3), st.lists(st.text(max_size=5), max_size=3))
def test_lists_are_restored_from_json_text(made: list[SpanRecord], names: list[str]) -> None:
    """Lists that a storage keeps as JSON text become lists; other attributes do not change."""
    listed = [replace(record, attributes=dict.fromkeys(LISTS, tuple(names))) for record in made]
    text = [replace(record, attributes=dict.fromkeys(LISTS, json.dumps(names))) for record in made]
    found = list(records_of({"result": encode_json(text)}))
    assert [record.attributes for record in found] == [record.attributes for record in listed]


@given(JSON)
def test_parsing_raises_nothing_but_value_error(value: object) -> None:
    """Any JSON is either parsed or raises a ValueError."""
    for read_answer in (
        lambda: list(records_of(value)),
        lambda: names_of(value, "services"),
        lambda: names_of(value, "operations", "name"),
    ):
        try:
            read_answer()
        except ValueError:
            continue


@given(
    st.lists(st.integers(0, 10**14), max_size=40),
    st.integers(1, 7),
    st.integers(0, 10**13),
    st.integers(0, 10**13),
)
def test_windows_lose_nothing(times: list[int], limit: int, low: int, wide: int) -> None:
    """With any page size, all traces in the time range are found, or `on_cut` is called."""
    root = records(deployment())[0]
    many = [
        replace(root, trace_id=f"{n + 1:032x}", start_ns=begun) for n, begun in enumerate(times)
    ]
    cut: list[bool] = []

    def find(start: int, end: int, most: int) -> list[SpanRecord]:
        return [record for record in many if start <= record.start_ns <= end][:most]

    high = low + wide
    pages = list(newest_first(find, low, high, limit, lambda: cut.append(True)))
    found = {record.trace_id for page in pages for record in page}
    inside = {record.trace_id for record in many if low <= record.start_ns <= high}
    assert found <= inside
    assert found == inside or cut
    begins = [max(record.start_ns for record in page) for page in pages]
    assert begins == sorted(begins, reverse=True)


def _decoded(made: list[SpanRecord]) -> list[SpanRecord]:
    from flash_otel.otlp.decode import decode

    return list(decode(encode_json(made)))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:pass@host:16686/base/?key=1#x", "http://host:16686/base"),
        ("https://host", "https://host"),
        ("https://host/base//", "https://host/base"),
        ("https://[::1]:80/x", "https://::1:80/x"),
        ("https://host/X/", "https://host/X"),
        ("ftp://host/x", "an invalid address"),
        ("http://host:port/x", "an invalid address"),
        ("http://", "an invalid address"),
        ("/only/a/path", "another path"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, expected: str) -> None:
    """Scheme, host, port and path remain; what is no address is not repeated."""
    assert jaeger_client.shown(url) == expected


class Searched:
    """A search that keeps what it is asked for."""

    def __init__(self, trace: list[SpanRecord]) -> None:
        self.trace = trace
        self.asked: list[Any] = []

    def follow(self, trace_ids: list[str]) -> list[SpanRecord]:
        """Return the trace."""
        self.asked.append(tuple(trace_ids))
        return self.trace

    def operations(self) -> list[tuple[str, str]]:
        """Return one operation of one service."""
        return [("service", "operation")]

    def find(
        self, service: str, operation: str, start_ns: int, end_ns: int, most: int | None
    ) -> list[SpanRecord]:
        """Return nothing."""
        self.asked.append((service, operation, start_ns, end_ns, most))
        return []

    def follow_links(self) -> list[SpanRecord]:
        """Return nothing."""
        self.asked.append("links")
        return []


@pytest.mark.parametrize(
    ("given", "start_ns"),
    [
        ({}, NOW_NS - 7 * 86_400 * 10**9),
        ({"since_ns": 5}, 5),
        ({"since_ns": 5, "trace_id": " " + "AB" * 16}, EPOCH_NS - BEFORE_NS),
        ({"since_ns": 5, "trace_id": "ab"}, 5),
    ],
)
def test_the_time_that_is_searched(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], start_ns: int
) -> None:
    """It begins a week ago, at the given time, or before the trace that is asked for."""
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS)
    first = replace(records(deployment())[0], start_ns=EPOCH_NS)
    search: Any = Searched([first, replace(first, start_ns=EPOCH_NS + 1)])
    found = list(JaegerReader(most=3, **given)._all(search))
    is_traced = len(given.get("trace_id", "")) > 2
    assert found == (search.trace if is_traced else [])
    *followed, (service, operation, begin_ns, end_ns, most), last = search.asked
    assert followed == ([("ab" * 16,)] if is_traced else [])
    assert (service, operation, begin_ns, most, last) == (
        "service",
        "operation",
        start_ns,
        3,
        "links",
    )
    assert end_ns > NOW_NS


@pytest.mark.parametrize("base", ["", "/", "//", "/jaeger", "/jaeger/"])
def test_the_base_path_of_an_address(base: str) -> None:
    """Requests go below the address's own path, with a single slash between."""
    jaeger = Jaeger([served(record) for record in records(deployment())])
    prefix = base.rstrip("/")

    def handle(to: BaseHTTPRequestHandler) -> None:
        assert to.path.startswith(f"{prefix}/api/v3/"), to.path
        to.path = to.path.removeprefix(prefix)
        jaeger.handle(to)

    with serving(handle) as url:
        found = everything(f"{url}{base}")
    assert {record.name for record in found} >= {sc.ACTIVATE, sc.MANIFEST_UPLOAD}
    assert all(headers["accept"] == "application/json" for headers in jaeger.headers)
