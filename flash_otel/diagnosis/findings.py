"""Findings: what a diagnosis found, the evidence for it, and the wording of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.diagnosis.evidence import UNFINISHED
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flash_otel.diagnosis.case import Case, ReadVerdict
    from flash_otel.diagnosis.evidence import EndpointSet, Origin, RuntimeFetch, SpanFact, Step


MOST_EXHIBITS: Final = 8

_SHORT: Final = 8
_LEFT_OUT: Final = 4  # an id that is hardly longer is not shortened

NOTES: Final = frozenset({semconv.ENVIRONMENT_CREATED})
"""Codes of findings that are worth a note but are no faults."""


@dataclass(frozen=True, slots=True, order=True)
class Exhibit:
    """One piece of evidence: its place, and what it shows."""

    origin: Origin
    says: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, a note, or a verdict without a fault.

    Attributes:
        code: A key of `flash_otel.semconv.FAULTS`.
        sentence: The finding in words, with the concrete ids and names.
        evidence: The spans that prove it.
        confidence: certain, likely or possible.
        deployment_id: The deployment that it is about; empty if unknown.
        remedy_deployer: Advice for the person who deploys.
        remedy_maintainer: Advice for the maintainers of Flash.
        candidates: Of `inconclusive`, the codes that the evidence allows; of a likely fault, less
            likely ones in the same place.
        missing: Evidence that would decide.
        command: The command that gets it.
    """

    code: str
    sentence: str
    evidence: tuple[Exhibit, ...] = ()
    confidence: str = "certain"
    deployment_id: str = ""
    remedy_deployer: str = ""
    remedy_maintainer: str = ""
    candidates: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    command: str = ""

    @property
    def is_fault(self) -> bool:
        """It names a fault, and is neither a note nor a verdict without one."""
        return self.code not in (*NOTES, semconv.NONE, semconv.INCONCLUSIVE)


def exhibits(*pairs: tuple[SpanFact | None, str]) -> tuple[Exhibit, ...]:
    """Make evidence from pairs of a fact and what it shows; pairs without a fact are left out."""
    return tuple(Exhibit(fact.origin, says) for fact, says in pairs if fact is not None)


def several(names: Sequence[str], most: int = 5) -> str:
    """List up to `most` names in a sentence, and count the others."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def count(number: int | None, noun: str) -> str:
    """Return a number with its noun: `1 endpoint`, `2 endpoints`, `no endpoints`."""
    if number is None:
        return f"an unknown number of {noun}s"
    if number == 0:
        return f"no {noun}s"
    return f"{number} {noun}" + ("" if number == 1 else "s")


def renaming(expected: EndpointSet, read: RuntimeFetch) -> str:
    """Describe other names in a read of equally many endpoints; empty if the numbers differ."""
    lost, others = expected.missing_in(read.endpoints), read.endpoints.missing_in(expected)
    if not lost or len(lost) != len(others):
        return ""
    return f"{count(read.held or 0, 'endpoint')}, but {several(others)} instead of {several(lost)}"


def environment(case: Case, environment_id: str | None, *, is_short: bool = True) -> str:
    """Return the name of an environment with its id in brackets, as far as they are known.

    A sentence shortens the id, which stands in full in the evidence and in the tables.
    """
    deployment = case.deployment
    name = case.index.name_of(environment_id)
    if environment_id in (None, deployment.environment_id):
        name = deployment.environment_name or name
    if environment_id is None or name in (None, environment_id):
        return f"environment {environment_id or name}"
    return f"{name} ({short(environment_id) if is_short else environment_id})"


def short(identifier: str) -> str:
    """Return the beginning of a long id, with a mark of the cut."""
    return f"{identifier[:_SHORT]}…" if len(identifier) > _SHORT + _LEFT_OUT else identifier


def what_failed(step: Step) -> str:
    """Describe how a step failed, and why."""
    name = semconv.STEPS.get(step.name, step.name)
    if step.outcome == UNFINISHED:
        return f"{name} did not end"
    if step.is_interrupted:
        return f"{name} was interrupted"
    cause = str(step.failure) if step.failure else "no cause was recorded"
    if step.outcome == semconv.UNKNOWN:
        return f"the outcome of {name} is unknown ({cause})"
    return f"{name} failed ({cause})"


Proof = tuple["RuntimeFetch", "ReadVerdict"]

_SUREST_FIRST = (CERTAIN, LIKELY, POSSIBLE)


def proofs(case: Case, code: str) -> list[Proof]:
    """Return the reads that prove a code, each with its verdict."""
    return [(read, verdict) for read, verdict in case.read_verdicts if verdict.codes == (code,)]


_APART: Final = {
    semconv.MANIFEST_NOT_PERSISTED: "the State Manager then still holds no endpoints",
    semconv.READ_INCOMPLETE: "the State Manager, or a later read, then holds the endpoints",
    semconv.READ_BEFORE_WRITE: "reads after the write then hold the endpoints",
    semconv.ENDPOINTS_MISSING: "the State Manager then still lacks them",
}


def alternatives(found: Sequence[Proof]) -> tuple[str, ...]:
    """Return the other codes that all of a finding's proofs allow."""
    first = found[0][1].others
    return tuple(code for code in first if all(code in verdict.others for _, verdict in found))


def _alternative_exhibits(found: Sequence[Proof]) -> Iterator[Exhibit]:
    read = found[0][0]
    for code in alternatives(found):
        yield Exhibit(read.origin, f"less likely {code}: {_APART.get(code, 'only a read decides')}")


def highest_confidence(found: Sequence[Proof]) -> str:
    """Return the highest confidence among proofs."""
    confidences = (verdict.confidence for _, verdict in found)
    return min(confidences, key=_SUREST_FIRST.index)


def read_exhibits(found: Sequence[Proof]) -> tuple[Exhibit, ...]:
    """Return the first reads as evidence."""
    shown = found[:MOST_EXHIBITS]
    return exhibits(*((read, f"read: {verdict.reason}") for read, verdict in shown))


def proved(case: Case, code: str, sentence: str, *more: Exhibit) -> Iterator[Finding]:
    """Yield one finding for all the reads that prove a code, if any does."""
    found = proofs(case, code)
    if found:
        evidence = (*more, *read_exhibits(found), *_alternative_exhibits(found))
        confidence = highest_confidence(found)
        yield Finding(code, sentence, evidence, confidence, candidates=alternatives(found))
