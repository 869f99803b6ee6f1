"""`flash-otel demo`: run the real flash against a stand-in control plane on this machine.

Standard output has the bracketed lines of both sides, the joined trace and the diagnosis, or one
JSON object; progress goes to standard error. The diagnosis does not know the injected fault. The
exit status is 0 if the run ended as the scenario describes, whatever its fault. With `--serve`, the
control plane runs alone, for deployments of any project.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, CommandError
from flash_otel.cli.publish import ENDPOINT_VARIABLES, HINT
from flash_otel.cli.streams import note
from flash_otel.demo.scenarios import (
    DEFAULT_SCENARIO,
    DEFAULT_VERSION,
    SCENARIOS,
    SUCCESSOR_VERSION,
    SUCCESSORS,
    Scenario,
)
from flash_otel.flash_versions import READS_FROM, WRITES_UNTIL, dotted, release

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from flash_otel.report.layout import Line

# Each line stays within 80 columns, as it is not wrapped.
_SERVED: Final = """\
The stand-in control plane is running. In another terminal, in a copy of your
project, paste the lines above, and then:
  flash-otel run -- flash deploy --env production
  flash-otel verify --app APP --env production
No worker starts: a call of an endpoint gets a fixed response. Apps and builds
stay in memory until Ctrl-C. Flash notes their endpoints in .flash: delete that
folder before you deploy the same copy to Runpod.
"""


def demo(
    scenario: Annotated[
        str,
        typer.Argument(metavar="SCENARIO", help="The scenario to run; see --list."),
    ] = DEFAULT_SCENARIO,
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios, and exit.")] = False,
    is_served: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Run the stand-in control plane alone, and print the variables that make "
            "flash deploy any project to it.",
        ),
    ] = False,
    version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Version of runpod-flash to run.", show_default=False),
    ] = None,
    runpod: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Run runpod, from 2 on, in place of runpod-flash; it has scenarios of its own.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the logs and the store, and print their folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    jaeger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send spans and the verdict to the endpoint that OTEL_EXPORTER_OTLP_* name, and "
            "show the trace from this Jaeger.",
        ),
    ] = None,
) -> int:
    """Run a real deployment and a worker against a stand-in control plane, and show the trace.

    Everything runs on this machine, in virtual environments of its own. The first run installs
    runpod-flash there. The recording stays until the next demo, for every command that reads
    recordings: flash-otel traces --from demo
    """
    scenarios = SCENARIOS if runpod is None else SUCCESSORS
    if list_all:
        _list(scenarios.values(), as_json=as_json)
    elif not is_served:
        number = _version(version) if runpod is None else _runpod_version(runpod, version)
        _run(_scenario(scenario, scenarios), number, jaeger, keep=keep, as_json=as_json)
    elif scenario != DEFAULT_SCENARIO or version or runpod or keep or jaeger:
        message = "--serve runs no scenario: you deploy, with any version of Flash."
        raise CommandError(message, "Give it alone, or with --json.")
    else:
        _serve(as_json=as_json)
    return CLEAN


def _version(given: str | None) -> str:
    """Return the version of Flash to run.

    Raises:
        CommandError: It is no version, or one in which the scenarios cannot happen.
    """
    version = given or DEFAULT_VERSION
    numbers = release(version)
    if not numbers:
        raise CommandError(f"{given!r} is no version.", f"Give one, like {DEFAULT_VERSION}.")
    if numbers < READS_FROM:
        oldest = dotted(READS_FROM)
        raise CommandError(
            f"The demo runs Flash {oldest} and newer, not {version}: before, a worker's call read "
            "nothing from the State Manager, so the scenarios cannot happen.",
            "To trace a deployment of your own with it: flash-otel run -- flash deploy",
        )
    if numbers >= WRITES_UNTIL:
        raise CommandError(f"There is no runpod-flash {version}.", "Its successor: --runpod 2")
    return version


def _runpod_version(given: str, other: str | None) -> str:
    """Return the version of runpod to run; `2` stands for the one that is tested.

    Raises:
        CommandError: It is none that has a Flash, or a version of runpod-flash is given, too.
    """
    if other is not None:
        raise CommandError("--version and --runpod exclude each other.", "Give one of them.")
    if release(given) < WRITES_UNTIL:
        message = f"{given!r} is no version of runpod that has a Flash: the first is 2."
        raise CommandError(message, "Give --runpod 2, or --version for runpod-flash.")
    return SUCCESSOR_VERSION if given == "2" else given


def _scenario(name: str, scenarios: Mapping[str, Scenario]) -> Scenario:
    from flash_otel.cli.suggest import did_you_mean

    found = scenarios.get(name)
    if found is None:
        hint = f"{did_you_mean(name, scenarios)} Choose one: {', '.join(scenarios)}"
        raise CommandError(f"unknown scenario: {name!r}.", hint.strip())
    return found


def _run(
    scenario: Scenario, version: str, jaeger: str | None, *, keep: bool, as_json: bool
) -> None:
    from flash_otel.cli import demo_output
    from flash_otel.cli.demo_recording import record
    from flash_otel.demo.progress import StepProgress

    if jaeger and not any(map(os.environ.get, ENDPOINT_VARIABLES)):
        raise CommandError("--jaeger needs an OTLP endpoint.", HINT)
    with _workdir(keep) as workdir:
        with StepProgress() as progress:
            result = record(scenario, version, workdir, jaeger, progress)
        if as_json:
            demo_output.print_json(result)
        else:
            demo_output.print_text(result)
    if keep:
        note(f"Logs and store are kept in {workdir}")
    if result.problem:
        raise CommandError(result.problem, status=COULD_NOT_TELL)


@contextmanager
def _workdir(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="flash-otel-demo-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _serve(*, as_json: bool) -> None:
    """Run the stand-in control plane until Ctrl-C, and print the variables to set.

    Args:
        as_json: Print them as one JSON object, not as lines for a shell.

    Raises:
        CommandError: The extra `demo` is not installed.
    """
    from flash_otel.cli.demo_recording import require_extra

    with require_extra():
        from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.processes import plane_variables

    with _interruption() as interrupted, ControlPlane() as plane:
        variables = plane_variables(plane.base_url)
        if as_json:
            print(json.dumps(variables, indent=2))
        else:
            for name, value in variables.items():
                print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        note(_SERVED.rstrip())
        # Without a timeout, Windows does not interrupt the wait.
        while not interrupted.wait(1.0):
            pass
        note("\nflash-otel: the stand-in control plane has stopped.")


@contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets: here, both are the way to end."""
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: event.set()) for number in numbers]
    try:
        yield event
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _list(scenarios: Collection[Scenario], *, as_json: bool) -> None:
    from flash_otel.report.layout import ReportConsole, page_for, print_lines

    if as_json:
        print(json.dumps([_described(scenario) for scenario in scenarios], indent=2))
        return
    console = ReportConsole()
    print_lines(_list_lines(scenarios, page_for(console).width), console)


def _described(scenario: Scenario) -> dict[str, str]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "injected": scenario.injected,
        "verdict": scenario.fault,
        "version": scenario.version,
    }


def _list_lines(scenarios: Collection[Scenario], width: int | None) -> Iterator[Line]:
    """Yield a line for each scenario; where that is too narrow, its sentence is below its name."""
    from flash_otel.report import words
    from flash_otel.report.layout import Part, wrapped

    rows = [(found.name, found.injected, words.verdict(found.fault)) for found in scenarios]
    names, sentences, verdicts = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, sentence, verdict in rows:
        head = Part(name.ljust(names), "bold")
        if width is None or names + sentences + verdicts + len("    verdict: ") <= width:
            yield head, Part(f"  {sentence.ljust(sentences)}  verdict: {verdict}")
            continue
        yield head, Part(f"  verdict: {verdict}")
        for line in wrapped(sentence, width - 2):
            yield (Part(f"  {line}"),)
