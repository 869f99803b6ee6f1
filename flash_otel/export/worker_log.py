"""A worker's export without a collector: finished spans as OTLP/JSON lines in its own log.

A container log with these lines is a full source for `flash-otel diagnose`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from flash_otel.otlp.encode import encode_log_line
from flash_otel.runtime import streams
from flash_otel.runtime.process import swallowed
from flash_otel.runtime.sdk import SpanProcessor, is_ours

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from flash_otel.records import SpanRecord


class WorkerLogSpanProcessor(SpanProcessor):
    """Writes each finished span of the scope `flash_otel` as one line.

    Args:
        stream: The stream to write to; None for standard error, looked up at each line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def on_end(self, span: ReadableSpan) -> None:
        """Write the span."""
        try:
            if not is_ours(span):
                return
            from flash_otel.otlp.from_sdk import to_record

            write(to_record(span), self._stream)
        except Exception:
            swallowed("worker log")


def write(record: SpanRecord, stream: TextIO | None = None) -> None:
    """Write the line of a record to a stream (None: the current standard error), and flush it."""
    streams.write(stream or sys.stderr, encode_log_line(record))
