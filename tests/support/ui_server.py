"""Runs `flash-otel ui` as a user would, until the block ends."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
from support.commands import TIMEOUT, environment, forking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class UiServer:
    """A running server.

    Attributes:
        address: The address that it has printed.
        process: Its process.
    """

    address: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        """The token in the address."""
        return parse_qs(urlsplit(self.address).query)["token"][0]

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Yield a client without the cookie, as another program on the machine is."""
        with httpx.Client(base_url=self.base, timeout=TIMEOUT, trust_env=False) as client:
            yield client

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """Yield a client that has exchanged the token for the cookie."""
        with self.client() as client:
            client.get(self.address).raise_for_status()
            yield client


@contextmanager
def serving(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
) -> Iterator[UiServer]:
    """Run `flash-otel ui --no-open`, and end it by Ctrl-C, which must be clean."""
    command = [forking(), "-m", "flash_otel", "ui", "--no-open", *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder, **(env or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("flash-otel: http"), (line, process.communicate())
            yield UiServer(line.split()[-1], process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, errors) == (0, "flash-otel: stopped\n")
