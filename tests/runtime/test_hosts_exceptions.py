"""Whose an exception is: flash_otel swallows its own, and never one of the host."""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING, Any

import pytest

from flash_otel.runtime.process import guarded, is_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBER = getattr(signal, "SIGUSR2", signal.SIGTERM)


def function(_number: int, _frame: object) -> None:
    """Raise what `pytest.raises` expects, from a call further down."""
    _fail()


def _fail(*_args: object) -> None:
    raise TimeoutError


class Handler:
    """Handles a signal as an object, and by its method."""

    def __call__(self, _number: int, _frame: object) -> None:
        """Raise."""
        raise TimeoutError

    def method(self, _number: int, _frame: object) -> None:
        """Raise."""
        raise TimeoutError


@pytest.fixture
def previous() -> Iterator[None]:
    """Put the handler back afterwards."""
    handler = signal.getsignal(NUMBER)
    yield
    signal.signal(NUMBER, handler)


@pytest.mark.usefixtures("previous")
@pytest.mark.parametrize(
    "handler",
    [
        function,
        Handler(),
        Handler().method,
        functools.partial(_fail, "more"),
        lambda *_: _fail(),
    ],
)
def test_what_a_handler_raises_passes(handler: Callable[..., Any]) -> None:
    """Every kind of handler is recognized, and its exception leaves the guard."""
    signal.signal(NUMBER, handler)
    with pytest.raises(TimeoutError), guarded("a test"):
        signal.raise_signal(NUMBER)


def test_an_interrupt_passes() -> None:
    """The handler of SIGINT is not of Python, and has no frame."""
    with pytest.raises(KeyboardInterrupt), guarded("a test"):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("previous")
@pytest.mark.parametrize("error", [TimeoutError(), SystemExit(3), BaseException("panic")])
def test_all_others_stay_inside(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """What no handler has raised is an internal error, also a `sys.exit` of a plugin."""
    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    signal.signal(NUMBER, function)
    assert not is_hosts(error)
    with guarded("a test"):
        raise error
