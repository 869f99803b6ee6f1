"""`flash-otel diagnose`: the fault that the recordings show, with its evidence."""

import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.ages import since_ns
from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError
from flash_otel.cli.open_store import STORE_HELP
from flash_otel.cli.progress import progressing_later
from flash_otel.cli.sources import SOURCES, SOURCES_HELP, STORE, Asked, from_jaeger, records_of
from flash_otel.diagnosis.order import ASSUMED_SKEW_S

if TYPE_CHECKING:
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.evidence import Deployment


def diagnose(
    env: Annotated[
        str | None,
        typer.Option(metavar="ID|NAME", help="Judge the current deployment of this environment."),
    ] = None,
    build: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Judge the deployment of this build (or its beginning)."),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Judge the deployment of this trace (or its beginning)."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only what began in the last 30m, 2h, 7d ..."),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", metavar=SOURCES, help=SOURCES_HELP),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Explain a code, and diagnose nothing."),
    ] = None,
    skew: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="How far clocks of two machines may differ."),
    ] = ASSUMED_SKEW_S,
    store: Annotated[str | None, typer.Option(metavar="PATH", help=STORE_HELP)] = None,
) -> int:
    """Name the fault of a deployment, with its evidence; or say that there is none.

    By default, the environment that was deployed to last is judged, and every environment that the
    given files are about. The deployment may come from the store and the reads from a worker's
    log: --from store --from worker.log
    """
    if explain is not None:
        return _explain(explain)
    from flash_otel.diagnosis import Limits, SpoolError
    from flash_otel.diagnosis import diagnose as judge

    named = sources or [STORE]
    records = records_of(named, Asked(store, since_ns(since), trace))
    try:
        with progressing_later("environments", "judging") as progress:
            found = judge(
                records,
                environment=env,
                build_id=build,
                trace_id=trace,
                limits=Limits(skew_s=skew, is_running=still_runs),
                progress=progress,
            )
    except SpoolError as error:
        raise CommandError(
            f"{error}.", "Make room, or narrow it: --since AGE", COULD_NOT_TELL
        ) from error
    _print(found, named, as_json=as_json)
    if not any(one.timeline for one in found.judged):
        _tell_unmatched({"--env": env, "--build": build, "--trace": trace})
    return status_of(found)


def _tell_unmatched(asked: dict[str, str | None]) -> None:
    """Say which part of the question nothing recorded is about, and how to see what there is."""
    words = " ".join(f"{name} {value}" for name, value in asked.items() if value)
    if words:
        said = f"nothing that was recorded is about {words}. Leave it out to judge what there is"
        print(f"flash-otel: {said}, or list the store: flash-otel traces", file=sys.stderr)


def status_of(found: "Diagnosis") -> int:
    """Return the exit status that a diagnosis stands for."""
    from flash_otel import semconv

    other = {semconv.NONE: CLEAN, semconv.INCONCLUSIVE: COULD_NOT_TELL}
    return other.get(found.verdict, FAULT_FOUND)


def still_runs(deployment: "Deployment") -> bool | None:
    """Tell whether a deployment's process still runs on this machine; None if nobody can tell."""
    process = deployment.process
    here = process.host == socket.gethostname() or process.host.startswith("store ")
    if process.pid is None or not here or os.name == "nt":
        return None
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _print(found: "Diagnosis", named: list[str], *, as_json: bool) -> None:
    if as_json:
        from flash_otel.report.json import diagnosis_json

        print(json.dumps(diagnosis_json(found), indent=2))
        return
    from flash_otel.report.diagnosis import SHOW, render_diagnosis
    from flash_otel.report.layout import ReportConsole

    render_diagnosis(found, ReportConsole(), SHOW + from_jaeger(named))


def _explain(code: str) -> int:
    from flash_otel import semconv
    from flash_otel.diagnosis.faults import FAULTS

    fault = FAULTS.get(code)
    if fault is None:
        raise CommandError(f"{code!r} is no code.", f"The codes are: {', '.join(FAULTS)}.")
    hides = ", ".join(sorted(fault.hides))
    print(f"{code}: {semconv.FAULTS[code]}")
    print(f"\nWhat proves it: {fault.proof}")
    print(f"What to do: {fault.deployer}")
    print(f"For Flash's maintainers: {fault.maintainer}")
    if hides:
        print(f"Its consequences, not reported beside it: {hides}")
    return CLEAN
