"""Fixtures for tests against the real Collector and the real Jaeger (see support/collector.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.collector import Collector, Jaeger, Starter, find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def collector_binaries() -> dict[str, Path]:
    """Paths of the real `otelcol` and `jaeger`; skips without them, fails in CI."""
    return find_binaries()


@pytest.fixture(scope="session")
def running_jaeger(
    collector_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Jaeger]:
    """A Jaeger for all tests of this process: told apart by their trace ids, never killed."""
    starter = Starter(collector_binaries)
    try:
        yield starter.jaeger(tmp_path_factory.mktemp("jaeger"))
    finally:
        starter.end()


@pytest.fixture(scope="session")
def running_collector(
    running_jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """A Collector in front of `running_jaeger`, for all tests of this process; never killed."""
    starter = Starter(find_binaries())
    try:
        yield starter.collector(tmp_path_factory.mktemp("collector"), running_jaeger.otlp)
    finally:
        starter.end()


@pytest.fixture
def starter(collector_binaries: dict[str, Path]) -> Iterator[Starter]:
    """Start Collectors and Jaegers of a test's own, to be killed and restarted as it likes."""
    starter = Starter(collector_binaries)
    try:
        yield starter
    finally:
        starter.end()
