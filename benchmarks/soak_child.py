"""Forks deployments and workers off a process that has imported the real Flash.

Run by the Python that has Flash. Each line of standard input is a job in JSON; answered are the
process id and, when it has ended, its wait status.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def deploy(folder: str, **_: Any) -> NoReturn:
    """Deploy the project in a folder with Flash's own command."""
    os.chdir(folder)
    sys.argv = ["flash", "deploy", "--no-deps"]
    from runpod_flash.cli.main import app

    sys.exit(app())


def fetch(fetches: int, pause_s: float, **_: Any) -> NoReturn:
    """Read the manifest as a worker does, again and again."""
    from runpod_flash.runtime.service_registry import ServiceRegistry

    async def look_up() -> None:
        for _ in range(fetches):
            # Within a deployment's open window there is no endpoint, and Flash returns None.
            await ServiceRegistry().get_routing_info("gpu_info")
            await asyncio.sleep(pause_s)

    asyncio.run(look_up())
    sys.exit(0)


def call(calls: int, pause_s: float, **_: Any) -> NoReturn:
    """Call a decorated function again and again, as a long-lived host with a store does."""
    import time

    import flash_otel

    @flash_otel.trace_activate
    def activate(build_id: str) -> str:
        return build_id

    for number in range(calls):
        activate(f"b-{number}")
        time.sleep(pause_s)
    sys.exit(0)


WORKS = {"deploy": deploy, "fetch": fetch, "call": call}


def _begin(job: dict[str, Any]) -> NoReturn:
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(job[name], os.O_CREAT | os.O_WRONLY | os.O_APPEND), descriptor)
    _log_ended(Path(job["ended"]))
    import flash_otel

    flash_otel.instrument(legacy_logs=False)
    WORKS[job["work"]](**job)


def _log_ended(file: Path) -> None:
    """Write down the key of each span that is given to the store or to the queue in memory."""
    from flash_otel.export.memory import MemoryDelivery
    from flash_otel.store.processor import StoreSpanProcessor

    log = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def watch(kind: type) -> None:
        plain = kind.on_end

        def on_end(self: Any, span: ReadableSpan) -> None:
            plain(self, span)
            context = span.get_span_context()
            os.write(log, f"{context.trace_id:032x} {context.span_id:016x}\n".encode())

        kind.on_end = on_end

    watch(StoreSpanProcessor)
    watch(MemoryDelivery)


def main() -> None:
    """Fork a process per line, and wait for it."""
    import runpod_flash.cli.main
    import runpod_flash.runtime.service_registry

    import flash_otel
    from flash_otel.export import memory
    from flash_otel.pipeline import provider
    from flash_otel.store import processor

    del runpod_flash, flash_otel, provider, processor, memory
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _begin(json.loads(line))
        _answer(pid)
        _answer(os.waitpid(pid, 0)[1])


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
