"""`diagnose`: from records to a verdict with its evidence."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.case import Limits
from flash_otel.diagnosis.choose import Question, choose, narrowed
from flash_otel.diagnosis.collect import collect
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.judge import Diagnosis, Judge, Judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flash_otel.diagnosis.faults import Fault
    from flash_otel.records import SpanRecord

__all__ = ["Diagnosis", "Judged", "diagnose"]

IN_MEMORY: Final = 10_000
"""So many spans of Flash's are judged as they are; more of them are laid out on disk."""


def diagnose(
    records: Iterable[SpanRecord],
    *,
    environment: str | None = None,
    build_id: str | None = None,
    trace_id: str | None = None,
    limits: Limits | None = None,
    faults: Mapping[str, Fault] = FAULTS,
    progress: Callable[[int, int], None] | None = None,
    in_memory: int = IN_MEMORY,
) -> Diagnosis:
    """Name the fault that the records show, with its evidence; or say that there is none.

    Memory does not grow with the number of records.

    Args:
        records: Spans of any source or of several, in any order.
        environment: Id or name of the environment that is asked about.
        build_id: Build that is asked about, or its first characters.
        trace_id: Trace that is asked about, or its first digits.
        limits: What is taken for granted, such as the skew of clocks.
        faults: The fault table.
        progress: Called with the environments that were judged so far, and all there are, where
            there are many.
        in_memory: How many spans are judged without being laid out on disk.

    Raises:
        SpoolError: There is no room on disk for that many.
    """
    asked = Question(environment, build_id, trace_id)
    answer = Judge(limits or Limits(), faults)
    mine = (one for one in records if one.name in semconv.SPANS)
    first = list(islice(mine, in_memory + 1))
    if len(first) > in_memory:
        from flash_otel.diagnosis.spooled import diagnose_spooled

        everything = chain(first, mine)
        del first
        return diagnose_spooled(everything, asked, answer, progress)
    evidence = collect(first)
    chosen = choose(evidence, asked)
    if asked and not chosen.deployments:
        evidence = narrowed(evidence, asked)
    answer.judge(evidence, chosen.deployments or (None,))
    return answer.diagnosis(chosen.others)
