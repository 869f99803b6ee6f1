"""`flash-otel collector`: start, stop and check the bundled Collector and Jaeger."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError, MissingError
from flash_otel.cli.streams import print_text

if TYPE_CHECKING:
    from flash_otel.collector.service import BundleStatus
    from flash_otel.store.store import TraceSummary

_LOG_LINES: Final = 50
_SEARCHED_TRACES: Final = 100
_HOW_TO_START: Final = "Start them: flash-otel collector up"


class Action(str, Enum):
    """The values of the argument."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"
    LOGS = "logs"


class Engine(str, Enum):
    """The values of `--engine`."""

    DOCKER = "docker"
    PROGRAMS = "programs"


def collector(
    action: Annotated[Action, typer.Argument(help="The action.", show_default=False)],
    engine: Annotated[
        Engine | None,
        typer.Option(
            help="Run them with Docker Compose, or as programs on PATH. By default Docker, if an "
            "engine answers.",
            show_default=False,
        ),
    ] = None,
    reachable: Annotated[
        bool,
        typer.Option(
            "--reachable", help="up: accept OTLP from other machines, over TLS and with a token."
        ),
    ] = False,
    monitor: Annotated[
        bool,
        typer.Option(
            "--monitor", help="up, with Docker: start Prometheus too, for Jaeger's Monitor tab."
        ),
    ] = False,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", "-n", min=1, metavar="NUMBER", help="logs: number of lines of each program."
        ),
    ] = _LOG_LINES,
    as_json: Annotated[
        bool, typer.Option("--json", help="up and status: print one JSON object.")
    ] = False,
) -> int:
    """Run the OpenTelemetry Collector and Jaeger on this machine.

    up starts both, waits until they are healthy, and prints their addresses. down stops them, and
    keeps the queue and the traces. status exits with 1 if one of them is not healthy. logs prints
    their last lines. Variables such as JAEGER_UI_PORT, OTELCOL_GRPC_PORT and
    OTELCOL_HTTP_PORT set the ports.
    """
    from flash_otel.collector import service
    from flash_otel.collector.programs import CollectorError
    from flash_otel.collector.service import CollectorOptions

    try:
        if action is Action.DOWN:
            return _down()
        if action is Action.LOGS:
            return _print_logs(lines)
        options = CollectorOptions(engine.value if engine else None, reachable, monitor)
        status = service.up(options) if action is Action.UP else service.status()
    except CollectorError as error:
        raise CommandError(error.message, error.next_step, COULD_NOT_TELL) from error
    except OSError as error:
        raise CommandError(f"{action.value} failed: {error}.", status=COULD_NOT_TELL) from error
    return _print(status, as_json=as_json)


def _down() -> int:
    from flash_otel.collector import programs, service

    stopped = service.down()
    if not stopped:
        print_text("Nothing to stop: flash-otel did not start the programs.")
        return CLEAN
    print_text(f"Stopped: {', '.join(stopped)}. The queue and the traces are kept.")
    if Path(programs.data_folder(), "jaeger").exists():
        print_text(f"They are in {programs.data_folder()}")
    return CLEAN


def _print_logs(lines: int) -> int:
    from flash_otel.collector import service
    from flash_otel.report.words import clean

    status = service.status()
    if status.engine == Engine.DOCKER.value:
        for line in service.container_logs(lines):
            print(clean(line))
        return CLEAN
    logs = {program.program.name: program.log for program in status.programs if program.log}
    if not logs:
        raise MissingError("flash-otel did not start the programs.", _HOW_TO_START)
    for name, log in logs.items():
        for line in _tail(Path(log), lines):
            print(f"{name} | {line}")
    return CLEAN


def _tail(log: Path, lines: int) -> list[str]:
    from collections import deque

    from flash_otel.report.words import clean

    with log.open(encoding="utf-8", errors="replace") as file:
        return [clean(line.rstrip("\n")) for line in deque(file, maxlen=lines)]


def _print(status: BundleStatus, *, as_json: bool) -> int:
    deployment = _last_deployment()
    if as_json:
        _print_json(status, deployment)
    else:
        _print_text(status, deployment)
    return CLEAN if status.is_healthy else FAULT_FOUND


def _print_text(status: BundleStatus, deployment: TraceSummary | None) -> None:
    from flash_otel.collector.programs import search_link, trace_link

    for program in status.programs:
        process = f"  (process {program.pid})" if program.pid else ""
        print_text(f"{program.program.title:<10} {program.problem or 'healthy'}{process}")
    if all(program.problem for program in status.programs):
        print_text(_HOW_TO_START)
        return
    print_text(f"{'UI':<10} {status.ui_url}")
    print_text(f"{'OTLP':<10} {status.http_url} (HTTP), {status.grpc_url} (gRPC)")
    if deployment:
        print_text(f"{'Last':<10} {trace_link(status.ui_url, deployment.trace_id)}")
        print_text(f"{'Search':<10} {search_link(status.ui_url, deployment)}")
    print_text(f"\nSend to it:  export OTEL_EXPORTER_OTLP_ENDPOINT={status.http_url}")
    if deployment:
        print_text("Send earlier recordings too:  flash-otel push --all")


def _print_json(status: BundleStatus, deployment: TraceSummary | None) -> None:
    import json

    from flash_otel.collector.programs import search_link, trace_link

    answer: dict[str, Any] = {
        "engine": status.engine,
        "healthy": status.is_healthy,
        "programs": [
            {
                "name": program.program.name,
                "healthy": program.problem is None,
                "trouble": program.problem,
                "pid": program.pid,
                "ports": program.ports,
                "log": program.log,
            }
            for program in status.programs
        ],
        "ui": status.ui_url,
        "otlp_http": status.http_url,
        "otlp_grpc": status.grpc_url,
        "last_deployment": deployment
        and {
            "trace_id": deployment.trace_id,
            "trace": trace_link(status.ui_url, deployment.trace_id),
            "search": search_link(status.ui_url, deployment),
        },
    }
    print(json.dumps(answer, indent=2))


def _last_deployment() -> TraceSummary | None:
    """Return the newest recorded deployment; None if the store is missing or unreadable."""
    from flash_otel import semconv
    from flash_otel.cli.open_store import reading

    try:
        with reading(None) as store:
            traces = store.traces(limit=_SEARCHED_TRACES) if store else []
    except CommandError:
        return None
    return next((trace for trace in traces if trace.root_name == semconv.DEPLOY), None)
