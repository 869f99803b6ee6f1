"""Options: arguments override variables, and an invalid variable has no effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.runtime import options
from flash_otel.runtime.options import (
    Options,
    exit_budget,
    in_worker,
    is_disabled,
    request_budget,
    resolve,
)

OURS = (
    "FLASH_OTEL_LEGACY_LOGS",
    "FLASH_OTEL_STORE",
    "FLASH_OTEL_PROPAGATION",
    "FLASH_OTEL_EXIT_BUDGET",
    "FLASH_OTEL_REQUEST_BUDGET",
    "FLASH_OTEL_SUMMARY",
    "FLASH_OTEL_DISABLED",
    "OTEL_SDK_DISABLED",
    "RUNPOD_ENDPOINT_ID",
    "RUNPOD_POD_ID",
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset all variables that the options read."""
    for name in OURS:
        monkeypatch.delenv(name, raising=False)


def test_defaults() -> None:
    """The defaults: automatic lines and propagation, the default store, no GraphQL capture."""
    assert resolve() == Options()
    assert Options() == Options(None, "auto", "auto", None, capture_graphql=False)


@pytest.mark.parametrize(
    ("variable", "value", "argument", "field", "expected"),
    [
        ("FLASH_OTEL_LEGACY_LOGS", "false", True, "legacy_logs", "false"),
        ("FLASH_OTEL_LEGACY_LOGS", " my.logger ", False, "legacy_logs", "my.logger"),
        ("FLASH_OTEL_PROPAGATION", "link", "parent", "propagation", "link"),
        ("FLASH_OTEL_SUMMARY", "off", True, "summary", False),
        ("FLASH_OTEL_SUMMARY", "1", False, "summary", True),
        ("FLASH_OTEL_STORE", "/tmp/a.db", "b.db", "store", "/tmp/a.db"),
        ("FLASH_OTEL_STORE", "OFF", Path("b.db"), "store", False),
        ("FLASH_OTEL_STORE", "0", "b.db", "store", False),
    ],
)
def test_arguments_win(
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    argument: Any,
    field: str,
    expected: object,
) -> None:
    """A variable is used only if the argument is missing."""
    monkeypatch.setenv(variable, value)
    assert getattr(resolve(), field) == expected
    given_argument: dict[str, Any] = {field: argument}
    assert getattr(resolve(**given_argument), field) == argument


@pytest.mark.parametrize(
    ("store", "expected"), [(True, None), (None, None), (False, False), ("no", False), ("x", "x")]
)
def test_stores(store: Any, expected: object) -> None:
    """True means the default store, False none; any other value is a path."""
    assert resolve(store=store).store == expected


def test_true_beats_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """`store=True` overrides a variable that says off."""
    monkeypatch.setenv("FLASH_OTEL_STORE", "off")
    assert resolve(store=True).store is None


@pytest.mark.parametrize("value", ["", "auto ", "child", "AUTO?", "\n"])
def test_an_invalid_propagation(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """An invalid variable falls back to the default; an invalid argument raises."""
    monkeypatch.setenv("FLASH_OTEL_PROPAGATION", value)
    assert resolve().propagation == "auto"
    with pytest.raises(ValueError, match="it takes auto, link, parent"):
        resolve(propagation="child")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("60", 60.0),
        ("0.25", 0.25),
        ("-1", 0.5),
        ("61", 0.5),
        ("nan", 0.5),
        ("inf", 0.5),
        ("half", 0.5),
        ("", 0.5),
    ],
)
def test_exit_budgets(monkeypatch: pytest.MonkeyPatch, value: str, expected: float) -> None:
    """Values from 0 to 60 seconds are used; anything else falls back to the default."""
    monkeypatch.setenv("FLASH_OTEL_EXIT_BUDGET", value)
    assert exit_budget() == expected


def test_request_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is a tenth of a second."""
    assert request_budget() == 0.1
    monkeypatch.setenv("FLASH_OTEL_REQUEST_BUDGET", "2")
    assert request_budget() == 2
    monkeypatch.setenv("FLASH_OTEL_REQUEST_BUDGET", "forever")
    assert request_budget() == 0.1


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")))
def test_any_variable(value: str) -> None:
    """No value of a variable raises."""
    with pytest.MonkeyPatch.context() as patched:
        for name in OURS:
            patched.setenv(name, value)
        resolve()
        assert 0 <= exit_budget() <= 60
        is_disabled()


@pytest.mark.parametrize(
    ("name", "value", "off"),
    [
        *(("FLASH_OTEL_DISABLED", value, True) for value in ("1", "True", "yes", '"on"')),
        *(("FLASH_OTEL_DISABLED", value, False) for value in ("", "0", "false", "maybe")),
        *(("OTEL_SDK_DISABLED", value, True) for value in ("true", "TRUE", " 'true' ")),
        *(("OTEL_SDK_DISABLED", value, False) for value in ("", "0", "false", "1", "yes")),
    ],
)
def test_switches(monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, off: bool) -> None:
    """Each variable disables tracing if it is true; OpenTelemetry's only by the word `true`."""
    monkeypatch.setenv(name, value)
    assert is_disabled() is off


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is a worker if RUNPOD_ENDPOINT_ID is set; RUNPOD_POD_ID alone does not count."""
    assert not in_worker()
    monkeypatch.setenv("RUNPOD_POD_ID", "pod1")
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "")
    assert not in_worker()
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "endpoint1")
    assert in_worker()
    assert options.in_worker()
