"""An HTTP proxy on the loopback interface that demands a user and records what it is asked."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from typing_extensions import Self

if TYPE_CHECKING:
    import ssl

USER: Final = "Basic bWU6Y2FuYXJ5LXBhNTU="
"""The Proxy-Authorization of the user in `ScriptedProxy.url`."""

_POLL_S: Final = 0.01


@dataclass(frozen=True)
class ProxyRequest:
    """A request to the proxy.

    Attributes:
        method: `CONNECT`, or the method of the request to pass on.
        target: Host and port, or the absolute URL.
        headers: What the proxy reads, names in lower case.
    """

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)


class ScriptedProxy:
    """Passes requests on and tunnels connections.

    Args:
        authorization: The Proxy-Authorization that it demands; empty for none.
        status: The status of its answer to everything; 0 passes everything on.
        upstream: Where it connects to, whatever address it is asked for.
        tls: What encrypts the connections to the proxy itself.

    Attributes:
        received: All requests, in order of arrival.
        port: Where it listens.
        connections: Number of connections that it accepted.
    """

    def __init__(
        self,
        authorization: str = "",
        *,
        status: int = 0,
        upstream: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.received: list[ProxyRequest] = []
        self.authorization = authorization
        self.status = status
        self.upstream = upstream
        self.port = 0
        self._tls = tls

    @property
    def url(self) -> str:
        """Its URL, with a user and a password that looks like no other text."""
        return f"http://me:canary-pa55@127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What it was asked for: each method with its target."""
        return [f"{request.method} {request.target}" for request in self.received]

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self.port = self._server.server_port
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: ScriptedProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients that end drop their connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_CONNECT(self) -> None:
        self.close_connection = True
        if self._is_refused():
            return
        host, _, port = self._upstream(self.path).rpartition(":")
        with closing(socket.create_connection((host.strip("[]"), int(port)))) as other:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(other, self.connection), daemon=True)
            back.start()
            _copy(self.connection, other)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self._is_refused():
            return
        url = urlsplit(self.path)
        headers = {
            name: value
            for name, value in self.headers.items()
            if not name.lower().startswith("proxy-")
        }
        with closing(HTTPConnection(self._upstream(url.netloc))) as other:
            other.request("POST", url.path, body, headers)
            with other.getresponse() as response:
                content = response.read()
        self._answer(response.status, content)

    def _upstream(self, asked: str) -> str:
        return self.server.proxy.upstream or asked

    def _is_refused(self) -> bool:
        proxy = self.server.proxy
        headers = {name.lower(): value for name, value in self.headers.items()}
        proxy.received.append(ProxyRequest(self.command, self.path, headers))
        if proxy.status:
            self._answer(proxy.status)
        elif headers.get("proxy-authorization", "") != proxy.authorization:
            self._answer(407)
        else:
            return False
        return True

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
