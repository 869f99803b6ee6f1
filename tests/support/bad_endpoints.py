"""Endpoints on the loopback interface that never accept an export, each in its own way."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _listening(backlog: int = 16) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        yield listener


def _url(listener: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """Yield the URL of a port that is bound and refuses connections."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield _url(holder)


@contextmanager
def silent() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with _listening() as listener:
        yield _url(listener)


@contextmanager
def dripping(
    interval_s: float = 0.05, head: bytes = b"HTTP/1.1 200 OK\r\nx-drip: "
) -> Iterator[str]:
    """Yield the URL of a server that answers one byte at a time, without an end."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(head)
                while not over.wait(interval_s):
                    connection.sendall(b"x")
            except OSError:
                return

    with _serving(drip) as url:
        try:
            yield url
        finally:
            over.set()


@contextmanager
def flooding(begin: bytes, repeated: bytes) -> Iterator[str]:
    """Yield the URL of a server that answers with `begin`, then `repeated` without an end."""
    piece = repeated * (65_536 // len(repeated))

    def flood(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                connection.sendall(begin)
                while True:
                    connection.sendall(piece)
            except OSError:
                return

    with _serving(flood) as url:
        yield url


@contextmanager
def hanging_up() -> Iterator[str]:
    """Yield the URL of a server that closes every connection at once."""
    with _serving(lambda connection: connection.close()) as url:
        yield url


@contextmanager
def plain_for_tls() -> Iterator[str]:
    """Yield the https URL of a server that does not speak TLS."""

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with _serving(answer) as url:
        yield url.replace("http:", "https:")


@contextmanager
def black_hole() -> Iterator[str]:
    """Yield the URL of a port whose connections never come about: its queue is full.

    Linux drops what a full queue cannot take (`man 2 listen`), as a firewall does.
    """
    with _listening(backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        try:
            yield _url(listener)
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def unknown_host() -> Iterator[str]:
    """Yield a URL whose host has no address, by its top-level domain (RFC 6761)."""
    yield "http://collector.invalid:4318"


@contextmanager
def _serving(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve every connection in a thread of its own."""
    threads: list[threading.Thread] = []
    with _listening() as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield _url(listener)
        finally:
            # Closing alone would not wake up who waits in `accept`.
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()


BAD = {
    "refuses": refusing,
    "never answers": silent,
    "drips": dripping,
    "hangs up": hanging_up,
    "black hole": black_hole,
    "TLS error": plain_for_tls,
    "unknown host": unknown_host,
}
