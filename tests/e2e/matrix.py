"""The confusion matrix: the injected fault against the named fault, from each source.

    python -m e2e.matrix        (with PYTHONPATH=tests; `make matrix`)

The diagnosis is `flash-otel diagnose` in a process of its own. It sees files with neutral names and
ids that differ in every run, and nothing of what was injected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from diagnosis.variants import Recorded
from e2e.matrix_cases import (
    CASES,
    DOUBTED,
    FILE,
    LINES,
    NAMED,
    SILENT,
    SOURCES,
    STORE,
    MatrixCase,
)
from e2e.metamorphic import OtherForms

from flash_otel import semconv
from flash_otel.demo.processes import bracketed_lines, worker_spans
from flash_otel.demo.runner import RunArtifacts, run_scenario

_SECONDS: Final = 120.0
NOTHING: Final = "nothing"
"""The verdict on a source without a record."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a diagnosis.

    Attributes:
        verdict: Its verdict; `nothing` if the source holds no record.
        codes: Codes of all findings.
        candidates: Candidates of all findings.
    """

    verdict: str
    codes: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A case and the answers from each source."""

    case: MatrixCase
    answers: Mapping[str, Answer]

    def is_right(self, source: str) -> bool:
        """Return True if the answer from a source is what the source shows, and nothing false."""
        return _RIGHT[self.case.expected(source)](self.case, self.answers[source])

    @property
    def wrong(self) -> list[str]:
        """The sources with a wrong answer, and the answers."""
        return [f"{name}: {self.answers[name]}" for name in SOURCES if not self.is_right(name)]


def _is_named(case: MatrixCase, answer: Answer) -> bool:
    if case.likeliest:
        return answer.verdict == case.likeliest and case.code in answer.candidates
    return answer.verdict == (case.beside or case.code) and case.code in answer.codes


def _is_doubted(case: MatrixCase, answer: Answer) -> bool:
    doubted = answer.verdict == semconv.INCONCLUSIVE and case.code in answer.candidates
    return doubted or _is_named(case, answer)


def _is_harmless(case: MatrixCase, answer: Answer) -> bool:
    """Allow a source that holds too little to miss the fault, but never to name another."""
    harmless = (NOTHING, semconv.NONE, semconv.INCONCLUSIVE)
    return answer.verdict in (*harmless, case.beside) or _is_named(case, answer)


_RIGHT: Final = {NAMED: _is_named, DOUBTED: _is_doubted, SILENT: _is_harmless}


Diagnose = Callable[[list[list[str]], Path], list[Answer]]
"""Takes the arguments of each `flash-otel diagnose` and the store; returns the answers."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The inputs of a diagnosis that a case left behind.

    Attributes:
        case: The case.
        inputs: Source -> arguments of `flash-otel diagnose`; none if the source is empty.
        store: The local store.
    """

    case: MatrixCase
    inputs: Mapping[str, list[str]]
    store: Path

    def row(self, diagnose: Diagnose) -> MatrixRow:
        """Diagnose the case from every source that is not empty."""
        held = {name: inputs for name, inputs in self.inputs.items() if inputs}
        found = dict(zip(held, diagnose(list(held.values()), self.store), strict=True))
        return MatrixRow(self.case, {name: found.get(name, Answer(NOTHING)) for name in SOURCES})


def recording(case: MatrixCase, artifacts: RunArtifacts, folder: Path) -> Recording:
    """Write the inputs of a diagnosis of a run into an existing folder.

    Raises:
        RuntimeError: A deployment of the run failed or succeeded contrary to the case.
    """
    if artifacts.unexpected_exits:
        raise RuntimeError(f"{case.name}: wrong exit codes of {artifacts.unexpected_exits}")
    skew = [] if case.skew_s is None else ["--skew", str(case.skew_s)]
    found = write_inputs(artifacts, folder)
    inputs = {name: found[name] and [*found[name], *skew] for name in SOURCES}
    return Recording(case, inputs, artifacts.store)


def write_inputs(artifacts: RunArtifacts, folder: Path) -> dict[str, list[str]]:
    """Write what a diagnosis may see of a run, separately for each source.

    Returns:
        Source -> arguments of `flash-otel diagnose`; none if the source is empty.
    """
    logs = (*(deploy.log for deploy in artifacts.deploys), *artifacts.worker_logs)
    lines = [_write_lines(log, folder) for log in logs]
    return {
        STORE: _from("store", *artifacts.worker_logs),
        FILE: _from(_write_otlp(artifacts, folder)),
        LINES: _from(*(path for path in lines if path.stat().st_size)),
    }


def _from(*sources: Path | str) -> list[str]:
    return [part for source in sources for part in ("--from", str(source))]


def _write_lines(log: Path, folder: Path) -> Path:
    path = folder / f"l{log.name}"
    path.write_text("".join(f"{line}\n" for line in bracketed_lines(log)), encoding="utf-8")
    return path


def _write_otlp(artifacts: RunArtifacts, folder: Path) -> Path:
    from flash_otel.otlp.encode import encode_json
    from flash_otel.store.store import SpanStore

    with SpanStore(artifacts.store, is_read_only=True) as store:
        records = list(store.spans())
    for log in artifacts.worker_logs:
        records += worker_spans(log)
    path = folder / "f.jsonl"
    path.write_text(json.dumps(encode_json(records)) + "\n", encoding="utf-8")
    return path


# One process for all sources: starting it takes longer than a diagnosis.
_DIAGNOSE: Final = """
import json, sys
from flash_otel.cli.app import status_of
for inputs in json.loads(sys.argv[1]):
    status_of(["diagnose", "--json", *inputs])
    print(end="\\0", flush=True)
"""


def diagnosed(inputs: list[list[str]], store: Path, python: str = sys.executable) -> list[Answer]:
    """Diagnose in a process of its own, which knows nothing of what was injected."""
    ended = subprocess.run(
        [python, "-c", _DIAGNOSE, json.dumps(inputs)],
        env={**os.environ, "FLASH_OTEL_STORE": str(store)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    try:
        return [answer_of(json.loads(text)) for text in ended.stdout.split("\0")[:-1]]
    except ValueError:
        raise RuntimeError(f"diagnose ended with {ended.returncode}: {ended.stderr}") from None


def answer_of(diagnosis: Mapping[str, Any]) -> Answer:
    """Return the answer in the JSON of a diagnosis."""
    findings = diagnosis["findings"]
    return Answer(
        diagnosis["verdict"],
        tuple(finding["code"] for finding in findings),
        tuple(code for finding in findings for code in finding["candidates"]),
    )


def header() -> str:
    """Return the head of the matrix as a Markdown table."""
    columns = ("case", "injected", *SOURCES)
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def markdown(row: MatrixRow) -> str:
    """Return a row of the matrix as a line of a Markdown table."""
    cells = [_cell(row, source) for source in SOURCES]
    return f"| {' | '.join((row.case.name, f'`{row.case.code}`', *cells))} |"


def _cell(row: MatrixRow, source: str) -> str:
    answer = row.answers[source]
    if row.case.beside and row.case.code in answer.codes:
        return f"`{answer.verdict}`, `{row.case.code}`"
    candidates = " or ".join(f"`{code}`" for code in sorted(set(answer.candidates)))
    if not candidates:
        return f"`{answer.verdict}`"
    is_open = answer.verdict == semconv.INCONCLUSIVE
    return f"`{answer.verdict}`{':' if is_open else ', less likely'} {candidates}"


def print_matrix(on_line: Callable[[str], None], cache: Path | None = None) -> bool:
    """Run and diagnose every case in every form, and pass on the matrix line by line.

    Args:
        on_line: Receives each line.
        cache: Where environments are kept; None for the user's cache.

    Returns:
        Whether all answers are right.
    """
    on_line(header())
    wrong: list[str] = []
    for case in CASES.values():
        with tempfile.TemporaryDirectory(prefix="run-") as name:
            inputs = Path(name) / "inputs"
            inputs.mkdir()
            artifacts = run_scenario(case.scenario, workdir=Path(name), cache=cache)
            row = recording(case, artifacts, inputs).row(diagnosed)
            other_forms = OtherForms(case, Recorded.of(artifacts), inputs)
            wrong += [f"{case.name}: {text}" for text in (*row.wrong, *other_forms.wrong())]
        on_line(markdown(row))
    on_line("")
    on_line(f"{len(CASES)} cases, {len(wrong)} wrong answers.")
    for text in wrong:
        on_line(text)
    return not wrong


if __name__ == "__main__":
    sys.exit(0 if print_matrix(lambda line: print(line, flush=True)) else 3)  # noqa: T201 - a script
