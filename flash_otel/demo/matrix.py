"""The confusion matrix: fault injected against fault named, from each source.

The diagnosis is `flash-otel diagnose` in a process of its own: it sees files under neutral names
and ids that differ in every run, and nothing of what was injected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flash_otel import semconv
from flash_otel.demo.cases import CASES, DOUBTED, SAID, SILENT, SOURCES, Case
from flash_otel.demo.casework import run_case
from flash_otel.demo.seen import lay_out

_SECONDS: Final = 120.0
NOTHING: Final = "nothing"
"""What a source names that holds nothing."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a diagnosis named.

    Attributes:
        verdict: Its verdict; `nothing` where the source holds nothing.
        codes: Codes of all findings.
        candidates: Codes between which it could not tell.
    """

    verdict: str
    codes: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One case and what was named from each source."""

    case: Case
    named: Mapping[str, Named]

    def is_right(self, source: str) -> bool:
        """Tell whether the diagnosis from a source said what it can say, and nothing false."""
        named = self.named[source]
        return _RIGHT[self.case.expected(source)](self.case, named)

    @property
    def wrong(self) -> list[str]:
        """The sources from which the diagnosis was wrong, and what it said."""
        return [f"{one}: {self.named[one]}" for one in SOURCES if not self.is_right(one)]


def _is_named(case: Case, named: Named) -> bool:
    return named.verdict == (case.beside or case.code) and case.code in named.codes


def _is_doubted(case: Case, named: Named) -> bool:
    doubted = named.verdict == semconv.INCONCLUSIVE and case.code in named.candidates
    return doubted or _is_named(case, named)


def _accuses_nobody(case: Case, named: Named) -> bool:
    """Allow a source that holds too little to miss the fault, never to name another."""
    harmless = (NOTHING, semconv.NONE, semconv.INCONCLUSIVE)
    return named.verdict in (*harmless, case.beside) or _is_named(case, named)


_RIGHT: Final = {SAID: _is_named, DOUBTED: _is_doubted, SILENT: _accuses_nobody}


Diagnose = Callable[[list[str], Path], Named]
"""Takes the arguments of `flash-otel diagnose`, and the store; returns what is named."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a case has left to a diagnosis.

    Attributes:
        case: The case.
        asked: Source -> the arguments of `flash-otel diagnose`; none where it holds nothing.
        store: The local store.
    """

    case: Case
    asked: Mapping[str, list[str]]
    store: Path

    def row(self, diagnose: Diagnose) -> Row:
        """Diagnose the case from every source."""
        named = {one: diagnose(self.asked[one], self.store) for one in SOURCES}
        return Row(self.case, named)


@contextmanager
def recorded(case: Case, cache: Path | None = None) -> Iterator[Recording]:
    """Run a case and keep what it has left until the block ends.

    Args:
        case: A row of `CASES`.
        cache: Where environments are kept; None for the user's cache.
    """
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        folder = Path(name)
        left = run_case(case, folder, cache)
        seen = folder / "seen"
        seen.mkdir()
        skew = [] if case.skew_s is None else ["--skew", str(case.skew_s)]
        asked = {one: found and [*found, *skew] for one, found in lay_out(left, seen).items()}
        yield Recording(case, asked, left.store)


def diagnosed(asked: list[str], store: Path) -> Named:
    """Diagnose in a process of its own; `nothing` where there is nothing to read."""
    if not asked:
        return Named(NOTHING)
    ended = subprocess.run(
        [sys.executable, "-m", "flash_otel", "diagnose", "--json", *asked],
        env={**os.environ, "FLASH_OTEL_STORE": str(store)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    try:
        return named(json.loads(ended.stdout))
    except ValueError:
        raise RuntimeError(f"diagnose ended with {ended.returncode}: {ended.stderr}") from None


def named(said: Mapping[str, Any]) -> Named:
    """Take what a diagnosis named from its JSON."""
    findings = said["findings"]
    return Named(
        said["verdict"],
        tuple(one["code"] for one in findings),
        tuple(code for one in findings for code in one["candidates"]),
    )


def header() -> str:
    """Return the head of the matrix as a Markdown table."""
    columns = ("case", "injected", *SOURCES)
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def markdown(row: Row) -> str:
    """Return a row of the matrix as a line of a Markdown table."""
    cells = [_cell(row, source) for source in SOURCES]
    return f"| {' | '.join((row.case.name, f'`{row.case.code}`', *cells))} |"


def _cell(row: Row, source: str) -> str:
    named = row.named[source]
    if row.case.beside and row.case.code in named.codes:
        return f"`{named.verdict}`, `{row.case.code}`"
    told = f"`{named.verdict}`"
    candidates = " or ".join(f"`{code}`" for code in sorted(set(named.candidates)))
    is_open = named.verdict == semconv.INCONCLUSIVE and candidates
    return f"{told}: {candidates}" if is_open else told


def print_matrix(on_row: Callable[[str], None], cache: Path | None = None) -> bool:
    """Measure every case and hand out the matrix line by line.

    Args:
        on_row: Called with each line.
        cache: Where environments are kept; None for the user's cache.

    Returns:
        Whether every diagnosis said what its source can say.
    """
    on_row(header())
    wrong = []
    for case in CASES.values():
        with recorded(case, cache) as recording:
            row = recording.row(diagnosed)
        on_row(markdown(row))
        wrong += [f"{case.name}: {one}" for one in row.wrong]
    on_row("")
    on_row(f"{len(CASES)} cases, {len(wrong)} wrong answers.")
    for one in wrong:
        on_row(one)
    return not wrong
