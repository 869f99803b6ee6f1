"""Helpers that run the store's processor in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRELUDE = """
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from flash_otel.store.processor import StoreSpanProcessor
processor = StoreSpanProcessor(sys.argv[1])
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(processor)
tracer = provider.get_tracer("flash_otel", "0.1")
"""


def _arguments(code: str, path: Path) -> list[str]:
    return [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(path)]


def finished(
    code: str, path: Path, wrapper: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run code behind the prelude to its end; it must end by itself and without an error."""
    done = subprocess.run(
        [*wrapper, *_arguments(code, path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    assert done.returncode == 0, done.stderr
    return done


@contextmanager
def running(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start code behind the prelude and wait until it prints `ready`; kill it in the end."""
    arguments = _arguments(code, path)
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
