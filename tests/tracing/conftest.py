"""Each test begins like a fresh process: no variables, no provider, initial state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fresh import fresh_process

from flash_otel.testing import recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.testing import Recorded


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Begin in a fresh process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with fresh_process(monkeypatch):
        yield


@pytest.fixture
def spans() -> Iterator[Recorded]:
    """Record with fixed ids and the fixed clock."""
    with recording() as recorded:
        yield recorded
