"""Spans of real servers with several workers are delivered once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from support import loopback
from support.bad_endpoints import BAD
from support.scripted_collector import HttpCollector

from flash_otel.otlp.decode import decode_log_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these servers fork")

TIMEOUT_S = 60
REQUESTS = 30

APPLICATION = """
import os
from contextlib import asynccontextmanager

import flash_otel

flash_otel.instrument(legacy_logs=False)

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

@flash_otel.trace_call
def call(function_name):
    return os.getpid()

@asynccontextmanager
async def lifespan(app):
    yield
    if "LAST_SPAN" in os.environ:
        call("last")

app = FastAPI(lifespan=lifespan)

@app.get("/sync")
def sync():
    return call("sync")

@app.get("/later")
async def later():
    return call("later")

@app.get("/stream")
async def stream():
    async def parts():
        yield "a part"
        yield str(call("stream"))
    return StreamingResponse(parts())

@app.get("/failure")
async def failure():
    call("failure")
    raise ValueError("the route failed")

def wsgi(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(call("wsgi")).encode()]

# With --preload the parent has sent, and so has a thread and a connection, before it forks.
call("module")
flash_otel.flush(float(os.environ.get("FIRST_FLUSH", "30")))
"""

SERVERS = {
    "gunicorn": ("gunicorn", "application:wsgi", "--workers=2", "--bind=fd://{fd}"),
    "gunicorn preloaded": (
        *("gunicorn", "application:wsgi", "--workers=2", "--bind=fd://{fd}", "--preload"),
    ),
    "gunicorn asgi": (
        *("gunicorn", "application:app", "--workers=2", "--bind=fd://{fd}", "--preload"),
        "--worker-class=asgi",
    ),
    "uvicorn": ("uvicorn", "application:app", "--workers=2", "--fd={fd}"),
}
ONE = ("uvicorn", "application:app", "--fd={fd}")


@dataclass
class Server:
    """A server that runs in a process group of its own."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str = "/later") -> httpx.Response:
        return loopback.get(f"{self.url}{path}", timeout=TIMEOUT_S, trust_env=False)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(TIMEOUT_S)

    def kill(self) -> None:
        """End it as a platform does that takes the machine away."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_S)


@contextmanager
def serving(folder: Path, command: tuple[str, ...], **variables: str) -> Iterator[Server]:
    """Serve the application; requests may come at once, and wait until there is a worker."""
    (folder / "application.py").write_text(APPLICATION)
    log = folder / "server.log"
    with socket.socket() as listener, log.open("wb") as file:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                *(word.format(fd=listener.fileno()) for word in command),
            ],
            cwd=folder,
            env=_environment(folder, variables),
            pass_fds=[listener.fileno()],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Server(process, f"http://127.0.0.1:{listener.getsockname()[1]}", log)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(TIMEOUT_S)


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLASH_", "OTEL_", "RUNPOD_", "TRACEPARENT"))
    }
    return {
        **kept,
        "HOME": str(folder),
        "PYTHONPATH": str(folder),
        "FLASH_OTEL_RAISE": "1",
        "FLASH_OTEL_STORE": "off",
        "FLASH_OTEL_EXIT_BUDGET": "30",
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
        **variables,
    }


@pytest.mark.parametrize("kind", SERVERS)
def test_every_worker_sends_its_own(kind: str, tmp_path: Path) -> None:
    """Each request's span arrives once, from every kind of worker process."""
    with HttpCollector() as collector:
        with serving(tmp_path, SERVERS[kind], OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as server:
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: server.get(), range(REQUESTS)))
            # gunicorn waits 30 s for a worker that it starts after it was told to end.
            while len({each.text for each in answers}) < 2:
                answers.append(server.get())
            server.end()
        assert {each.status_code for each in answers} == {200}, server.log.read_text()
        # With --preload the parent alone has imported the application, else each worker has.
        imported = 1 if "--preload" in SERVERS[kind] else 2
        assert len(collector.keys) == len(answers) + imported, server.log.read_text()
        assert len(set(collector.keys)) == len(collector.keys)


def test_the_end_of_an_application(tmp_path: Path) -> None:
    """A worker that SIGTERM ends without exit handlers has sent its last span."""
    with HttpCollector() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "LAST_SPAN": "1"}
        answers: list[str] = []
        with serving(tmp_path, SERVERS["uvicorn"], **variables) as server:
            while len(set(answers)) < 2:  # until both workers are there
                answers.append(server.get().text)
            server.end()
        # Each worker's import, each request, each worker's end.
        assert len(set(collector.keys)) == 2 + len(answers) + 2, server.log.read_text()


PATHS = {"/sync": 200, "/later": 200, "/stream": 200, "/failure": 500}


def test_a_worker_that_vanishes_after_its_answer(tmp_path: Path) -> None:
    """A load-balanced worker sends its spans before its response ends."""
    with HttpCollector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "RUNPOD_ENDPOINT_ID": "endpoint",
            "FLASH_OTEL_REQUEST_BUDGET": "30",
        }
        with serving(tmp_path, ONE, **variables) as server:
            for number, (path, status) in enumerate(PATHS.items(), start=1):
                assert server.get(path).status_code == status, server.log.read_text()
                # That of the module's import, each request's and that of its call.
                assert len(set(collector.keys)) == 1 + 2 * number
            server.kill()
        assert len(set(collector.keys)) == 1 + 2 * len(PATHS)


@pytest.mark.parametrize("budget", ["0", "0.05"])
def test_a_worker_whose_collector_is_silent(budget: str, tmp_path: Path) -> None:
    """The response does not wait for a silent collector, and the log gets its spans, once."""
    with BAD["never answers"]() as url:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "100",
            "RUNPOD_ENDPOINT_ID": "endpoint",
            "FLASH_OTEL_REQUEST_BUDGET": budget,
            "FIRST_FLUSH": "0",
        }
        with serving(tmp_path, ONE, **variables) as server:
            for _ in range(3):
                assert server.get().status_code == 200
            server.kill()
    lines = server.log.read_text().splitlines()
    written = [record for line in lines for record in decode_log_line(line)]
    names = [str(span.attributes.get("flash.function_name", span.name)) for span in written]
    assert sorted(names) == [*["GET /later"] * 3, "later", "later", "later", "module"]


def test_outside_a_worker_no_response_waits(tmp_path: Path) -> None:
    """A server outside a worker responds without a delay, and writes no line."""
    with BAD["never answers"]() as url:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "FLASH_OTEL_REQUEST_BUDGET": "60"}
        with serving(tmp_path, ONE, FIRST_FLUSH="0", **variables) as server:
            assert (
                loopback.get(f"{server.url}/later", timeout=30, trust_env=False).status_code == 200
            )
            server.kill()
    assert "flash_otel {" not in server.log.read_text()
