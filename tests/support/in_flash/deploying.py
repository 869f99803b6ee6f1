"""Forks deployments from a process that has imported Flash, which saves seconds per deployment.

Run by the Python that has Flash. Each line of standard input is a job in JSON; answered are the
process id of its deployment and, when that has ended, its wait status.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan


def serve() -> None:
    """Fork a deployment per line, and wait for it."""
    import runpod_flash.cli.main

    import flash_otel
    from flash_otel.pipeline import provider
    from flash_otel.store import processor

    del runpod_flash, flash_otel, provider, processor
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            deploy(**json.loads(line))
        _answer(pid)
        _answer(os.waitpid(pid, 0)[1])


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def deploy(
    folder: str, project: str, variables: dict[str, str], *, traced: bool, statement: str | None
) -> NoReturn:
    """Deploy the project; a statement, such as `COMMIT 2`, is the last that SQLite begins."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder, name), os.O_CREAT | os.O_WRONLY), descriptor)
    os.chdir(project)
    os.environ.update(variables)
    if traced:
        import flash_otel

        _log_ended(Path(folder, "ended"))
        if statement is not None:
            _die_at(statement, Path(folder, "committed"))
        flash_otel.instrument(legacy_logs=False)
    sys.argv = ["flash", "deploy", "--no-deps"]
    from runpod_flash.cli.main import app

    sys.exit(app())


def _log_ended(file: Path) -> None:
    """Write down the key of each span that the store's processor is given."""
    from flash_otel.store.processor import StoreSpanProcessor

    log = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    plain: Callable[[Any, ReadableSpan], None] = StoreSpanProcessor.on_end

    def on_end(self: StoreSpanProcessor, span: ReadableSpan) -> None:
        plain(self, span)
        context = span.get_span_context()
        assert context is not None
        os.write(log, f"{context.trace_id:032x} {context.span_id:016x}\n".encode())

    StoreSpanProcessor.on_end = on_end  # type: ignore[method-assign]  # observed, not changed


def _die_at(statement: str, committed: Path) -> None:
    """Kill this process at the nth statement of a kind, after writing down what is committed."""
    kind, number = statement.split()
    left = [int(number)]
    connect = sqlite3.connect

    def watched(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(path, *arguments, **options)

        def see(text: str) -> None:
            left[0] -= text.startswith(kind)
            if not left[0]:
                with connect(path) as reader:
                    rows = reader.execute("SELECT trace_id, span_id FROM spans").fetchall()
                committed.write_text("".join(f"{trace} {span}\n" for trace, span in rows))
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(see)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]  # planted


if __name__ == "__main__":
    serve()
