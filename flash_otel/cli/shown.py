"""A trace with its diagnosis and everything that belongs to it, as `show` prints it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flash_otel.cli.app import CommandError, MissingError
from flash_otel.cli.open_store import (
    HOW_TO_LIST,
    HOW_TO_RECORD,
    NOTHING_RECORDED,
    listing_from,
    trace_named,
    trace_to_read,
)
from flash_otel.cli.sources import DEMO, STORE, Selection, is_running, local_limits

if TYPE_CHECKING:
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord
    from flash_otel.report.overview import Overview
    from flash_otel.store.store import SpanStore

_LAST: Final = "last"
_MOST_WHOLE: Final = 40  # other traces that are shown with all of their spans


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown.

    Attributes:
        records: The spans of the trace, followed by those of the traces that belong to it.
        diagnosis: The diagnosis of its deployment; None if nothing of Flash is recorded.
        overview: What is known of the deployment; None without a diagnosis.
    """

    records: list[SpanRecord]
    diagnosis: Diagnosis | None
    overview: Overview | None

    @property
    def is_running(self) -> bool:
        """Whether the deployment still runs."""
        return self.overview is not None and self.overview.is_running


def trace_shown(trace: str | None, sources: list[str] | None, store: str | None) -> Shown:
    """Return a trace of the store, or of other sources.

    Args:
        trace: The trace's name; None for the deployment that the last trace belongs to.
        sources: The values of `--from`; None for the store.
        store: The store's file as the user named it; None for the default.

    Raises:
        CommandError: There is no such trace, or a source cannot be read.
    """
    selection = Selection(store, trace=trace_to_read(trace))
    with listing_from(sources, selection) as opened:
        if opened is None:
            raise MissingError(NOTHING_RECORDED, HOW_TO_RECORD)
        source = _Source(*opened, is_local=is_store(sources))
        return source.default() if trace is None else source.named(trace)


def is_store(sources: list[str] | None) -> bool:
    """Return True if a store is the only source: the user's, or that of the last demo."""
    return not sources or set(sources) in ({STORE}, {DEMO})


@dataclass(frozen=True, slots=True)
class _Source:
    """Traces, and the same spans as a diagnosis looks them up.

    Attributes:
        store: The store, or a temporary one with the records of files.
        spans: Its spans.
        is_local: It is the local store.
    """

    store: SpanStore
    spans: RecordedSpans
    is_local: bool

    def named(self, name: str) -> Shown:
        """Return a trace with its diagnosis, and what belongs to it.

        Raises:
            CommandError: There is no such trace, or there are several.
        """
        trace_id = trace_named(self.store, name)
        diagnosis = self._diagnosis(trace_id)
        return self._shown(trace_id, diagnosis)

    def default(self) -> Shown:
        """Return the deployment that the last trace belongs to.

        Raises:
            CommandError: There are no traces.
        """
        # All that is given in files belongs together, even without times.
        last = trace_named(self.store, _LAST) if self.is_local else ""
        diagnosis = self._diagnosis(last or None)
        main = _of_deployment(diagnosis, last) or trace_named(self.store, _LAST)
        return self._shown(main, diagnosis)

    def _diagnosis(self, trace_id: str | None) -> Diagnosis | None:
        """Return the diagnosis of a trace's deployment; without a trace, of the last one."""
        from flash_otel.diagnosis import diagnose

        limits = local_limits()
        if trace_id is not None:
            found = diagnose(self.spans, trace_id=trace_id, limits=limits)
            if not found.is_unmatched:
                return found
        # Deployments that were rebuilt from bracketed lines have no trace of their own.
        return _chosen(diagnose(self.spans, limits=limits), trace_id)

    def _shown(self, main: str, diagnosis: Diagnosis | None) -> Shown:
        from flash_otel.report.overview import overview_of

        records = self._records(main, diagnosis)
        if not records:  # the id in an edited store is none
            raise CommandError(f"no recorded trace begins with {main!r}.", HOW_TO_LIST)
        if diagnosis is None:
            return Shown(records, None, None)
        return Shown(records, diagnosis, overview_of(diagnosis.judged[0], records, is_running))

    def _records(self, main: str, diagnosis: Diagnosis | None) -> list[SpanRecord]:
        """Return a trace, the traces around it (the first ones whole), and other linking spans."""
        from flash_otel.report.overview import traces_around

        linking = self.store.linked(main)
        judged = diagnosis.judged[0] if diagnosis else None
        joined = self._joined(main)
        whole = traces_around(main, judged, linking, joined)[: _MOST_WHOLE + 1]
        records = [record for known in whole for record in self.store.trace(known)]
        records += [record for record in linking if record.trace_id not in whole]
        return self._with_origins(records, whole)

    def _joined(self, main: str) -> list[str]:
        """Return the traces that jobs join with a trace, directly or through others."""
        found = [main]
        for trace_id in found:  # it grows meanwhile
            if len(found) > _MOST_WHOLE:
                break
            found += [known for known in self.store.joined(trace_id) if known not in found]
        return found[1:]

    def _with_origins(self, records: list[SpanRecord], traces: list[str]) -> list[SpanRecord]:
        """Return records with the places in files where they were read."""
        if self.is_local:
            return records
        origins = {known.key: known.origin for known in self.spans.in_traces(traces)}
        return [replace(record, origin=origins.get(record.key, "")) for record in records]


def _chosen(diagnosis: Diagnosis, trace_id: str | None) -> Diagnosis | None:
    """Return a diagnosis with the results for a trace alone; without a trace, the last ones."""
    judged = [
        known for known in diagnosis.judged if trace_id is None or trace_id in known.trace_ids
    ]
    if not judged:
        return None
    # Of results without times, the gravest comes first already.
    first = max(judged, key=lambda known: known.deployment.start_ns or 0)
    return replace(diagnosis, judged=(first,), verdict=first.verdict, findings=first.findings)


def _of_deployment(diagnosis: Diagnosis | None, trace_id: str) -> str:
    """Return the trace of the deployment that a trace belongs to, or else the trace itself."""
    if diagnosis is None:
        return trace_id
    from flash_otel.diagnosis.judge import traces_of

    judged = diagnosis.judged[0]
    own = traces_of(judged.deployment)
    if trace_id in own or not own:
        return trace_id or next(iter(judged.trace_ids), "")
    return own[0]
