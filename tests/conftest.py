"""Fixtures for all tests: environments with a real Flash, and a stand-in control plane."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.flash import FlashEnvironments

from flash_otel.demo.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

# No test asserts timing: a busy machine must not fail one by hypothesis's own deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A test run that a shell put into the background ignores SIGINT, and so would all of its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def flash_env() -> FlashEnvironments:
    """Call it with a version of runpod-flash to get a Python that has it (made once, then kept)."""
    return FlashEnvironments()


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    """A running stand-in control plane whose ids are the same in every run."""
    with ControlPlane(seed=1) as plane:
        yield plane
