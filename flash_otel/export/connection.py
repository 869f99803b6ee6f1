"""HTTP connections to a destination: direct or through a proxy, encrypted for `https://`.

A deadline covers everything: the connection, the proxy's answer, the handshake, the response.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flash_otel.export.proxy import ProxyError, proxy_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Self

    from flash_otel.export.destination import Destination
    from flash_otel.export.proxy import Proxy

_OK: Final = range(200, 300)
# The SDK's exporter reads these through `requests`.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CERTIFICATE: Final = "OTEL_EXPORTER_OTLP_CERTIFICATE"
_CLIENT: Final = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"


class CertificateError(OSError):
    """A file of certificates or keys cannot be used; the text names it."""


class Connection(HTTPConnection):
    """A connection that uses the proxy and the TLS files of destination and environment.

    Args:
        destination: The receiver.

    Attributes:
        wire: The socket that `cut` shuts down; None before the connection is established.

    Raises:
        ProxyError: The environment names a proxy that cannot be used.
        CertificateError: A file of certificates or keys cannot be used.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._address = destination.address
        self._proxy = proxy_for(self._address)
        # Read before anything is sent: a file may be missing.
        self._context = context_of(destination) if self._address.is_secure else None
        self.wire: socket.socket | None = None
        self._is_cut = False
        peer = self._proxy or self._address
        super().__init__(peer.host, peer.port, timeout=destination.timeout_s)

    @property
    def target(self) -> str:
        """The request target; a proxy gets the absolute form (RFC 9112, 3.2.2)."""
        if self._proxy is None or self._address.is_secure:
            return self._address.path
        return f"http://{self._address.authority}{self._address.path}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the proxy that reads the request; none for one that tunnels it."""
        if self._proxy is None or self._address.is_secure or not self._proxy.authorization:
            return {}
        return {"proxy-authorization": self._proxy.authorization}

    def connect(self) -> None:
        """Connect to the proxy or to the destination."""
        if self._proxy is None:
            self._reach()
        else:
            with _blaming(self._proxy):
                self._reach()
                if self._proxy.is_secure:
                    self._encrypt(_authorities(self._destination), self._proxy.host)
                if self._address.is_secure:
                    self._open_tunnel(self._proxy)
        if self._context is not None:
            self._encrypt(self._context, self._address.host)

    def cut(self) -> None:
        """End the connection under a thread that is using it."""
        self._is_cut = True
        if self.wire is not None:
            with suppress(OSError):
                # SSLSocket.shutdown would drop the encryption while another thread is reading.
                socket.socket.shutdown(self.wire, socket.SHUT_RDWR)

    def _reach(self) -> None:
        super().connect()
        self._watch(self.sock)

    def _watch(self, wire: socket.socket) -> None:
        """Make a socket the target of `cut`; raise TimeoutError if the cut has already come."""
        self.sock = self.wire = wire
        if self._is_cut:
            raise TimeoutError

    def _open_tunnel(self, proxy: Proxy) -> None:
        # `HTTPConnection.set_tunnel` drops the brackets of IPv6, and hides the status in a text.
        headers = {"Host": self._address.authority}
        if proxy.authorization:
            headers["Proxy-Authorization"] = proxy.authorization
        lines = [f"CONNECT {self._address.authority} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        response = HTTPResponse(self.sock, method="CONNECT")
        try:
            response.begin()
        finally:
            response.close()
        if response.status not in _OK:
            raise proxy.refusal(response.status)

    def _encrypt(self, context: ssl.SSLContext, host: str) -> None:
        plain: Any = self.sock
        self._watch(plain)  # a proxy's response that was cut may look complete
        if isinstance(plain, ssl.SSLSocket):
            self.sock = _encrypted_twice(plain, context, host)
            return
        # `cut` cannot interrupt the handshake, but the socket's timeout covers all of it.
        self._watch(context.wrap_socket(plain, server_hostname=host))


class Deadline:
    """Cuts a connection at a deadline: each byte restarts a socket's own timeout."""

    def __init__(self, seconds: float) -> None:
        self.connection: Connection | None = None
        self._is_over = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.name = "flash_otel-deadline"

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Raise TimeoutError if the connection was cut."""
        if self._is_over:
            raise TimeoutError

    def _cut(self) -> None:
        self._is_over = True
        if self.connection is not None:
            self.connection.cut()


def context_of(destination: Destination, bundles: Sequence[str] = _BUNDLES) -> ssl.SSLContext:
    """Return the TLS settings for a destination.

    Args:
        destination: The receiver.
        bundles: Variables that name a file or folder of authorities, after the destination's own.

    Raises:
        CertificateError: A file cannot be used.
    """
    context = _authorities(destination, bundles)
    if destination.client_certificate:
        certificate, key = destination.client_certificate, destination.client_key
        with _naming(f"{_CLIENT} and its key", certificate, key):
            # Without a password, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certificate, key or None, password=lambda: "")
    return context


def contents_of(destination: Destination) -> tuple[bytes | None, ...]:
    """Return the contents of the files of authorities, key and certificate, for gRPC.

    Raises:
        CertificateError: A file cannot be used.
    """
    context_of(destination, ())  # gRPC itself does not name an invalid file
    certificate = destination.client_certificate
    # A key is used only with a certificate; one file may hold both.
    key = (destination.client_key or certificate) if certificate else ""
    files = ((_CERTIFICATE, destination.certificate), (_CLIENT, key), (_CLIENT, certificate))
    return tuple(_content(name, file) if file else None for name, file in files)


def _content(variable: str, path: str) -> bytes:
    with _naming(variable, path):
        return Path(path).read_bytes()


def _authorities(destination: Destination, bundles: Sequence[str] = _BUNDLES) -> ssl.SSLContext:
    named = [(_CERTIFICATE, destination.certificate)]
    named += [(name, os.environ.get(name, "")) for name in bundles]
    variable, path = next((pair for pair in named if pair[1]), ("", ""))
    if not path:
        return ssl.create_default_context()
    with _naming(variable, path):
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)


@contextmanager
def _naming(variable: str, *paths: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        missing = [path for path in paths if path and not Path(path).exists()]
        if missing:
            raise CertificateError(f"{variable}: there is no file {missing[0]}") from error
        files = " and ".join(path for path in paths if path)
        raise CertificateError(f"{variable}: {files} cannot be used ({_why(error)})") from error


def _why(error: Exception) -> str:
    """Return a reason without OpenSSL's source location."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or type(error).__name__


@contextmanager
def _blaming(proxy: Proxy) -> Iterator[None]:
    try:
        yield
    except ProxyError:
        raise
    except (OSError, HTTPException) as error:
        raise proxy.failure(reason_of(error)) from error


def _encrypted_twice(outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> Any:
    """Return TLS inside the TLS of a proxy, which the standard library does not support."""
    from urllib3.util.ssltransport import SSLTransport

    return SSLTransport(outer, context, server_hostname=host)


# The texts of exceptions differ between versions of Python and may quote a header, and so a
# credential.
_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (TimeoutError, "no answer in time"),
    (socket.gaierror, "the host's name cannot be resolved"),
    (ConnectionRefusedError, "connection refused"),
    (ssl.SSLCertVerificationError, "TLS: the certificate is not trusted"),
    (ssl.SSLError, "TLS handshake failed"),
    (ConnectionError, "the connection was cut off"),
    (OSError, "the network is not reachable"),
    (HTTPException, "the answer is not HTTP"),
)


def reason_of(error: Exception) -> str:
    """Return why a request failed, in words that are fit to be shown."""
    if isinstance(error, (ProxyError, CertificateError)):
        return str(error)
    return next((text for kind, text in _REASONS if isinstance(error, kind)), type(error).__name__)
