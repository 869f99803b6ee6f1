"""Fetches put together as reads: a worker's refresh, its attempts and what it knew in the end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from flash_otel import semconv
from flash_otel.diagnosis.evidence import (
    Active,
    Endpoints,
    Fact,
    ManifestFetch,
    Origin,
    RuntimeFetch,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def reads_of(refreshes: Iterable[Fact], attempts: Iterable[Fact]) -> tuple[RuntimeFetch, ...]:
    """Return the reads, oldest first; an attempt that nothing surrounds is a read of its own.

    Args:
        refreshes: Facts of `flash.runtime.fetch`.
        attempts: Facts of `flash.manifest.fetch`, oldest first.
    """
    inside: dict[tuple[str, str], list[ManifestFetch]] = defaultdict(list)
    for one in attempts:
        if isinstance(one, ManifestFetch):
            inside[(one.origin.trace_id, one.parent_id or "")].append(one)
    reads = []
    for read in refreshes:
        if isinstance(read, RuntimeFetch):
            key = (read.origin.trace_id, read.origin.span_id)
            reads.append(_whole(read, inside.pop(key, [])))
    reads += [_bare(one) for rest in inside.values() for one in rest]
    return tuple(sorted(_without_repeats(reads), key=when))


def when(read: Fact) -> tuple[int, Origin]:
    """Order facts by time, those without a clock by their place."""
    return (read.start_ns or 0, read.origin)


def _whole(read: RuntimeFetch, attempts: list[ManifestFetch]) -> RuntimeFetch:
    """Complete a refresh by what its last attempt knew."""
    if not attempts:
        return read
    last = attempts[-1]
    # A null manifest ends each attempt with an error: nothing is in the refresh's own result.
    return replace(
        read,
        attempts=tuple(attempts),
        asked_ns=last.start_ns or read.asked_ns,
        environment_id=read.environment_id or last.environment_id,
        environment_state=read.environment_state or last.environment_state,
        build_id=read.build_id or last.build_id,
        manifest_state=read.manifest_state or last.manifest_state,
        endpoints=_fuller(read, last),
        active=last.active if read.active == Active() else read.active,
    )


def _fuller(read: RuntimeFetch, last: ManifestFetch) -> Endpoints:
    return last.endpoints if read.endpoints.count is None else read.endpoints


def _bare(fetch: ManifestFetch) -> RuntimeFetch:
    return RuntimeFetch(
        origin=fetch.origin,
        process=fetch.process,
        parent_id=fetch.parent_id,
        start_ns=fetch.start_ns,
        end_ns=fetch.end_ns,
        outcome=fetch.outcome,
        failure=fetch.failure,
        fault=fetch.fault,
        environment_id=fetch.environment_id,
        environment_state=fetch.environment_state,
        build_id=fetch.build_id,
        manifest_state=fetch.manifest_state,
        endpoints=fetch.endpoints,
        active=fetch.active,
        asked_ns=fetch.start_ns,
        attempts=(fetch,),
        bare=True,
    )


def _without_repeats(reads: Sequence[RuntimeFetch]) -> list[RuntimeFetch]:
    """Leave out a read told by lines where a span tells the same one at full length."""
    told = {_gist(read) for read in reads if not read.by_lines}
    return [read for read in reads if not (read.by_lines and _gist(read) in told)]


def _gist(read: RuntimeFetch) -> tuple[str | None, str | None, bool, int | None]:
    missing = read.manifest_state == semconv.MANIFEST_NULL
    return (read.environment_id, read.build_id, missing, read.held)
