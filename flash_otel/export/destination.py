"""OTLP destinations and other exporters, from the OTEL_* variables.

flash_otel sends OTLP itself; for every other name in OTEL_TRACES_EXPORTER it uses the exporter that
is installed under it. A variable for traces wins over the variable for all signals
(opentelemetry.io/docs/specs/otel/protocol/exporter).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from flash_otel.export import address as addresses
from flash_otel.redaction import remember_environment, scrub
from flash_otel.runtime import environment
from flash_otel.runtime.process import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

HTTP_PROTOBUF: Final = "http/protobuf"
HTTP_JSON: Final = "http/json"
GRPC: Final = "grpc"

# The values of OTEL_TRACES_EXPORTER for OTLP, with the protocol that each implies.
EXPORTERS: Final[dict[str, str | None]] = {
    "otlp": None,
    "otlp_proto_http": HTTP_PROTOBUF,
    "otlp_proto_grpc": GRPC,
}

_NAMES: Final = "OTEL_TRACES_EXPORTER"
GROUP: Final = "opentelemetry_traces_exporter"

_PATH: Final = "/v1/traces"
_DEFAULTS: Final = {
    HTTP_PROTOBUF: "http://localhost:4318",
    HTTP_JSON: "http://localhost:4318",
    GRPC: "http://localhost:4317",
}
_COMPRESSIONS: Final = frozenset({"gzip", "deflate"})
_DEFAULT_TIMEOUT_S: Final = 10.0
# OTEL_EXPORTER_OTLP_TIMEOUT is in milliseconds by the specification, but in seconds in the SDK for
# Python. The size decides: a timeout of a quarter of an hour is as unlikely as less than a second.
_SURELY_MILLISECONDS: Final = 1000.0
_LONGEST_TIMEOUT_S: Final = 60.0
# A token (RFC 9110, 5.6.2); the SDK, too, leaves others out.
_HEADER_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_GRPC_NAME: Final = re.compile(r"[0-9a-z_.-]+")
# They describe the body, which is made here. With other values, a server would misread it.
_FRAMING: Final = frozenset(
    {"content-encoding", "content-length", "content-type", "expect", "transfer-encoding"}
)
_LONGEST_REASON: Final = 200
_SHORTEST_SECRET: Final = 4


@dataclass(frozen=True, slots=True)
class Destination:
    """An OTLP endpoint.

    Attributes:
        protocol: `http/protobuf`, `http/json` or `grpc`.
        url: The URL, or a name of gRPC; gRPC uses only scheme, host and port.
        headers: Sent with each request, and never shown, because they may hold credentials.
        compression: `gzip`, `deflate`, or an empty string for none.
        timeout_s: Longest time for a request, in seconds.
        certificate: File of trusted authorities, or an empty string for the system's.
        client_certificate: File of the client certificate, or an empty string.
        client_key: File of its private key, or an empty string.
        insecure: The value of OTEL_EXPORTER_OTLP_INSECURE, for gRPC; None if it is unset.
    """

    protocol: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compression: str = ""
    timeout_s: float = _DEFAULT_TIMEOUT_S
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    insecure: bool | None = None

    @property
    def address(self) -> addresses.Address:
        """The parsed URL, with the verdict on it."""
        if self.protocol == GRPC:
            return addresses.parse_grpc(self.url, insecure=self.insecure)
        return addresses.parse_http(self.url)

    @property
    def name(self) -> str:
        """Protocol and URL, without secrets.

        A destination whose credentials change keeps its name, and so its cursor.
        """
        return f"{self.protocol} {self.address.shown}"

    @property
    def problem(self) -> str:
        """Why nothing is sent there; empty for a valid destination."""
        return self.address.problem or self._header_problem()

    def _header_problem(self) -> str:
        for name, value in self.headers.items() if self.protocol == GRPC else ():
            # gRPC rejects the request then, and writes to the host's standard error.
            if not _GRPC_NAME.fullmatch(name):
                return f"the header {name} has a character in its name that gRPC cannot send"
            if not value.isascii():
                return f"the header {name} has a value that is not ASCII, which gRPC cannot send"
        return ""

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return self.address.place

    @property
    def target(self) -> str:
        """The target of a gRPC channel: host and port, or a name that gRPC resolves."""
        return self.address.target

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.address.is_secure

    def plain(self, reason: str) -> str:
        """Return a server's message in a form to store and show: one line without secrets."""
        for value in self.headers.values():
            if len(value) >= _SHORTEST_SECRET:
                reason = reason.replace(value, "[redacted]")
        printable = "".join(char if char.isprintable() else " " for char in reason)
        text = " ".join(scrub(printable).split())
        return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def named_exporters() -> tuple[str, ...]:
    """Return the names of the exporters that the environment names, each once.

    Empty if it names neither an endpoint nor an exporter. The SDK's default, OTLP to a port of
    localhost, does not apply: applications that trace nothing would send to whatever listens there.
    """
    found = environment.names(environment.text(_NAMES))
    others = [name for name in found if name.lower() != "none"]
    if len(others) < len(found):
        if others:
            environment.ignore(_NAMES, "none switches all exporters off", "no exporter")
        return ()
    if not found and _setting("ENDPOINT"):
        found = ["otlp"]
    # The specification's names ignore case; names of entry points do not.
    return tuple(name.lower() if name.lower() in EXPORTERS else name for name in found)


def exports() -> bool:
    """Return whether spans go anywhere: an exporter is named, and one of the names is known."""
    names = named_exporters()
    # Without a need, no process searches all installed packages before its first span.
    return any(name in EXPORTERS for name in names) or (
        bool(names) and not environment.installed(GROUP).isdisjoint(names)
    )


def forwarded() -> list[Destination]:
    """Return the OTLP destinations that the environment names."""
    # Their names are stored and shown, and must be the same in every process.
    remember_environment()
    names = [name for name in named_exporters() if name in EXPORTERS]
    return configured(names)


def create_exporters() -> list[SpanExporter]:
    """Create the exporters for other protocols; those that fail are logged and left out."""
    others = [name for name in named_exporters() if name not in EXPORTERS]
    if not others:
        return []
    from flash_otel.runtime.sdk import SpanExporter

    made = (
        environment.component(
            _NAMES,
            GROUP,
            name,
            SpanExporter,
            uses="no exporter",
            loses=f"{name} gets no spans",
        )
        for name in others
    )
    return [exporter for exporter in made if exporter is not None]


def configured(names: list[str]) -> list[Destination]:
    """Return the destinations of these exporter names (keys of `EXPORTERS`), each once."""
    made = [_destination(EXPORTERS[name] or _protocol()) for name in names]
    return list({destination.name: destination for destination in made}.values())


def known(name: str) -> Destination:
    """Return the destination of this name, with its other settings from the environment.

    Args:
        name: A `Destination.name`, which lacks the credentials of its URL.
    """
    protocol, _, url = name.partition(" ")
    made = _destination(protocol if protocol in _DEFAULTS else _protocol())
    if made.name == name:
        return made
    # Headers and credentials of another address must not be sent to this one.
    headers = {} if _setting("ENDPOINT") else made.headers
    return replace(made, url=url, headers=headers)


def at(endpoint: str) -> Destination:
    """Return the destination at an endpoint, with its other settings from the environment.

    Args:
        endpoint: A base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    made = _destination(_protocol())
    url = addresses.with_http_scheme(endpoint)
    return replace(made, url=url if made.protocol == GRPC else addresses.with_path(url, _PATH))


def _setting(name: str) -> str:
    names = (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}")
    return next((value for key in names if (value := environment.text(key))), "")


def _protocol() -> str:
    protocol = _setting("PROTOCOL").lower() or HTTP_PROTOBUF
    if protocol not in _DEFAULTS:
        logger.debug("flash_otel: unknown OTLP protocol %r; using %s", protocol, HTTP_PROTOBUF)
        return HTTP_PROTOBUF
    return protocol


def _destination(protocol: str) -> Destination:
    compression = _setting("COMPRESSION").lower()
    insecure = _setting("INSECURE").lower()
    made = Destination(
        protocol=protocol,
        url=_grpc_url() if protocol == GRPC else _http_url(protocol),
        compression=compression if compression in _COMPRESSIONS else "",
        timeout_s=_timeout(_setting("TIMEOUT")),
        certificate=_setting("CERTIFICATE"),
        client_certificate=_setting("CLIENT_CERTIFICATE"),
        client_key=_setting("CLIENT_KEY"),
        insecure=insecure == "true" if insecure else None,
    )
    user = made.address.authorization
    credentials = {"authorization": user} if user else {}
    return replace(made, headers={**credentials, **parse_headers(_setting("HEADERS"))})


def _http_url(protocol: str) -> str:
    exact = environment.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    # Only the endpoint for all signals gets a path for traces appended (exporter specification).
    if exact:
        return addresses.with_http_scheme(exact)
    base = addresses.with_http_scheme(_setting("ENDPOINT") or _DEFAULTS[protocol])
    return addresses.with_path(base, _PATH)


def _grpc_url() -> str:
    endpoint = _setting("ENDPOINT")
    if not endpoint:
        return _DEFAULTS[GRPC]
    is_insecure = _setting("INSECURE").lower() == "true"
    return addresses.with_scheme(endpoint, "http" if is_insecure else "https")


def parse_headers(text: str) -> dict[str, str]:
    """Parse `name=value,name=value` with percent-encoded values (the format of W3C Baggage)."""
    return {name: value for name, value, problem in _headers(text) if not problem}


def unsent_headers(text: str) -> str:
    """Return why some of these headers are not sent, without quoting them, or an empty string."""
    found = list(_headers(text))
    problems = [problem for _, _, problem in found if problem]
    if len(parse_headers(text)) + len(problems) < len(found):
        problems.append("a header is named twice, and the last one counts")
    return "; ".join(dict.fromkeys(problems))


def _headers(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name and value of each header, and why it cannot be sent."""
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        name, value = unquote(name.strip()).lower(), unquote(value.strip())
        if not equals and name:
            yield name, value, "it takes name=value,name=value"
        elif equals:
            yield name, value, _unsendable(name, value)


def _unsendable(name: str, value: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        return "a name is not that of a header"
    if not value.isprintable():
        return "a value has an unprintable character"
    return f"flash_otel sets {name} itself" if name in _FRAMING else ""


def _timeout(text: str) -> float:
    try:
        seconds = float(text or _DEFAULT_TIMEOUT_S)
    except ValueError:
        return _DEFAULT_TIMEOUT_S
    if seconds >= _SURELY_MILLISECONDS:
        seconds /= 1000
    return min(seconds, _LONGEST_TIMEOUT_S) if seconds > 0 else _DEFAULT_TIMEOUT_S
