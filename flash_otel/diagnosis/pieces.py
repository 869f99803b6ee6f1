"""Put together reads that are recorded in several pieces.

A worker writes the lines of a read beside its span. A log may be split anywhere: one file may end
with a request, and another begin with its response.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from flash_otel import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flash_otel.diagnosis.evidence import EndpointSet, Origin, RuntimeFetch


def fuller(endpoints: EndpointSet, other: EndpointSet) -> EndpointSet:
    """Return the endpoints, or the other ones if nothing is known of them."""
    return other if endpoints.count is None else endpoints


# --- a read as a span and as lines ----------------------------------------------------------------

_Gist = tuple[str | None, str | None, bool, int | None]


def merged(reads: Sequence[RuntimeFetch]) -> list[RuntimeFetch]:
    """Make one read of a span and of the lines of the same read, which knows what both hold."""
    spans = [read for read in reads if not read.by_lines]
    of_gist: dict[_Gist, list[int]] = defaultdict(list)
    for position, read in enumerate(spans):
        of_gist[_gist(read)].append(position)
    alone = []
    for lines in (read for read in reads if read.by_lines):
        alike = of_gist.get(_gist(lines))
        if alike is None:
            alone.append(lines)
            continue
        nearest = min(alike, key=lambda position: _distance(spans[position], lines))
        spans[nearest] = filled(spans[nearest], lines)
    return [*spans, *alone]


def _gist(read: RuntimeFetch) -> _Gist:
    is_missing = read.manifest_state == sc.MANIFEST_NULL
    return (read.environment_id, read.build_id, is_missing, read.held)


def _distance(read: RuntimeFetch, lines: RuntimeFetch) -> tuple[int, int, Origin]:
    """Order reads by how near they are to lines: by time if the lines have one, then by place."""
    apart_ns = abs((read.start_ns or 0) - lines.start_ns) if lines.start_ns else 0
    is_beside = read.origin.file == lines.origin.file
    apart = abs(read.origin.line - lines.origin.line) if is_beside else sys.maxsize
    return (apart_ns, apart, read.origin)


def filled(read: RuntimeFetch, lines: RuntimeFetch) -> RuntimeFetch:
    """Fill what a span does not hold from its lines: it may have been cut, or be an attempt's."""
    return replace(
        read,
        environment_state=read.environment_state or lines.environment_state,
        manifest_state=read.manifest_state or lines.manifest_state,
        endpoints=fuller(read.endpoints, lines.endpoints),
        worker_environment_id=read.worker_environment_id or lines.worker_environment_id,
        worker_endpoint_id=read.worker_endpoint_id or lines.worker_endpoint_id,
        fault=read.fault or lines.fault,
        bare=read.bare and lines.bare,
        in_log=True,
    )


# --- a read in several pieces ---------------------------------------------------------------------


def joined(reads: Sequence[RuntimeFetch]) -> list[RuntimeFetch]:
    """Join the pieces of a read at the borders of divided logs, where only one way is possible."""
    by_file: dict[str, list[RuntimeFetch]] = defaultdict(list)
    for read in reads:
        if read.in_log:
            by_file[read.origin.file].append(read)
    if len(by_file) <= 1:
        return list(reads)
    for pieces in by_file.values():
        pieces.sort(key=lambda piece: piece.origin)
    parts = [_with_whole_start(pieces) for pieces in by_file.values()]
    _join_parts(parts)
    elsewhere = [read for read in reads if not read.in_log]
    return [*elsewhere, *(piece for pieces in parts for piece in pieces)]


def _with_whole_start(pieces: list[RuntimeFetch]) -> list[RuntimeFetch]:
    """Join an attempt and the refresh around it whose first lines stand in another file."""
    first = [piece for piece in pieces[:2] if piece.by_lines]
    attempts = [piece for piece in first if piece.bare]
    refreshes = [piece for piece in first if not piece.bare and piece.environment_id is None]
    if len(attempts) != 1 or len(refreshes) != 1 or not _agree(refreshes[0], attempts[0]):
        return pieces
    return [_together(refreshes[0], attempts[0]), *pieces[2:]]


def _join_parts(parts: list[list[RuntimeFetch]]) -> None:
    """Join each question at the end of a file with the only answer that begins another one."""
    asked = [pieces for pieces in parts if _is_question(pieces[-1])]
    answered = [pieces for pieces in parts if _is_rest(pieces[0])]
    pairs = [
        (head, rest)
        for head in asked
        for rest in answered
        if head is not rest and _agree(head[-1], rest[0])
    ]
    for head, rest in pairs:
        is_only = sum(1 for pair in pairs if pair[0] is head or pair[1] is rest) == 1
        if is_only:
            rest[0] = _together(head.pop(), rest[0])


def _is_question(read: RuntimeFetch) -> bool:
    is_asked = read.by_lines and not read.bare and read.environment_id is not None
    return is_asked and read.held is None


def _is_rest(read: RuntimeFetch) -> bool:
    """Return True if the first lines of a read may stand in another file."""
    is_headless = not read.by_lines or read.bare or read.environment_id is None
    return is_headless and (read.build_id is not None or read.held is not None)


def _agree(read: RuntimeFetch, other: RuntimeFetch) -> bool:
    """Return True if nothing that both pieces hold differs."""
    pairs: Iterable[tuple[object, object]] = (
        (read.environment_id, other.environment_id),
        (read.build_id, other.build_id),
        (read.held, other.held),
        (read.endpoints.names, other.endpoints.names),
    )
    return all(mine == theirs or mine is None or theirs is None for mine, theirs in pairs)


def _together(read: RuntimeFetch, rest: RuntimeFetch) -> RuntimeFetch:
    """Return a refresh whose lines stand in two pieces, or whose span stands in the second."""
    if not rest.by_lines:
        return filled(rest, read)
    whole = filled(read, rest)
    return replace(
        whole,
        environment_id=read.environment_id or rest.environment_id,
        build_id=read.build_id or rest.build_id,
        outcome=rest.outcome if rest.returned else read.outcome,
        end_ns=rest.end_ns or read.end_ns,
        attempts=(*read.attempts, *rest.attempts),
    )
