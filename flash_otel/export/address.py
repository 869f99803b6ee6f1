"""Addresses of OTLP endpoints: one verdict for the forwarders, `status`, `push` and `doctor`.

Spans are sent only to a valid, unambiguous address. gRPC's own names follow its document
(github.com/grpc/grpc/blob/master/doc/naming.md) and the SDK's exporter, other addresses RFC 3986.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from flash_otel.redaction import REDACTED, scrub, scrub_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.parse import SplitResult

# Schemes that gRPC resolves itself. Those of sockets never leave the machine.
_SOCKETS: Final = frozenset({"unix", "unix-abstract", "vsock"})
_HOSTS: Final = frozenset({"dns", "passthrough"})
_PORT_443: Final = re.compile(r"^[^/?#]*:443(?:[/?#]|$)")
_GRPC_NAMES: Final = _SOCKETS | _HOSTS | {"ipv4", "ipv6", "xds"}
_PORTS: Final = {"http": 80, "https": 443}

_LONGEST: Final = 200
_LAST_PORT: Final = 65_535

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_LABELS: Final = re.compile(r"(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?")
_IPV6: Final = re.compile(r"\[([0-9a-fA-F:.]+)(?:%(?:25)?([\w.~-]+))?\]")
# Characters that an address must encode (RFC 3986, appendix A), and programs interpret differently.
_FORBIDDEN: Final = re.compile(r"[\s\x00-\x1f\x7f\\]")
_PATH_SAFE: Final = "/%:=&?~+!$,;@()*"

_NO_HOST: Final = "the address has no host"
_BAD_HOST: Final = "the address has an invalid host"
_BAD_PORT: Final = "the address has a port that is not a number from 1 to 65535"
_BAD_CHARACTER: Final = "the address has a character that must be percent-encoded"
_LATE_AT: Final = "the address has an @ behind a slash, ? or #: percent-encode it as %40"
_NO_SCHEME: Final = "the address has no :// behind its scheme"
_BARE_IPV6: Final = "the address needs brackets around its IPv6 address: http://[::1]:4318"
_HIDDEN: Final = (
    "a part of the address was secret and is not stored: name it in OTEL_EXPORTER_OTLP_ENDPOINT"
)


class _InvalidError(ValueError):
    """An address that nothing is sent to; the text is the reason, and quotes no part of it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address.

    Attributes:
        shown: The address without user information, query and known secrets.
        host: The host's name or IP address, without brackets; empty for a name of gRPC.
        port: The port; 0 for a name of gRPC.
        path: The request target of HTTP: path and query.
        target: The target of a gRPC channel.
        is_secure: Whether the connection is encrypted.
        authorization: The header for user and password in the address, or an empty string.
        problem: Why nothing is sent there; empty for a valid address.
        remark: How a valid but unusual address is used, or an empty string.
    """

    shown: str
    host: str = ""
    port: int = 0
    path: str = "/"
    target: str = ""
    is_secure: bool = True
    authorization: str = ""
    problem: str = ""
    remark: str = ""

    @property
    def authority(self) -> str:
        """Host and port, as in a CONNECT request."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def place(self) -> str:
        """Host and port as written in the address, for messages."""
        if not self.host:
            return self.shown
        return self.shown.partition("://")[2].partition("/")[0]


def with_path(url: str, path: str) -> str:
    """Return a base URL with a path appended, in front of a query."""
    (base, rest) = re.match(r"([^?#]*)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]  # matches any text
    return f"{base.rstrip('/')}{path}{rest}"


def with_scheme(text: str, scheme: str) -> str:
    """Return an address with this scheme, unless it has one."""
    found = _SCHEME.match(text)
    if "://" in text.partition("?")[0] or (found and found[1].lower() in _GRPC_NAMES):
        return text
    return f"{scheme}://{text}"


def with_http_scheme(text: str) -> str:
    """Return an address of OTLP/HTTP with a scheme: https for port 443, or else http.

    The specification wants a scheme. On port 443 nothing but TLS answers, and clear text would
    show the credentials on their way there.
    """
    return with_scheme(text, "https" if _PORT_443.search(text) else "http")


def parse_http(text: str) -> Address:
    """Return the address of an OTLP/HTTP endpoint; `problem` says why it cannot be used."""
    return _judged(text, _http)


def parse_grpc(text: str, *, insecure: bool | None = None) -> Address:
    """Return the address of an OTLP/gRPC endpoint; `problem` says why it cannot be used.

    Args:
        text: The address, with a scheme.
        insecure: OTEL_EXPORTER_OTLP_INSECURE; None if it is unset.
    """
    return _judged(text, lambda text: _grpc(text, insecure))


def basic(user: str, password: str) -> str:
    """Return the value of an authorization header (RFC 7617), encoded like that of `requests`."""
    pair = f"{user}:{password}"
    encoded = pair.encode("latin-1") if is_latin(pair) else pair.encode("utf-8", "replace")
    return f"Basic {b64encode(encoded).decode()}"


def authorization_of(url: SplitResult) -> str:
    """Return the authorization header for the user information of a URL, or an empty string."""
    user, at, _ = url.netloc.rpartition("@")
    if not at:
        return ""
    name, _, password = user.partition(":")
    return basic(unquote(name), unquote(password))


def host_and_port(url: SplitResult, default_port: int) -> tuple[str, int]:
    """Return host and port of a URL.

    Raises:
        ValueError: Host or port is invalid.
    """
    host, colon, port = _split_port(url.netloc.rpartition("@")[2])
    if host.startswith("["):
        return _ipv6(host), _port(port) if port else default_port
    if not host:
        raise _InvalidError(_NO_HOST)
    if ":" in host and _is_ipv6(f"{host}{colon}{port}"):
        raise _InvalidError(_BARE_IPV6)
    if host.lower() in _PORTS:
        raise _InvalidError(_NO_SCHEME)
    return _ascii(host), _port(port) if port else default_port


def _judged(text: str, parse: Callable[[str], Address]) -> Address:
    if REDACTED in text:
        return Address(shown=text, problem=_HIDDEN)
    try:
        return parse(text)
    except _InvalidError as error:
        problem = str(error)
    except ValueError:  # of urlsplit, whose texts quote the address
        problem = _BAD_HOST
    printable = "".join(char if char.isprintable() else " " for char in scrub_address(text))
    return Address(shown=printable[:_LONGEST], problem=problem)


def _http(text: str) -> Address:
    scheme = text.partition(":")[0].lower()
    if scheme in _GRPC_NAMES:
        raise _InvalidError(
            f"{scheme}: is a name of gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use an "
            "http:// or https:// address"
        )
    if scheme not in _PORTS:
        raise _InvalidError(f"the scheme {_short(scheme)}:// is unknown: use http:// or https://")
    return _url(text, is_secure=scheme == "https")


def _grpc(text: str, insecure: bool | None) -> Address:
    scheme = text.partition(":")[0].lower()
    if scheme in _GRPC_NAMES:
        return _grpc_name(scheme, text.partition(":")[2], insecure)
    if scheme not in _PORTS:
        # Like the SDK's exporter: whatever the scheme means, credentials are encrypted.
        remark = f"the scheme {_short(scheme)}:// is unknown; TLS is used, as for https://"
        return _url(text, is_secure=True, remark=remark)
    if scheme == "http" and insecure is False:
        remark = "the scheme is http://, but TLS is used: OTEL_EXPORTER_OTLP_INSECURE is not true"
        # Its name is stored, and must stand for TLS when the variable has gone.
        return _url(f"https{text[len(scheme) :]}", is_secure=True, remark=remark)
    return _url(text, is_secure=scheme == "https")


def _url(text: str, *, is_secure: bool, remark: str = "") -> Address:
    if _FORBIDDEN.search(text):
        raise _InvalidError(_BAD_CHARACTER)
    found = urlsplit(text)
    if "@" in found.path + found.query + found.fragment:
        raise _InvalidError(_LATE_AT)
    host, port = host_and_port(found, _PORTS.get(found.scheme, 443))
    query = f"?{found.query}" if found.query else ""
    return Address(
        shown=f"{found.scheme}://{_netloc(found, host)}{scrub(found.path)}",
        host=host,
        port=port,
        path=quote((found.path or "/") + query, safe=_PATH_SAFE),
        target=f"{bracketed(host)}:{port}",
        is_secure=is_secure,
        authorization=authorization_of(found),
        remark=remark,
    )


def _grpc_name(scheme: str, rest: str, insecure: bool | None) -> Address:
    if _FORBIDDEN.search(rest) or "@" in rest:
        raise _InvalidError(_BAD_CHARACTER)
    is_secure = scheme not in _SOCKETS if insecure is None else not insecure
    if rest.startswith("//"):
        authority, _, name = rest[2:].partition("/")
        is_path = bool(name) or scheme in _SOCKETS
        if authority and is_path:
            raise _InvalidError(f"the address needs three slashes: {scheme}:///…")
        rest = rest if is_path else authority
    if not rest.strip("/"):
        raise _InvalidError(_NO_HOST)
    if scheme in _HOSTS:
        host_and_port(urlsplit(f"//{rest.lstrip('/')}"), 443)
    # gRPC for Python has no resolver of that name, which means "unresolved".
    target = rest.lstrip("/") if scheme == "passthrough" else f"{scheme}:{rest}"
    return Address(shown=f"{scheme}:{scrub(rest)}", target=target, is_secure=is_secure)


def _split_port(netloc: str) -> tuple[str, str, str]:
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        return netloc, "", ""
    return host, colon, port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _LAST_PORT):
        raise _InvalidError(_BAD_PORT)
    return int(text[:6])


def _ipv6(text: str) -> str:
    found = _IPV6.fullmatch(text)
    if found is None or not _is_ipv6(found[1]):
        raise _InvalidError(_BAD_HOST)
    return found[1] if found[2] is None else f"{found[1]}%{found[2]}"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _ascii(host: str) -> str:
    if not _LABELS.fullmatch(host):
        raise _InvalidError(_BAD_HOST)
    return (host if host.isascii() else host.encode("idna").decode()).lower()


def _netloc(url: SplitResult, host: str) -> str:
    _, colon, port = _split_port(url.netloc.rpartition("@")[2])
    return f"{bracketed(host)}{colon if port else ''}{port}"


def bracketed(host: str) -> str:
    """Return a host in the form of a URL: with brackets around an IPv6 address."""
    return f"[{host}]" if ":" in host else host


def is_latin(text: str) -> bool:
    """Return whether Latin-1, the encoding of `http.client`, can encode a text."""
    return all(ord(char) < 256 for char in text)  # noqa: PLR2004 - Latin-1's size


def _short(scheme: str) -> str:
    return scrub(scheme[:20])
