"""How deployments end that do not succeed: failed, interrupted, cancelled, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest
from support.faults import FAULTS, UPLOAD
from support.site import DEPLOY, TIMEOUT

from flash_otel import semconv
from flash_otel.demo.scenarios import WRITE, FaultPlan, Rule
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.site import Site

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash

API: Final = "runpod_flash.core.api.runpod."
STATUS: Final = f"{API}_GraphQLHTTPStatusError"
ERRORS: Final = f"{API}_GraphQLErrorResponse"
NETWORK: Final = f"{API}_GraphQLNetworkError"

# Fault -> the spans that failed, each with its `error.type` and outcome.
FAILED: Final = {
    "everything unauthorized": {semconv.DEPLOY: (STATUS, "failed")},
    "upload refused": {
        semconv.DEPLOY: ("requests.exceptions.HTTPError", "failed"),
        semconv.ARTIFACT_UPLOAD: ("requests.exceptions.HTTPError", "failed"),
    },
    "activation refused": {
        semconv.DEPLOY: (STATUS, "failed"),
        semconv.ACTIVATE: (STATUS, "failed"),
    },
    "activation answer lost": {
        semconv.DEPLOY: (NETWORK, "failed"),
        semconv.ACTIVATE: (NETWORK, "unknown"),
    },
    "one endpoint refused": {
        semconv.DEPLOY: ("RuntimeError", "failed"),
        semconv.PROVISION: ("RuntimeError", "failed"),
        semconv.PROVISION_ENDPOINT: (ERRORS, "failed"),
    },
    "write answer lost": {
        semconv.DEPLOY: (NETWORK, "failed"),
        semconv.PROVISION: (NETWORK, "failed"),
        semconv.MANIFEST_UPLOAD: (NETWORK, "unknown"),
    },
}

STORED = """
    import sys
    import flash_otel
    from child import flash

    flash_otel.instrument()
    sys.exit(flash("deploy", "--no-deps"))
"""
CANCELLED = """
    import asyncio, sys, threading
    from child import flash, recorded, report

    flash("build", "--no-deps")

    async def deploy():
        from runpod_flash.cli.commands.deploy import _resolve_and_deploy

        task = asyncio.ensure_future(
            _resolve_and_deploy("gpu_app", None, ".flash/artifact.tar.gz")
        )
        loop = asyncio.get_running_loop()

        def wait():
            sys.stdin.readline()
            loop.call_soon_threadsafe(task.cancel)

        threading.Thread(target=wait, daemon=True).start()
        try:
            await task
        except asyncio.CancelledError as error:
            return type(error).__name__

    with recorded():
        raised = asyncio.run(deploy())
    report(raised=raised)
"""


def failures(records: list[SpanRecord]) -> dict[str, tuple[object, object]]:
    """Return the spans with status ERROR: name -> its `error.type` and outcome."""
    return {
        record.name: (record.attributes.get("error.type"), record.attributes.get(semconv.OUTCOME))
        for record in records
        if record.status == "error"
    }


@contextmanager
def held(site: Site, code: str, on: str = WRITE) -> Iterator[subprocess.Popen[bytes]]:
    """Run code until its manifest upload (or another request) stands at a gate."""
    site.plane.faults = FaultPlan((Rule(on, gate=on),))
    gate = site.plane.gate(on)
    records, seen = site.outputs
    with subprocess.Popen(
        [str(site.environment.python), "-c", dedent(code)],
        cwd=site.project,
        env=site.variables(CHILD_RECORDS=str(records), CHILD_SEEN=str(seen)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            assert gate.wait_for_arrival(TIMEOUT, or_until=lambda: process.poll() is not None)
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            gate.open()


def stored(site: Site) -> list[SpanRecord]:
    """Return every span in the site's store, by start time."""
    with SpanStore(site.store) as store:
        return list(store.spans())


@pytest.mark.parametrize("fault", FAILED)
def test_failed(site: Site, fault: str) -> None:
    """The original failure is named on each span that it went through, up to the root."""
    site.plane.faults = FaultPlan(FAULTS[fault])
    run = site.python(DEPLOY)
    assert run.exit_code == 1
    assert failures(run.records) == FAILED[fault]
    for record in run.records:
        failed = record.status == "error"
        assert [event.name for event in record.events] == ["exception"] * failed
        assert bool(record.status_message) == failed
    root = run.records[0]
    assert root.attributes["deployment.status"] == "failed"
    assert "typer" not in str(root)


def test_failed_root_is_stored(site: Site) -> None:
    """A failed deployment's root is in the store, with status and description."""
    site.plane.faults = FaultPlan(FAULTS["one endpoint refused"])
    assert site.python(STORED).exit_code == 1
    (root,) = [span for span in stored(site) if span.name == semconv.DEPLOY]
    assert (root.status, root.status_message) == (
        "error",
        "RuntimeError: Failed to provision resources: GraphQL errors: No capacity for this GPU",
    )
    assert root.end_ns is not None


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts a console, not a process")
@pytest.mark.parametrize("version", ["1.14.0", "1.21.0"])
def test_interrupted(started_site: Site) -> None:
    """Ctrl-C: the root is cancelled, the write that was under way has an unknown outcome."""
    with held(started_site, STORED) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1, output
    assert b"cancelled by user" in output
    cancelled = "asyncio.exceptions.CancelledError"
    assert failures(stored(started_site)) == {
        semconv.DEPLOY: ("KeyboardInterrupt", "cancelled"),
        semconv.PROVISION: (cancelled, "cancelled"),
        semconv.MANIFEST_UPLOAD: (cancelled, "unknown"),
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts a console, not a process")
def test_interrupted_while_flash_blocks_its_loop(started_site: Site) -> None:
    """Ctrl-C during the artifact's upload, which nothing can cancel, takes effect after it."""
    with held(started_site, STORED, on=UPLOAD) as process:
        process.send_signal(signal.SIGINT)
        started_site.plane.gate(UPLOAD).open()
        output, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1, output
    failed = failures(stored(started_site))
    assert failed[semconv.DEPLOY] == ("KeyboardInterrupt", "cancelled")
    assert failed[semconv.ARTIFACT_UPLOAD][1] == "unknown"
    assert failed.keys() == {semconv.DEPLOY, semconv.ARTIFACT_UPLOAD}


def test_cancelled(started_site: Site) -> None:
    """A cancelled task stays cancelled, and every open span shows it."""
    with held(started_site, CANCELLED) as process:
        output, _ = process.communicate(b"\n", timeout=TIMEOUT)
    run = started_site.ended(process.returncode, output, b"")
    assert run.seen == {"raised": "CancelledError"}, run.output
    cancelled = "asyncio.exceptions.CancelledError"
    assert failures(run.records) == {
        semconv.DEPLOY: (cancelled, "cancelled"),
        semconv.PROVISION: (cancelled, "cancelled"),
        semconv.MANIFEST_UPLOAD: (cancelled, "unknown"),
    }


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals on Windows")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM"])
def test_killed(started_site: Site, number: str) -> None:
    """After a kill the store has the root as started, and the list says what that means."""
    with held(started_site, STORED) as process:
        process.send_signal(signal.Signals[number])
        process.communicate(timeout=TIMEOUT)
    (root,) = [span for span in stored(started_site) if span.name == semconv.DEPLOY]
    assert root.end_ns is None
    assert root.attributes[semconv.DEPLOYMENT_ID] == root.span_id
    listed = subprocess.run(
        [sys.executable, "-m", "flash_otel", "traces", "--store", str(started_site.store)],
        env=started_site.variables(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    ).stdout
    (line,) = [line for line in listed.splitlines() if root.trace_id[:8] in line]
    # Which of them depends on how many spans reached the store before the kill.
    assert "unfinished" in line or semconv.MANIFEST_NEVER_WRITTEN in line
