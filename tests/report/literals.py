"""Reports as literal text: on the scenes of the diagnosis and their logs, and on `verify`'s cases.

After an intended change of words, `PYTHONPATH=tests python -m report.literals` rewrites the files;
review their difference.
"""

from __future__ import annotations

import io
import json
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from zlib import crc32

from diagnosis.grids import GRIDS
from diagnosis.logs import UNTIMED, ZONED, read_logs, written_logs
from diagnosis.pictures import PICTURED, pictured
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from readers import grids as log_grids
from readers.exports import EXPORTS
from readers.scenes import BEGIN_NS, BUILD, timed
from readers.scenes import deployment as deployed
from readers.scenes import read as got
from report.terminals import WIDTHS, printed, with_long_ids
from rich.console import Console
from support.interpreter import activate
from support.samples import OTHER, TRACE, failed_deployment, healthy_deployment, span
from verify.cases import CASES

from flash_otel import __version__
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.readers import open_reader
from flash_otel.records import Link
from flash_otel.report.diagnosis import render_diagnosis
from flash_otel.report.html import trace_html
from flash_otel.report.json import diagnosis_json, verification_json
from flash_otel.report.overview import overview_of
from flash_otel.report.trace import render_trace
from flash_otel.report.verification import render_verification, verification_lines
from flash_otel.verify.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flash_otel.report.layout import Part

_HEADING: Final = "=== "
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [A-Z+0-9-]+)?"
)  # of the local time zone


def diagnosed(scene: str) -> str:
    """Return the report on a scene as it is piped."""
    stream = io.StringIO()
    found = diagnose(SCENES[scene].make(), limits=Limits(now_ns=NOW_NS))
    render_diagnosis(found, Console(file=stream, width=80))
    return stream.getvalue()


def on_terminal(name: str) -> str:
    """Return the report on a scene, with ids of a real length, on a terminal of a width."""
    width, scene = name.split(": ")
    records = with_long_ids(SCENES[scene].make())
    found = diagnose(records, limits=Limits(now_ns=NOW_NS))
    return printed(lambda console: render_diagnosis(found, console), int(width))


def verified_on_terminal(name: str) -> str:
    """Return the report on a case of `verify` on a terminal of a width."""
    width, case = name.split(": ")
    subject, recorded, version = CASES[case].subject, CASES[case].recorded, CASES[case].version
    found = judge(subject, recorded, version)
    return printed(lambda console: render_verification(found, console), int(width))


def verified(name: str) -> str:
    """Return the report on a case of `verify` as it is piped."""
    stream, case = io.StringIO(), CASES[name]
    found = judge(case.subject, case.recorded, case.version)
    render_verification(found, Console(file=stream, width=80))
    checks = ", ".join(f"{check.name} {check.result}" for check in found.checks)
    heading = f"faulty: {found.is_faulty}, verdict: {found.verdict}, {checks}"
    return f"{heading}\n{stream.getvalue()}"


def logged(scene: str) -> str:
    """Return the findings on the logs of a scene's processes, with and without times."""
    return "".join(f"{times}:\n{_of_logs(scene, times)}" for times in (UNTIMED, ZONED))


def _of_logs(scene: str, times: str) -> str:
    logs = written_logs(SCENES[scene].make(), times)
    with TemporaryDirectory() as folder:
        found = diagnose(read_logs(Path(folder), logs), limits=Limits(now_ns=NOW_NS))
    lines = []
    for finding in found.findings:
        sure = " ".join((finding.code, finding.confidence, *finding.candidates))
        lines.append(f"  {sure}: {finding.sentence}")
        lines += [f"    {exhibit.origin}: {exhibit.says}" for exhibit in finding.evidence]
    return "".join(f"{line}\n" for line in lines)


def traced(scene: str) -> str:
    """Return the traces of a scene as they are shown, with what is linked to the first."""
    stream, records = io.StringIO(), SCENES[scene].make()
    [judged, *_] = diagnose(records, limits=Limits(now_ns=NOW_NS)).judged
    render_trace(records, Console(file=stream, width=80), overview_of(judged, records))
    return _MOMENT.sub("MOMENT", stream.getvalue())


def page(name: str) -> str:
    """Return a report with its styles, or a page without its script, style sheet and documents."""
    if name in CASES:
        case = CASES[name]
        lines = verification_lines(judge(case.subject, case.recorded, case.version))
        return "".join(f"{''.join(map(_styled, line))}\n" for line in lines)
    records = TRACES[name]
    html = trace_html(records, diagnose(records, limits=Limits(now_ns=NOW_NS)))
    html = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    html = re.sub(r'(id="document-(?:trace|diagnosis)">)[^<]*', r"\1", html)
    html = re.sub(r"sha256-[^']*", "HASH", html).replace(__version__, "VERSION")
    return html.replace("><", ">\n<")


def _styled(part: Part) -> str:
    return f"{{{part.style}}}{part.text}" if part.style else part.text


def as_json(name: str) -> str:
    """Return a diagnosis of a scene, or a case of `verify`, as JSON."""
    if name in CASES:
        case = CASES[name]
        value = verification_json(judge(case.subject, case.recorded, case.version), 1)
    else:
        value = diagnosis_json(diagnose(SCENES[name].make(), limits=Limits(now_ns=NOW_NS)))
    return f"{json.dumps(value, indent=1)}\n"


def decided(facts: str) -> str:
    """Return what is decided from a grid of evidence."""
    kind, _, name = facts.partition(": ")
    make, _ = GRIDS[kind]
    return "".join(f"{line}\n" for line in make(name))


def damaged(facts: str) -> str:
    """Return what is read of damaged logs, and what is decided."""
    kind, _, name = facts.partition(": ")
    make, _ = log_grids.LOG_GRIDS[kind]
    return "".join(f"{line}\n" for line in make(name))


def exported(name: str) -> str:
    """Return what is read of each record of an export: its line, writer, clock, start and span."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export"
        path.write_bytes(EXPORTS[name](_ENTRIES))
        found = list(open_reader(path).records())
    lines = []
    # The ids depend on the folder: only which spans share one is the same in every run.
    traces = list(dict.fromkeys(record.trace_id for record in found))
    for record in found:
        trace = traces.index(record.trace_id) + 1
        place = record.origin.removeprefix(str(path))
        writer = " ".join(f"{key}={value}" for key, value in sorted(record.resource.items()))
        start = record.start_ns - BEGIN_NS if record.start_ns else "no time"
        lines.append(f"{place} {start} {writer}: {record.name}, trace {trace}")
    return "".join(f"{line}\n" for line in lines)


# One scene for each scenario of the old guide, and a healthy deployment.
GUIDE: Final = (
    "a first deployment and a read",
    "a worker asks for an environment that exists",
    "the first build stays active, with endpoints",
    "the written manifest is read without endpoints, after what may be an echo",
    "a read in the open window, on one clock",
)
_TEXTS: Final = ("built shop", *deployed(), "done, in 3 s", *got(BUILD), "ready")
_ENTRIES: Final = timed([*_TEXTS])
TRACES: Final = {
    "a deployment that failed": failed_deployment(),
    "a deployment and a read": [
        *healthy_deployment(),
        span(
            1,
            None,
            "flash.runtime.fetch",
            9000,
            None,
            trace_id=OTHER,
            links=(Link(TRACE, f"{1:016x}"),),
        ),
    ],
}
# Of each style of a verification one.
STYLED: Final = (
    "an endpoint answers",
    "an endpoint that is gone",
    "no endpoints, not traced",
    "a deployment from elsewhere, as old as the record",
)
JSON: Final = (
    "an endpoint is unknown",
    "no endpoints, not traced",
    "endpoints that are not listed",
    "both ways to an endpoint",
    "a worker asks for an environment that exists",
    "a read in the open window, on one clock",
    "a deployment of Flash 1.14 that nobody has read",
    "two deployments at the same time",
)
FILES: Final[dict[str, tuple[Callable[[str], str], Iterable[str]]]] = {
    "decided.txt": (
        decided,
        [f"{kind}: {name}" for kind, (_, names) in GRIDS.items() for name in names],
    ),
    "damaged.txt": (
        damaged,
        [f"{kind}: {name}" for kind, (_, names) in log_grids.LOG_GRIDS.items() for name in names],
    ),
    "diagnosed.txt": (diagnosed, SCENES),
    # RFC 3164 has no year, and takes that of the file.
    "exported.txt": (exported, [name for name in EXPORTS if "3164" not in name]),
    "logged.txt": (logged, SCENES),
    "pictured.txt": (pictured, PICTURED),
    # By their names, so that a new scene does not change which of the others are shown.
    "traced.txt": (traced, [scene for scene in SCENES if crc32(scene.encode()) % 4 == 0]),
    "terminal.txt": (
        on_terminal,
        [f"{width}: {scene}" for width in WIDTHS for scene in GUIDE],
    ),
    "verified.txt": (verified, CASES),
    "verified_terminal.txt": (
        verified_on_terminal,
        [f"{width}: {case}" for width in WIDTHS for case in STYLED],
    ),
    "pages.txt": (page, (*TRACES, *STYLED)),
    "json.txt": (as_json, JSON),
}


@cache
def expected(file: str) -> dict[str, str]:
    """Return the reports of a file by the names of their cases."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    sections = text.removeprefix(_HEADING).split(f"\n{_HEADING}")
    return dict(section.split("\n", 1) for section in sections)


if __name__ == "__main__":
    activate()
    for name, (make, cases) in FILES.items():
        sections = [f"{_HEADING}{case}\n{make(case)}" for case in cases]
        Path(__file__).with_name(name).write_text("\n".join(sections), encoding="utf-8")
