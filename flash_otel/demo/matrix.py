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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.demo.cases import CASES, DOUBTED, NOT_INJECTED, SAID, SILENT, SOURCES, Case
from flash_otel.demo.casework import lay_out, run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SECONDS: Final = 120.0
_NOTHING: Final = "nothing"


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
    harmless = (_NOTHING, semconv.NONE, semconv.INCONCLUSIVE)
    return named.verdict in (*harmless, case.beside) or _is_named(case, named)


_RIGHT: Final = {SAID: _is_named, DOUBTED: _is_doubted, SILENT: _accuses_nobody}


def measure(case: Case, cache: Path | None = None) -> Row:
    """Run a case and diagnose it from every source.

    Args:
        case: A row of `CASES`.
        cache: Where environments are kept; None for the user's cache.
    """
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        folder = Path(name)
        left = run_case(case, folder, cache)
        seen = folder / "seen"
        seen.mkdir()
        asked = lay_out(left, seen)
        return Row(case, {one: diagnosed(asked[one], left.store) for one in SOURCES})


def diagnosed(sources: list[str], store: Path) -> Named:
    """Diagnose in a process of its own; `nothing` where there is nothing to read."""
    if not sources:
        return Named(_NOTHING)
    arguments = [part for source in sources for part in ("--from", source)]
    ended = subprocess.run(
        [sys.executable, "-m", "flash_otel", "diagnose", "--json", *arguments],
        env={**os.environ, "FLASH_OTEL_STORE": str(store)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    try:
        return _named(json.loads(ended.stdout))
    except ValueError:
        raise RuntimeError(f"diagnose ended with {ended.returncode}: {ended.stderr}") from None


def _named(said: Mapping[str, Any]) -> Named:
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
    named = [_cell(row, source) for source in SOURCES]
    return f"| {' | '.join((row.case.name, f'`{row.case.code}`', *named))} |"


def _cell(row: Row, source: str) -> str:
    named = row.named[source]
    if row.case.beside and row.case.code in named.codes:
        return f"`{named.verdict}`, `{row.case.code}`"
    told = f"`{named.verdict}`"
    candidates = " or ".join(f"`{code}`" for code in sorted(set(named.candidates)))
    is_open = named.verdict == semconv.INCONCLUSIVE and candidates
    return f"{told}: {candidates}" if is_open else told


def not_injected() -> Iterator[str]:
    """Yield the codes that the stand-in cannot produce, as lines of a Markdown table."""
    for code, reason in NOT_INJECTED.items():
        yield f"| `{code}` | {reason} |"


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
        row = measure(case, cache)
        on_row(markdown(row))
        wrong += [f"{case.name}: {one}" for one in row.wrong]
    on_row("")
    on_row(f"{len(CASES)} cases, {len(wrong)} wrong answers.")
    for one in wrong:
        on_row(one)
    on_row("\n| not injected | why |\n|---|---|")
    for line in not_injected():
        on_row(line)
    return not wrong
