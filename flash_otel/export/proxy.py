"""The proxy of a request, by the rules of `requests`, which the SDK's exporter uses.

`requests` itself takes a tenth of a second to import, so a short process would end before its
spans are sent. `urllib.request` reads the same variables and settings of the system; it lacks only
ranges of addresses in NO_PROXY. A test compares the result with that of `requests`.
gRPC reads these variables itself.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import (  # type: ignore[attr-defined]  # the last is not in the stubs
    getproxies,
    proxy_bypass,
    proxy_bypass_environment,
)

from flash_otel.export.address import authorization_of, bracketed, host_and_port
from flash_otel.runtime.environment import unquoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

    from flash_otel.export.address import Address

_PORTS: Final = {"http": 80, "https": 443}
PROXY_AUTHENTICATION_REQUIRED: Final = 407


class ProxyError(OSError):
    """A failure of the proxy, not of the destination; the text is fit to be shown."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Its host, without brackets.
        port: Its port.
        is_secure: Whether the connection to the proxy itself is encrypted.
        authorization: The value of Proxy-Authorization, or an empty string.
    """

    host: str
    port: int
    is_secure: bool = False
    authorization: str = ""

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{bracketed(self.host)}:{self.port}"

    def failure(self, reason: str) -> ProxyError:
        """Return an error that names the proxy."""
        return ProxyError(f"the proxy {self.place}: {reason}")

    def refusal(self, status: int) -> ProxyError:
        """Return the error for a proxy that answers a CONNECT request with this HTTP status."""
        return self.failure(refused(status))


def refused(status: int) -> str:
    """Describe a proxy's HTTP status."""
    if status == PROXY_AUTHENTICATION_REQUIRED:
        return f"HTTP {status}: the proxy wants a user and a password"
    return f"HTTP {status}"


def proxy_for(address: Address) -> Proxy | None:
    """Return the proxy for an address, or None.

    Raises:
        ProxyError: The environment names a proxy that cannot be used.
    """
    scheme = "https" if address.is_secure else "http"
    found = getproxies()
    text = unquoted(found.get(scheme) or found.get("all") or "")
    if not text or is_bypassed(address.host, address.port):
        return None
    return _parsed(text if "://" in text else f"http://{text}", f"{scheme}_proxy or ALL_PROXY")


def is_bypassed(host: str, port: int) -> bool:
    """Return whether NO_PROXY or the system's settings exclude a host from the proxy."""
    rules = unquoted(os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "")
    excepted = {"no": rules} if rules else {}
    places = (host, f"{bracketed(host)}:{port}")
    if any(proxy_bypass_environment(place, excepted) for place in places):
        return True
    # Windows resolves the name to compare it with the system's settings.
    with suppress(TypeError, socket.gaierror):
        return _is_in_range(host, rules) or bool(proxy_bypass(host))
    return False


def _is_in_range(host: str, rules: str) -> bool:
    with suppress(ValueError):
        address = _ip_address(host)
        return any(address in network for network in _ranges(rules))
    return False


def _ranges(rules: str) -> Iterator[IPv4Network | IPv6Network]:
    for rule in rules.split(","):
        start, slash, bits = rule.strip().partition("/")
        with suppress(ValueError):
            if slash:
                yield ip_network((str(_ip_address(start)), int(bits)), strict=False)


def _ip_address(text: str) -> IPv4Address | IPv6Address:
    with suppress(OSError):
        return ip_address(socket.inet_aton(text))  # knows the short forms, such as 127.1
    return ip_address(text)


def _parsed(text: str, variables: str) -> Proxy:
    try:
        url = urlsplit(text)
        if url.scheme.startswith("socks"):
            raise ProxyError(f"{variables} names a SOCKS proxy: only HTTP proxies can be used")
        if url.scheme not in _PORTS:
            raise ProxyError(f"{variables} names a proxy whose scheme is not http or https")
        host, port = host_and_port(url, _PORTS[url.scheme])
    except ValueError as error:  # without its text, which may quote a password
        raise ProxyError(f"{variables} names a proxy whose address is invalid") from error
    return Proxy(host, port, url.scheme == "https", authorization_of(url))
