"""What whole processes pay: imports, `flash --help`, memory, and an exit with a live collector."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measuring import Row, paired, row

from flash_otel.demo.environment import PythonEnvironment, find_environment
from flash_otel.demo.processes import flash_environment
from flash_otel.demo.runner import flash_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.host_process import HostProcess  # noqa: E402 - the same
from support.scripted_collector import HttpCollector  # noqa: E402 - the tests' own collector

FLASH: Final = "1.21.0"
IN_FLASH: Final = """
import os, runpod_flash.cli.main
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
before = resident()
{code}
print(resident() - before, flush=True)
os._exit(0)
"""
OURS: Final = """
import flash_otel
flash_otel.instrument(legacy_logs=False)
flash_otel.trace_deploy(lambda: None)()
assert flash_otel.flush(10)
"""
SDK: Final = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("app").start_as_current_span("deploy"):
    pass
"""


def cpu_seconds(command: Sequence[str], environ: Mapping[str, str] | None = None) -> float:
    """Return the CPU seconds, user and system, of a process and of its children."""
    before = os.times()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    after = os.times()
    return (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )


def imports() -> Iterator[Row]:
    """Compare the import with that of the SDK."""
    ours, theirs = (
        partial(cpu_seconds, [sys.executable, "-c", f"import {name}"])
        for name in ("flash_otel", "opentelemetry.sdk.trace")
    )
    note = "{:.3f} against {:.3f} s of CPU, Python's own start included"
    yield paired(
        "`import flash_otel`", "`import opentelemetry.sdk.trace`", ours, theirs,
        rounds=20, goal=0.5, note=note,
    )  # fmt: skip


def help_text(environment: PythonEnvironment, home: Path) -> Iterator[Row]:
    """Compare `flash --help` under the launcher with `flash --help`."""
    environ = {
        **flash_environment("http://127.0.0.1:9", home=home),
        "PYTHONPATH": str(environment.source),
        "FLASH_OTEL_STORE": str(home / "spans.db"),
    }
    measured = [
        partial(cpu_seconds, flash_command(environment, ["--help"], traced=traced), environ)
        for traced in (True, False)
    ]
    found = paired("", "", measured[0], measured[1], rounds=20)
    low, high = found.spread
    yield Row(
        "added to `flash --help`", "`flash --help`", found.found - 1, (low - 1, high - 1),
        goal=0.01, note=found.note + " s of CPU",
    )  # fmt: skip


def memory(environment: PythonEnvironment, home: Path) -> Iterator[Row]:
    """Measure what `instrument()`, one span and its commit add to a process that runs Flash."""
    environ = {
        **flash_environment("http://127.0.0.1:9", home=home),
        "PYTHONPATH": str(environment.source),
        "FLASH_OTEL_STORE": str(home / "memory.db"),
    }

    def added(code: str) -> float:
        command = [str(environment.python), "-c", IN_FLASH.format(code=code)]
        done = subprocess.run(
            command, env=environ, cwd=home, check=True, capture_output=True, text=True
        )
        return float(done.stdout.split()[-1])

    theirs = added(SDK)
    note = f"SDK and HTTP exporter add {theirs:.1f} MB"
    what = "memory added by `instrument()`, local store only, in a process of Flash's"
    yield row(what, "MB", [added(OURS) for _ in range(5)], goal=10, note=note)


def exits() -> Iterator[Row]:
    """Compare exits after ten spans that a live collector takes."""

    def exit_s(*, with_sdk: bool) -> float:
        with tempfile.TemporaryDirectory() as folder, HttpCollector() as collector:
            victim = HostProcess(Path(folder), collector.url, collector.protocol, with_sdk=with_sdk)
            taken = victim.run().exit_s
            assert taken is not None
            return taken

    yield paired(
        "exit after 10 spans, collector live", "SDK, OTLP/HTTP",
        partial(exit_s, with_sdk=False), partial(exit_s, with_sdk=True),
        rounds=9, goal=1, note="{:.3f} against {:.3f} s",
    )  # fmt: skip


def rows() -> Iterator[Row]:
    """Start many processes, one after another."""
    environment = find_environment(FLASH, cache=ROOT / ".cache")
    with tempfile.TemporaryDirectory() as folder:
        yield from imports()
        yield from help_text(environment, Path(folder))
        yield from memory(environment, Path(folder))
        yield from exits()
