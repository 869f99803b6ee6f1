"""`diagnose`: from records to a verdict with its evidence."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from flash_otel import semconv
from flash_otel.diagnosis.case import Limits
from flash_otel.diagnosis.choose import Question, choose, narrowed
from flash_otel.diagnosis.collect import collect
from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.judge import Diagnosis, Judge, Judged
from flash_otel.diagnosis.recorded import RecordedSpans, laid_out
from flash_otel.diagnosis.related import RelatedSpans
from flash_otel.store import references as refs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flash_otel.diagnosis.evidence import Deployment, Evidence
    from flash_otel.diagnosis.faults import Fault
    from flash_otel.records import SpanRecord

__all__ = ["Diagnosis", "Judged", "diagnose"]

IN_MEMORY: Final = 10_000
"""Up to this number of spans, records are judged in memory."""

MOST_ENVIRONMENTS: Final = 1_000
"""Environments to judge, those with the latest deployments; the others are counted."""


def diagnose(
    records: Iterable[SpanRecord] | RecordedSpans,
    *,
    environment: str | None = None,
    build_id: str | None = None,
    trace_id: str | None = None,
    limits: Limits | None = None,
    faults: Mapping[str, Fault] = FAULTS,
    progress: Callable[[int, int], None] | None = None,
    in_memory: int = IN_MEMORY,
) -> Diagnosis:
    """Name the fault that the records show, with its evidence, or report that there is none.

    Memory does not grow with the number of records.

    Args:
        records: Spans of any sources, in any order; or those of a store, which are looked up.
        environment: Id or name of the environment to judge.
        build_id: Build to judge, or its first characters.
        trace_id: Trace to judge, or its first digits.
        limits: Assumptions, such as the skew of clocks.
        faults: The fault table.
        progress: Called with the number of judged environments and their total, unless all is
            judged in memory.
        in_memory: Most spans that are judged in memory; more are written to a temporary store.

    Raises:
        StoreError: The store cannot be read, or there is no space for a temporary one.
    """
    asked = Question(environment, build_id, trace_id)
    judge = Judge(limits or Limits(), faults)
    if isinstance(records, RecordedSpans):
        return _RecordedDiagnosis(records, judge).diagnosis(asked, progress)
    spans = (record for record in records if record.name in semconv.SPANS)
    first = list(islice(spans, in_memory + 1))
    if len(first) <= in_memory:
        return _in_memory(first, asked, judge)
    rest = chain(first, spans)
    del first
    with laid_out(rest) as recorded:
        return _RecordedDiagnosis(recorded, judge).diagnosis(asked, progress)


def _in_memory(records: list[SpanRecord], asked: Question, judge: Judge) -> Diagnosis:
    evidence = collect(records)
    chosen = choose(evidence, asked)
    if asked and not chosen.deployments:
        evidence = narrowed(evidence, asked)
    judge.judge(evidence, chosen.deployments or (None,))
    return judge.diagnosis(chosen.others)


class _Environment(NamedTuple):
    """An environment to judge: by id, or else by name and app, which may be unknown as well."""

    id: str
    name: str = ""
    app: str = ""

    def chosen(self, evidence: Evidence) -> tuple[Deployment, ...]:
        """Choose the deployments to judge."""
        if self.id:
            return choose(evidence, Question(environment=self.id)).deployments
        return tuple(
            deployment
            for deployment in choose(evidence, Question(environment=self.name or None)).deployments
            if deployment.environment_id is None
            and (deployment.environment_name or "", deployment.app_name or "") == self[1:]
        )


class _RecordedDiagnosis:
    """Judges the spans of a store, one environment at a time."""

    def __init__(self, spans: RecordedSpans, judge: Judge) -> None:
        self._spans = spans
        self._judge = judge

    def diagnosis(self, asked: Question, progress: Callable[[int, int], None] | None) -> Diagnosis:
        """Judge what is asked for, or else the environments of now."""
        if asked:
            self._judge_asked(asked)
            return self._judge.diagnosis()
        wanted = list(islice(self._wanted(), MOST_ENVIRONMENTS))
        if not wanted:
            self._judge_without_deployment()
        for number, environment in enumerate(wanted, 1):
            self._judge_environment(environment)
            if progress is not None:
                progress(number, len(wanted))
        known = sum(1 for _ in chain(self._spans.environments(), self._spans.nameless()))
        return self._judge.diagnosis(max(0, known - len(wanted)))

    def _judge_asked(self, asked: Question) -> None:
        related = self._related()
        if asked.trace_id:
            related.load_trace(asked.trace_id)
        elif asked.build_id:
            related.load_build(asked.build_id)
        elif asked.environment:
            related.load_environment(asked.environment)
        related.load_owners()
        related.load(choose(related.evidence(), asked).deployments)
        evidence = related.evidence()
        chosen = choose(evidence, asked)
        if not chosen.deployments:
            if asked.environment:
                related.load_runtime_of(asked.environment)
            evidence = narrowed(related.evidence(), asked)
        self._judge.judge(evidence, chosen.deployments or (None,))

    def _judge_environment(self, environment: _Environment) -> None:
        related = self._related()
        if environment.id or environment.name:
            related.load_environment(environment.id or environment.name)
        else:
            related.load_newest()
        related.load(environment.chosen(related.evidence()))
        evidence = related.evidence()
        self._judge.judge(evidence, environment.chosen(evidence))

    def _judge_without_deployment(self) -> None:
        related = self._related()
        related.load_runtime()
        self._judge.judge(related.evidence(), (None,))

    def _related(self) -> RelatedSpans:
        return RelatedSpans(self._spans, self._judge.limits.skew_s)

    def _wanted(self) -> Iterator[_Environment]:
        """Yield the environment of the newest deployment, then those of the reads in files.

        Of these, the ones with the latest deployments come first.
        """
        newest = self._newest()
        if newest is None:
            return
        found = {newest: None}
        environment_ids = set(self._values(refs.FILE_ENVIRONMENT))
        places = set()
        for build in self._values(refs.FILE_BUILD):
            for environment_id, name, app in self._spans.environments_of(build):
                if environment_id:
                    environment_ids.add(environment_id)
                places.add((name or "", app or ""))
        latest = [
            (-deployed_ns, environment_id)
            for environment_id in environment_ids
            if (deployed_ns := self._spans.deployed_ns(environment_id)) is not None
        ]
        found |= {_Environment(environment_id): None for _, environment_id in sorted(latest)}
        nameless = (place for place in self._spans.nameless() if place in places)
        found |= {_Environment("", *place): None for place in nameless if places}
        yield from found

    def _values(self, kind: str) -> Iterator[str]:
        for reference in self._spans.references(f"{kind}:"):
            if value := reference.partition(":")[2]:
                yield value

    def _newest(self) -> _Environment | None:
        related = self._related()
        related.load_newest()
        newest = max(related.evidence().deployments, key=recency_key, default=None)
        if newest is None:
            return None
        if newest.environment_id:
            return _Environment(newest.environment_id)
        return _Environment("", newest.environment_name or "", newest.app_name or "")
