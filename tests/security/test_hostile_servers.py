"""Hostile collectors, proxies and Jaegers: bounded time and memory, and no effect on a terminal."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from diagnosis.recordings import deployment, records
from support.bad_endpoints import flooding
from support.commands import keep
from support.jaeger_server import respond, serving
from support.scripted_collector import GrpcCollector, HttpCollector, Reply, partial

from flash_otel.cli.app import status_of
from flash_otel.collector import programs
from flash_otel.diagnosis.readers import ReaderError, jaeger_client
from flash_otel.diagnosis.readers.jaeger_client import JaegerClient
from flash_otel.export.destination import Destination
from flash_otel.export.forwarder import transport_to
from flash_otel.export.sending import ExportResult, Verdict
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

MEGABYTE: Final = 2**20
_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"transfer-encoding: chunked\r\n\r\n"
FLOODS: Final[dict[str, tuple[bytes, bytes]]] = {
    "a body": (_OK + b"\r\n", b"x"),
    "a body in chunks": (_CHUNKED, b"4\r\nxxxx\r\n"),
    "the size of a chunk": (_CHUNKED, b"0"),
    "a compressed body": (_OK + b"content-encoding: gzip\r\n\r\n", gzip.compress(bytes(65_536))),
    "headers": (_OK, b"name: value\r\n"),
    "a header": (_OK + b"name: ", b"v"),
    "a status": (b"HTTP/1.1 200 ", b"x"),
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
EVIL: Final = "x\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2028"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no proxy of this machine."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Check that Python's objects take at most so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def send(url: str, protocol: str = "http/protobuf") -> ExportResult:
    """Send a deployment once."""
    destination = Destination(protocol, url, {"api-key": "canary"}, timeout_s=0.5)
    with closing(transport_to(destination)) as transport:
        return transport.send(records(deployment()))


@pytest.mark.parametrize("form", FLOODS)
def test_a_collector_without_an_end(form: str) -> None:
    """An endless answer of any form ends at the timeout, and most of it is not kept."""
    with flooding(*FLOODS[form]) as url, at_most(4 * MEGABYTE):
        result = send(f"{url}/v1/traces")
    assert result.verdict in (Verdict.WAIT, Verdict.DELIVERED)


@pytest.mark.parametrize("form", FLOODS)
def test_a_proxy_without_an_end(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a proxy's answer, on the way to an encrypted destination."""
    with flooding(*FLOODS[form]) as url, at_most(4 * MEGABYTE):
        monkeypatch.setenv("https_proxy", url)
        result = send("https://collector.example:4318/v1/traces")
    assert result.verdict is Verdict.WAIT


def test_a_grpc_message_without_an_end() -> None:
    """A gRPC response of many megabytes is refused, and its reason is short."""
    with GrpcCollector(partial(0, "x" * 8 * MEGABYTE)) as collector:
        destination = Destination("grpc", collector.url, timeout_s=20)
        with closing(transport_to(destination)) as transport:
            result = transport.send(records(deployment()))
    assert result.verdict is not Verdict.DELIVERED
    assert len(result.reason) <= 200


@pytest.mark.parametrize("form", FLOODS)
def test_a_jaeger_without_an_end(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless answer of any form is an error, within the time and size of a request."""
    monkeypatch.setattr(jaeger_client, "REQUEST_S", 0.5)
    monkeypatch.setattr(jaeger_client, "MOST_BYTES", 4 * MEGABYTE)
    with (
        flooding(*FLOODS[form]) as url,
        at_most(24 * MEGABYTE),
        JaegerClient(url, {}, 60) as client,
        pytest.raises(ReaderError, match=r"answer|more than 4 MB"),
    ):
        client.services()


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "deflate", "br", "zstd", "GZIP"])
def test_a_compressed_answer_of_jaeger(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed answer is decompressed in parts, and once: no part fills the memory."""
    monkeypatch.setattr(jaeger_client, "MOST_BYTES", 4 * MEGABYTE)
    packed = gzip.compress(bytes(64 * MEGABYTE), 1)
    body = gzip.compress(packed) if "," in encoding else packed

    def answer(to: BaseHTTPRequestHandler) -> None:
        respond(to, 200, body, content_encoding=encoding)

    with (
        serving(answer) as url,
        at_most(24 * MEGABYTE),
        JaegerClient(url, {}, 60) as client,
        pytest.raises(ReaderError, match=r"more than 4 MB|not asked for"),
    ):
        client.services()


def test_a_jaeger_that_compresses() -> None:
    """An honest compressed answer is read."""

    def answer(to: BaseHTTPRequestHandler) -> None:
        assert to.headers["accept-encoding"] == "gzip"
        respond(to, 200, gzip.compress(b'{"services": ["shop"]}'), content_encoding="gzip")

    with serving(answer) as url, JaegerClient(url, {}, 60) as client:
        assert client.services() == ["shop"]


@pytest.mark.parametrize(
    "reply",
    [
        partial(1, EVIL),
        Reply(500, {"content-type": "text/plain"}, EVIL.encode()),
        Reply(302, {"location": f"http://h/{EVIL.encode().decode('latin-1')}"}),
        Reply(429, {"retry-after": "9" * 400}),
    ],
)
def test_words_of_a_server_have_no_effect_on_a_terminal(
    reply: Reply,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a collector answers is spelled out by `push`, `status` and `doctor`, and stored so."""
    monkeypatch.setenv("FLASH_OTEL_STORE", str(tmp_path / "spans.db"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    keep(tmp_path, records(deployment()))
    with HttpCollector(script=lambda _: reply) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        for command in (["push", "--all"], ["status"], ["status", "--json"], ["doctor", "-v"]):
            assert status_of(command) in (0, 1, 3)
    printed = "".join(capsys.readouterr())
    assert {char for char in printed if not char.isprintable()} <= {"\n"}
    with SpanStore(tmp_path / "spans.db") as store:
        rows = store.connection.execute("SELECT reason FROM destinations").fetchall()
        rows += store.connection.execute("SELECT reason FROM rejections").fetchall()
    assert all(reason.isprintable() for (reason,) in rows)


@pytest.mark.parametrize("engine", [programs.LOCAL, programs.DOCKER])
def test_logs_of_the_collector_have_no_effect_on_a_terminal(
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Text that senders put into the log of Collector or Jaeger is spelled out, line by line."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    log = tmp_path / "jaeger.log"
    log.write_text(f"started\n{EVIL}\n", encoding="utf-8")
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\nfor word; do [ "$word" = logs ] && cat "{log}"; done; exit 0\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    started = {"jaeger": programs.StartedProcess(os.getpid(), "0", {}, str(log))}
    state = programs.StartedPrograms(
        engine, [programs.COMPOSE], {}, started if engine == programs.LOCAL else {}
    )
    programs.save_state(programs.data_folder(), state)
    assert status_of(["collector", "logs"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 2
    assert r"\x1b[2J" in printed
    assert {char for char in printed if not char.isprintable()} == {"\n"}
