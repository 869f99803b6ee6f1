"""Reports as literal text: on every scene of the diagnosis, and on every case of `verify`.

After an intended change of words, `PYTHONPATH=tests python -m report.literals` rewrites the files;
review their difference.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from rich.console import Console
from verify.cases import CASES

from flash_otel.diagnosis import Limits, diagnose
from flash_otel.report.diagnosis import render_diagnosis, render_verification
from flash_otel.verify.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HEADING: Final = "=== "


def diagnosed(scene: str) -> str:
    """Return the report on a scene as it is piped."""
    stream = io.StringIO()
    found = diagnose(SCENES[scene].make(), limits=Limits(now_ns=NOW_NS))
    render_diagnosis(found, Console(file=stream, width=80))
    return stream.getvalue()


def verified(name: str) -> str:
    """Return the report on a case of `verify` as it is piped."""
    stream, case = io.StringIO(), CASES[name]
    found = judge(case.subject, case.recorded, case.version)
    render_verification(found, Console(file=stream, width=80))
    return f"faulty: {found.is_faulty}, verdict: {found.verdict}\n{stream.getvalue()}"


FILES: Final[dict[str, tuple[Callable[[str], str], Iterable[str]]]] = {
    "diagnosed.txt": (diagnosed, SCENES),
    "verified.txt": (verified, CASES),
}


def expected(file: str) -> dict[str, str]:
    """Return the reports of a file by the names of their cases."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    sections = text.removeprefix(_HEADING).split(f"\n{_HEADING}")
    return dict(section.split("\n", 1) for section in sections)


if __name__ == "__main__":
    for name, (make, cases) in FILES.items():
        sections = [f"{_HEADING}{case}\n{make(case)}" for case in cases]
        Path(__file__).with_name(name).write_text("\n".join(sections), encoding="utf-8")
