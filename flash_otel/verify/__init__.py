"""Read back what a worker would read now, through Flash's own client, and judge it.

It needs no recording and writes nothing. If the deployment was recorded, its spans and the
snapshot are diagnosed together.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flash_otel import semconv
from flash_otel.flash_versions import READS_UNTIL, release
from flash_otel.pipeline import resource
from flash_otel.redaction import remember_environment
from flash_otel.verify import client, verdict
from flash_otel.verify.checks import Subject
from flash_otel.verify.snapshot import read_local

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore
    from flash_otel.verify.snapshot import Snapshot


T = TypeVar("T")

RECENT_TRACES: Final = 20

# The deploying side. Earlier reads of workers are no evidence of what they would read now.
_WRITE_PATH: Final = semconv.EVIDENCE - {
    semconv.RUNTIME_FETCH,
    semconv.MANIFEST_FETCH,
    semconv.CALL,
}


def verify(
    app: str,
    environment: str | None = None,
    *,
    expected_build: str | None = None,
    call: bool = False,
    seconds: float = 30.0,
    folder: Path | None = None,
    store: SpanStore | None = None,
) -> verdict.Verification:
    """Read back what a worker would read, and judge it.

    Writes nothing, neither to Runpod nor to disk. The API key is only sent to Flash's own URLs.

    Args:
        app: Name of the app.
        environment: Name or id of the environment; None if the app has only one.
        expected_build: The build that should be active, or its first characters.
        call: Whether to request the health of one endpoint.
        seconds: Deadline of all queries together.
        folder: The project's folder; None for the working folder.
        store: The store that may hold the recorded deployment.

    Raises:
        VerifyError: Nothing could be compared.
    """
    remember_environment()
    with silenced():
        fetcher = client.Fetcher(client.make_client(), app, environment)
        version = resource.flash_version() or ""
        sentinel = release(version) >= READS_UNTIL
        snapshot = _fetch(fetcher, seconds, call=call, sentinel=sentinel)
    subject = Subject(snapshot, expected_build, read_local(folder or Path.cwd()))
    recorded = _recorded(store, snapshot.environment.id) if store is not None else ()
    return verdict.judge(subject, recorded, version)


def _fetch(fetcher: client.Fetcher, seconds: float, *, call: bool, sentinel: bool) -> Snapshot:
    try:
        return run_within(seconds, lambda: fetcher.fetch(call=call, sentinel=sentinel))
    except asyncio.TimeoutError:
        raise client.out_of_time(seconds, fetcher.step) from None


def _recorded(store: SpanStore, environment_id: str) -> Sequence[SpanRecord]:
    """Return the write paths of the recorded deployments to an environment."""
    from flash_otel.store.queries import TraceFilter

    return [
        record
        for summary in store.traces(RECENT_TRACES, TraceFilter(environment_id))
        for record in store.trace(summary.trace_id)
        if record.name in _WRITE_PATH
    ]


@contextmanager
def silenced() -> Iterator[None]:
    """Keep Flash's log out of the terminal and the working folder.

    On import, Flash configures the root logger (standard output, and a file in the working
    folder), unless it already has a handler (`runpod_flash.logger.setup_logging`).
    """
    root = logging.getLogger()
    handler = None if root.handlers else logging.NullHandler()
    if handler is not None:
        root.addHandler(handler)
    before = root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
        if handler is not None:
            root.removeHandler(handler)


class _DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread.

    The loop resolves host names in its executor, where they cannot be cancelled, and the process
    waits for the threads of the standard executor when it exits.
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


def run_within(seconds: float, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `make` returns on a new loop, and cancel it after `seconds`.

    Raises:
        asyncio.TimeoutError: The time limit has passed.
    """
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_DaemonExecutor())
    try:
        return loop.run_until_complete(asyncio.wait_for(make(), seconds))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
