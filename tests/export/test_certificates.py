"""Certificates and keys: used as the SDK's exporters use them, and named if they are unusable."""

from __future__ import annotations

import os
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from support.bad_endpoints import dripping
from support.scripted_collector import HttpCollector

from flash_otel.export.destination import Destination
from flash_otel.export.forwarder import transport_to
from flash_otel.export.sending import ExportResult, Verdict
from flash_otel.records import SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS = [SpanRecord("ab" * 16, "1" * 16, None, "s1", "internal", 1, 2)]
# The first bytes of a TLS record that announces 16 KiB (RFC 8446, 5.1).
RECORD = b"\x16\x03\x03\x40\x00"
PROTOCOLS = ("http/protobuf", "grpc")


@pytest.fixture(autouse=True)
def _no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a client's certificate and key, and files that are unusable."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    client = authority.issue_cert("client.example")
    server = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    client.private_key_pem.write_to_path(folder / "client.key")
    client.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    server.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(folder / "other.key")
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    locked = BestAvailableEncryption(b"canary-pa55")
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    (folder / "locked.key").write_bytes(encrypted)
    (folder / "text.pem").write_text("no certificate\n")
    return folder


@pytest.fixture
def collector(files: Path) -> Iterator[HttpCollector]:
    """A collector that demands a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "server.pem")
    context.load_verify_locations(files / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    made = HttpCollector()
    made.tls = context
    with made:
        yield made


def send(url: str, protocol: str = "http/protobuf", **more: Any) -> ExportResult:
    """Send a span once."""
    transport = transport_to(Destination(protocol, url, **{"timeout_s": 20.0, **more}))
    with closing(transport):
        return transport.send(RECORDS)


@pytest.mark.parametrize(("certificate", "key"), [("client.pem", "client.key"), ("both.pem", "")])
def test_a_client_s_certificate(
    collector: HttpCollector, files: Path, certificate: str, key: str
) -> None:
    """It is sent with its key, which may be in the same file."""
    result = send(
        collector.url,
        certificate=str(files / "ca.pem"),
        client_certificate=str(files / certificate),
        client_key=str(files / key) if key else "",
    )
    assert result == ExportResult(Verdict.DELIVERED)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_bundles_of_requests(
    collector: HttpCollector, files: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Without a variable of OpenTelemetry, authorities are those of `requests`, as for the SDK."""
    both = str(files / "both.pem")
    assert "not trusted" in send(collector.url, client_certificate=both).reason
    monkeypatch.setenv(variable, str(files / "ca.pem"))
    assert send(collector.url, client_certificate=both) == ExportResult(Verdict.DELIVERED)
    other = str(files / "client.pem")
    assert "not trusted" in send(collector.url, client_certificate=both, certificate=other).reason


def test_a_bundle_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP names it, as `requests` does; gRPC, which does not read it, goes on without it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    assert send("https://127.0.0.1:1").reason == "REQUESTS_CA_BUNDLE: there is no file /nowhere.pem"
    assert send("https://127.0.0.1:1", "grpc").reason == "connection refused"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("given", "named", "why"),
    [
        ({"certificate": "none.pem"}, "none.pem", "there is no file"),
        ({"certificate": "text.pem"}, "text.pem", "cannot be used"),
        ({"client_certificate": "none.pem"}, "none.pem", "there is no file"),
        ({"client_certificate": "text.pem"}, "text.pem", "cannot be used"),
        ({"client_certificate": "client.pem"}, "client.pem", "cannot be used"),
        ({"client_certificate": "client.pem", "client_key": "none.key"}, "none.key", "no file"),
        ({"client_certificate": "client.pem", "client_key": "other.key"}, "other.key", "mismatch"),
        ({"client_certificate": "client.pem", "client_key": "locked.key"}, "locked.key", "cannot"),
    ],
)
def test_what_is_unusable(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str,
    given: dict[str, str],
    named: str,
    why: str,
) -> None:
    """The spans wait, nothing is connected, and the reason names the file; there is no prompt."""
    monkeypatch.chdir(files)  # a reason is cut where the folder of parallel tests makes it long
    result = send("https://127.0.0.1:1", protocol, **given)
    assert result.verdict is Verdict.WAIT
    assert named in result.reason
    assert why in result.reason
    assert "canary" not in result.reason


def test_a_folder_of_authorities(files: Path) -> None:
    """HTTP takes it, as `requests` does; gRPC takes only a file, and the reason says it."""
    folder = str(files)
    assert send("https://127.0.0.1:1", certificate=folder).reason == "connection refused"
    refused = send("https://127.0.0.1:1", "grpc", certificate=folder)
    assert refused.verdict is Verdict.WAIT
    assert refused.reason.startswith(f"OTEL_EXPORTER_OTLP_CERTIFICATE: {folder} cannot be used")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs files without rights")
def test_a_file_without_rights(files: Path, tmp_path: Path) -> None:
    """The reason names the file."""
    file = tmp_path / "ca.pem"
    file.write_bytes((files / "ca.pem").read_bytes())
    file.chmod(0)
    assert f"{file} cannot be used" in send("https://127.0.0.1:1", certificate=str(file)).reason


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_key_without_a_certificate(protocol: str, files: Path) -> None:
    """A key alone is not used, as by the SDK."""
    result = send("https://127.0.0.1:1", protocol, client_key=str(files / "client.key"))
    assert result == ExportResult(Verdict.WAIT, "connection refused")


def test_a_handshake_without_an_end() -> None:
    """The deadline of a request covers the TLS handshake, too."""
    with dripping(head=RECORD) as url:
        result = send(url.replace("http:", "https:"), timeout_s=0.5)
    assert result == ExportResult(Verdict.WAIT, "no answer in time")
