"""A queue worker of the real runpod: its handler's spans are out when its result is."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.bad_endpoints import BAD
from support.flash_source import packages_of
from support.scripted_collector import HttpCollector
from support.versions import RUNPOD_VERSIONS

from flash_otel.otlp.decode import decode_log_line

if TYPE_CHECKING:
    from pathlib import Path

    from support.flash import FlashEnvironments

pytestmark = pytest.mark.flash

TIMEOUT_S = 120

# `runpod.serverless.start` is the real one, and so is what runs a job; only the loop that fetches
# jobs from Runpod is not: each handler gets one job, and the process vanishes after the last.
WORKER = """
import asyncio, functools, json, os, signal, sys

import flash_otel

flash_otel.instrument(legacy_logs=False)

import runpod
from opentelemetry import trace
from runpod.serverless import worker
from runpod.serverless.modules.rp_handler import is_generator
from runpod.serverless.modules.rp_job import run_job, run_job_generator
from runpod_flash.runtime.generic_handler import create_deployed_handler, create_handler

@flash_otel.trace_call
def call(function_name):
    return function_name

def plain(job):
    return call("plain")

async def later(job):
    await asyncio.sleep(0)
    return call("later")

def parts(job):
    yield "a part"
    yield call("parts")

async def parts_later(job):
    yield "a part"
    yield call("parts_later")

def failing(job):
    call("failing")
    raise ValueError("the handler failed")

class Callable:
    def __call__(self, job):
        return call("callable")

async def deployed(name):
    # Flash runs this in a thread with a loop of its own.
    with outer.start_as_current_span("the user's own") as span:
        await asyncio.sleep(0)
        answer = call(name)
    return answer

outer = trace.get_tracer("the user's")
HANDLERS = {
    "plain": plain,
    "later": later,
    "parts": parts,
    "parts_later": parts_later,
    "failing": failing,
    "callable": Callable(),
    "partial": functools.partial(plain),
    "deployed": create_deployed_handler(deployed),
}
results = {}

async def serve(config):
    handler = config["handler"]
    job = {"id": "job-1", "input": {"name": "deployed"}}
    if is_generator(handler):
        return [part async for part in run_job_generator(handler, job)]
    return await run_job(handler, job)

worker.main = lambda config: results.update({name: asyncio.run(serve(config))})
for name, handler in HANDLERS.items():
    config = {"handler": handler}
    runpod.serverless.start(config)
    assert config["handler"] is handler
with open(sys.argv[1], "w") as file:
    json.dump(results, file)
os.kill(os.getpid(), signal.SIGKILL)
"""

EXPECTED = {
    "plain": {"output": "plain"},
    "later": {"output": "later"},
    "parts": [{"output": "a part"}, {"output": "parts"}],
    "parts_later": [{"output": "a part"}, {"output": "parts_later"}],
    "callable": {"output": "callable"},
    "partial": {"output": "plain"},
    "deployed": {"output": "deployed"},
}


def serve(flash_env: FlashEnvironments, folder: Path, successor: str = "", **variables: str) -> str:
    """Run the worker to its violent end, maybe with a runpod 2; return what it printed."""
    environment = flash_env("1.21.0")
    # Every runpod-flash requires runpod, without an upper bound.
    packages = [packages_of(flash_env(successor), "runpod")] if successor else []
    script, results = folder / "worker.py", folder / "results.json"
    script.write_text(WORKER)
    done = subprocess.run(
        [str(environment.python), str(script), str(results)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(map(str, (environment.source, *packages))),
            "RUNPOD_ENDPOINT_ID": "endpoint",
            "RUNPOD_FLASH_SILENCE_DEPRECATION": "1",
            "FLASH_OTEL_RAISE": "1",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == -9, done.stdout + done.stderr
    answers = json.loads(results.read_text())
    assert "the handler failed" in answers.pop("failing")["error"]
    assert answers == EXPECTED
    return done.stderr


@pytest.mark.parametrize("successor", ["", *RUNPOD_VERSIONS], ids=["runpod 1", "runpod 2"])
def test_spans_are_out_before_the_result(
    successor: str, flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """Each kind of handler: its result is its own, and its spans are sent when it is there."""
    with HttpCollector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "FLASH_OTEL_REQUEST_BUDGET": "30",
        }
        log = serve(flash_env, tmp_path, successor, **variables)
        assert collector.requests == [["flash.call", "process"]] * 8
        assert len(set(collector.keys)) == 16
    assert "flash_otel {" not in log


def test_a_collector_that_does_not_answer(flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """The results come all the same, and each span is in the worker's log, once."""
    with BAD["never answers"]() as url:
        log = serve(flash_env, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    written = [record for line in log.splitlines() for record in decode_log_line(line)]
    assert len({record.key for record in written}) == len(written) == 16


def test_without_a_collector(flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """Each span is in the log when it has ended: there is nothing to wait for."""
    log = serve(flash_env, tmp_path, FLASH_OTEL_REQUEST_BUDGET="60")
    written = [record for line in log.splitlines() for record in decode_log_line(line)]
    assert len(written) == 16
