"""`flash-otel doctor`: check this installation and report what prevents tracing."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, FAULT_FOUND
from flash_otel.doctor import NOTE, OK, PROBLEM, UNKNOWN, WORST_FIRST, DoctorCheck, verdict
from flash_otel.runtime.process import swallowed
from flash_otel.runtime.suggestions import pasteable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.report.layout import Line, ReportConsole

TIMEOUT_S: Final = 3.0
_NARROWEST: Final = 40
_WIDEST: Final = 80
_INDENT: Final = 9
_STYLES: Final = {OK: "green", NOTE: "yellow", PROBLEM: "bold red", UNKNOWN: "yellow"}
_SENTENCES: Final = {
    OK: "Tracing will work.",
    NOTE: "Tracing will work; see the notes.",
    PROBLEM: "Tracing will not work as configured.",
    UNKNOWN: "Some checks could not be made.",
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    is_verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="List passed checks, too.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Send nothing: skip the destinations.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Timeout for each destination.", min=0.1, max=60.0),
    ] = TIMEOUT_S,
) -> int:
    """Check versions, Flash's functions, variables, the store and the destinations.

    Changes nothing and does not import Flash. Each OTLP destination gets an empty batch, which adds
    no span there; --offline skips that. Exit status: 0 tracing will work, 1 a problem was found,
    2 bad usage, 3 a check could not be made.
    """
    from flash_otel.redaction import remember_environment

    # The checks quote variables and errors, in which secrets are masked from here on.
    remember_environment()
    topics = examine(None if offline else timeout)
    worst = verdict(check for _, checks in topics for check in checks)
    if as_json:
        import json

        print(json.dumps(_json(topics, worst), indent=2))
    else:
        from flash_otel.report.layout import ReportConsole, print_lines

        console = ReportConsole(highlight=False)
        print_lines(_lines(topics, is_verbose=is_verbose, console=console), console)
    return {PROBLEM: FAULT_FOUND, UNKNOWN: COULD_NOT_TELL}.get(worst, CLEAN)


def examine(timeout_s: float | None) -> "list[tuple[str, list[DoctorCheck]]]":
    """Return each topic with its checks.

    Args:
        timeout_s: Timeout of each destination, in seconds; None sends nothing.
    """
    from flash_otel.doctor import delivery, installation, variables

    topics: tuple[tuple[str, Callable[[], Iterator[DoctorCheck]]], ...] = (
        ("versions", installation.versions),
        ("targets", installation.targets),
        ("place", installation.place),
        ("provider", installation.providers),
        ("variables", variables.variables),
        ("store", delivery.store),
        ("destinations", partial(delivery.destinations, timeout_s)),
    )
    return [(topic, list(_guarded(topic, checks))) for topic, checks in topics]


def _guarded(topic: str, checks: "Callable[[], Iterator[DoctorCheck]]") -> "Iterator[DoctorCheck]":
    try:
        yield from checks()
    except Exception as error:
        swallowed(f"doctor {topic}")
        # Only the type: the message may hold a secret.
        yield DoctorCheck(topic, UNKNOWN, f"this check failed: {type(error).__name__}")


def _json(topics: "list[tuple[str, list[DoctorCheck]]]", worst: str) -> dict[str, Any]:
    return {
        "verdict": worst,
        "checks": [
            {
                "topic": topic,
                "check": check.name,
                "result": check.result,
                "says": check.text,
                "next_step": check.next_step or check.command,
                "command": check.command,
            }
            for topic, checks in topics
            for check in checks
        ],
    }


def _lines(
    topics: "list[tuple[str, list[DoctorCheck]]]", *, is_verbose: bool, console: "ReportConsole"
) -> "Iterator[Line]":
    """Yield the verdict, then the checks, the worst first; passed checks are folded."""
    from flash_otel.report.layout import Part

    checks = [check for _, found in topics for check in found]
    worst = verdict(checks)
    yield (Part(_SENTENCES[worst], "bold"),)
    for result in WORST_FIRST:
        found = [check for check in checks if check.result == result]
        if found:
            yield ()
        if result == OK and found and not is_verbose:
            yield from _wrapped(result, f"{_counted(topics)}: flash-otel doctor --verbose", console)
            continue
        for check in found:
            yield from _check_lines(check, console)


def _command(command: str, console: "ReportConsole") -> "Iterator[Line]":
    """Yield a command, which users copy: broken on a terminal alone, as a shell continues it."""
    from flash_otel.report.layout import COMMAND, Part, page_for
    from flash_otel.report.words import clean
    from flash_otel.report.wrapping import wrapped_lines

    indent = _INDENT + 2
    line = (Part(" " * indent, hang=indent), Part(clean(command), "bold cyan", breaks=COMMAND))
    yield from wrapped_lines([line], page_for(console).width)


def _check_lines(check: "DoctorCheck", console: "ReportConsole") -> "Iterator[Line]":
    yield from _wrapped(check.result, check.text, console)
    yield from _wrapped("", check.next_step, console)
    if check.command:
        yield from _command(check.command, console)


def _counted(topics: "list[tuple[str, list[DoctorCheck]]]") -> str:
    counts = [(topic, sum(check.result == OK for check in checks)) for topic, checks in topics]
    named = ", ".join(f"{topic} {count}" for topic, count in counts if count)
    total = sum(count for _, count in counts)
    return f"{total} {'check' if total == 1 else 'checks'} ({named})"


def _wrapped(mark: str, text: str, console: "ReportConsole") -> "Iterator[Line]":
    """Yield a text behind a mark, broken at spaces."""
    from flash_otel.report.layout import Part, wrapped
    from flash_otel.report.words import clean, encodable

    shown = encodable(clean(pasteable(text)), console.encoding)
    width = min(max(console.width, _NARROWEST), _WIDEST)
    for number, line in enumerate(wrapped(shown, width - _INDENT) if shown else ()):
        yield (Part(f"{'' if number else mark:<{_INDENT}}", _STYLES.get(mark, "")), Part(line))
