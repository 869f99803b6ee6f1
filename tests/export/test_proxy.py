"""Proxies: chosen as `requests` chooses them, and used without losing spans or secrets."""

from __future__ import annotations

import os
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy, should_bypass_proxies
from support.bad_endpoints import BAD
from support.scripted_collector import GrpcCollector, HttpCollector, Reply
from support.scripted_proxy import ScriptedProxy

from flash_otel.export.address import parse_http
from flash_otel.export.destination import Destination
from flash_otel.export.forwarder import transport_to
from flash_otel.export.proxy import ProxyError, is_bypassed, proxy_for
from flash_otel.export.sending import ExportResult, Verdict
from flash_otel.records import SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = [SpanRecord("ab" * 16, "1" * 16, None, "s1", "internal", 1, 2)]
IN_URL = "us%25er:p%40ss%3Aw0rd"
EXPECTED = HTTPAdapter().proxy_headers(f"http://{IN_URL}@p")["Proxy-Authorization"]
DELIVERED = ExportResult(Verdict.DELIVERED)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD":
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that the tests trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS of a server whose name is that of any test's collector or proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("collector.example", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of that authority."""
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def tls_collector(server_tls: ssl.SSLContext) -> Iterator[HttpCollector]:
    """A collector that speaks TLS."""
    collector = HttpCollector()
    collector.tls = server_tls
    with collector:
        yield collector


def send(url: str, protocol: str = "http/protobuf", **more: Any) -> ExportResult:
    """Send a span once."""
    transport = transport_to(Destination(protocol, url, **{"timeout_s": 20.0, **more}))
    with closing(transport):
        return transport.send(RECORDS)


# --- the choice ----------------------------------------------------------------------------------

NAMES = st.sampled_from(["h", "a.example", "b.a.example", "xample", "EXAMPLE.com", "localhost"])
ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.sampled_from(["10.1.2.3", "127.0.0.1", "192.168.7.7", "127.1"]),
)
IPV6 = st.sampled_from(["::1", "fe80::1", "2001:db8::7"])
RULES = st.one_of(
    NAMES,
    NAMES.map(".{}".format),
    NAMES.map("{}:4318".format),
    ADDRESSES,
    IPV6,
    st.builds("{}/{}".format, ADDRESSES, st.integers(0, 33)),
    st.sampled_from(["*", "", ".", "*.example", "10.0.0.0/8", "/", "10.0.0.0/x", "1/2/3", "ex:y"]),
    st.text(st.characters(exclude_characters="\0, ", exclude_categories=["Cs", "Z"]), max_size=8),
)


@given(
    st.one_of(NAMES, ADDRESSES, IPV6.map("[{}]".format)),
    st.sampled_from(["", ":4318", ":80"]),
    st.lists(RULES, max_size=4),
    st.sampled_from(["no_proxy", "NO_PROXY"]),
    st.sampled_from(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"]),
)
def test_the_choice_is_that_of_requests(
    host: str, port: str, rules: list[str], name: str, variable: str
) -> None:
    """NO_PROXY excepts the hosts that `requests` excepts; the variable is the same, too.

    Beyond that, a rule may be in any case, and may be a range of `/0` or of IPv6 addresses.
    """
    url = f"http://{host}{port}/v1/traces"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, ", ".join(rules))
        patch.setenv(variable, "http://proxy.example:3128")
        address = parse_http(url)
        ours = is_bypassed(address.host, address.port)
        theirs = should_bypass_proxies(url, no_proxy=None)
        chosen = proxy_for(address)
        used = select_proxy(url, get_environ_proxies(url))
    is_more = any(rule.endswith("/0") or rule != rule.lower() for rule in rules)
    assert ours == theirs or (ours and is_more)
    assert (chosen is not None) == bool(used) or is_more


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("example", "http://collector.example:4318", True),
        (".example", "http://collector.example:4318", True),
        ("xample", "http://collector.example:4318", False),
        ("collector.example:4318", "http://collector.example:4318", True),
        ("collector.example:4317", "http://collector.example:4318", False),
        ("COLLECTOR.example", "http://collector.EXAMPLE:4318", True),
        ("10.0.0.0/8", "http://10.2.3.4", True),
        ("10.0.0.0/8", "http://11.2.3.4", False),
        ("10.2.3.4:4318", "http://10.2.3.4:4318", True),
        ("fe80::/10", "http://[fe80::1]:4318", True),
        ("[::1]", "http://[::1]:4318", True),
        ("::1", "http://[::1]:4318", True),
        ("*", "http://collector.example", True),
        ("other.example, .example ,", "http://collector.example", True),
        ('"other.example,example"', "http://collector.example", True),
        ("'10.0.0.0/8'", "http://10.2.3.4", True),
        ("", "http://collector.example", False),
    ],
)
def test_no_proxy(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, is_direct: bool
) -> None:
    """Hosts, suffixes, ports, addresses, ranges and `*` except a destination from the proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(parse_http(url)) is None) is is_direct


def test_which_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme's variable wins over ALL_PROXY, lower case over upper; a CGI ignores HTTP_PROXY."""

    def chosen(url: str) -> str:
        proxy = proxy_for(parse_http(url))
        return proxy.host if proxy else ""

    monkeypatch.setenv("ALL_PROXY", "all.example")
    assert chosen("http://h") == chosen("https://h") == "all.example"
    monkeypatch.setenv("HTTP_PROXY", "http://upper.example")
    assert chosen("http://h") == "upper.example"
    # Any client of a web server sets this variable by a header `Proxy` (httpoxy.org).
    monkeypatch.setenv("REQUEST_METHOD", "POST")
    assert chosen("http://h") == "all.example"
    monkeypatch.setenv("http_proxy", "http://lower.example")
    assert chosen("http://h") == "lower.example"
    assert chosen("https://h") == "all.example"


@pytest.mark.parametrize(
    ("text", "host", "port", "is_secure"),
    [
        ("http://p", "p", 80, False),
        ("https://p", "p", 443, True),
        ("p:3128", "p", 3128, False),
        ('"http://p:3128"', "p", 3128, False),
        ("http://u:p@[::1]:1/ignored", "::1", 1, False),
    ],
)
def test_the_address_of_a_proxy(
    monkeypatch: pytest.MonkeyPatch, text: str, host: str, port: int, is_secure: bool
) -> None:
    """Without a port it is that of the scheme, without a scheme it is http; quotes are no part."""
    monkeypatch.setenv("https_proxy", text)
    found = proxy_for(parse_http("https://h"))
    assert found is not None
    assert (found.host, found.port, found.is_secure) == (host, port, is_secure)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "ftp"])
def test_a_proxy_of_another_kind(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """It is refused in words, without its password, and the spans wait."""
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:canary-pa55@127.0.0.1:1080")
    result = send("http://collector.example")
    assert result.verdict is Verdict.WAIT
    assert "ALL_PROXY names a" in result.reason
    assert ("SOCKS" in result.reason) is scheme.startswith("socks")
    assert "canary" not in result.reason


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_value_of_a_proxy(text: str) -> None:
    """A value is a proxy or is refused; nothing else happens, and its text is not repeated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("http_proxy", f"//canary{text}")
        refusal = ""
        try:
            proxy_for(parse_http("http://h"))
        except ProxyError as error:
            refusal = str(error)
    assert "canary" not in refusal


# --- the connection ------------------------------------------------------------------------------


def test_a_user_in_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy gets user and password, which the collector does not see."""
    with HttpCollector() as collector, ScriptedProxy(EXPECTED) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{IN_URL}@127.0.0.1:{proxy.port}")
        assert send(f"{collector.url}/v1/traces", headers={"api-key": "k"}) == DELIVERED
        assert proxy.targets == [f"POST {collector.url}/v1/traces"]
        assert collector.headers[0]["api-key"] == "k"
        assert "proxy-authorization" not in collector.headers[0]


def test_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, tls_collector: HttpCollector, trusted: str
) -> None:
    """A proxy gets its user with CONNECT, and sees nothing of what goes through the tunnel."""
    upstream = tls_collector.url.removeprefix("https://")
    with ScriptedProxy(EXPECTED, upstream=upstream) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{IN_URL}@127.0.0.1:{proxy.port}")
        url = "https://user:canary@collector.example/v1/traces"
        headers = {"api-key": "canary"}
        assert send(url, certificate=trusted, headers=headers) == DELIVERED
        assert proxy.targets == ["CONNECT collector.example:443"]
        assert "canary" not in str(proxy.received)
        assert tls_collector.headers[0]["api-key"] == "canary"
        assert "proxy-authorization" not in tls_collector.headers[0]


def test_a_tunnel_to_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address keeps its brackets."""
    with ScriptedProxy(status=502) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        assert send("https://[2001:db8::1]:4318").verdict is Verdict.WAIT
        assert proxy.targets == ["CONNECT [2001:db8::1]:4318"]


@pytest.mark.parametrize("is_collector_secure", [False, True])
def test_a_proxy_that_speaks_tls(
    monkeypatch: pytest.MonkeyPatch,
    server_tls: ssl.SSLContext,
    trusted: str,
    is_collector_secure: bool,
) -> None:
    """An https:// proxy gets nothing in the clear, and a tunnel through it is encrypted twice."""
    collector = HttpCollector()
    collector.tls = server_tls if is_collector_secure else None
    with collector, ScriptedProxy(EXPECTED, tls=server_tls) as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"https://{IN_URL}@127.0.0.1:{proxy.port}")
        assert send(f"{collector.url}/v1/traces", certificate=trusted) == DELIVERED
        assert [target.split()[0] for target in proxy.targets] == [
            "CONNECT" if is_collector_secure else "POST"
        ]
        assert collector.names == ["s1"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("status", "reason"), [(407, "wants a user"), (502, ""), (503, "")])
def test_a_proxy_that_refuses(
    monkeypatch: pytest.MonkeyPatch, scheme: str, status: int, reason: str
) -> None:
    """Its word is not the collector's: the spans wait, and the reason names the status."""
    with ScriptedProxy(status=status) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url)
        result = send(f"{scheme}://collector.example")
    assert result.verdict is Verdict.WAIT
    assert f"HTTP {status}" in result.reason
    assert reason in result.reason
    assert "canary" not in result.reason


def test_a_tunnel_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a status that rejects spans for good is only the proxy's when it answers CONNECT."""
    with ScriptedProxy(status=403) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        result = send("https://collector.example")
        expected = f"the proxy 127.0.0.1:{proxy.port}: HTTP 403"
    assert result == ExportResult(Verdict.WAIT, expected)


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_bad_proxy(monkeypatch: pytest.MonkeyPatch, fault: str, scheme: str) -> None:
    """Whatever a proxy does, the spans wait, and the request ends in time."""
    with BAD[fault]() as url:
        monkeypatch.setenv(f"{scheme}_proxy", url)
        result = send(f"{scheme}://collector.example", timeout_s=0.5)
    assert result.verdict is Verdict.WAIT
    assert result.reason


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
def test_grpc_uses_its_own_proxy(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The library of gRPC reads the variables itself: the proxy gets the user with CONNECT."""
    with GrpcCollector() as collector:
        upstream = collector.url.removeprefix("http://")
        with ScriptedProxy(EXPECTED, upstream=upstream) as proxy:
            monkeypatch.setenv(variable, f"http://{IN_URL}@127.0.0.1:{proxy.port}")
            assert send("http://collector.example:4317", "grpc") == DELIVERED
            assert proxy.targets == ["CONNECT collector.example:4317"]
            monkeypatch.setenv("no_proxy", "example")
            assert send("http://collector.example:4317", "grpc").verdict is Verdict.WAIT
            assert len(proxy.received) == 1


@pytest.mark.parametrize(("status", "reason"), [(407, "wants a user"), (502, "refuses")])
def test_grpc_and_a_proxy_that_refuses(
    monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    """The spans wait, and the reason names the proxy."""
    with ScriptedProxy(status=status) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        result = send("http://collector.example:4317", "grpc")
    assert result.verdict is Verdict.WAIT
    assert result.reason.startswith("the proxy")
    assert reason in result.reason


# --- redirects -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """Credentials go where the user's address says; the reason names the new address."""
    with HttpCollector() as other:
        where = other.url.replace("http://", "http://user:canary@") + "/v1/traces?token=canary"
        with HttpCollector(Reply(status, {"location": where})) as collector:
            result = send(f"{collector.url}/v1/traces", headers={"api-key": "canary"})
        assert other.received == []
        assert f"moved to {other.url}/v1/traces" in result.reason
    assert result.verdict is Verdict.REJECTED
    assert "canary" not in result.reason
