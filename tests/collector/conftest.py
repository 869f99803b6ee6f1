"""Fixtures for tests against the real Collector and Jaeger (see support/real_collector.py)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from collector.exported import Exported, export
from support.certificates import make_access
from support.real_collector import BUNDLE, Access, Collector, Jaeger, Starter, find_binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.runs import ScenarioRuns
    from support.shared import Shared


BUILT_UI: Final = "FLASH_OTEL_JAEGER_UI"
"""Names the folder of a built UI of Jaeger, for the tests that open it in a browser."""


@pytest.fixture(scope="session")
def collector_binaries() -> dict[str, Path]:
    """Paths of the real `otelcol` and `jaeger`; skips without them, fails in CI."""
    return find_binaries()


@pytest.fixture(scope="session")
def running_jaeger(collector_binaries: dict[str, Path], shared: Shared) -> Jaeger:
    """A Jaeger for all tests of the run, which use trace ids of their own; never killed."""

    def start(folder: Path) -> Jaeger:
        assets = {"JAEGER_UI_ASSETS": os.environ.get(BUILT_UI, "")}
        return Starter(collector_binaries).jaeger(folder, **assets).shared_by(shared)

    return shared.once("jaeger", start)


@pytest.fixture(scope="session")
def loaded_jaeger(collector_binaries: dict[str, Path], shared: Shared) -> Jaeger:
    """Another one, for tests that send thousands of spans.

    Reading everything of `running_jaeger`, as a diagnosis does, would take others too long.
    """

    def start(folder: Path) -> Jaeger:
        return Starter(collector_binaries).jaeger(folder).shared_by(shared)

    return shared.once("loaded-jaeger", start)


@pytest.fixture(scope="session")
def running_collector(
    collector_binaries: dict[str, Path], running_jaeger: Jaeger, shared: Shared
) -> Collector:
    """A Collector in front of `running_jaeger`, for all tests of the run; never killed."""

    def start(folder: Path) -> Collector:
        return Starter(collector_binaries).collector(folder, running_jaeger.otlp).shared_by(shared)

    return shared.once("collector", start)


@pytest.fixture
def starter(collector_binaries: dict[str, Path]) -> Iterator[Starter]:
    """Starts Collectors and Jaegers for a single test, which may kill and restart them."""
    starter = Starter(collector_binaries)
    try:
        yield starter
    finally:
        starter.end()


@pytest.fixture(scope="session")
def access(shared: Shared) -> Access:
    """A certificate for 127.0.0.1 by a test authority, and a bearer token."""
    return shared.once("tls", make_access)


@pytest.fixture(scope="session")
def reachable_collector(
    collector_binaries: dict[str, Path], running_jaeger: Jaeger, access: Access, shared: Shared
) -> Collector:
    """A Collector with reachable.yaml: TLS and a token in front of `running_jaeger`."""

    def start(folder: Path) -> Collector:
        configs = [BUNDLE / "reachable.yaml"]
        starter, variables = Starter(collector_binaries), access.of_the_receiver
        made = starter.collector(folder, running_jaeger.otlp, configs, **variables)
        return made.shared_by(shared)

    return shared.once("reachable-collector", start)


@pytest.fixture(scope="session")
def exported(
    running_collector: Collector,
    running_jaeger: Jaeger,
    shared_run: ScenarioRuns,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Exported]:
    """Run a scenario, exporting from deployment and worker; wait until Jaeger has all spans."""
    known: dict[str, Exported] = {}

    def of(name: str) -> Exported:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            known[name] = export(shared_run, name, folder, running_collector, running_jaeger)
        return known[name]

    return of
