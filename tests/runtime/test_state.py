"""Module state: what a reset and a forked child start from."""

from __future__ import annotations

import os

import pytest

from flash_otel.runtime import process
from flash_otel.runtime.process import ProcessVar


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register nothing beyond the test: a variable is created once, at import."""
    monkeypatch.setattr(process, "_variables", [])
    monkeypatch.setattr(process, "_on_reset", [])


def test_reset_restores_initial_values() -> None:
    """Every variable gets a new initial value, and every action runs."""
    names: ProcessVar[list[str]] = ProcessVar(list)
    calls: list[str] = []
    process.on_reset(lambda: calls.append("reset"))
    before = names.value
    names.value.append("a")
    process.reset()
    assert names.value == []
    assert names.value is not before
    assert calls == ["reset"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child() -> None:
    """A child resets the variables that ask for it and inherits the others; actions do not run."""
    inherited, fresh = ProcessVar(int), ProcessVar(int, reset_in_child=True)
    inherited.value = fresh.value = 1
    process.on_reset(lambda: os._exit(9))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if (inherited.value, fresh.value) == (1, 0) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (inherited.value, fresh.value) == (1, 1)
