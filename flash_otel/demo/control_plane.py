"""The stand-in for Runpod's control plane: an HTTP server on the loopback interface.

It serves the requests of `flash deploy` and of workers (GraphQL, artifact upload, endpoint calls)
from a `ControlPlaneState`, injects faults by a `FaultPlan`, and records a `Journal`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from flash_otel.demo.routes import build_app
from flash_otel.demo.scenarios import FaultPlan
from flash_otel.demo.state import ControlPlaneState, Ids, IdStyle, Journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

CANARY_API_KEY: Final = "rpa_CANARY0KEY0OF0THE0STAND0IN0CONTROL0PLANE"

_LOOPBACK: Final = "127.0.0.1"
_START_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_SHUTDOWN_SECONDS: Final = 0.2


class Gate:
    """Holds requests back until it is opened."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived = threading.Event()
        self._opened = asyncio.Event()

    async def pass_through(self) -> None:
        """Wait (on the server's loop) until the gate is open."""
        self._arrived.set()
        await self._opened.wait()

    def wait_for_arrival(
        self, timeout: float, or_until: Callable[[], bool] = lambda: False
    ) -> bool:
        """Block until a request has arrived at the gate.

        Args:
            timeout: Seconds to wait at most.
            or_until: Returns True when no request will arrive any more.

        Returns:
            Whether a request has arrived.
        """
        end = time.monotonic() + timeout
        while not self._arrived.wait(_LOOK_SECONDS):
            if or_until() or time.monotonic() > end:
                return self._arrived.is_set()
        return True

    def open(self) -> None:
        """Let all requests through; may be called on any thread."""
        self._loop.call_soon_threadsafe(self._opened.set)


class ControlPlane:
    """The running server, as a context manager; its event loop runs on its own thread.

    Args:
        seed: Makes the ids repeatable; None for new ids in every run.
        id_style: Form of the ids of apps, environments and builds.
        api_key: The bearer token that it accepts.

    Attributes:
        state: The stored records.
        faults: The rules in force; may be replaced while the server runs.
        journal: The requests so far.
        base_url: URL of the server, such as `http://127.0.0.1:40001`.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        id_style: IdStyle = "uuid",
        api_key: str = CANARY_API_KEY,
    ) -> None:
        self.state = ControlPlaneState(Ids(seed, id_style))
        self.faults = FaultPlan()
        self.journal = Journal()
        self.api_key = api_key
        self.base_url = ""
        self._loop: asyncio.AbstractEventLoop
        self._gates: dict[str, Gate] = {}
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stand-in control plane")

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        if not self._started.wait(_START_SECONDS) or not self.base_url:
            self._thread.join()
            raise RuntimeError("The stand-in control plane could not listen on 127.0.0.1.")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def gate(self, name: str) -> Gate:
        """Return the gate called `name` in rules, initially closed; only while the server runs."""
        return self._gates.setdefault(name, Gate(self._loop))

    async def pass_gate(self, name: str) -> None:
        """Wait until the gate called `name` is open."""
        await self.gate(name).pass_through()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._started.set()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        runner = web.AppRunner(
            build_app(self),
            handle_signals=False,
            # The journal takes its place.
            access_log=None,
            logger=logging.getLogger("flash_otel.demo"),
            # A request that waits at a gate ends when its client is killed.
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        with socket.create_server((_LOOPBACK, 0)) as listener:
            self.base_url = f"http://{_LOOPBACK}:{listener.getsockname()[1]}"
            self.state.base_url = self.base_url
            try:
                await web.SockSite(runner, listener).start()
                self._started.set()
                await self._stop.wait()
            finally:
                await runner.cleanup()
