"""Clocks that jump and thousands of tasks: nothing is lost, doubled, reordered or made old."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from support.host_faults import CLOCK, JUMPS, LOCKED, TASKS, jumping, many_tasks
from support.host_process import SPANS, HostProcess
from support.scripted_collector import HttpCollector

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

PATIENT = {"FLASH_OTEL_EXIT_BUDGET": "60"}


def test_a_clock_that_jumps(tmp_path: Path) -> None:
    """A clock that jumps back and forth neither reorders, repeats nor deletes spans."""
    with HttpCollector() as collector:
        for early, ending in (("", "return"), (CLOCK, jumping(with_sdk=False)), ("", "return")):
            victim = HostProcess(
                tmp_path, collector.url, ending=ending, early=early, variables=PATIENT
            )
            ended = victim.run()
            assert (ended.status, ended.stdout, ended.stderr) == (0, "done\n", "")
        made = SPANS + (SPANS + JUMPS * 10) + SPANS
        assert len(collector.keys) == len(set(collector.keys)) == made
    with SpanStore(tmp_path / "spans.db") as store:
        rows = store.connection.execute("SELECT trace_id, span_id FROM spans ORDER BY id")
        assert rows.fetchall() == collector.keys
        starts = [span.start_ns for span in store.spans()]
        assert starts[-1] - starts[0] > 40 * 365 * 24 * 3600 * 10**9


def test_thousands_of_tasks(tmp_path: Path) -> None:
    """The spans of 10,000 concurrent tasks are stored and sent, each once."""
    with HttpCollector() as collector:
        victim = HostProcess(
            tmp_path,
            collector.url,
            ending=many_tasks(with_sdk=False),
            variables=PATIENT,
        )
        ended = victim.run()
        assert (ended.status, ended.stdout, ended.stderr) == (0, "done\n", "")
        assert len(collector.keys) == len(set(collector.keys)) == SPANS + TASKS
    with SpanStore(tmp_path / "spans.db") as store:
        builds = [span.attributes["flash.build_id"] for span in store.spans()]
        assert len(builds) == SPANS + TASKS
        assert set(builds) == {f"b-{number}" for number in range(TASKS)}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_signal_while_a_span_is_locked(tmp_path: Path, number: str) -> None:
    """The signal ends the process, although the interrupted thread holds the span's lock.

    The SDK's lock is not reentrant: a handler that ended the span in the same thread would hang.
    """
    if signal.getsignal(signal.Signals[number]) is signal.SIG_IGN:
        pytest.skip("inherited as ignored, as below nohup")
    victim = HostProcess(tmp_path, "http://127.0.0.1:1", ending=LOCKED.format(number=number))
    assert victim.run().status == -signal.Signals[number]
