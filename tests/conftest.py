"""Fixtures for all tests: environments with a real Flash, and a stand-in control plane."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from support.flash import FlashEnvironments
from support.interpreter import activate
from support.runs import ScenarioRuns
from support.shared import Shared, begin
from support.warm import WarmEnvironments

from flash_otel.demo.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

# No test asserts timing: a busy machine must not fail one by hypothesis's own limits.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A test run that a shell put into the background ignores SIGINT, and so would all of its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


activate()

SHARED: pytest.StashKey[Shared] = pytest.StashKey()
_RUN_FOLDER = "run_folder"


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the run, or take it from the process that controls this worker."""
    given = getattr(config, "workerinput", None)
    config.stash[SHARED] = begin(Path(given[_RUN_FOLDER]) if given else None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids that hold an address: parallel workers would not agree on the tests."""
    moving = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if moving:
        raise pytest.UsageError(f"an id differs in every process, give it a name: {moving[0]}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two workers for each core: while a test waits for a process, another one runs."""
    has_affinity = hasattr(os, "sched_getaffinity")  # of Linux
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return 2 * cores


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the folder of the run to a worker (a hook of pytest-xdist)."""
    node.workerinput[_RUN_FOLDER] = str(node.config.stash[SHARED].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run has started, once its workers have ended."""
    if not hasattr(config, "workerinput"):
        config.stash[SHARED].end()


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Shared:
    """What the whole run makes once, in however many processes (see `support/shared.py`)."""
    return pytestconfig.stash[SHARED]


@pytest.fixture(scope="session")
def flash_env() -> FlashEnvironments:
    """Call it with a version of runpod-flash to get a Python that has it (made once, then kept)."""
    return FlashEnvironments()


@pytest.fixture(scope="session")
def warm_env(shared: Shared, flash_env: FlashEnvironments) -> WarmEnvironments:
    """The same, whose processes have Flash's dependencies loaded (see `support/warm.py`)."""
    return WarmEnvironments(shared, flash_env)


@pytest.fixture(scope="session")
def shared_run(shared: Shared, warm_env: WarmEnvironments) -> ScenarioRuns:
    """Call it with a scenario to get the artifacts of its one shared run, for reading."""
    return ScenarioRuns(shared, warm_env)


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    """A running stand-in control plane whose ids are the same in every run."""
    with ControlPlane(seed=1) as plane:
        yield plane
