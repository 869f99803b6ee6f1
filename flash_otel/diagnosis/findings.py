"""What a diagnosis says: findings, each with its evidence and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.diagnosis.evidence import Fact, Origin

MOST_EXHIBITS: Final = 8

NOTES: Final = frozenset({semconv.ENVIRONMENT_CREATED})
"""Codes that tell something without being a fault."""


@dataclass(frozen=True, slots=True, order=True)
class Exhibit:
    """One piece of evidence: where it stands, and what it says."""

    origin: Origin
    says: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or that could not be told.

    Attributes:
        code: A key of `flash_otel.semconv.FAULTS`.
        sentence: What is the matter, with the concrete ids and names.
        evidence: What proves it.
        confidence: certain, likely or possible.
        deployment_id: The deployment that it is about; empty where none is known.
        remedy_deployer: What the person who deploys can do.
        remedy_maintainer: What those who maintain Flash can do.
        candidates: Of `inconclusive`, the codes that the evidence cannot tell apart.
        missing: What evidence would tell.
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
        """It names a fault: neither a note, nor a doubt, nor the absence of faults."""
        return self.code not in (*NOTES, semconv.NONE, semconv.INCONCLUSIVE)


def exhibits(*pairs: tuple[Fact | None, str]) -> tuple[Exhibit, ...]:
    """Make the evidence of a finding from facts and what each says; None is left out."""
    return tuple(Exhibit(fact.origin, says) for fact, says in pairs if fact is not None)


def several(names: Sequence[str], most: int = 5) -> str:
    """List names in a sentence; of many, the first ones."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def count(number: int | None, noun: str) -> str:
    """Say how many of something: `1 endpoint`, `2 endpoints`, `no endpoints`."""
    if number is None:
        return f"an unknown number of {noun}s"
    if number == 0:
        return f"no {noun}s"
    return f"{number} {noun}" + ("" if number == 1 else "s")
