"""Real processes that make spans and end in every way, with flash_otel or with the SDK alone.

Each process measures its own exit: from the last line of its work to the exit handler that it
registered first, which runs last.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TIMEOUT_S = 120
_numbers = itertools.count()
SPANS = 10

_REPORT = """
import atexit, json, os, sys, time
ended, path = None, sys.argv[1]
def report():
    with open(path, "w") as file:
        json.dump({"exit_s": time.monotonic() - ended}, file)
atexit.register(report)
"""

_OURS = """
import flash_otel
flash_otel.instrument(legacy_logs=False)

@flash_otel.trace_activate
def activate(build_id):
    return build_id

def work(count):
    for number in range(count):
        activate(f"b-{number}")
"""

_SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("app")

def work(count):
    for number in range(count):
        with tracer.start_as_current_span("activate"):
            pass
"""

# How a process ends, after its work.
ENDINGS: dict[str, str] = {
    "return": "print('done')",
    "exit 3": "print('done'); sys.exit(3)",
    "typer.Exit": """
        import typer
        print('done')
        application = typer.Typer()
        @application.command()
        def main():
            raise typer.Exit(1)
        sys.argv = sys.argv[:1]
        application()
    """,
    "exception": "print('done'); raise ValueError('the host failed')",
    "SIGTERM": "print('done', flush=True); time.sleep(100)",
    # Flushed, so that nothing is imported any more: an import after the interrupt can cost the
    # process its status (see `Forwarder._prepare`).
    "SIGINT": "flash_otel.flush(30); print('done', flush=True); time.sleep(100)",
}
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
STATUSES = {
    "return": 0,
    "exit 3": 3,
    "typer.Exit": 1,
    "exception": 1,
    "SIGTERM": -signal.SIGTERM,
    "SIGINT": -signal.SIGINT,
}


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: Its exit status.
        stdout: What it printed.
        stderr: Its standard error.
        exit_s: How long its exit took, in seconds; None where no exit handler runs.
    """

    status: int
    stdout: str
    stderr: str
    exit_s: float | None = None

    @property
    def lines(self) -> list[str]:
        """The lines on standard error that are not the traceback of the host's own end."""
        kept: list[str] = []
        inside = False
        for line in self.stderr.splitlines():
            inside = line.startswith("Traceback") or (inside and line.startswith(" "))
            if not inside and not line.startswith(("ValueError: the host", "KeyboardInterrupt")):
                kept.append(line)
        return kept


@dataclass(frozen=True)
class HostProcess:
    """A process to be run.

    Attributes:
        folder: Where its store and its report lie.
        url: The collector's; empty for none.
        protocol: The collector's.
        ending: A key of `ENDINGS`.
        spans: How many it makes.
        with_sdk: Whether the SDK alone makes them, with its defaults.
        early: Code before anything is imported.
        before: Code before its work.
        wrapper: A command that runs it.
        python: The interpreter.
        killed_after_s: How long after its work it is killed; None where it ends by itself.
        variables: More of its environment.
    """

    folder: Path
    url: str = ""
    protocol: str = "http/protobuf"
    ending: str = "return"
    spans: int = SPANS
    with_sdk: bool = False
    early: str = ""
    before: str = ""
    wrapper: tuple[str, ...] = ()
    python: str = sys.executable
    killed_after_s: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> Ended:
        """Run it to its end; a signal is sent when its work is done."""
        # A file each: several may run in one folder, and Ctrl-C ends `python -c` otherwise.
        number = next(_numbers)
        script, report = (self.folder / f"{kind}-{number}" for kind in ("victim", "report"))
        script.write_text(self._code())
        with subprocess.Popen(
            [*self.wrapper, self.python, str(script), str(report)],
            env=self._environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                head = self._signalled(process)
                stdout, stderr = process.communicate(timeout=TIMEOUT_S)
            finally:
                process.kill()
        reported: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
        return Ended(process.returncode, head + stdout, stderr, reported.get("exit_s"))

    def _signalled(self, process: subprocess.Popen[str]) -> str:
        number = SIGNALS.get(self.ending)
        if number is None and self.killed_after_s is None:
            return ""
        assert process.stdout is not None
        head = process.stdout.readline()
        if number is None:
            time.sleep(self.killed_after_s or 0.0)
        process.send_signal(number or signal.SIGKILL)
        return head

    def _code(self) -> str:
        made = _SDK if self.with_sdk else _OURS
        parts = (
            textwrap.dedent(self.early),
            _REPORT,
            made,
            textwrap.dedent(self.before),
            f"work({self.spans})",
            "ended = time.monotonic()",
            textwrap.dedent(ENDINGS.get(self.ending, self.ending)),
        )
        return "\n".join(parts)

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FLASH_", "OTEL_", "RUNPOD_", "GRPC_", "TRACEPARENT"))
        }
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url} if self.url else {}
        return {
            **kept,
            **named,
            "HOME": str(self.folder),
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "FLASH_OTEL_STORE": str(self.folder / "spans.db"),
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            **self.variables,
        }
