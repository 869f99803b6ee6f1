"""Uses flash_otel once, with whatever versions this interpreter has; prints nothing but errors.

It deploys through decorators under `instrument()`, stores the spans, sends them to an OTLP
receiver, and runs the commands that read them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

COMMANDS: Final = (
    *("traces", "show last", "show last --json", "show last --html page.html", "diagnose"),
    *("diagnose --json", "status", "doctor", "--help", "show --help"),
)
ANSWERS: Final = (0, 1, 3)
received: list[bytes] = []


class Receiver(BaseHTTPRequestHandler):
    """Accepts every request."""

    def do_POST(self) -> None:
        """Keep the body, and accept it."""
        received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def deploy() -> None:
    """Record a deployment, and check that it is stored and sent."""
    import flash_otel
    from flash_otel.store.store import SpanStore

    flash_otel.instrument(legacy_logs=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - until the exit

    @flash_otel.trace_deploy
    async def root(app_name: str, env_name: str) -> None:
        activate(f"build of {app_name}", f"environment {env_name}")
        await push({"resources_endpoints": {"gpu": "https://e.invalid/1"}}, "b-1")

    @flash_otel.trace_activate
    def activate(build_id: str, environment_id: str) -> None: ...

    @flash_otel.trace_upload(carrier=True)
    async def push(manifest: dict[str, object], build_id: str) -> None:
        assert "_flash_otel" in manifest, build_id

    asyncio.run(root("shop", "production"))
    assert flash_otel.flush(30), "not flushed"
    flash_otel.uninstrument()
    assert any(b"flash.activate" in body for body in received), "not sent"
    with SpanStore(os.environ["FLASH_OTEL_STORE"]) as store:
        names = [span.name for span in store.spans()]
    assert names == ["flash.deploy", "flash.activate", "flash.manifest.upload"], names


def run_commands(folder: Path) -> None:
    """Run the commands, each in a process of its own."""
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "flash_otel", *command.split()],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in ANSWERS, f"{command}: {done.stderr}"
        assert done.stdout, f"{command}: {done.stderr}"
        assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"


def main() -> None:
    """Deploy and read, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder, HTTPServer(("127.0.0.1", 0), Receiver) as server:
        os.environ["FLASH_OTEL_STORE"] = str(Path(folder, "spans.db"))
        os.environ["FLASH_OTEL_RAISE"] = "1"
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        deploy()
        run_commands(Path(folder))
        server.shutdown()


if __name__ == "__main__":
    main()
