"""Findings from the judgements of single reads: one finding for all the reads that prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel.diagnosis.findings import MOST_EXHIBITS, Exhibit, Finding, exhibits
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.evidence import RuntimeFetch
    from flash_otel.diagnosis.read_verdicts import Judgement

Proof = tuple["RuntimeFetch", "Judgement"]

_SUREST_FIRST = (CERTAIN, LIKELY, POSSIBLE)


def proofs(case: Case, code: str) -> list[Proof]:
    """Return the reads that prove a code, with what each says."""
    return [(read, one) for read, one in case.judgements if one.codes == (code,)]


def surest(found: Sequence[Proof]) -> str:
    """Return how sure the surest of several proofs is."""
    return min((one.confidence for _, one in found), key=_SUREST_FIRST.index, default=CERTAIN)


def reads_say(found: Sequence[Proof]) -> tuple[Exhibit, ...]:
    """Return the reads as evidence; of many, the first ones."""
    return exhibits(*((read, f"read: {one.reason}") for read, one in found[:MOST_EXHIBITS]))


def findings(case: Case, code: str, sentence: str, *more: Exhibit) -> Iterator[Finding]:
    """Yield the finding of a code, if any read proves it."""
    found = proofs(case, code)
    if found:
        yield Finding(code, sentence, (*more, *reads_say(found)), surest(found))
