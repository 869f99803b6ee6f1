"""The faults of the reliability table that need a real Flash: kills, and a large manifest."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reliability_rows import Row, standing
from support.client import Client, deploy
from support.host_process import SPANS, HostProcess
from support.killing import POINTS, forking, in_store, keys, killed, push
from support.scripted_collector import HttpCollector, Reply
from support.site import Site

from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.environment import find_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = "1.21.0"
ROOT: Final = Path(__file__).parents[1]
ENTRIES: Final = 50_000
# What has ended this long ago is in the store, whatever happens then.
COMMITTED_S: Final = 0.2

_WRITE: Final = """
import asyncio
from runpod_flash.core.api.runpod import RunpodGraphQLClient

names = [f"resource-{{number}}" for number in range({entries})]
manifest = {{
    "resources": {{name: {{"type": "QB", "x": "y" * 950}} for name in names}},
    "resources_endpoints": {{name: f"https://e/v2/{{name}}" for name in names}},
}}

async def deploy():
    async with RunpodGraphQLClient() as client:
        await client.update_build_manifest({build_id!r}, manifest)

asyncio.run({deploy}())
print("done")
ended = time.monotonic()
"""


@contextmanager
def _site() -> Iterator[Site]:
    environment = find_environment(VERSION, cache=ROOT / ".cache")
    with tempfile.TemporaryDirectory() as folder, ControlPlane(seed=1) as plane:
        yield Site(Path(folder), environment, plane)


def kills() -> Iterator[Row]:
    """Kill real deployments at twenty points, and send afterwards what their stores hold."""
    is_up: list[bool] = []
    collector = HttpCollector(judge=lambda _: Reply() if is_up else Reply(503))
    kinds = {
        "kill -9 at 16 requests of a deployment": [
            point for point in POINTS if point[1] != "store"
        ],
        "kill -9 at 4 statements of the store": [point for point in POINTS if point[1] == "store"],
    }
    for fault, points in kinds.items():
        is_up.clear()
        collector.clear()
        with collector, _site() as site, forking(site) as runs:
            made, lines = 0, 0
            kept: set[tuple[str, ...]] = set()
            variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
            for point in points:
                folder, _, (_, stderr) = killed(
                    runs,
                    point,
                    variables,
                    traced=True,
                    settle=lambda _: time.sleep(COMMITTED_S),
                )
                # At a statement, what is committed is mostly the start of a span.
                stored = in_store(folder, finished=point[1] != "store")
                made += len(_committed(folder))
                kept |= stored
                lines = max(lines, stderr.count("flash_otel: "))
            protocol = collector.protocol
            yield Row(fault, protocol, "flash_otel", None, made, set(), kept, lines=lines)
            if points[0][1] == "store":
                continue  # what is still open is not sent
            is_up.append(True)
            stores = list(site.folder.glob("run*/state/spans.db"))
            for store in stores:
                push(store)
            left = [standing(store) for store in stores]
            waits = {key for found, _ in left for key in found}
            duplicated = sum(number for _, number in left)
            yield Row(
                fault,
                protocol,
                "flash_otel, push",
                None,
                made,
                set(collector.keys),
                waits,
                duplicated,
            )


def _committed(folder: Path) -> set[tuple[str, ...]]:
    """Return the spans that a killed deployment must have left.

    At a request: all that have ended, a moment ago at least. At a statement of the store: those
    that another connection has read just before, open or ended.
    """
    read = folder / "committed"
    return keys(read if read.exists() else folder / "ended")


def large_manifest() -> Iterator[Row]:
    """Write a manifest of 50 MB with Flash's own client, traced by us and beside the SDK alone."""
    for with_sdk in (False, True):
        with _site() as site, Client(site.plane) as client, HttpCollector() as collector:
            code = _WRITE.format(
                entries=ENTRIES,
                build_id=deploy(client).build_id,
                deploy="deploy" if with_sdk else "flash_otel.trace_deploy(deploy)",
            )
            victim = HostProcess(
                site.folder,
                collector.url,
                ending=code,
                with_sdk=with_sdk,
                python=str(site.environment.python),
                variables=site.variables(FLASH_OTEL_RAISE=""),
            )
            ended = victim.run()
            assert ended.status == 0, ended.stderr
            # The deployment and the upload, beside those that every process here makes.
            made = SPANS if with_sdk else SPANS + 2
            waits, duplicated = (set(), 0) if with_sdk else standing(site.store)
            yield Row(
                "manifest of 50 MB",
                collector.protocol,
                "SDK" if with_sdk else "flash_otel",
                ended.exit_s,
                made,
                set(collector.keys),
                waits,
                duplicated,
                len(ended.lines),
            )
