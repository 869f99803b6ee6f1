"""The logs that processes of a recording would have written: bracketed lines, and spans."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import open_reader
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END, START
from flash_otel.otlp.encode import encode_log_line
from flash_otel.store.references import instance_of, shows_worker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flash_otel.records import SpanRecord

UNTIMED, ZONED, NAIVE = TIMES = ("untimed", "zoned", "naive")
"""Times before the lines: none, with an offset from UTC, without one."""

_KEYS: Final = {
    sc.MANIFEST_COMPLETE: ("functions", "resources_endpoints"),
    sc.MANIFEST_INCOMPLETE: ("functions",),
}


def written_logs(
    made: Iterable[SpanRecord], times: str = UNTIMED, *, with_spans: bool = False
) -> dict[str, str]:
    """Return the logs of a recording's processes by their instances.

    Args:
        made: The spans.
        times: What stands before each line.
        with_spans: Whether workers write their spans, too.
    """
    logs: dict[str, list[tuple[int, int, str]]] = {}
    for number, record in enumerate(sorted(made, key=lambda span: (span.start_ns, span.span_id))):
        lines = logs.setdefault(instance_of(record).replace(" ", "-"), [])
        attributes = _attributes(record)
        lines += _stamped(record.start_ns, number, format_lines(record.name, START, attributes))
        if record.end_ns is None:
            continue
        lines += _stamped(record.end_ns, number, format_lines(record.name, END, attributes))
        if with_spans and shows_worker(record):
            lines.append((record.end_ns, number, f"flash_otel {encode_log_line(record)}"))
    return {
        name: "".join(_prefixed(at_ns, text, times) for at_ns, _, text in sorted(lines, key=_when))
        for name, lines in logs.items()
        if lines
    }


def read_logs(folder: Path, logs: dict[str, str]) -> list[SpanRecord]:
    """Write logs into a folder and read them as a diagnosis does."""
    found: list[SpanRecord] = []
    for name, text in logs.items():
        path = folder / f"{name}.log"
        path.write_text(text, encoding="utf-8")
        # The folder differs in every run, and its name decides no order.
        found += [
            replace(record, origin=record.origin.replace(f"{folder}/", ""))
            for record in open_reader(path).records()
        ]
    return found


def _attributes(record: SpanRecord) -> dict[str, Any]:
    keys = _KEYS.get(str(record.attributes.get(sc.MANIFEST_STATE)))
    if record.name == sc.MANIFEST_UPLOAD:
        keys = _KEYS[sc.MANIFEST_COMPLETE]
    return {**record.attributes, **({} if keys is None else {sc.MANIFEST_KEYS: keys})}


def _stamped(at_ns: int, number: int, lines: list[str]) -> list[tuple[int, int, str]]:
    return [(at_ns, number, line) for line in lines]


def _when(line: tuple[int, int, str]) -> tuple[int, int]:
    return line[:2]


def _prefixed(at_ns: int, text: str, times: str) -> str:
    if times == UNTIMED:
        return f"{text}\n"
    moment = datetime.fromtimestamp(at_ns / 1e9, timezone.utc)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + ("Z" if times == ZONED else "")
    return "".join(f"{stamp} {line}\n" for line in text.splitlines())
