"""Findings that are proved by the verdicts on single reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, exhibits
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis.case import Case, ReadVerdict
    from flash_otel.diagnosis.evidence import RuntimeFetch

Proof = tuple["RuntimeFetch", "ReadVerdict"]

_SUREST_FIRST = (CERTAIN, LIKELY, POSSIBLE)


def proofs(case: Case, code: str) -> list[Proof]:
    """Return the reads that prove a code, each with its verdict."""
    return [(read, verdict) for read, verdict in case.read_verdicts if verdict.codes == (code,)]


def highest_confidence(found: Sequence[Proof]) -> str:
    """Return the highest confidence among proofs."""
    confidences = (verdict.confidence for _, verdict in found)
    return min(confidences, key=_SUREST_FIRST.index, default=CERTAIN)


def read_exhibits(found: Sequence[Proof]) -> tuple[Exhibit, ...]:
    """Return the first reads as evidence."""
    shown = found[:MOST_EXHIBITS]
    return exhibits(*((read, f"read: {verdict.reason}") for read, verdict in shown))


def proved(case: Case, code: str, sentence: str, *more: Exhibit) -> Iterator[Finding]:
    """Yield one finding for all the reads that prove a code, if any does."""
    found = proofs(case, code)
    if found:
        evidence = (*more, *read_exhibits(found))
        yield Finding(code, sentence, evidence, highest_confidence(found))
