"""SummarySpanProcessor: ends a deployment on a terminal with its summary.

It prints when the process ends, below everything that Flash has printed.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv, wording
from flash_otel.otlp.from_sdk import to_record
from flash_otel.runtime.process import guarded, swallowed
from flash_otel.runtime.sdk import SpanProcessor, is_ours
from flash_otel.runtime.streams import is_terminal
from flash_otel.summary.text import summarize

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

_MOST_SPANS: Final = 1000


class SummarySpanProcessor(SpanProcessor):
    """Collects the steps of the last deployment of this process, and prints their summary.

    Args:
        store: The store that holds the spans; None if nothing does.
    """

    def __init__(self, store: Path | None) -> None:
        self._store = store
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._open: deque[ReadableSpan] = deque(maxlen=_MOST_SPANS)
        self._ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span of a deployment."""
        try:
            if not is_ours(span):
                return
            if span.name not in semconv.DEPLOY_SIDE or span.name == semconv.GRAPHQL:
                return
            if self._pid != os.getpid():
                self._begin()
            self._open.append(span)
            if span.name == semconv.DEPLOY:
                self._ended = [kept for kept in self._open if _trace(kept) == _trace(span)]
                self._open.clear()
        except Exception:
            swallowed("the summary")

    def shutdown(self) -> None:
        """Print the summary, once, if a deployment ended in this process."""
        ended, self._ended = self._ended, []
        if not ended or self._pid != os.getpid() or not is_terminal():
            return
        with guarded("the summary"):
            records = list(map(to_record, ended))
            # An abandoned root alone: Flash did something else, and has reported on it.
            is_alone = len(records) == 1 and wording.outcome(records[0]) == semconv.UNKNOWN
            summary = None if is_alone else summarize(records, self._store)
            if summary is not None:
                summary.print()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's signature
        """Do nothing: the summary comes at the end."""
        return True


def _trace(span: Any) -> int:
    trace_id: int = span.get_span_context().trace_id
    return trace_id
