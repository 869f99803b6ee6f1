"""A soak: real deployments and workers against a collector that fails at random.

    python benchmarks/soak.py [--minutes 10] [--deployments 200] [--fetches 2000] [--seed 1]

Real Flash throughout (1.14.0, the last version whose workers read the State Manager), each
deployment and worker a process of its own, against the stand-in control plane; half of the fetches
are one long-lived worker's. Exit status 0 if every span arrived in the end, was repeated only where
an acknowledgement was lost, and memory stayed flat.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from document import replace_table
from flaky_collector import FlakyCollector, Key

from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import CACHE_VARIABLE, PythonEnvironment, find_environment
from flash_otel.demo.processes import flash_environment, worker_variables
from flash_otel.demo.project import CALLING_RESOURCE, unpack, write_project
from flash_otel.otlp.decode import decode_log_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[1]
VERSION: Final = "1.14.0"
PER_WORKER: Final = 10
CALLS_PER_S: Final = 10
SAMPLE_S: Final = 2.0
# Growth of the resident size from the second quarter of the run to the last one.
FLAT: Final = 1.05
WARM_MINUTES: Final = 2.0
_COLLECTOR: Final = {
    "FLASH_OTEL_EXIT_BUDGET": "0.5",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
}


@dataclass
class Site:
    """What all processes of the soak share."""

    folder: Path
    environment: PythonEnvironment
    plane: ControlPlane
    collector: FlakyCollector
    made: dict[str, Path] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The store of the developer's machine."""
        return self.folder / "state" / "spans.db"

    def deployer(self) -> dict[str, str]:
        """Return the variables of a deployment."""
        return {
            **flash_environment(self.plane.base_url, home=self.folder),
            **_COLLECTOR,
            "PYTHONPATH": str(self.environment.source),
            "FLASH_OTEL_STORE": str(self.store),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url,
        }

    def worker(self) -> dict[str, str]:
        """Return the variables of a worker of the deployed application."""
        state = self.plane.state
        app = self.folder / "worker"
        unpack(state.artifacts[next(reversed(state.builds.values())).object_key], app)
        endpoint = next(
            found for found in state.endpoints.values() if found.name == CALLING_RESOURCE
        )
        variables = worker_variables(
            self.plane.base_url,
            self.environment,
            home=self.folder,
            app=app,
            template_env=state.templates[endpoint.template_id].env,
            endpoint_id=endpoint.id,
            pod_id="pod1",
        )
        return {**variables, **_COLLECTOR, "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url}

    def job(self, work: str, **more: Any) -> dict[str, Any]:
        """Return a job whose files are in the folder, one set for each kind of work."""
        files = {name: str(self.folder / f"{work}.{name}") for name in ("out", "err", "ended")}
        return {"work": work, **files, **more}

    def keys(self, work: str) -> set[Key]:
        """Return the spans that all processes of a kind of work have ended."""
        return _keys(self.folder / f"{work}.ended")


class Forker:
    """A process that has imported Flash, and forks one job after another."""

    def __init__(self, site: Site, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [str(site.environment.python), str(Path(__file__).with_name("soak_child.py"))],
            cwd=site.folder,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.failed = 0

    def run(self, job: dict[str, Any], started: Callable[[int], None] = lambda _: None) -> None:
        """Run a job to its end; count it if it fails."""
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        started(int(self._process.stdout.readline()))
        self.failed += int(self._process.stdout.readline()) != 0

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(60)


@dataclass
class Memory:
    """The resident size of a long-lived process over time, in MiB."""

    name: str
    sizes: list[float] = field(default_factory=list)

    def watch(self, pid: int) -> None:
        """Sample until the process has ended."""
        threading.Thread(target=self._sample, args=(pid,), daemon=True).start()

    def _sample(self, pid: int) -> None:
        while True:
            try:
                pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            except (OSError, IndexError):
                return
            if pages:
                self.sizes.append(pages * 4096 / 2**20)
            time.sleep(SAMPLE_S)

    @property
    def quarters(self) -> list[float]:
        """The median size in each quarter of the run."""
        length = max(1, len(self.sizes) // 4)
        return [
            statistics.median(self.sizes[start : start + length])
            for start in range(0, 4 * length, length)
            if self.sizes[start : start + length]
        ]

    @property
    def is_flat(self) -> bool:
        """Whether the last quarter needs no more than the second."""
        quarters = self.quarters
        return len(quarters) < 4 or quarters[3] <= FLAT * quarters[1]


def _keys(file: Path) -> set[Key]:
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    return {(line.split()[0], line.split()[1]) for line in lines}


def _every(count: int, minutes: float, act: Callable[[], None]) -> None:
    """Act so many times within the minutes, evenly."""
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number * minutes * 60 / count - time.monotonic()))
        act()


@contextmanager
def sites(seed: int) -> Iterator[Site]:
    """Run control plane and collector."""
    cache = Path(os.environ.get(CACHE_VARIABLE) or ROOT / ".cache")
    environment = find_environment(VERSION, cache=cache, on_progress=print)
    with (
        tempfile.TemporaryDirectory() as folder,
        ControlPlane(seed=seed) as plane,
        FlakyCollector(seed) as collector,
    ):
        yield Site(Path(folder), environment, plane, collector)


def run(site: Site, arguments: argparse.Namespace) -> tuple[list[Memory], int]:
    """Let everything run for the minutes; return the memory, and how many processes failed."""
    minutes, project = arguments.minutes, site.folder / "gpu_app"
    write_project(project, VERSION)
    long_lived = arguments.fetches // 2
    workers = max(1, (arguments.fetches - long_lived) // PER_WORKER)
    memories = [Memory("a worker"), Memory("a host with a store")]
    with ExitStack() as stack:

        def forker(variables: dict[str, str]) -> Forker:
            made = Forker(site, variables)
            stack.callback(made.close)
            return made

        deploys, calls = forker(site.deployer()), forker(site.deployer())
        deploy = site.job("deploy", folder=str(project))
        deploys.run(deploy)
        short, long = forker(site.worker()), forker(site.worker())
        pause_s = minutes * 60 / max(1, long_lived)
        fetch = site.job("fetch", fetches=PER_WORKER, pause_s=0.0)
        fetches = site.job("fetch", fetches=long_lived, pause_s=pause_s)
        called = int(minutes * 60 * CALLS_PER_S)
        call = site.job("call", calls=called, pause_s=1 / CALLS_PER_S)
        threads = [
            threading.Thread(target=target, args=given)
            for target, given in (
                (_every, (arguments.deployments - 1, minutes, lambda: deploys.run(deploy))),
                (_every, (workers, minutes, lambda: short.run(fetch))),
                (long.run, (fetches, memories[0].watch)),
                (calls.run, (call, memories[1].watch)),
            )
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(30)
            print(_progress(site), flush=True)
            for thread in threads[1:]:
                thread.join(0 if threads[0].is_alive() else None)
    return memories, sum(job.failed for job in (deploys, calls, short, long))


def _progress(site: Site) -> str:
    made = sum(len(site.keys(work)) for work in ("deploy", "fetch", "call"))
    return f"{made} spans made, {len(site.collector.taken)} arrived"


def push(site: Site, *options: str) -> str:
    """Send what waits, with the command that a user would use."""
    done = subprocess.run(
        [sys.executable, "-m", "flash_otel", "push", "--store", str(site.store), *options],
        env={**site.deployer(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


def logged(site: Site) -> set[Key]:
    """Return the spans that workers have left in their logs."""
    with (site.folder / "fetch.err").open(encoding="utf-8", errors="replace") as lines:
        return {span.key for line in lines for span in decode_log_line(line)}


def judge(site: Site, memories: list[Memory], failed: int, arguments: argparse.Namespace) -> bool:
    """Print what became of everything; return whether it is as it should be."""
    collector = site.collector
    collector.heal()
    print(f"final push: {push(site)}")
    repeated = {key for key, times in collector.taken.items() if times > 1}
    unexplained = {key for key in repeated if key not in collector.unacknowledged}
    stored, fetched = site.keys("deploy") | site.keys("call"), site.keys("fetch")
    in_log = logged(site)
    refused = collector.refused - set(collector.taken)
    print(f"push of what a partial success left out: {push(site, '--rejected')}")
    arrived = set(collector.taken)
    lost = {
        "host": stored - arrived,
        "worker": fetched - arrived - in_log - refused,
    }
    rows: list[tuple[str, object]] = [
        ("spans made by deployments", len(site.keys("deploy"))),
        ("spans made by a long-lived host", len(site.keys("call"))),
        ("spans made by workers", len(fetched)),
        ("of these only in the workers' own logs", len(in_log - arrived)),
        ("of these rejected by a partial success", len(refused & fetched)),
        ("spans of hosts that never arrived", len(lost["host"])),
        ("spans of workers that were lost", len(lost["worker"])),
        ("spans that no process made", len(arrived - stored - fetched)),
        ("spans accepted more than once", len(repeated)),
        ("of these without a lost acknowledgement", len(unexplained)),
        ("processes that failed", failed),
        *((name, count) for name, count in sorted(collector.outcomes.items())),
        *(
            (f"resident size of {memory.name}, MiB by quarter", _sizes(memory))
            for memory in memories
        ),
    ]
    table = "".join(
        f"| {name} | {value} |\n" for name, value in [("soak", ""), ("---",) * 2, *rows]
    )
    print(f"\n{table}")
    if arguments.write is not None:
        replace_table(arguments.write, table)
    # A short run is all warm-up: imports and caches still grow in its last quarter.
    has_grown = arguments.minutes >= WARM_MINUTES and not all(memory.is_flat for memory in memories)
    return not (any(lost.values()) or unexplained or failed or has_grown)


def _sizes(memory: Memory) -> str:
    return ", ".join(f"{size:.1f}" for size in memory.quarters)


def main() -> int:
    """Run the soak and print its verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--deployments", type=int, default=200)
    parser.add_argument("--fetches", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="the document whose table to replace")
    arguments = parser.parse_args()
    with sites(arguments.seed) as site:
        memories, failed = run(site, arguments)
        is_good = judge(site, memories, failed, arguments)
    print(f"\nseed {arguments.seed}: {'as it should be' if is_good else 'NOT as it should be'}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
