"""The matrix: every fault is named and no other, and each row needs its fault's function."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
from e2e.matrix import Answer, answer_of, diagnosed, header, markdown, recording, write_inputs
from e2e.matrix_cases import CASES, FILE, NAMED, MatrixCase
from support.commands import forking
from support.flash import ROOT

from flash_otel import semconv
from flash_otel.cli.app import status_of
from flash_otel.diagnosis.faults import FAULTS
from flash_otel.diagnosis.readers import open_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.runs import ScenarioRuns

    from flash_otel.records import SpanRecord

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
"""Healthy variants that must stay in the matrix."""


def proves(case: MatrixCase) -> str:
    """Return the code whose function the case's row needs."""
    return (case.likeliest or case.code) if case.store == NAMED else semconv.INCONCLUSIVE


@contextmanager
def lacking(code: str) -> Iterator[None]:
    """Take a fault's function out of the table, whose order is that of the verdicts."""
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
    name: str,
    shared_run: ScenarioRuns,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The store with the worker's log, one OTLP file and bare lines each show what they can.

    A source that holds too little shows the code among the candidates, or nothing, but never
    another fault. The row is the documented one. Without the fault's own function, the same
    recording gives a wrong row.
    """

    def in_process(inputs: list[list[str]], store: Path) -> list[Answer]:
        monkeypatch.setenv("FLASH_OTEL_STORE", str(store))
        return [printed(words) for words in inputs]

    def printed(words: list[str]) -> Answer:
        capsys.readouterr()
        status_of(["diagnose", "--json", *words])
        return answer_of(json.loads(capsys.readouterr().out))

    case = CASES[name]
    recorded = recording(case, shared_run(case.scenario), tmp_path)
    row = recorded.row(partial(diagnosed, python=forking()))
    assert recorded.row(in_process) == row
    with lacking(proves(case)):
        without = recorded.row(in_process)
    assert row.wrong == []
    assert markdown(row) in DOCS.read_text(encoding="utf-8").splitlines()
    assert without.wrong != []


@pytest.mark.parametrize("name", CASES)
def test_only_what_is_surely_bad_is_an_error(
    name: str, shared_run: ScenarioRuns, tmp_path: Path
) -> None:
    """No span of a healthy row is an error, and a bad read names the row's fault among others.

    Of a deployment whose command fails, the spans are errors, whether or not another one heals it.
    """
    case = CASES[name]
    artifacts = shared_run(case.scenario)
    spans = list(open_reader(write_inputs(artifacts, tmp_path)[FILE][-1]).records())
    bad = [span for span in spans if semconv.FAULT_CANDIDATES in span.attributes]
    assert all(span.status == "error" for span in bad)
    for span in bad:
        assert case.code in tuple(span.attributes[semconv.FAULT_CANDIDATES])  # type: ignore[arg-type]  # a list
    if semconv.NONE in (case.code, case.beside):
        failed = {span.trace_id for span in spans if _has_failed(span)}
        of_others = [span for span in spans if not _is_step_in(span, failed)]
        assert [span.name for span in of_others if span.status == "error"] == []


def _has_failed(span: SpanRecord) -> bool:
    return span.name == semconv.DEPLOY and span.attributes[semconv.DEPLOYMENT_STATUS] == "failed"


def _is_step_in(span: SpanRecord, trace_ids: set[str]) -> bool:
    return span.name in semconv.DEPLOY_SIDE and span.trace_id in trace_ids


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
