"""`flash-otel doctor`: is this installation fit to trace, and what stands in the way."""

from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, FAULT_FOUND

if TYPE_CHECKING:
    from flash_otel.report.doctor import Examination

SECONDS = 3.0


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Send nothing: no destination is asked.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="How long each destination may take.", min=0.1, max=60.0
        ),
    ] = SECONDS,
) -> int:
    """Examine versions, Flash's functions, variables, the store and the destinations.

    Nothing is changed and Flash is not imported. Each OTLP destination is sent an empty batch,
    which adds no span there; --offline leaves that out. Exit status: 0 nothing stands in the way,
    1 a problem was found, 2 bad usage, 3 something could not be examined.
    """
    from flash_otel.doctor.checks import PROBLEM, UNKNOWN, verdict
    from flash_otel.doctor.examining import examine
    from flash_otel.redaction import remember_environment

    remember_environment()
    found = list(examine(None if offline else timeout))
    _print(found, as_json=as_json)
    worst = verdict(check for _, checks in found for check in checks)
    return {PROBLEM: FAULT_FOUND, UNKNOWN: COULD_NOT_TELL}.get(worst, CLEAN)


def _print(found: "Examination", *, as_json: bool) -> None:
    from flash_otel.report import doctor as report

    if as_json:
        import json

        print(json.dumps(report.to_json(found), indent=2))
        return
    from flash_otel.cli.consoles import CommandConsole
    from flash_otel.report.layout import print_lines

    print_lines(report.lines(found), CommandConsole(highlight=False))
