"""Addresses of OTLP endpoints: where each leads, and which of them nothing is sent to."""

from __future__ import annotations

from base64 import b64encode
from unittest.mock import MagicMock
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.export.address import Address, parse_grpc, parse_http, with_scheme
from flash_otel.export.destination import Destination, configured

HOSTS = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9_-]{0,20}[a-z0-9])?(\.[a-z]{2,5}){0,3}", fullmatch=True).filter(
        lambda host: host not in {"http", "https"}
    ),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
PORTS = st.integers(1, 65_535)
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "is_secure"),
    [
        ("http://h", "h", 80, "/", False),
        ("https://h", "h", 443, "/", True),
        ("HTTPS://H.Example:1", "h.example", 1, "/", True),
        ("http://h:4318/v1/traces", "h", 4318, "/v1/traces", False),
        ("http://h:/base", "h", 80, "/base", False),
        ("http://[::1]:2/x", "::1", 2, "/x", False),
        ("https://[fe80::1%25eth0]", "fe80::1%eth0", 443, "/", True),
        ("http://h/a b?q".replace(" ", "%20"), "h", 80, "/a%20b?q", False),
        ("http://h/über", "h", 80, "/%C3%BCber", False),
        ("http://bücher.example", "xn--bcher-kva.example", 80, "/", False),
        ("http://my_collector:4318", "my_collector", 4318, "/", False),
        ("http://h#fragment", "h", 80, "/", False),
    ],
)
def test_where_http_goes(url: str, host: str, port: int, path: str, is_secure: bool) -> None:
    """Scheme, host, port and request target are those of the URL."""
    found = parse_http(url)
    assert (found.host, found.port, found.path, found.is_secure) == (host, port, path, is_secure)
    assert not found.problem


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("htps://h", "the scheme htps:// is unknown"),
        ("grpcs://h", "the scheme grpcs:// is unknown"),
        ("dns:///h:1", "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        ("unix:/run/x.sock", "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        ("http://", "no host"),
        ("http:///v1/traces", "no host"),
        ("http://:4318", "no host"),
        ("http://h:0", "port"),
        ("http://h:65536", "port"),
        ("http://h:port", "port"),
        ("http://h:-1", "port"),
        ("http://h:٣", "port"),
        ("http://::1:4318", "brackets"),
        ("http://[::1", "invalid host"),
        ("http://[h]:1", "invalid host"),
        ("http://h..example", "invalid host"),
        ("http://${COLLECTOR}:4318", "invalid host"),
        ("http://h%2eexample", "invalid host"),
        ("http://" + "x" * 64, "invalid host"),
        ("http://h h:1", "character"),
        ("http://good\\@evil", "character"),
        ("http://h\x00:1", "character"),
        ("http://https://h:4318", "no ://"),
        ("http://user:12/34@h", "percent-encode"),
        ("http://user:12#34@h", "percent-encode"),
        ("http://[redacted]:4318/v1", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_what_http_does_not_go_to(url: str, reason: str) -> None:
    """An address that does not surely lead to one place has a problem in words."""
    assert reason in parse_http(url).problem


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("api.example.com:443", "https://api.example.com:443/v1/traces"),
        ("api.example.com:443/base", "https://api.example.com:443/base/v1/traces"),
        ("[::1]:443", "https://[::1]:443/v1/traces"),
        ("collector:4318", "http://collector:4318/v1/traces"),
        ("collector:4430", "http://collector:4430/v1/traces"),
    ],
)
def test_a_missing_scheme(endpoint: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 443 means TLS: no credentials go there in clear text."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    assert [destination.url for destination in configured(["otlp"])] == [url]


def test_a_url_in_a_query() -> None:
    """It is not the address's own scheme."""
    found = parse_http(with_scheme("h:4318/v1?to=http://x", "https"))
    assert (found.host, found.is_secure, found.problem) == ("h", True, "")


@pytest.mark.parametrize("text", ["https:/h:4318", "https//h:4318", "http:h"])
def test_a_scheme_without_its_slashes(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme is not taken for a host, which would get the spans in the clear."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", text)
    assert configured(["otlp_proto_http"])[0].address.problem


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://h", "h:443"),
        ("http://h", "h:80"),
        ("http://h:1/ignored", "h:1"),
        ("http://[::1]:2", "[::1]:2"),
        ("dns:///h:1", "dns:///h:1"),
        ("dns:h:1", "dns:h:1"),
        ("DNS:///h:1", "dns:///h:1"),
        ("dns://h:1", "dns:h:1"),
        ("passthrough:///h:1", "h:1"),
        ("passthrough:h:1", "h:1"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("ipv4://127.0.0.1:1", "ipv4:127.0.0.1:1"),
        ("ipv6:[::1]:1", "ipv6:[::1]:1"),
        ("unix:run/x.sock", "unix:run/x.sock"),
        ("unix:///run/x.sock", "unix:///run/x.sock"),
        ("unix-abstract:name", "unix-abstract:name"),
        ("grpcs://h:1", "h:1"),
    ],
)
def test_where_grpc_goes(url: str, target: str) -> None:
    """URLs are reduced to host and port; names that gRPC resolves stay as they are."""
    assert (parse_grpc(url).target, parse_grpc(url).problem) == (target, "")
    assert Destination("grpc", url).target == target


@pytest.mark.parametrize(
    "url",
    [
        "dns:",
        "dns:///",
        "dns://8.8.8.8/h:1",
        "dns:///h:x",
        "unix://run/x.sock",
        "unix:",
        "dns:a@b:1",
    ],
)
def test_what_grpc_does_not_go_to(url: str) -> None:
    """Names that gRPC cannot resolve, or that hold a user, have a problem."""
    assert parse_grpc(url).problem


@pytest.mark.parametrize(
    ("url", "insecure", "is_secure"),
    [
        ("https://h", True, True),
        ("https://h", False, True),
        ("https://h", None, True),
        ("http://h", True, False),
        ("http://h", False, True),
        ("http://h", None, False),
        ("dns:///h:1", True, False),
        ("dns:///h:1", False, True),
        ("dns:///h:1", None, True),
        ("passthrough:///h:1", None, True),
        ("ipv4:1.2.3.4:1", None, True),
        ("unix:/run/x", True, False),
        ("unix:/run/x", False, True),
        ("unix:/run/x", None, False),
        ("unix-abstract:x", None, False),
        ("grpcs://h", True, True),
        ("grpcs://h", None, True),
        ("htps://h", None, True),
    ],
)
def test_what_grpc_encrypts(url: str, insecure: bool | None, is_secure: bool) -> None:
    """As the SDK's exporter, except for sockets of this machine; an unknown scheme is encrypted."""
    assert parse_grpc(url, insecure=insecure).is_secure is is_secure


@pytest.mark.parametrize(
    "url", ["http://h", "http://h:80", "http://h:1/x", "grpcs://h:1", "HTTP://h"]
)
def test_what_was_encrypted_stays_so_under_its_name(url: str) -> None:
    """The name that is stored means TLS, also once OTEL_EXPORTER_OTLP_INSECURE is unset."""
    found = parse_grpc(url, insecure=False)
    again = parse_grpc(found.shown)
    assert found.is_secure
    assert again.is_secure
    assert (again.host, again.port) == (found.host, found.port)


@given(HOSTS, PORTS, st.sampled_from(["http", "https"]), SECRETS, SECRETS)
def test_a_valid_address(host: str, port: int, scheme: str, user: str, password: str) -> None:
    """Every valid address is taken apart as written, and its user is nowhere but in the header."""
    userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}"
    for parse in (parse_http, parse_grpc):
        found = parse(f"{scheme}://{userinfo}@{host}:{port}/x")
        assert (found.problem, found.port) == ("", port)
        assert found.host == host.strip("[]")
        assert found.authority == f"{host}:{port}"
        assert found.target == found.authority
        assert found.is_secure is (scheme == "https")
        assert found.shown == f"{scheme}://{host}:{port}/x"
        assert found.place == f"{host}:{port}"
        pair = f"{user}:{password}"
        is_latin = all(ord(char) < 256 for char in pair)
        encoded = pair.encode("latin-1" if is_latin else "utf-8")
        assert found.authorization == f"Basic {b64encode(encoded).decode()}"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([None, True, False]))
def test_any_text_has_a_verdict(text: str, insecure: bool | None) -> None:
    """No text raises; without a problem, it leads to a host or to a name of gRPC."""
    for scheme in ("http", "https"):
        for url in (text, with_scheme(text, scheme)):
            for found in (parse_http(url), parse_grpc(url, insecure=insecure)):
                assert found.problem or found.host or found.target
                assert found.place is not None
                assert found.shown.isprintable() or not found.problem


@given(SECRETS, st.sampled_from(["http", "https", "htps", "dns", "unix", ""]), HOSTS)
def test_a_password_is_never_shown(password: str, scheme: str, host: str) -> None:
    """However a password breaks its address, what is stored and shown does not hold it."""
    secret = f"canary{password}canary"
    separator = "://" if scheme else ""
    urls = [f"{scheme}{separator}me:{secret}@{host}:4318/v1"]
    if "@" not in password:  # which would be that of a valid address
        urls.append(f"{scheme}{separator}me:{secret}")
    for url in urls:
        for found in (parse_http(url), parse_grpc(url), parse_http(with_scheme(url, "http"))):
            assert "canary" not in f"{found.shown} {found.place} {found.problem} {found.remark}"


def test_nothing_is_hidden_twice() -> None:
    """The verdict on an address is the same for an address and for what is shown of it."""
    url = "https://user:pass@h:1/v1/traces?key=1"
    shown = parse_http(url).shown
    assert shown == "https://h:1/v1/traces"
    assert parse_http(shown) == Address(shown, "h", 1, "/v1/traces", "h:1")


@pytest.mark.parametrize("insecure", [None, "true", "false", "1", ""])
@pytest.mark.parametrize(
    "endpoint",
    [
        *("h:4317", "localhost:4317", "127.0.0.1:4317", "[::1]:4317"),
        *("http://h:4317", "https://h:4317", "http://h:4317/v1/traces", "https://[::1]:4317"),
        *("dns:///h:4317", "dns:h:4317", "ipv4:127.0.0.1:4317", "ipv6:[::1]:4317"),
        *("ipv4:127.0.0.1:1,127.0.0.1:2", "grpcs://h:4317", "htps://h:4317", "unix:///run/x"),
    ],
)
def test_grpc_addresses_as_the_sdk_takes_them(
    endpoint: str, insecure: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Target and encryption are those of the SDK's exporter, or the encryption is stronger.

    Only a socket of this machine is not encrypted where the SDK does it by default.
    """
    from opentelemetry.exporter.otlp.proto.grpc import exporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    made: list[tuple[str, bool]] = []

    def channel(target: str, *_: object, **__: object) -> MagicMock:
        made.append((target, True))
        return MagicMock()

    def insecure_channel(target: str, *_: object, **__: object) -> MagicMock:
        made.append((target, False))
        return MagicMock()

    monkeypatch.setattr(exporter, "secure_channel", channel)
    monkeypatch.setattr(exporter, "insecure_channel", insecure_channel)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    if insecure:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", insecure)
    OTLPSpanExporter()
    ((target, is_secure),) = made
    (ours,) = configured(["otlp_proto_grpc"])
    assert (ours.target, ours.problem) == (target, "")
    is_socket = endpoint.startswith("unix:") and not insecure
    is_stronger = ours.is_secure and "s://" in endpoint
    assert ours.is_secure == is_secure or is_stronger or is_socket
