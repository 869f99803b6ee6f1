"""Delivers the spans of a request before its answer leaves the worker.

The platform may freeze a worker as soon as it has responded. Before that, ended spans are stored,
or sent if only memory holds them, and the response waits for them at most
FLASH_OTEL_REQUEST_BUDGET seconds. Spans that are not acknowledged by then are also written to the
worker's log, and remain queued. A response does not wait for a destination that fails, or that is
still busy with an earlier request. A worker without an endpoint writes each span to its log when
it ends, and never waits.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from flash_otel import pipeline
from flash_otel.runtime import options as opts
from flash_otel.runtime.process import swallowed

if TYPE_CHECKING:
    import threading

# An event loop cannot wait for a thread's event, and the threads of its pool may all be busy.
_POLL_S: Final = 0.002


def flush_request() -> None:
    """Flush spans, and wait in this thread, which only a blocking handler uses."""
    deadline = time.monotonic() + opts.request_budget()
    # Not `guarded`: what a server throws into a thread that waits is the server's.
    try:
        for event in pipeline.request_flush():
            event.wait(max(0.0, deadline - time.monotonic()))
        pipeline.log_unsent()
    except Exception:
        swallowed("the end of a request")


async def flush_request_async() -> None:
    """Flush spans and wait while the event loop serves other requests."""
    deadline = time.monotonic() + opts.request_budget()
    try:
        events = pipeline.request_flush()
        while _are_pending(events) and time.monotonic() < deadline:  # noqa: ASYNC110 - set by threads
            await asyncio.sleep(_POLL_S)
        pipeline.log_unsent()
    except Exception:
        swallowed("the end of a request")


async def flush_all_async() -> None:
    """Flush all spans at the end of an application, within the exit budget."""
    try:
        await asyncio.to_thread(pipeline.flush)
    except Exception:
        swallowed("the end of an application")


def _are_pending(events: list[threading.Event]) -> bool:
    return not all(event.is_set() for event in events)
