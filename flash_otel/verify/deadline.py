"""Runs a coroutine until a deadline, whatever it waits for."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class _Detached(ThreadPoolExecutor):
    """Runs each call in a daemon thread that nobody waits for.

    A name lookup runs in the loop's executor and cannot be interrupted; the ordinary executor is
    waited for when the process exits.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="flash_otel-lookup", daemon=True).start()
        return future


def within(seconds: float, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop of its own and return its result.

    Args:
        seconds: How long at most.
        make: Makes the coroutine.

    Raises:
        asyncio.TimeoutError: The time is over; the coroutine was cancelled.
    """
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_Detached())
    try:
        return loop.run_until_complete(asyncio.wait_for(make(), seconds))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
