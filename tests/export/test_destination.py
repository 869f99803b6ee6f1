"""Destinations from the OTEL_EXPORTER_OTLP_* variables."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.export import destination as destinations
from flash_otel.export.destination import Destination

BASE = "OTEL_EXPORTER_OTLP_"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def _configured(
    monkeypatch: pytest.MonkeyPatch, exporter: str = "otlp", **variables: str
) -> Destination:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (found,) = destinations.configured([exporter])
    return found


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "http/protobuf http://localhost:4318/v1/traces"),
        ({f"{BASE}ENDPOINT": "http://h:1"}, "http/protobuf http://h:1/v1/traces"),
        ({f"{BASE}ENDPOINT": "http://h:1/base/"}, "http/protobuf http://h:1/base/v1/traces"),
        ({f"{BASE}ENDPOINT": "h:1"}, "http/protobuf http://h:1/v1/traces"),
        ({f"{BASE}ENDPOINT": ' "http://h:1" '}, "http/protobuf http://h:1/v1/traces"),
        ({f"{TRACES}ENDPOINT": "'http://h:1/own'"}, "http/protobuf http://h:1/own"),
        ({f"{BASE}ENDPOINT": "http://h:1/b?key=1"}, "http/protobuf http://h:1/b/v1/traces"),
        (
            {f"{BASE}ENDPOINT": "http://h:1", f"{TRACES}ENDPOINT": "http://t:2/own"},
            "http/protobuf http://t:2/own",
        ),
        ({f"{BASE}PROTOCOL": "grpc"}, "grpc http://localhost:4317"),
        ({f"{BASE}PROTOCOL": "grpc", f"{BASE}ENDPOINT": "h:1"}, "grpc https://h:1"),
        (
            {f"{BASE}PROTOCOL": "grpc", f"{BASE}ENDPOINT": "h:1", f"{BASE}INSECURE": "true"},
            "grpc http://h:1",
        ),
        ({f"{BASE}PROTOCOL": "grpc", f"{BASE}ENDPOINT": "dns:///h:1"}, "grpc dns:///h:1"),
        ({f"{BASE}PROTOCOL": "grpc", f"{BASE}ENDPOINT": "grpcs://h:1"}, "grpc grpcs://h:1"),
        (
            {f"{BASE}PROTOCOL": "grpc", f"{TRACES}PROTOCOL": "http/json"},
            "http/json http://localhost:4318/v1/traces",
        ),
        ({f"{BASE}PROTOCOL": "carrier pigeon"}, "http/protobuf http://localhost:4318/v1/traces"),
    ],
)
def test_where_to(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str) -> None:
    """Endpoint and protocol come from the variables; those for traces win."""
    assert _configured(monkeypatch, **variables).name == name


@pytest.mark.parametrize(
    ("exporter", "protocol"),
    [("otlp_proto_http", "http/protobuf"), ("otlp_proto_grpc", "grpc")],
)
def test_an_exporter_that_names_its_protocol(
    monkeypatch: pytest.MonkeyPatch, exporter: str, protocol: str
) -> None:
    """An exporter's name wins over the variable for the protocol."""
    other = {"http/protobuf": "grpc", "grpc": "http/protobuf"}[protocol]
    assert _configured(monkeypatch, exporter, **{f"{BASE}PROTOCOL": other}).protocol == protocol


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 10), ("3", 3), ("0.5", 0.5), ("10000", 10), ("999", 60), ("-1", 10), ("soon", 10)],
)
def test_timeout(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    """Large numbers are milliseconds, others seconds; the result is bounded."""
    assert _configured(monkeypatch, **{f"{BASE}TIMEOUT": text}).timeout_s == seconds


def test_headers_and_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are decoded and lower-cased; files are taken as they are."""
    found = _configured(
        monkeypatch,
        **{
            f"{BASE}HEADERS": "API-Key=s3cret%3D1, x-tenant = a%20b ,broken,=empty",
            f"{BASE}COMPRESSION": "GZIP",
            f"{BASE}CERTIFICATE": "/ca.pem",
            f"{TRACES}CLIENT_KEY": "/key.pem",
            f"{BASE}CLIENT_CERTIFICATE": "/cert.pem",
        },
    )
    assert found.headers == {"api-key": "s3cret=1", "x-tenant": "a b"}
    files = (found.certificate, found.client_key, found.client_certificate)
    assert (found.compression, *files) == ("gzip", "/ca.pem", "/key.pem", "/cert.pem")


def test_credentials_of_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """User and password in the URL become a header, unless a header is configured."""
    found = _configured(monkeypatch, **{f"{BASE}ENDPOINT": "https://me:p%40ss@h:1"})
    assert found.headers == {"authorization": "Basic bWU6cEBzcw=="}
    assert "ss@" not in repr(found) + found.name + found.host
    found = _configured(monkeypatch, **{f"{BASE}HEADERS": "Authorization=Bearer%20x"})
    assert found.headers == {"authorization": "Bearer x"}


def test_headers_cannot_inject(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header with a line break is left out."""
    assert _configured(monkeypatch, **{f"{BASE}HEADERS": "a=b%0d%0aevil: 1"}).headers == {}


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_understood_somehow(text: str) -> None:
    """No value of a variable raises."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HEADERS", "TIMEOUT", "COMPRESSION", "PROTOCOL"):
            patch.setenv(f"{BASE}{name}", text)
        (found,) = destinations.configured(["otlp"])
        assert found.timeout_s > 0
        assert all((key + value).isprintable() for key, value in found.headers.items())


def test_nothing_secret_is_shown() -> None:
    """Name, repr, host and reasons show no credentials."""
    found = Destination(
        "http/protobuf", "https://user:pa55word@h:1/v1?key=s3cret", {"api-key": "t0ken-value"}
    )
    reason = found.plain("bad\x1b[31m header 't0ken-value'\n\n" + "x" * 500)
    for text in (found.name, repr(found), found.host, reason):
        assert not {"pa55word", "s3cret", "t0ken-value"} & set(text.replace("'", " ").split())
        assert "pa55word" not in text
        assert "s3cret" not in text
        assert "t0ken" not in text
    assert reason.isprintable()
    assert len(reason) <= 200


def test_destinations_are_unique() -> None:
    """Two exporters with the same endpoint are one destination."""
    assert len(destinations.configured(["otlp", "otlp_proto_http"])) == 1


def test_a_destination_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination is restored from its name, with the environment's credentials."""
    monkeypatch.setenv(f"{BASE}HEADERS", "api-key=new")
    found = destinations.known("grpc https://h:1")
    assert (found.protocol, found.url, found.headers) == (
        "grpc",
        "https://h:1",
        {"api-key": "new"},
    )
    assert found.name == "grpc https://h:1"


@pytest.mark.parametrize("endpoint", ["https://me:canary@other:1", "https://other:1"])
def test_credentials_stay_with_their_address(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """User and headers of the environment's endpoint do not go to another known destination."""
    monkeypatch.setenv(f"{BASE}ENDPOINT", endpoint)
    monkeypatch.setenv(f"{BASE}HEADERS", "api-key=canary")
    assert destinations.known("http/protobuf https://h:1/v1/traces").headers == {}
    same = destinations.known("http/protobuf https://other:1/v1/traces")
    assert same.headers["api-key"] == "canary"
    assert ("authorization" in same.headers) is ("@" in endpoint)


@pytest.mark.parametrize("place", ["KEY@h/{}", "h/{}/KEY", "h/{}?key=KEY"])
def test_the_key_of_a_cursor_holds_no_secret(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A destination's name is stored: what the environment holds as secret is not in it."""
    monkeypatch.setenv("VENDOR_API_KEY", "canary-0123")
    endpoint = "https://" + place.format("base").replace("KEY", "canary-0123")
    monkeypatch.setenv(f"{BASE}ENDPOINT", endpoint)
    (found,) = destinations.forwarded()
    assert "canary" not in found.name + found.host + repr(found)
    assert "canary" in found.url
    assert "canary" not in str(destinations.known(found.name).address.problem)
    # Without the variable, nothing goes to what is left of the address.
    monkeypatch.delenv(f"{BASE}ENDPOINT")
    assert bool(destinations.known(found.name).address.problem) is place.endswith("/KEY")


@given(st.lists(st.text(st.sampled_from("ab=%0d9é \t,\"'\xa0-"), max_size=8), max_size=4))
def test_headers_are_sent_or_their_loss_is_known(parts: list[str]) -> None:
    """A text without a problem yields each of its headers; a part that is not sent has one."""
    text = ",".join(parts)
    sent = destinations.parse_headers(text)
    named = [part for part in text.split(",") if part.strip()]
    assert len(sent) <= len(named)
    assert (len(sent) < len(named)) == bool(destinations.unsent_headers(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        ("api-key=a%20b, tenant=c", ""),
        ("api-key", "it takes name=value,name=value"),
        ("tenant=c,api key=a", "a name is not that of a header"),
        ("tenant=c,api-key=a%0A", "a value has an unprintable character"),
        ("Content-Length=0", "flash_otel sets content-length itself"),
        ("a=1,A=2", "a header is named twice, and the last one counts"),
    ],
)
def test_why_a_header_is_not_sent(text: str, reason: str) -> None:
    """The reason quotes neither name nor value, which may be a secret."""
    assert destinations.unsent_headers(text) == reason
