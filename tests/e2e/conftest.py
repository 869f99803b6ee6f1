"""Fixtures for tests of a real Flash: a project of one's own, or a deployment that many look at."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.site import Child, Site
from support.versions import MAIN_VERSIONS

from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.scenarios import FaultPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.flash import FlashEnvironments
    from support.warm import WarmEnvironments

Deployed = tuple[Site, Child]


@pytest.fixture
def version() -> str:
    """Return the version of runpod-flash; a test that runs on several is parametrized by it."""
    return "1.14.0"


@pytest.fixture
def site(
    version: str, warm_env: WarmEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> Site:
    """A project that is not deployed yet, with a control plane of its own."""
    return Site(tmp_path, warm_env(version), control_plane)


@pytest.fixture
def started_site(site: Site, version: str, flash_env: FlashEnvironments) -> Site:
    """The same, whose processes are started, not forked: for tests of their start or end."""
    return replace(site, environment=flash_env(version))


@pytest.fixture(scope="session")
def deploy_once(
    warm_env: WarmEnvironments, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Deployed]]:
    """Call it with a version to get what this session's one deployment with it left behind."""
    made: dict[str, Deployed] = {}
    with ExitStack() as stack:

        def deployed(version: str) -> Deployed:
            if version not in made:
                plane = stack.enter_context(ControlPlane(seed=1))
                site = Site(tmp_path_factory.mktemp("site"), warm_env(version), plane)
                made[version] = (site, site.deploy())
            return made[version]

        yield deployed


@pytest.fixture(params=MAIN_VERSIONS)
def deployed(
    request: pytest.FixtureRequest, deploy_once: Callable[[str], Deployed]
) -> Iterator[Deployed]:
    """A deployment with each of the main versions; faults that a test sets end with it."""
    site, run = deploy_once(request.param)
    yield site, run
    site.plane.faults = FaultPlan()


@pytest.fixture
def worker_site(deploy_once: Callable[[str], Deployed]) -> Iterator[Site]:
    """A deployment with the last version whose workers read the State Manager."""
    site, _ = deploy_once("1.14.0")
    yield site
    site.plane.faults = FaultPlan()
