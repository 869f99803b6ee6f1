"""What a transport makes of everything that a collector can do, over HTTP and gRPC alike."""

from __future__ import annotations

import json
import os
from contextlib import closing
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage  # type: ignore[import-untyped]  # no types
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no types
from support.bad_endpoints import BAD
from support.scripted_collector import KINDS, OK, GrpcCollector, HttpCollector, Reply, partial

from flash_otel.export.destination import HTTP_JSON, Destination, configured
from flash_otel.export.forwarder import transport_to
from flash_otel.export.http import HttpTransport
from flash_otel.export.sending import ExportResult, Verdict
from flash_otel.records import SpanRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORDS = [SpanRecord("ab" * 16, f"{n:016x}", None, f"s{n}", "internal", 1, 2) for n in (1, 2)]


def send(url: str, protocol: str, **more: Any) -> ExportResult:
    """Send two spans once."""
    path = "" if protocol == "grpc" else "/v1/traces"
    transport = transport_to(Destination(protocol, url + path, **{"timeout_s": 20.0, **more}))
    with closing(transport):
        return transport.send(RECORDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", ["", "gzip", "deflate"])
def test_a_good_collector(kind: Callable[[], Any], compression: str) -> None:
    """Spans and headers arrive, compressed or not."""
    with kind() as collector:
        headers = {"x-tenant": "a b"}
        answer = send(collector.url, collector.protocol, compression=compression, headers=headers)
        assert answer == ExportResult(Verdict.DELIVERED)
        assert collector.requests == [["s1", "s2"]]
        assert collector.headers[0]["x-tenant"] == "a b"
        assert collector.headers[0]["user-agent"].startswith("flash-otel/")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["content-length=3", "transfer-encoding=chunked", "content-encoding=gzip", "a b=c"]
)
def test_headers_that_would_lose_spans(
    kind: Callable[[], Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header that describes the body, or is none, does not spoil a request."""
    with kind() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", collector.protocol)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"{text},x-bin=abc")
        with closing(transport_to(configured(["otlp"])[0])) as transport:
            assert transport.send(RECORDS) == ExportResult(Verdict.DELIVERED)
        assert collector.requests == [["s1", "s2"]]
        assert "abc" in str(collector.headers[0]["x-bin"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x|tenant", "x'tenant", "x~", "x^1"])
def test_names_of_headers_that_grpc_refuses(
    kind: Callable[[], Any], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """HTTP sends them; with gRPC, the spans wait, and its library writes nothing."""
    with kind() as collector:
        answer = send(collector.url, collector.protocol, headers={name: "a"})
        if collector.protocol == "grpc":
            assert collector.received == []
            assert answer.verdict is Verdict.WAIT
            assert f"the header {name} has a character in its name" in answer.reason
        else:
            assert answer == ExportResult(Verdict.DELIVERED)
            assert collector.headers[0][name] == "a"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("value", "encoding"), [("wörd", "latin-1"), ("日本", "utf-8")])
def test_headers_that_are_not_ascii(kind: Callable[[], Any], value: str, encoding: str) -> None:
    """HTTP sends them, as Latin-1 if possible, like `requests`; gRPC cannot, and sends nothing."""
    with kind() as collector:
        answer = send(collector.url, collector.protocol, headers={"x-tenant": value})
        if collector.protocol == "grpc":
            assert collector.received == []
            assert answer.verdict is Verdict.WAIT
            assert "x-tenant has a value that is not ASCII" in answer.reason
        else:
            assert answer == ExportResult(Verdict.DELIVERED)
            assert collector.headers[0]["x-tenant"].encode("latin-1") == value.encode(encoding)


@pytest.mark.parametrize("kind", KINDS)
def test_a_partial_success(kind: Callable[[Reply], Any]) -> None:
    """Spans that the server did not accept are counted, with the reason, and not sent again."""
    with kind(partial(1, "no\x1b[31m way")) as collector:
        answer = send(collector.url, collector.protocol)
    assert answer == ExportResult(Verdict.DELIVERED, "no [31m way", rejected=1)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Verdict.WAIT) for status in (407, 429, 502, 503, 504, 511)),
        *((status, Verdict.REJECTED) for status in (301, 400, 401, 403, 404, 500)),
        (413, Verdict.TOO_LARGE),
    ],
)
def test_what_an_http_status_means(status: int, verdict: Verdict) -> None:
    """Statuses map to verdicts as in the OTLP specification."""
    with HttpCollector(Reply(status)) as collector:
        answer = send(collector.url, collector.protocol)
    assert answer.verdict is verdict
    assert answer.reason.startswith(f"HTTP {status}")


@pytest.mark.parametrize(
    ("code", "details", "verdict"),
    [
        ("UNAVAILABLE", "busy", Verdict.WAIT),
        ("DEADLINE_EXCEEDED", "", Verdict.WAIT),
        ("DATA_LOSS", "", Verdict.WAIT),
        ("RESOURCE_EXHAUSTED", "quota", Verdict.REJECTED),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", Verdict.TOO_LARGE),
        ("INVALID_ARGUMENT", "odd", Verdict.REJECTED),
        ("UNAUTHENTICATED", "who?", Verdict.REJECTED),
        ("UNIMPLEMENTED", "", Verdict.REJECTED),
    ],
)
def test_what_a_grpc_code_means(code: str, details: str, verdict: Verdict) -> None:
    """Codes map to verdicts as in the OTLP specification."""
    with GrpcCollector(Reply(code=code, details=details)) as collector:
        assert send(collector.url, collector.protocol).verdict is verdict


def _retry_info(seconds: int) -> tuple[tuple[str, bytes], ...]:
    info = RetryInfo()
    info.retry_delay.FromSeconds(seconds)
    packed = AnyMessage()
    packed.Pack(info)
    return (("grpc-status-details-bin", Status(details=[packed]).SerializeToString()),)


def test_retry_info() -> None:
    """RESOURCE_EXHAUSTED with RetryInfo may be retried."""
    reply = Reply(code="RESOURCE_EXHAUSTED", trailing=_retry_info(7))
    with GrpcCollector(reply) as collector:
        answer = send(collector.url, collector.protocol)
    assert (answer.verdict, answer.wait_s) == (Verdict.WAIT, 7)


@pytest.mark.parametrize(
    ("text", "at_least", "at_most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("-3", 0, 0),
        ("1e9", 3600, 3600),
        (formatdate(0, usegmt=True), 0, 0),
        ("Fri, 31 Dec 9998 23:59:59 GMT", 3600, 3600),
    ],
)
def test_retry_after(text: str, at_least: float, at_most: float) -> None:
    """Retry-After may hold seconds or a date; the result is bounded."""
    with HttpCollector(Reply(503, {"retry-after": text})) as collector:
        answer = send(collector.url, collector.protocol)
    assert answer.wait_s is not None
    assert at_least <= answer.wait_s <= at_most


@pytest.mark.parametrize("text", ["soon", "nan", ""])
def test_an_invalid_retry_after(text: str) -> None:
    """An invalid Retry-After is ignored."""
    with HttpCollector(Reply(503, {"retry-after": text})) as collector:
        assert send(collector.url, collector.protocol).wait_s is None


REASONS = {
    ("refuses", "http/protobuf"): "connection refused",
    ("refuses", "grpc"): "connection refused",
    ("never answers", "http/protobuf"): "no answer in time",
    ("never answers", "grpc"): "no answer in time",
    ("drips", "http/protobuf"): "no answer in time",
    ("hangs up", "http/protobuf"): "the connection was cut off",
    ("black hole", "http/protobuf"): "no answer in time",
    ("TLS error", "http/protobuf"): "TLS handshake failed",
    ("TLS error", "grpc"): "TLS handshake failed",
    ("unknown host", "http/protobuf"): "the host's name cannot be resolved",
    ("unknown host", "grpc"): "the host's name cannot be resolved",
}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_collector(fault: str, protocol: str) -> None:
    """The batch waits, and the reason is in words."""
    with BAD[fault]() as url:
        answer = send(url, protocol, timeout_s=0.5)
    assert answer.verdict is Verdict.WAIT
    assert answer.reason == REASONS.get((fault, protocol), answer.reason)
    assert answer.reason


def test_a_certificate_that_is_missing() -> None:
    """A wrong path of a certificate is a reason to wait, and is named."""
    for protocol in ("grpc", "http/protobuf"):
        answer = send("https://127.0.0.1:1", protocol, certificate="/nowhere.pem")
        reason = "OTEL_EXPORTER_OTLP_CERTIFICATE: there is no file /nowhere.pem"
        assert answer == ExportResult(Verdict.WAIT, reason)


def test_a_connection_is_used_again() -> None:
    """Batches share a connection; if the server closes it, another is opened at once."""
    with HttpCollector(OK, Reply(200, {"connection": "close"})) as collector:
        destination = Destination("http/protobuf", f"{collector.url}/v1/traces")
        with closing(HttpTransport(destination)) as transport:
            for _ in range(4):
                assert transport.send(RECORDS).verdict is Verdict.DELIVERED
    assert len(collector.requests) == 4


def test_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP uses the proxy that the environment names, unless the host is excepted."""
    with HttpCollector() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send("http://collector.invalid:4318", "http/protobuf").verdict is Verdict.DELIVERED
        assert proxy.paths == ["http://collector.invalid:4318/v1/traces"]
        monkeypatch.setenv("no_proxy", "collector.invalid")
        assert send("http://collector.invalid:4318", "http/protobuf").verdict is Verdict.WAIT


def test_json() -> None:
    """`http/json` sends the JSON form of OTLP, to the same path."""
    success = b'{"partialSuccess":{"rejectedSpans":"1","errorMessage":"old"}}'
    with HttpCollector(Reply(body=success)) as collector:
        answer = send(collector.url, HTTP_JSON)
    assert answer == ExportResult(Verdict.DELIVERED, "old", rejected=1)
    spans = json.loads(collector.bodies[0])["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == ["s1", "s2"]


def test_a_success_with_a_strange_body() -> None:
    """A 200 with an unknown body is a success."""
    with HttpCollector(Reply(200, body=b"<html>fine</html>")) as collector:
        assert send(collector.url, collector.protocol) == ExportResult(Verdict.DELIVERED)


@pytest.mark.parametrize(
    ("form", "insecure", "is_sent"),
    [
        ("dns:///{}", "true", True),
        ("passthrough:///{}", "true", True),
        ("ipv4:{}", "true", True),
        ("{}", "true", True),
        ("http://{}", "", True),
        ("dns:///{}", "", False),
        ("{}", "", False),
        ("http://{}", "false", False),
        ("grpcs://{}", "", False),
        ("grpcs://{}", "true", False),
    ],
)
def test_what_grpc_sends_in_the_clear(
    form: str, insecure: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server without TLS gets spans only if address and variable allow it; the rest waits."""
    with GrpcCollector() as collector:
        endpoint = form.format(collector.url.removeprefix("http://"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", insecure)
        (destination,) = configured(["otlp_proto_grpc"])
        with closing(transport_to(destination)) as transport:
            result = transport.send(RECORDS)
        assert (result.verdict is Verdict.DELIVERED) is is_sent
        assert collector.requests == ([["s1", "s2"]] if is_sent else [])
    assert is_sent or result == ExportResult(Verdict.WAIT, "TLS handshake failed")


@pytest.mark.skipif(os.name != "posix", reason="sockets in the file system")
def test_grpc_over_a_socket_in_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_EXPORTER_OTLP_ENDPOINT may hold a target of gRPC, such as `unix:PATH`."""
    # The path of a socket is short (108 bytes on Linux), and that of a test's folder is not.
    monkeypatch.chdir(tmp_path)

    class Local(GrpcCollector):
        """Listens where only this machine's processes come."""

        def _listen(self, server: Any) -> str:
            server.add_insecure_port("unix:collector.sock")
            return "unix:collector.sock"

    with Local() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        (destination,) = configured(["otlp_proto_grpc"])
        with closing(transport_to(destination)) as transport:
            assert transport.send(RECORDS) == ExportResult(Verdict.DELIVERED)
        assert collector.requests == [["s1", "s2"]]
