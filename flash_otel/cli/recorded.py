"""What this very process has recorded, read back from the store at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord
    from flash_otel.store.store import SpanStore

FLUSH_SECONDS: Final = 2.0
_RECENT: Final = 20  # traces to look through: other processes may write to the store, too
_NO_FAULTS: Final = frozenset({semconv.NONE, semconv.INCONCLUSIVE, semconv.ENVIRONMENT_CREATED})


def recorded_since(started_ns: int, named: str | None) -> list[SpanRecord]:
    """Return the spans of the last trace that this process took part in; none without one.

    Args:
        started_ns: Since when to look, in nanoseconds since the epoch.
        named: The store that was asked for; None for the default one.
    """
    from flash_otel.pipeline import pipeline
    from flash_otel.runtime import options

    # A `flash --help` must not pay for SQLite.
    if not pipeline.has_traced():
        return []
    from flash_otel.store.store import default_path, open_for_reading

    where = options.resolve(store=named).store
    if where is False:
        return []
    pipeline.flush_store(FLUSH_SECONDS)
    store = open_for_reading(where or default_path(), adopts=False)
    if store is None:
        return []
    with store:
        return _own(store, started_ns)


def _own(store: SpanStore, started_ns: int) -> list[SpanRecord]:
    from flash_otel.pipeline import resource

    instance = resource.create().attributes.get(semconv.SERVICE_INSTANCE_ID)
    for summary in store.traces(_RECENT, since_ns=started_ns):
        records = store.trace(summary.trace_id)
        if any(one.resource.get(semconv.SERVICE_INSTANCE_ID) == instance for one in records):
            return records
    return []


def visible_faults(records: list[SpanRecord]) -> list[str]:
    """Return the codes of the faults that single spans carry, each once."""
    codes = (record.attributes.get(semconv.FAULT) for record in records)
    return list(dict.fromkeys(str(code) for code in codes if code and code not in _NO_FAULTS))
