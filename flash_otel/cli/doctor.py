"""`flash-otel doctor`: check this installation and report what prevents tracing."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, FAULT_FOUND
from flash_otel.runtime.process import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.doctor import DoctorCheck
    from flash_otel.report.layout import Line

TIMEOUT_S = 3.0


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
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
    from flash_otel.doctor import PROBLEM, UNKNOWN, verdict
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

        print_lines(_lines(topics, worst), ReportConsole(highlight=False))
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
    from flash_otel.doctor import UNKNOWN, DoctorCheck

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
                "next_step": check.next_step,
            }
            for topic, checks in topics
            for check in checks
        ],
    }


def _lines(topics: "list[tuple[str, list[DoctorCheck]]]", worst: str) -> "Iterator[Line]":
    from flash_otel.doctor import NOTE, OK, PROBLEM, UNKNOWN
    from flash_otel.report.layout import Part
    from flash_otel.report.words import clean

    styles = {OK: "green", NOTE: "yellow", PROBLEM: "bold red", UNKNOWN: "yellow"}
    sentences = {
        OK: "Tracing will work.",
        NOTE: "Tracing will work; see the notes.",
        PROBLEM: "Tracing will not work as configured.",
        UNKNOWN: "Some checks could not be made.",
    }
    yield (Part(sentences[worst], "bold"),)
    for topic, checks in topics:
        if checks:
            yield ()
            yield (Part(topic, "bold"),)
        for check in checks:
            yield (Part(f"  {check.result:<8}", styles[check.result]), Part(clean(check.text)))
            for step in check.next_step.splitlines():
                yield (Part(" " * 10), Part(clean(step), "dim"))
