"""Deploy with every published version of Flash, and print what each way of tracing records.

    PYTHONPATH=tests:benchmarks python -m e2e.versions [VERSION ...]     (`make versions` runs all)

Each version deploys the demo's project to the stand-in control plane in three ways, and a worker of
the first deployment makes a user's call. What a version lacks stands in its row; a command that
fails is a gap, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from document import replace_table
from e2e.test_auto_instrumentation import INSTRUMENT, TRACES_ONLY
from e2e.test_user_module import LINE
from support.flash import CACHE, run_flash
from support.site import Site

from flash_otel import __version__, semconv
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import find_environment
from flash_otel.demo.processes import worker_spans
from flash_otel.demo.project import carried_trace_id, unpack
from flash_otel.demo.releases import generation_of
from flash_otel.diagnosis import diagnose
from flash_otel.flash_versions import release
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.records import SpanRecord

VERSIONS: Final = (
    *("1.0.0", "1.1.1", "1.2.0", "1.3.0", "1.4.0", "1.4.1", "1.4.2", "1.5.0", "1.6.0", "1.6.1"),
    *("1.7.0", "1.8.0", "1.8.1", "1.9.0", "1.9.1", "1.10.0", "1.10.1", "1.10.2", "1.11.0"),
    *("1.11.1", "1.11.2", "1.11.3", "1.12.0", "1.13.0", "1.14.0", "1.15.0", "1.16.0", "1.17.0"),
    *("1.18.0", "1.19.0", "1.20.0", "1.20.1", "1.21.0", "2.0.0rc2"),
)
"""Every release of runpod-flash on the index, the yanked 1.10.1 among them; and runpod 2."""

STEPS: Final = (
    semconv.DEPLOY,
    semconv.BUILD,
    semconv.ARTIFACT_UPLOAD,
    semconv.ACTIVATE,
    semconv.PROVISION,
    semconv.PROVISION_ENDPOINT,
    semconv.MANIFEST_UPLOAD,
)
LAUNCHER, MODULE, AUTO = "`flash-otel run`", "`instrument()`", "`opentelemetry-instrument`"
HEAD: Final = (
    f"| version | {LAUNCHER} | {MODULE} in the module | {AUTO} | context in | "
    "a worker's call records | verdict |"
)
_RUN_ON: Final = re.compile(r"^Run on .*$", re.MULTILINE)
_NOTHING: Final = "nothing"
_AT_ONCE: Final = 2
# The first release has no single command for it, and deploys to an environment that exists.
_APART: Final = (("build",), ("deploy", "new", "production"), ("deploy", "send", "production"))
_APART_UNTIL: Final = (1, 1)
_UNSERVED: Final = {
    "1.0.0": "its deployment waits for the load balancer to answer over TLS, which no stand-in does"
}
"""Versions whose deployment fails for the lack of something that only Runpod has, and why."""
_CALL: Final = """
import os, runpy, sys
from flash_otel.demo import worker

os.environ[worker.TRACED_VARIABLE] = "1"
sys.argv = ["worker", "function"]
runpy.run_path(worker.__file__, run_name="__main__")
"""


@dataclass
class VersionRow:
    """What one version gave.

    Attributes:
        version: The version.
        ways: Spans of the deployment, by the way that it was traced.
        carriers: Where the deployment's context was found.
        worker: Names of the spans of a worker's call.
        verdict: The verdict on the first deployment and that worker.
        gaps: What failed.
    """

    version: str
    ways: dict[str, list[SpanRecord]] = field(default_factory=dict)
    carriers: list[str] = field(default_factory=list)
    worker: list[str] = field(default_factory=list)
    verdict: str = ""
    gaps: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the row of the table."""
        cells = [
            self.version,
            *(_steps(self.ways.get(way, [])) for way in (LAUNCHER, MODULE, AUTO)),
            ", ".join(self.carriers) or "-",
            ", ".join(f"`{name}`" for name in dict.fromkeys(self.worker)) or _NOTHING,
            f"`{self.verdict}`",
        ]
        return f"| {' | '.join(cells)} |"


def _steps(records: Sequence[SpanRecord]) -> str:
    """Return which steps of a deployment were recorded, and in how many traces."""
    names = {record.name for record in records}
    if not names:
        return _NOTHING
    missing = [f"`{step}`" for step in STEPS if step not in names]
    traces = len({record.trace_id for record in records})
    parted = f", in {traces} traces" if traces > 1 else ""
    return (f"without {', '.join(missing)}" if missing else "all steps") + parted


def commands(version: str) -> tuple[tuple[str, ...], ...]:
    """Return the arguments of each command that a deployment takes."""
    if release(version) < _APART_UNTIL:
        return _APART
    return (generation_of(version).deploy,)


def row_of(version: str) -> VersionRow:
    """Deploy in each way, and run a worker of the first deployment."""
    row = VersionRow(version)
    for way in (LAUNCHER, MODULE, AUTO):
        with tempfile.TemporaryDirectory() as folder, ControlPlane() as plane:
            site = Site(Path(folder), find_environment(version, cache=CACHE), plane)
            row.gaps += [f"{way}: {gap}" for gap in _deploy(site, way)]
            row.ways[way] = _stored(site)
            if way == LAUNCHER and plane.state.builds:
                _work(site, row)
    return row


def _deploy(site: Site, way: str) -> Iterator[str]:
    """Run the commands of a deployment; yield what each one that failed printed last."""
    environment, variables = site.environment, site.variables(**TRACES_ONLY)
    script = str(environment.flash)
    launcher = {
        LAUNCHER: [str(environment.python), "-m", "flash_otel", "run", "--", script],
        MODULE: [script],
        AUTO: [str(environment.python), "-c", INSTRUMENT, script],
    }[way]
    if way == MODULE:
        module = next(site.project.glob("gpu_*.py"))
        module.write_text(LINE + module.read_text(encoding="utf-8"), encoding="utf-8")
    for arguments in commands(environment.version):
        run = run_flash(
            environment,
            site.plane,
            site.project,
            *arguments,
            variables=variables,
            launcher=launcher,
        )
        if run.exit_code:
            last = (run.stderr or run.stdout).strip().splitlines()[-1:]
            yield f"{' '.join(arguments)} ended with status {run.exit_code}: {''.join(last)}"


def _stored(site: Site) -> list[SpanRecord]:
    if not site.store.exists():
        return []
    with SpanStore(site.store) as store:
        return list(store.spans())


def _work(site: Site, row: VersionRow) -> None:
    """Note where the context is, run a worker, and judge what both recorded."""
    build = next(reversed(site.plane.state.builds.values()))
    with tempfile.TemporaryDirectory() as folder:
        unpack(site.plane.state.artifacts[build.object_key], Path(folder))
        if carried_trace_id(Path(folder)):
            row.carriers.append("the artifact")
    if semconv.CARRIER_KEY in (build.manifest or {}):
        row.carriers.append("the stored manifest")
    done = site.worker(_CALL)
    log = site.folder / "worker.log"
    log.write_text(done.output, encoding="utf-8")
    spans = list(worker_spans(log))
    row.worker = [span.name for span in spans]
    row.verdict = diagnose([*_stored(site), *spans]).verdict
    if done.exit_code:
        row.gaps.append(f"a worker's call: {''.join(done.output.strip().splitlines()[-1:])}")


def table(rows: Iterable[VersionRow]) -> str:
    """Return the rows as a Markdown table."""
    return "\n".join([HEAD, "|" + "---|" * (HEAD.count("|") - 1), *(row.line() for row in rows)])


def _run_on() -> str:
    today = datetime.now(timezone.utc).date()
    return (
        f"Run on {today} with flash_otel {__version__}, Python {platform.python_version()} "
        f"and OpenTelemetry {metadata.version('opentelemetry-sdk')}."
    )


def main() -> int:
    """Run the versions, and print their table and their gaps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="VERSION")
    parser.add_argument("--write", type=Path, help="a document whose table is replaced")
    options = parser.parse_args()
    rows: list[VersionRow] = []
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        for row in pool.map(row_of, options.versions):
            rows.append(row)
            explained = [f"expected: {_UNSERVED[row.version]}"] if row.version in _UNSERVED else []
            print(row.version, *row.gaps, *explained, sep="\n  ", file=sys.stderr, flush=True)
    printed = table(rows)
    print(printed)
    if options.write:
        replace_table(options.write, printed)
        text = _RUN_ON.sub(_run_on(), options.write.read_text(encoding="utf-8"))
        options.write.write_text(text, encoding="utf-8")
    return 1 if any(row.gaps for row in rows if row.version not in _UNSERVED) else 0


if __name__ == "__main__":
    sys.exit(main())
