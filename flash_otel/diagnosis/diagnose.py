"""`diagnose`: from records to a verdict with its evidence."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.case import Limits
from flash_otel.diagnosis.choose import (
    Question,
    choose,
    current_of,
    names_in,
    narrowed,
    unmatched,
)
from flash_otel.diagnosis.collect import collect
from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.environments import Environment, Environments
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.faults.verdicts import verify_command_for
from flash_otel.diagnosis.judge import Diagnosis, Judge, Judged
from flash_otel.diagnosis.recorded import RecordedSpans, laid_out
from flash_otel.diagnosis.related import RelatedSpans
from flash_otel.store import references as refs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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
    app: str | None = None,
    limits: Limits | None = None,
    faults: Mapping[str, Fault] = FAULTS,
    progress: Callable[[int, int], None] | None = None,
    in_memory: int = IN_MEMORY,
) -> Diagnosis:
    """Name the fault that the records show, with its evidence, or report that there is none.

    A deployment must match everything that is asked for. Memory does not grow with the number of
    records.

    Args:
        records: Spans of any sources, in any order; or those of a store, which are looked up.
        environment: Id or name of the environment to judge.
        build_id: Build to judge, or its first characters.
        trace_id: Trace to judge, or its first digits.
        app: Name of the app to judge.
        limits: Assumptions, such as the skew of clocks.
        faults: The fault table.
        progress: Called with the number of judged environments and their total, unless all is
            judged in memory.
        in_memory: Most spans that are judged in memory; more are written to a temporary store.

    Raises:
        StoreError: The store cannot be read, or there is no space for a temporary one.
    """
    asked = Question(environment, build_id, trace_id, app)
    judge = Judge(limits or Limits(), faults)
    if isinstance(records, RecordedSpans):
        return _RecordedDiagnosis(records, judge).diagnosis(asked, progress)
    spans = (record for record in records if semconv.is_evidence(record.name, record.attributes))
    first = list(islice(spans, in_memory + 1))
    if len(first) <= in_memory:
        return _in_memory(first, asked, judge)
    rest = chain(first, spans)
    del first
    with laid_out(rest) as recorded:
        return _RecordedDiagnosis(recorded, judge).diagnosis(asked, progress)


def diagnose_each(
    spans: RecordedSpans, questions: Sequence[Question], limits: Limits | None = None
) -> list[Diagnosis]:
    """Diagnose several deployments of a store, which share most of their evidence.

    Args:
        spans: The spans of the store.
        questions: Each names a deployment, by its trace or its build, or an environment.
        limits: Assumptions, such as the skew of clocks.

    Returns:
        What `diagnose` returns for each question.

    Raises:
        StoreError: The store cannot be read.
    """
    judge = Judge(limits or Limits())
    return _RecordedDiagnosis(spans, judge).diagnoses(questions)


def _in_memory(records: list[SpanRecord], asked: Question, judge: Judge) -> Diagnosis:
    evidence = collect(records)
    chosen = choose(evidence, asked)
    if not asked or chosen.deployments:
        judge.judge(evidence, chosen.deployments or (None,))
        return judge.diagnosis(chosen.others)
    rest = narrowed(evidence, asked)
    judge.judge(rest, (None,))
    found = judge.diagnosis()
    return _without_match(found, asked, names_in(evidence)) if rest.empty else found


def _one_of_each_place(evidence: Evidence, questions: Sequence[Question]) -> Iterable[Deployment]:
    """Return a deployment of each place that deployments are named of."""
    environments = Environments(evidence)
    places = {}
    for asked in questions:
        if asked.names_deployment:
            # Another deployment may know the environment's other name, and the app.
            named = Question(build_id=asked.build_id, trace_id=asked.trace_id)
            for known in choose(evidence, named, environments).deployments:
                places[known.environment_id or known.environment_name, known.app_name] = known
    return places.values()


def _without_match(
    diagnosis: Diagnosis, asked: Question, names: Mapping[str, Iterable[str]]
) -> Diagnosis:
    command = verify_command_for(asked.app, asked.environment)
    findings = tuple(replace(finding, command=command) for finding in diagnosis.findings)
    return replace(
        diagnosis,
        findings=findings,
        command=command,
        unmatched=unmatched(asked, names),
        is_unmatched=True,
    )


class _RecordedDiagnosis:
    """Judges the spans of a store, one environment at a time."""

    def __init__(self, spans: RecordedSpans, judge: Judge) -> None:
        self._spans = spans
        self._judge = judge

    def diagnosis(self, asked: Question, progress: Callable[[int, int], None] | None) -> Diagnosis:
        """Judge what is asked for, or else the environments of now."""
        if asked.environment or asked.names_deployment:
            return self.diagnoses([asked])[0]
        wanted = self._of_app(asked.app) if asked.app else self._wanted()
        chosen = list(islice(wanted, MOST_ENVIRONMENTS))
        for number, environment in enumerate(chosen, 1):
            self._judge_environment(environment)
            if progress is not None:
                progress(number, len(chosen))
        if not self._judge.has_judged:
            # An edited store may list environments whose spans name others.
            if asked:
                return self._judge_rest(asked)
            self._judge_without_deployment()
        others = 0 if asked else self._count_others(frozenset(chosen))
        return self._judge.diagnosis(others)

    def _count_others(self, chosen: frozenset[Environment]) -> int:
        known = chain(
            (Environment(environment_id) for environment_id in self._spans.environments()),
            (Environment("", *place) for place in self._spans.nameless()),
            self._unplaced(),
        )
        return sum(1 for environment in known if environment not in chosen)

    def _unplaced(self) -> Iterator[Environment]:
        """Yield the environments of apps whose deployments know neither an id nor a name."""
        for app in self._values(refs.UNPLACED):
            related = self._related()
            related.load_unplaced(app)
            environments = Environments(related.evidence())
            own = Environment("", "", app)
            if own in environments.groups and environments.is_counted(own):
                yield own

    def diagnoses(self, questions: Sequence[Question]) -> list[Diagnosis]:
        """Judge the deployments of several questions on their common evidence."""
        related = self._related()
        self._load_named(related, questions)
        first = related.evidence()
        environments = Environments(first)
        found = [choose(first, asked, environments).deployments for asked in questions]
        related.load({known.id: known for chosen in found for known in chosen}.values())
        evidence = related.evidence()
        environments = Environments(evidence)
        found = [choose(evidence, asked, environments).deployments for asked in questions]
        distinct = list({known.id: known for chosen in found for known in chosen}.values())
        results = self._judge.results(evidence, distinct)
        judged = {known.id: result for known, result in zip(distinct, results, strict=True)}
        return [
            self._summed_up(judged[known.id] for known in chosen)
            if chosen
            else self._judge_rest(asked)
            for asked, chosen in zip(questions, found, strict=True)
        ]

    def _judge_rest(self, asked: Question) -> Diagnosis:
        """Judge what else matches a question that no deployment matches."""
        related = self._related()
        self._load_named(related, [asked])
        if asked.environment:
            related.load_runtime_of(asked.environment)
        rest = narrowed(related.evidence(), asked)
        found = self._summed_up(self._judge.results(rest, (None,)))
        return _without_match(found, asked, self._names(asked)) if rest.empty else found

    def _summed_up(self, results: Iterable[Judged]) -> Diagnosis:
        judge = Judge(self._judge.limits, self._judge.faults)
        judge.add(results)
        return judge.diagnosis()

    @staticmethod
    def _load_named(related: RelatedSpans, questions: Sequence[Question]) -> None:
        """Load the deployments that are named, and the last ones of their environments."""
        for asked in questions:
            if asked.trace_id:
                related.load_trace(asked.trace_id)
            if asked.build_id:
                related.load_build(asked.build_id)
            if asked.environment:
                related.load_environment(asked.environment, asked.app)
        related.load_owners()
        for deployment in _one_of_each_place(related.evidence(), questions):
            related.load_environment_of(deployment)

    def _names(self, asked: Question) -> dict[str, Iterable[str]]:
        """Return what a question can name, by its fields."""
        names: dict[str, Iterable[str]] = {
            "environment": self._spans.environment_names(),
            "build_id": chain(self._values(refs.BUILD), self._values(refs.READ_BUILD)),
            "app": self._spans.apps(),
        }
        if asked.trace_id:
            related = self._related()
            related.load_trace(asked.trace_id)
            names["trace_id"] = names_in(related.evidence())["trace_id"]
        return names

    def _judge_environment(self, environment: Environment) -> None:
        related = self._related()
        if environment.id or environment.name:
            related.load_environment(environment.id or environment.name, environment.app or None)
        else:
            related.load_newest()
            related.load_unplaced(environment.app)
        related.load(self._chosen(environment, related.evidence()))
        evidence = related.evidence()
        self._judge.judge(evidence, self._chosen(environment, evidence))

    @staticmethod
    def _chosen(environment: Environment, evidence: Evidence) -> list[Deployment]:
        group = Environments(evidence).groups.get(environment)
        return current_of(group) if group else []

    def _judge_without_deployment(self) -> None:
        related = self._related()
        related.load_runtime()
        self._judge.judge(related.evidence(), (None,))

    def _related(self) -> RelatedSpans:
        return RelatedSpans(self._spans, self._judge.limits.skew_s)

    def _of_app(self, app: str) -> Iterator[Environment]:
        """Yield the environments of an app, in no particular order."""
        places = (place.partition(":")[2] for place in self._spans.references(f"{refs.PLACE}:"))
        names = [place.removesuffix(f"/{app}") for place in places if place.endswith(f"/{app}")]
        found: dict[Environment, None] = {}
        for name in names:
            related = self._related()
            related.load_environment(name, app)
            matching = Environments(related.evidence()).matching(name, app)
            found |= dict.fromkeys(matching)
        related = self._related()
        related.load_unplaced(app)
        matching = Environments(related.evidence()).matching(None, app)
        found |= {known: None for known in matching if not any(known[:2])}
        yield from found

    def _wanted(self) -> Iterator[Environment]:
        """Yield the environment of the newest deployment, then those of the reads in files.

        Of these, the ones with the latest deployments come first.
        """
        newest = self._newest()
        if newest is None:
            return
        found = {newest: None}
        environment_ids = set(self._values(refs.FILE_ENVIRONMENT))
        nameless: dict[Environment, None] = {}
        for build in self._values(refs.FILE_BUILD):
            for environment_id, name, app in self._spans.environments_of(build):
                if environment_id:
                    environment_ids.add(environment_id)
                elif name:
                    environment = self._resolved(name, app)
                    nameless |= {environment: None} if environment else {}
        environment_ids |= {known.id for known in nameless if known.id}
        latest = [
            (-deployed_ns, environment_id)
            for environment_id in environment_ids
            if (deployed_ns := self._spans.deployed_ns(environment_id)) is not None
        ]
        found |= {Environment(environment_id): None for _, environment_id in sorted(latest)}
        found |= {known: None for known in nameless if not known.id}
        yield from found

    def _values(self, kind: str) -> Iterator[str]:
        for reference in self._spans.references(f"{kind}:"):
            if value := reference.partition(":")[2]:
                yield value

    def _newest(self) -> Environment | None:
        related = self._related()
        related.load_newest()
        newest = max(related.evidence().deployments, key=recency_key, default=None)
        if newest is None:
            return None
        if not newest.environment_id:
            related.load_environment_of(newest)
        return Environments(related.evidence()).of(newest)

    def _resolved(self, name: str, app: str | None) -> Environment | None:
        """Return the environment of the deployments that know it only by this name and app."""
        related = self._related()
        related.load_environment(name, app)
        environments = Environments(related.evidence())
        for environment, group in environments.groups.items():
            for known in group:
                place = (known.environment_id, known.environment_name, known.app_name)
                if place == (None, name, app):
                    return environment
        return None
