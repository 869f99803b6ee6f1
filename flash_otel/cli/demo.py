"""`flash-otel demo`: run the real flash against a stand-in control plane on this machine."""

from typing import Annotated

import typer


def demo(
    scenario: Annotated[
        str,
        typer.Argument(metavar="SCENARIO", help="The scenario to run; see --list."),
    ] = "healthy",
    list_all: Annotated[bool, typer.Option("--list", help="List the scenarios and exit.")] = False,
    version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Version of runpod-flash to run.", show_default=False),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the logs and the store, and print their folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    jaeger: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send spans as OTEL_EXPORTER_OTLP_* configure; show the trace from this Jaeger.",
        ),
    ] = None,
) -> int:
    """Run a real deployment and a worker against a stand-in control plane, and show the trace.

    Everything runs on this machine, in virtual environments of its own. The first run installs
    runpod-flash there, which takes a while.
    """
    from flash_otel.cli.app import CLEAN, CommandError
    from flash_otel.demo.command import run_demo, scenario_names
    from flash_otel.demo.scenarios import DEFAULT_VERSION

    names = scenario_names()
    if list_all:
        print("\n".join(names))
        return CLEAN
    if scenario not in names:
        raise CommandError(f"unknown scenario: {scenario!r}.", f"Choose one: {', '.join(names)}")
    version = version or DEFAULT_VERSION
    _require_endpoint(jaeger)
    return run_demo(scenario, version=version, keep=keep, json_output=as_json, jaeger=jaeger)


def _require_endpoint(jaeger: str | None) -> None:
    from flash_otel.cli.app import CommandError
    from flash_otel.demo.command import ENDPOINT_VARIABLES, names_an_endpoint

    if jaeger and not names_an_endpoint():
        raise CommandError(
            "--jaeger needs an OTLP endpoint.",
            f"Name one: {ENDPOINT_VARIABLES[0]}=http://localhost:4318",
        )
