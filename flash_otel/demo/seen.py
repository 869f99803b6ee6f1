"""Lays out what a diagnosis may see of a case, each source for itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flash_otel.demo.cases import FILE, LINES, STORE
from flash_otel.demo.joining import worker_spans
from flash_otel.demo.lines import bracketed_lines

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.demo.casework import Left


def lay_out(left: Left, folder: Path) -> dict[str, list[str]]:
    """Write what a diagnosis may see, each source for itself.

    Returns:
        Source -> the arguments of `flash-otel diagnose` for it; none where it holds nothing.
    """
    lines = [_bare(log, folder) for log in (*left.deploy_logs, *left.worker_logs)]
    held = [path for path in lines if path.stat().st_size]
    return {
        STORE: _from("store", *left.worker_logs),
        FILE: _from(_otlp_file(left, folder)),
        LINES: _from(*held),
    }


def _from(*sources: Path | str) -> list[str]:
    return [part for one in sources for part in ("--from", str(one))]


def _bare(log: Path, folder: Path) -> Path:
    """Write a log's bracketed lines alone."""
    path = folder / f"l{log.name}"
    found = bracketed_lines(log)
    path.write_text("".join(f"{line}\n" for line in found), encoding="utf-8")
    return path


def _otlp_file(left: Left, folder: Path) -> Path:
    from flash_otel.otlp.encode import encode_json
    from flash_otel.store.store import SpanStore

    with SpanStore(left.store, is_read_only=True) as store:
        records = list(store.spans())
    for log in left.worker_logs:
        records += worker_spans(log)
    path = folder / "f.jsonl"
    path.write_text(json.dumps(encode_json(records)) + "\n", encoding="utf-8")
    return path
