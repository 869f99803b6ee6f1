"""Collect the evidence of span records: each span once, put together by ids, in any order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.diagnosis import evidence, facts
from flash_otel.diagnosis.deployments import deployments_of
from flash_otel.diagnosis.mending import mended
from flash_otel.diagnosis.partial import resolved
from flash_otel.diagnosis.pieces import fuller, joined, merged
from flash_otel.records import LOGGED
from flash_otel.store.references import instance_of, shows_worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flash_otel.records import SpanRecord

# What a refresh takes from its last attempt: a null manifest ends each attempt with an error, so
# that the refresh itself has no result.
_ANSWERED: Final = (
    "environment_id",
    "environment_name",
    "environment_state",
    "build_id",
    "manifest_state",
    "generated_at_ns",
    "source_fingerprint",
)


def collect(records: Iterable[SpanRecord]) -> evidence.Evidence:
    """Collect the facts of records in any order, with any number of copies of each.

    Args:
        records: Spans of any sources. A finished record replaces an unfinished one of the same
            span.
    """
    spans = sorted(resolved(mended(unique(records).values())), key=_order)
    processes = _processes(spans)
    by_name: dict[str, list[tuple[SpanRecord, evidence.SpanFact]]] = defaultdict(list)
    served = []
    for record in spans:
        process = processes[instance_of(record)]
        if record.name not in semconv.EVIDENCE:
            served.append(facts.served(record, process))
            continue
        by_name[record.name].append((record, facts.fact_of(record, process)))
    deploy_side = [pair for name in sorted(semconv.DEPLOY_SIDE) for pair in by_name[name]]
    deployments, by_workers = deployments_of(deploy_side)
    return evidence.Evidence(
        deployments=deployments,
        reads=reads_of(
            [fact for _, fact in by_name[semconv.RUNTIME_FETCH]],
            [fact for _, fact in by_name[semconv.MANIFEST_FETCH]],
        ),
        calls=facts.of_kind(evidence.RemoteCall, [fact for _, fact in by_name[semconv.CALL]]),
        served=tuple(served),
        worker_endpoints=facts.of_kind(evidence.EndpointFact, by_workers),
        worker_uploads=facts.of_kind(evidence.ManifestUpload, by_workers),
    )


def unique(records: Iterable[SpanRecord]) -> dict[tuple[str, str], SpanRecord]:
    """Return the fullest record of each of Flash's spans, by its key."""
    known: dict[tuple[str, str], SpanRecord] = {}
    for record in records:
        if not semconv.is_evidence(record.name, record.attributes):
            continue
        seen = known.get(record.key)
        known[record.key] = record if seen is None else _fuller_of(record, seen)
    return known


def _fuller_of(record: SpanRecord, other: SpanRecord) -> SpanRecord:
    """Return the fuller of two records of a span, which stands in a log if either does."""
    kept, left = (record, other) if is_fuller(record, other) else (other, record)
    if left.resource.get(LOGGED) and not kept.resource.get(LOGGED):
        return replace(kept, resource={**kept.resource, LOGGED: True})
    return kept


def is_fuller(record: SpanRecord, other: SpanRecord) -> bool:
    """Return True if a record of a span replaces another one: finished, later, with more data."""
    mine, theirs = _fullness(record), _fullness(other)
    # The choice between contradicting records must not depend on their order.
    return mine > theirs or (mine == theirs and repr(record) > repr(other))


def _fullness(record: SpanRecord) -> tuple[bool, int, int, str]:
    end_ns = record.end_ns
    return (end_ns is not None, end_ns or 0, len(record.attributes), record.origin)


def _order(record: SpanRecord) -> tuple[int, evidence.Origin]:
    return (record.start_ns, facts.origin(record))


def _processes(spans: Iterable[SpanRecord]) -> Mapping[str, evidence.ProcessIdentity]:
    """Describe each process by its fullest resource; any of its spans may show a worker."""
    fullest: dict[str, SpanRecord] = {}
    workers: set[str] = set()
    for record in spans:
        instance = instance_of(record)
        known = fullest.setdefault(instance, record)
        if len(record.resource) > len(known.resource):
            fullest[instance] = record
        if shows_worker(record):
            workers.add(instance)
    return {
        instance: facts.process_of(record, instance, worker=instance in workers)
        for instance, record in fullest.items()
    }


def reads_of(
    refreshes: Iterable[evidence.SpanFact], attempts: Iterable[evidence.SpanFact]
) -> tuple[evidence.RuntimeFetch, ...]:
    """Return the reads, oldest first; an attempt without a refresh is a read of its own.

    Args:
        refreshes: Facts of `flash.runtime.fetch`.
        attempts: Facts of `flash.manifest.fetch`, oldest first.
    """
    inside: dict[tuple[str, str], list[evidence.ManifestFetch]] = defaultdict(list)
    for attempt in facts.of_kind(evidence.ManifestFetch, attempts):
        inside[(attempt.origin.trace_id, attempt.parent_id or "")].append(attempt)
    reads = []
    for read in facts.of_kind(evidence.RuntimeFetch, refreshes):
        key = (read.origin.trace_id, read.origin.span_id)
        reads.append(_with_attempts(read, inside.pop(key, [])))
    reads += [_bare(attempt) for rest in inside.values() for attempt in rest]
    return tuple(sorted(merged(joined(reads)), key=_when))


def _when(read: evidence.SpanFact) -> tuple[int, evidence.Origin]:
    return (read.start_ns or 0, read.origin)


def _with_attempts(
    read: evidence.RuntimeFetch, attempts: list[evidence.ManifestFetch]
) -> evidence.RuntimeFetch:
    """Complete a refresh by the result of its last attempt."""
    if not attempts:
        return read
    last = attempts[-1]
    answered: dict[str, Any] = {
        name: getattr(read, name) or getattr(last, name) for name in _ANSWERED
    }
    return replace(
        read,
        **answered,
        attempts=tuple(attempts),
        asked_ns=last.start_ns or read.asked_ns,
        endpoints=fuller(read.endpoints, last.endpoints),
        active=last.active if read.active == evidence.ActiveManifest() else read.active,
    )


def _bare(fetch: evidence.ManifestFetch) -> evidence.RuntimeFetch:
    return evidence.RuntimeFetch(
        origin=fetch.origin,
        process=fetch.process,
        parent_id=fetch.parent_id,
        start_ns=fetch.start_ns,
        end_ns=fetch.end_ns,
        outcome=fetch.outcome,
        failure=fetch.failure,
        fault=fetch.fault,
        environment_id=fetch.environment_id,
        environment_name=fetch.environment_name,
        environment_state=fetch.environment_state,
        build_id=fetch.build_id,
        manifest_state=fetch.manifest_state,
        endpoints=fetch.endpoints,
        active=fetch.active,
        asked_ns=fetch.start_ns,
        attempts=(fetch,),
        bare=True,
        generated_at_ns=fetch.generated_at_ns,
        source_fingerprint=fetch.source_fingerprint,
        in_log=fetch.in_log,
        loose_count=fetch.loose_count,
    )
