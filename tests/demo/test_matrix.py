"""The matrix: every fault is named, and no other one; each fault's function is needed for it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from support.flash import CACHE, ROOT

from flash_otel import semconv
from flash_otel.cli.app import status_of
from flash_otel.demo.cases import CASES, SAID, Case
from flash_otel.demo.matrix import NOTHING, Named, diagnosed, header, markdown, named, recorded
from flash_otel.diagnosis.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS: Final = ROOT / "docs" / "matrix.md"
REQUIRED: Final = {
    "first deployment",
    "redeployed unchanged",
    "slow upload",
    "retried reads",
    "two environments",
    "two apps in one store",
    "redeployed while a worker runs",
    "the worker's clock is 10 minutes ahead",
    "the worker's clock is 10 minutes behind",
}
"""Healthy variants that nobody may ever take out of the matrix."""


def proves(case: Case) -> str:
    """Return the code without whose function the case's row must come out otherwise."""
    return case.code if case.store == SAID else semconv.INCONCLUSIVE


@contextmanager
def lacking(code: str) -> Iterator[None]:
    """Take a fault's function out of the table, whose order of rows is that of a verdict."""
    whole = dict(FAULTS)
    del FAULTS[code]
    try:
        yield
    finally:
        FAULTS.clear()
        FAULTS.update(whole)


@pytest.mark.flash
@pytest.mark.parametrize("name", CASES)
def test_the_fault_is_named_from_every_source(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store with the worker's log, one OTLP file and bare lines each name what they can.

    Where a source holds too little, it says so with the code among those it cannot tell apart, or
    names nothing; another fault it never names. The documented row is what comes out. Without the
    fault's own function, the same recording gets a row that is wrong.
    """

    def in_process(asked: list[str], store: Path) -> Named:
        if not asked:
            return Named(NOTHING)
        monkeypatch.setenv("FLASH_OTEL_STORE", str(store))
        capsys.readouterr()
        status_of(["diagnose", "--json", *asked])
        return named(json.loads(capsys.readouterr().out))

    with recorded(CASES[name], CACHE) as recording:
        row = recording.row(diagnosed)
        assert recording.row(in_process) == row
        with lacking(proves(recording.case)):
            without = recording.row(in_process)
    assert row.wrong == []
    assert markdown(row) in DOCS.read_text(encoding="utf-8").splitlines()
    assert without.wrong != []


def test_every_fault_function_is_needed() -> None:
    """Each code of the contract has a row that comes out wrong without the code's function."""
    assert {proves(case) for case in CASES.values()} == set(semconv.FAULTS) == set(FAULTS)


def test_the_documented_matrix_is_whole() -> None:
    """The page has a row for each case and no other; the healthy variants are all there."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    first = lines.index(header().splitlines()[0])
    rows = [
        line.split(" | ")[0].removeprefix("| ") for line in lines[first + 2 :] if line[:1] == "|"
    ]
    assert rows == list(CASES)
    assert {name for name in REQUIRED if CASES[name].code == semconv.NONE} == REQUIRED
