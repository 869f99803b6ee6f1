"""Module state: what a reset and a forked child start from."""

from __future__ import annotations

import os

import pytest

from flash_otel.runtime import state
from flash_otel.runtime.state import ProcessVar


@pytest.fixture(autouse=True)
def registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register nothing beyond the test: a variable is created once, at import."""
    monkeypatch.setattr(state, "_variables", [])
    monkeypatch.setattr(state, "_on_reset", [])


def test_reset_restores_initial_values() -> None:
    """Every variable gets a new initial value, and every action runs."""
    names: ProcessVar[list[str]] = ProcessVar(list)
    calls: list[str] = []
    state.on_reset(lambda: calls.append("reset"))
    before = names.value
    names.value.append("a")
    state.reset()
    assert names.value == []
    assert names.value is not before
    assert calls == ["reset"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child() -> None:
    """A child resets the variables that ask for it and inherits the others; actions do not run."""
    inherited, fresh = ProcessVar(int), ProcessVar(int, reset_in_child=True)
    inherited.value = fresh.value = 1
    state.on_reset(lambda: os._exit(9))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if (inherited.value, fresh.value) == (1, 0) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert (inherited.value, fresh.value) == (1, 1)
