"""Programs of the test machine that a test needs, such as Node and a browser."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(reason: str) -> NoReturn:
    """Skip the test; with FLASH_OTEL_REQUIRE_COLLECTOR set (CI), where everything is, fail it."""
    if os.environ.get("FLASH_OTEL_REQUIRE_COLLECTOR"):
        pytest.fail(f"required here: {reason}")
    pytest.skip(reason)
