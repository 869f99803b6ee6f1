from __future__ import annotations

from report.samples import healthy_deployment, span

from flash_otel.cli.recorded import visible_faults


def test_faults_on_spans_are_told_once() -> None:
    """A code that several spans carry counts once; notes and open questions are no faults."""
    codes = ["stale_build", "stale_build", "none", "inconclusive", "environment_created"]
    records = [
        span(n, None, "flash.runtime.fetch", 0, 1, attributes={"flash.fault": code})
        for n, code in enumerate(codes, start=1)
    ]
    assert visible_faults(records) == ["stale_build"]
    assert visible_faults(healthy_deployment()) == []
