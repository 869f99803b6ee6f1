"""What a row of the fault table is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.diagnosis.case import Case
    from flash_otel.diagnosis.findings import Finding

Find: TypeAlias = "Callable[[Case], Iterator[Finding]]"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: how it is found, what proves it, and what helps.

    Attributes:
        find: Yields what it finds in a case.
        proof: What proves it.
        deployer: Remedy for the person who deploys.
        maintainer: Remedy for those who maintain Flash.
        hides: Codes of its consequences, which are not reported beside it.
    """

    find: Find
    proof: str
    deployer: str
    maintainer: str
    hides: frozenset[str] = frozenset()
