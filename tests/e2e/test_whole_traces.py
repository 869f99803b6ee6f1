"""Whole traces of a real deployment and of its worker, as literals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import literal_traces
from support.literals import literal, names_of

from flash_otel import semconv
from flash_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.site import Child, Site

pytestmark = pytest.mark.flash

CALL_TWICE = """
    import asyncio, json, os
    from pathlib import Path
    from child import recorded
    from flash_otel.demo.worker import MODES

    manifest = json.loads(Path(os.environ["FLASH_MANIFEST_PATH"]).read_text())
    with recorded(after=1000):
        for _ in range(2):
            asyncio.run(MODES["{mode}"](manifest))
"""


def test_deployment(deployed: tuple[Site, Child]) -> None:
    """Every step is a span under the root, with all that it knows, one child per endpoint."""
    site, run = deployed
    assert settled(literal(run.records, names_of(site.plane.state))) == literal_traces.DEPLOYMENT
    assert {record.scope_name for record in run.records} == {semconv.SCOPE_NAME}
    assert {record.scope_version for record in run.records} == {__version__}


def test_worker_that_asks_the_registry(deployed: tuple[Site, Child]) -> None:
    """The first read continues the deployment's trace; calls only link to it; a hit asks nothing.

    A deployed worker does so up to 1.14; in 1.21 the registry is still there to be asked.
    """
    site, _ = deployed
    run = site.worker(CALL_TWICE.format(mode="wrapper"))
    assert run.exit_code == 0, run.output
    assert literal(run.records, names_of(site.plane.state)) == literal_traces.REGISTRY_CALLS


def test_worker_that_calls_by_sentinel(deploy_once: Callable[[str], tuple[Site, Child]]) -> None:
    """From 1.15 on, a worker's own calls are routed by headers: two traces, no read at all."""
    site, _ = deploy_once("1.21.0")
    run = site.worker(CALL_TWICE.format(mode="function"))
    assert run.exit_code == 0, run.output
    assert literal(run.records, names_of(site.plane.state)) == literal_traces.SENTINEL_CALLS


def test_worker_with_two_registries(worker_site: Site) -> None:
    """Flash's client and its wrapper each ask a registry: the second read is another trace.

    The client asks before the call; only this first read continues the deployment's trace, the
    other one is a part of the call, and links to the deployment.
    """
    run = worker_site.worker(CALL_TWICE.format(mode="function"))
    assert run.exit_code == 0, run.output
    names = [
        (span["name"], span["trace"], span["span"], span["parent"], span.get("links"))
        for span in literal(run.records, names_of(worker_site.plane.state))
    ]
    assert names == [
        ("flash.runtime.fetch", 1, 1001, 1, None),
        ("flash.manifest.fetch", 1, 1002, 1001, None),
        ("flash.call", 1001, 1003, None, [(1, 1)]),
        ("flash.runtime.fetch", 1001, 1004, 1003, [(1, 1)]),
        ("flash.manifest.fetch", 1001, 1005, 1004, [(1, 1)]),
        ("flash.call", 1002, 1006, None, [(1, 1)]),
    ]
    second = run.named(semconv.RUNTIME_FETCH)[1]
    assert second.attributes[semconv.DEPLOY_TRACE_ID] == literal_traces.TRACE_ID
    assert second.attributes[semconv.DEPLOY_SPAN_ID] == literal_traces.SPAN_ID


def settled(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order the ends of what runs at the same time: which endpoint is ready first is chance."""
    endpoints = [span for span in spans if span["name"] == semconv.PROVISION_ENDPOINT]
    ends = sorted(endpoint["ticks"][1] for endpoint in endpoints)
    for span, end in zip(endpoints, ends, strict=True):
        span["ticks"] = (span["ticks"][0], end)
    return spans
