from __future__ import annotations

from typing import TYPE_CHECKING

from support.interpreter import run_python
from support.samples import healthy_deployment, span

from flash_otel.summary.text import visible_faults

if TYPE_CHECKING:
    from pathlib import Path

LOOKING = """
import sys
import flash_otel
from flash_otel.cli.open_store import recorded_since
flash_otel.instrument(legacy_logs=False, store="spans.db")
before = recorded_since(0), "sqlite3" in sys.modules
flash_otel.trace_deploy(lambda: None)()
print(before, [span.name for span in recorded_since(0)])
"""


def test_faults_of_spans_are_listed_once() -> None:
    """A code on several spans counts once; notes and open questions are not faults."""
    codes = ["stale_build", "stale_build", "none", "inconclusive", "environment_created"]
    records = [
        span(n, None, "flash.runtime.fetch", 0, 1, attributes={"flash.fault": code})
        for n, code in enumerate(codes, start=1)
    ]
    assert visible_faults(records) == ["stale_build"]
    assert visible_faults(healthy_deployment()) == []


def test_a_process_without_spans_opens_no_store(tmp_path: Path) -> None:
    """A process that made no span, such as `flash --help`, does not load SQLite."""
    told = run_python(LOOKING, tmp_path).stdout
    assert told.strip() == "([], False) ['flash.deploy']"
