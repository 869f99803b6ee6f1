"""From span records to evidence: each span once, put together by ids, in any order of reading."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis import facts
from flash_otel.diagnosis.deployments import deployments_of
from flash_otel.diagnosis.evidence import Call, Endpoint, Evidence, ManifestUpload, Origin
from flash_otel.diagnosis.reads import reads_of
from flash_otel.diagnosis.values import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flash_otel.diagnosis.evidence import Fact, Process, Readback
    from flash_otel.records import SpanRecord

Key = tuple[str, str]

DEPLOY_SIDE: Final = frozenset(
    {
        semconv.DEPLOY,
        semconv.BUILD,
        semconv.ARTIFACT_UPLOAD,
        semconv.ACTIVATE,
        semconv.PROVISION,
        semconv.PROVISION_ENDPOINT,
        semconv.MANIFEST_UPLOAD,
        semconv.GRAPHQL,
    }
)
_PLACE: Final = re.compile(r"(.*):(\d{1,12})", re.DOTALL)


def collect(records: Iterable[SpanRecord], readbacks: Iterable[Readback] = ()) -> Evidence:
    """Collect the facts of `records`, whatever their order and however often each comes.

    Args:
        records: Spans of any source or of several. A finished record replaces an unfinished one
            of the same span.
        readbacks: What somebody else than a worker has read back.
    """
    spans = sorted(unique(records).values(), key=_order)
    processes = _processes(spans)
    made = [facts.fact_of(one, processes[facts.instance_of(one)], origin(one)) for one in spans]
    by_name: dict[str, list[tuple[SpanRecord, Fact]]] = defaultdict(list)
    for record, fact in zip(spans, made, strict=True):
        by_name[record.name].append((record, fact))
    deploy_side = [pair for name in sorted(DEPLOY_SIDE) for pair in by_name[name]]
    deployments, rest = deployments_of(deploy_side)
    reads = reads_of(
        [fact for _, fact in by_name[semconv.RUNTIME_FETCH]],
        [fact for _, fact in by_name[semconv.MANIFEST_FETCH]],
    )
    return Evidence(
        deployments=deployments,
        reads=reads,
        calls=facts.only(Call, [fact for _, fact in by_name[semconv.CALL]]),
        worker_endpoints=facts.only(Endpoint, rest),
        worker_uploads=facts.only(ManifestUpload, rest),
        readbacks=tuple(readbacks),
    )


def unique(records: Iterable[SpanRecord]) -> dict[Key, SpanRecord]:
    """Keep each of Flash's spans once; the finished and fullest record of it."""
    known: dict[Key, SpanRecord] = {}
    for record in records:
        if record.name not in semconv.SPANS:
            continue
        seen = known.get(record.key)
        if seen is None or _is_fuller(record, seen):
            known[record.key] = record
    return known


def _is_fuller(record: SpanRecord, seen: SpanRecord) -> bool:
    mine, theirs = _fullness(record), _fullness(seen)
    # Two records that contradict each other: the choice must not depend on their order.
    return mine > theirs or (mine == theirs and repr(record) > repr(seen))


def _fullness(record: SpanRecord) -> tuple[bool, int, int, str]:
    end_ns = record.end_ns
    return (end_ns is not None, end_ns or 0, len(record.attributes), record.origin)


def origin(record: SpanRecord) -> Origin:
    """Tell where a record was read."""
    found = _PLACE.fullmatch(record.origin)
    file, line = (found[1], int(found[2])) if found else (record.origin, 0)
    return Origin(file, line, record.trace_id, record.span_id, facts.by_lines(record))


def _order(record: SpanRecord) -> tuple[int, Origin]:
    return (record.start_ns, origin(record))


def _processes(spans: Iterable[SpanRecord]) -> Mapping[str, Process]:
    """Describe each process once; that it is a worker may show on one of its spans only."""
    told: dict[str, SpanRecord] = {}
    workers: set[str] = set()
    for record in spans:
        instance = facts.instance_of(record)
        seen = told.setdefault(instance, record)
        if len(record.resource) > len(seen.resource):
            told[instance] = record
        if shows_worker(record):
            workers.add(instance)
    return {
        instance: facts.process_of(record, instance, worker=instance in workers)
        for instance, record in told.items()
    }


def shows_worker(record: SpanRecord) -> bool:
    """Tell a deployed worker by its resource, or by the variables that it read on asking."""
    resource = record.resource
    if any(text(resource, name) for name in (semconv.FAAS_INSTANCE, semconv.FAAS_NAME)):
        return True
    if record.name == semconv.RUNTIME_FETCH and text(record.attributes, semconv.WORKER_ENDPOINT_ID):
        return True
    return text(resource, semconv.SERVICE_NAME) == facts.WORKER_SERVICE
