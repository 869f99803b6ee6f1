"""Brings a worker's spans back from its log, the only way out of a container without OTLP."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.records import SpanRecord


def worker_spans(log: Path) -> Iterator[SpanRecord]:
    """Yield the spans that a worker has written to its log as OTLP JSON lines.

    A line that is cut or holds something else is passed over: a container's log may end anywhere.
    """
    from flash_otel.otlp.decode import decode_log_line

    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            yield from decode_log_line(line)


def join_worker_log(store: Path, log: Path) -> int:
    """Put a worker's spans beside the deployment's in the demo's own store.

    Returns:
        How many spans the log held.
    """
    from flash_otel.store.store import SpanStore

    records = list(worker_spans(log))
    with SpanStore(store) as opened:
        opened.write(records)
    return len(records)
