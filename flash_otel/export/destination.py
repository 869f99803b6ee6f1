"""Where spans are sent to, as the OTEL_EXPORTER_OTLP_* variables say it.

What is said for traces wins over what is said for every signal
(opentelemetry.io/docs/specs/otel/protocol/exporter).
"""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from flash_otel.redaction import scrub
from flash_otel.runtime.guard import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP_PROTOBUF: Final = "http/protobuf"
HTTP_JSON: Final = "http/json"
GRPC: Final = "grpc"

# The names that OTEL_TRACES_EXPORTER knows for OTLP, and the protocol that each one fixes.
EXPORTERS: Final[dict[str, str | None]] = {
    "otlp": None,
    "otlp_proto_http": HTTP_PROTOBUF,
    "otlp_proto_grpc": GRPC,
}

_PATH: Final = "/v1/traces"
_DEFAULTS: Final = {
    HTTP_PROTOBUF: "http://localhost:4318",
    HTTP_JSON: "http://localhost:4318",
    GRPC: "http://localhost:4317",
}
# Names that gRPC resolves by itself (grpc/doc/naming.md); nothing is encrypted on them.
_SOCKETS: Final = frozenset({"unix", "unix-abstract"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_COMPRESSIONS: Final = frozenset({"gzip", "deflate"})
_DEFAULT_TIMEOUT_S: Final = 10.0
# The specification counts in milliseconds, the SDK for Python in seconds. Nobody waits a quarter
# of an hour, and nobody gives a collector less than a second: the size tells which was meant.
_SURELY_MILLISECONDS: Final = 1000.0
_LONGEST_TIMEOUT_S: Final = 60.0
_LONGEST_REASON: Final = 200
_SHORTEST_SECRET: Final = 4


@dataclass(frozen=True, slots=True)
class Destination:
    """One OTLP endpoint.

    Attributes:
        protocol: `http/protobuf`, `http/json` or `grpc`.
        url: Where to; for gRPC only scheme, host and port count.
        headers: Sent with each request; may hold credentials, so they are never shown.
        compression: `gzip`, `deflate`, or an empty string for none.
        timeout_s: How long one request may take, in seconds.
        certificate: File of the authorities to trust, or an empty string for the system's.
        client_certificate: File of our own certificate, or an empty string.
        client_key: File of its private key, or an empty string.
    """

    protocol: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compression: str = ""
    timeout_s: float = _DEFAULT_TIMEOUT_S
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""

    @property
    def name(self) -> str:
        """What the destination is known by: protocol and URL, without anything secret.

        Changed credentials do not make it another one: it goes on where it was.
        """
        return f"{self.protocol} {scrub(self.url)}"

    @property
    def host(self) -> str:
        """Host and port, for people to read."""
        found = urlsplit(self.url)
        return found.netloc.rpartition("@")[2] or scrub(self.url)

    @property
    def target(self) -> str:
        """Host and port, or a socket's path, for gRPC to connect to."""
        found = urlsplit(self.url)
        if found.scheme in _SOCKETS:
            return self.url
        port = found.port or _DEFAULT_PORTS.get(found.scheme, 443)
        host = found.hostname or "localhost"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "https"

    def plain(self, reason: str) -> str:
        """Return what a server said, fit to be stored and shown: one line, nothing secret."""
        for value in self.headers.values():
            if len(value) >= _SHORTEST_SECRET:
                reason = reason.replace(value, "[redacted]")
        printable = "".join(one if one.isprintable() else " " for one in reason)
        text = " ".join(scrub(printable).split())
        return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def configured(names: list[str]) -> list[Destination]:
    """Return the destinations of these exporter names (keys of `EXPORTERS`), each once."""
    made = [_destination(EXPORTERS[name] or _protocol()) for name in names]
    return list({one.name: one for one in made}.values())


def known(name: str) -> Destination:
    """Return the destination that was known by this name, as the environment is now.

    Args:
        name: What `Destination.name` was: credentials in its URL are gone.
    """
    protocol, _, url = name.partition(" ")
    return replace(_destination(protocol if protocol in _DEFAULTS else _protocol()), url=url)


def at(endpoint: str) -> Destination:
    """Return the destination that this endpoint is, with all else as the environment says.

    Args:
        endpoint: Its base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    made = _destination(_protocol())
    if made.protocol == GRPC:
        return replace(made, url=_with_scheme(endpoint, "http"))
    return replace(made, url=_with_scheme(endpoint, "http").rstrip("/") + _PATH)


def is_endpoint_named() -> bool:
    """Tell whether the environment names an OTLP endpoint for traces."""
    return bool(_said("ENDPOINT"))


def _said(name: str) -> str:
    names = (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}")
    return next((text for one in names if (text := os.environ.get(one, "").strip())), "")


def _protocol() -> str:
    said = _said("PROTOCOL").lower() or HTTP_PROTOBUF
    if said not in _DEFAULTS:
        logger.debug("flash_otel: OTLP protocol %r is not known; using %s", said, HTTP_PROTOBUF)
        return HTTP_PROTOBUF
    return said


def _destination(protocol: str) -> Destination:
    compression = _said("COMPRESSION").lower()
    url = _grpc_url() if protocol == GRPC else _http_url(protocol)
    return Destination(
        protocol=protocol,
        url=url,
        headers={**_credentials(url), **parse_headers(_said("HEADERS"))},
        compression=compression if compression in _COMPRESSIONS else "",
        timeout_s=_timeout(_said("TIMEOUT")),
        certificate=_said("CERTIFICATE"),
        client_certificate=_said("CLIENT_CERTIFICATE"),
        client_key=_said("CLIENT_KEY"),
    )


def _http_url(protocol: str) -> str:
    exact = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "").strip()
    if exact:
        return _with_scheme(exact, "http")
    base = _with_scheme(_said("ENDPOINT") or _DEFAULTS[protocol], "http")
    return base.rstrip("/") + _PATH


def _grpc_url() -> str:
    said = _said("ENDPOINT")
    if not said:
        return _DEFAULTS[GRPC]
    insecure = _said("INSECURE").lower() == "true"
    return _with_scheme(said, "http" if insecure else "https")


def _with_scheme(url: str, scheme: str) -> str:
    is_whole = "://" in url or url.partition(":")[0] in _SOCKETS
    return url if is_whole else f"{scheme}://{url}"


def parse_headers(text: str) -> dict[str, str]:
    """Read `name=value,name=value`, values percent-encoded (the format of W3C Baggage)."""
    pairs = (one.partition("=") for one in text.split(","))
    found = {
        unquote(name.strip()).lower(): unquote(value.strip())
        for name, equals, value in pairs
        if equals
    }
    return {name: value for name, value in found.items() if name and (name + value).isprintable()}


def _credentials(url: str) -> dict[str, str]:
    """Read user and password from a URL, as an HTTP client sends them (RFC 7617)."""
    try:
        user, at, _ = urlsplit(url).netloc.rpartition("@")
    except ValueError:  # no URL at all: sending will say so
        return {}
    if not at:
        return {}
    return {"authorization": f"Basic {b64encode(unquote(user).encode()).decode()}"}


def _timeout(text: str) -> float:
    try:
        seconds = float(text or _DEFAULT_TIMEOUT_S)
    except ValueError:
        return _DEFAULT_TIMEOUT_S
    if seconds >= _SURELY_MILLISECONDS:
        seconds /= 1000
    return min(seconds, _LONGEST_TIMEOUT_S) if seconds > 0 else _DEFAULT_TIMEOUT_S
