"""`opentelemetry-instrument flash deploy`, with and without OpenTelemetry's distribution."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
from e2e.test_provider import STEPS
from support.distro import find_distro
from support.flash import run_flash
from support.scripted_collector import HttpCollector

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from support.flash import FlashRun
    from support.site import Site

pytestmark = pytest.mark.flash

# What `opentelemetry-instrument` runs: it puts itself on PYTHONPATH and becomes the command.
INSTRUMENT: Final = (
    "import sys; from opentelemetry.instrumentation.auto_instrumentation import run; "
    "sys.argv[0] = 'opentelemetry-instrument'; run()"
)
TRACES_ONLY: Final = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}


@pytest.fixture(scope="session")
def distro() -> Path:
    """Return a folder that holds opentelemetry-distro, of the instrumentation's own version."""
    return find_distro()


def deploy(site: Site, *packages: Path, **variables: str) -> FlashRun:
    """Run `opentelemetry-instrument flash deploy` with further packages on the path."""
    environ = site.variables(**TRACES_ONLY, **variables)
    path = [environ["PYTHONPATH"], *map(str, packages)]
    flash = str(site.environment.flash)
    return run_flash(
        site.environment,
        site.plane,
        site.project,
        "deploy",
        "--no-deps",
        variables={**environ, "PYTHONPATH": os.pathsep.join(path)},
        launcher=[str(site.environment.python), "-c", INSTRUMENT, flash],
    )


def printed(text: str) -> Counter[str]:
    """Return how often the console exporter has printed each span's name."""
    found: Counter[str] = Counter()
    decoder = json.JSONDecoder()
    for start in re.finditer(r'(?m)^\{\n    "name": "flash\.', text):
        span, _ = decoder.raw_decode(text, start.start())
        found[span["name"]] += 1
    return found


def stored(site: Site) -> list[str]:
    """Return the names of the spans in the site's store, by start time."""
    with SpanStore(site.store) as store:
        return [span.name for span in store.spans()]


@pytest.mark.parametrize("with_distro", [False, True])
def test_console_exporter(started_site: Site, distro: Path, with_distro: bool) -> None:
    """Every span is printed once, by our provider or by the distribution's; and stored once."""
    packages = (distro,) if with_distro else ()
    run = deploy(started_site, *packages, OTEL_TRACES_EXPORTER="console")
    assert run.exit_code == 0, run.stderr
    assert printed(run.stdout) == Counter(STEPS)
    # Only the distribution's provider has it: it was really there.
    assert ("telemetry.auto.version" in run.stdout) == with_distro
    assert stored(started_site) == STEPS
    assert run.stderr.startswith("[DEPLOY] ")


@pytest.mark.parametrize(("version", "with_distro"), [("1.14.0", True), ("1.21.0", False)])
def test_collector(started_site: Site, distro: Path, with_distro: bool) -> None:
    """Every span reaches a configured collector once, in one trace."""
    packages = (distro,) if with_distro else ()
    with HttpCollector() as collector:
        run = deploy(
            started_site,
            *packages,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_SERVICE_NAME="pipeline-42",
        )
    assert run.exit_code == 0, run.stderr
    spans = sorted(collector.spans, key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in spans] == STEPS
    assert len({span.trace_id for span in spans}) == 1
    assert len({span.span_id for span in spans}) == len(STEPS)
    assert collector.services == {"pipeline-42"}
    assert stored(started_site) == STEPS


def test_nothing_configured(started_site: Site) -> None:
    """Without exporter and distribution, spans go to the store alone and nothing is printed."""
    run = deploy(started_site, FLASH_OTEL_LEGACY_LOGS="false")
    assert (run.exit_code, run.stderr) == (0, "")
    assert stored(started_site) == STEPS


def test_other_commands(started_site: Site) -> None:
    """A command that deploys nothing prints its own words only."""
    environ = started_site.variables(**TRACES_ONLY, OTEL_TRACES_EXPORTER="console")
    done = subprocess.run(
        [
            str(started_site.environment.python),
            "-c",
            INSTRUMENT,
            str(started_site.environment.flash),
            "--version",
        ],
        env=environ,
        cwd=started_site.project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1.14.0" in done.stdout
    assert "{" not in done.stdout
    assert not started_site.store.exists()
