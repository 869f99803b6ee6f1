"""The processors that every provider of a pipeline gets: lines, and store or worker log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel.runtime import options as opts
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from flash_otel.runtime.options import Options


def make(options: Options) -> list[SpanProcessor]:
    """Make the processors; one that cannot be made is reported and left out."""
    made: list[SpanProcessor] = []
    for kind in (lines, recording):
        try:
            made += kind(options)
        except Exception:
            swallowed(f"the set-up of {kind.__name__}")
    return made


def lines(options: Options) -> list[SpanProcessor]:
    """Write the bracketed lines, unless they are switched off."""
    if options.legacy_logs is False:
        return []
    from flash_otel.lines.processor import LegacyLogSpanProcessor

    return [LegacyLogSpanProcessor(options.legacy_logs)]


def recording(options: Options) -> list[SpanProcessor]:
    """Choose where spans are kept: in the store, or (in a worker) in its own log."""
    if not has_store(options):
        return _worker_log(options)
    from flash_otel.runtime.warning import warn_once
    from flash_otel.store.paths import default_path
    from flash_otel.store.processor import StoreSpanProcessor

    return [StoreSpanProcessor(options.store or default_path(), warn=warn_once)]


def has_store(options: Options) -> bool:
    """Tell whether spans are kept on disk; a worker has one only where it is named."""
    if options.store is None:
        return not opts.in_worker()
    return options.store is not False


def _worker_log(options: Options) -> list[SpanProcessor]:
    from flash_otel.export import configured
    from flash_otel.export.worker_log import WorkerLogSpanProcessor

    if options.store is False or configured.configured():
        return []
    return [WorkerLogSpanProcessor()]
