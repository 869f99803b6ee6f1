"""Records the deployments that the load generator replays: each scenario through the real Flash.

    python benchmarks/load/record.py

Writes recording.jsonl: a line of OTLP JSON per scenario with the spans of the deployment and the
worker. The host name is replaced; everything else is as Flash and flash_otel left it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.demo.processes import join_worker_logs
from flash_otel.demo.runner import run_scenario
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.otlp.encode import encode_json
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

# A worker of Flash 1.14 then reads twice: at its start, and within its call.
_MODE: Final = "function"
_HOST: Final = "recorded.example"

# Name of the recording, scenario, changed variables of the worker. The worker's own spans show the
# last two faults.
_RUNS: Final[tuple[tuple[str, str, dict[str, str | None]], ...]] = (
    *((name, name, {}) for name in SCENARIOS),
    ("environment_unset", "healthy", {"FLASH_ENVIRONMENT_ID": None}),
    ("environment_unknown", "healthy", {"FLASH_ENVIRONMENT_ID": str(uuid.UUID(int=1))}),
)


def record(path: Path) -> None:
    """Run every scenario and write its spans as a line of the file."""
    with path.open("w", encoding="utf-8") as out:
        for name, scenario, changes in _RUNS:
            line = {"scenario": name, **encode_json(_spans(scenario, changes))}
            out.write(json.dumps(line, separators=(",", ":")) + "\n")


def _spans(name: str, changes: dict[str, str | None]) -> list[SpanRecord]:
    with tempfile.TemporaryDirectory() as folder:
        result = run_scenario(
            SCENARIOS[name],
            workdir=Path(folder),
            worker_mode=_MODE,
            worker_changes=changes,
            on_progress=lambda sentence, *_: print(f"{name}: {sentence}", file=sys.stderr),
        )
        join_worker_logs(result.store, result.worker_logs)
        with SpanStore(result.store, is_read_only=True) as store:
            return [_without_machine(span, folder) for span in store.spans()]


def _without_machine(span: SpanRecord, folder: str) -> SpanRecord:
    """Remove the host name and this machine's folders."""
    resource = {**span.resource, semconv.HOST_NAME: _HOST}
    events = [
        replace(
            event,
            attributes={
                name: value.replace(folder, "/app") if isinstance(value, str) else value
                for name, value in event.attributes.items()
                if name != semconv.EXCEPTION_STACKTRACE
            },
        )
        for event in span.events
    ]
    return replace(span, resource=resource, events=type(span.events)(events))


if __name__ == "__main__":
    record(Path(__file__).with_name("recording.jsonl"))
