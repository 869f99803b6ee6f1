"""The matrix: every fault that the stand-in can produce is named, and no other one."""

from __future__ import annotations

from typing import Final

import pytest
from support.flash import CACHE, ROOT

from flash_otel import semconv
from flash_otel.demo.cases import CASES, NOT_INJECTED, SOURCES
from flash_otel.demo.matrix import header, markdown, measure, not_injected

DOCS: Final = ROOT / "docs" / "matrix.md"
HEALTHY: Final = [name for name, case in CASES.items() if case.code == semconv.NONE]


@pytest.mark.flash
@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named_from_every_source(name: str) -> None:
    """The store with the worker's log, one OTLP file and bare lines each name what they can.

    Where a source holds too little, it says so with the code among those it cannot tell apart, or
    names nothing; another fault it never names. The documented row is what comes out.
    """
    row = measure(CASES[name], CACHE)
    assert row.wrong == []
    assert markdown(row) in DOCS.read_text(encoding="utf-8").splitlines()


def test_every_code_is_injected_or_listed() -> None:
    """Each code of the contract has a case, or a reason for having none."""
    injected = {case.code for case in CASES.values()}
    assert injected | set(NOT_INJECTED) == set(semconv.FAULTS) - {semconv.INCONCLUSIVE}
    assert not injected & set(NOT_INJECTED)


def test_the_documented_matrix_is_whole() -> None:
    """The page has a row for each case that holds, and for each code without one."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    assert set(header().splitlines()) <= set(lines)
    for name in CASES:
        assert any(line.startswith(f"| {name} |") for line in lines), name
    assert set(not_injected()) <= set(lines)
    assert len(HEALTHY) >= 9
    assert len(SOURCES) == 3
