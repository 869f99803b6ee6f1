"""`flash-otel collector`: the bundled Collector and Jaeger, up, down, and how they are."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flash_otel.cli.errors import CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.collector.service import Options, Standing
    from flash_otel.store.summary import TraceSummary

_LOG_LINES: Final = 50


class Action(str, Enum):
    """What to do."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"
    LOGS = "logs"


class Engine(str, Enum):
    """What runs the programs."""

    DOCKER = "docker"
    PROGRAMS = "programs"


def collector(
    action: Annotated[Action, typer.Argument(help="What to do.", show_default=False)],
    engine: Annotated[
        Engine | None,
        typer.Option(
            help="What runs them: Docker Compose, or programs on PATH. By default Docker, where "
            "an engine answers.",
            show_default=False,
        ),
    ] = None,
    reachable: Annotated[
        bool,
        typer.Option("--reachable", help="Up: take OTLP from elsewhere too, over TLS, by token."),
    ] = False,
    monitor: Annotated[
        bool,
        typer.Option("--monitor", help="Up, with Docker: Prometheus too, for the Monitor tab."),
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="Logs: how many lines of each.")
    ] = _LOG_LINES,
    as_json: Annotated[
        bool, typer.Option("--json", help="Up and status: print one JSON object.")
    ] = False,
) -> int:
    """Run the OpenTelemetry Collector and Jaeger on this machine.

    up starts both, waits until they are well, and says where they are. down stops them; queue and
    traces stay. status asks both how they are: 0 if all is well, else 1. logs shows what they
    wrote. Ports are variables: JAEGER_UI_PORT, OTELCOL_GRPC_PORT, OTELCOL_HTTP_PORT and their kin.
    """
    from flash_otel.collector.errors import CollectorError
    from flash_otel.collector.service import Options

    options = Options(engine.value if engine else None, reachable, monitor)
    try:
        return _ACTIONS[action](options, lines, as_json)
    except CollectorError as error:
        raise CommandError(error.message, error.next_step, COULD_NOT_TELL) from error
    except OSError as error:
        raise CommandError(f"it cannot be done: {error}.", status=COULD_NOT_TELL) from error


def _up(options: Options, _lines: int, as_json: bool) -> int:
    from flash_otel.collector import service

    return _show(service.up(options), as_json)


def _status(_options: Options, _lines: int, as_json: bool) -> int:
    from flash_otel.collector import service

    return _show(service.standings(), as_json)


def _down(_options: Options, _lines: int, _as_json: bool) -> int:
    from flash_otel.collector import files, service

    stopped = service.down()
    if not stopped:
        print("Nothing was running that flash-otel had started.")
        return CLEAN
    print(f"Stopped: {', '.join(stopped)}. Queue and traces are kept.")
    if Path(files.data_folder(), "jaeger").exists():
        print(f"They are in {files.data_folder()}")
    return CLEAN


def _logs(_options: Options, lines: int, _as_json: bool) -> int:
    from flash_otel.collector import service

    if service.engine() == Engine.DOCKER.value:
        service.container_logs(lines)
        return CLEAN
    found = [one for one in service.standings() if one.log]
    if not found:
        raise CommandError(
            "nothing is running that flash-otel started.", "Start it: flash-otel collector up"
        )
    for one in found:
        for line in _tail(Path(str(one.log)), lines):
            print(f"{one.program.name} | {line}")
    return CLEAN


_ACTIONS: Final[dict[Action, Callable[[Any, int, bool], int]]] = {
    Action.UP: _up,
    Action.DOWN: _down,
    Action.STATUS: _status,
    Action.LOGS: _logs,
}


def _tail(log: Path, lines: int) -> list[str]:
    from collections import deque

    from flash_otel.report.words import clean

    with log.open(encoding="utf-8", errors="replace") as file:
        return [clean(line.rstrip("\n")) for line in deque(file, maxlen=lines)]


def _show(found: list[Standing], as_json: bool) -> int:
    deployment = _last_deployment()
    if as_json:
        _print_json(found, deployment)
    else:
        _print_text(found, deployment)
    return FAULT_FOUND if any(one.trouble for one in found) else CLEAN


def _print_text(found: list[Standing], deployment: TraceSummary | None) -> None:
    from flash_otel.collector import service
    from flash_otel.collector.links import search_link, trace_link

    for one in found:
        process = f"  (process {one.pid})" if one.pid else ""
        print(f"{one.program.title:<10} {one.trouble or 'is well'}{process}")
    if all(one.trouble for one in found):
        print("Start them: flash-otel collector up")
        return
    interface = service.interface(found)
    http, grpc = _addresses(found)
    print(f"{'UI':<10} {interface}")
    print(f"{'OTLP':<10} {http} (HTTP), {grpc} (gRPC)")
    if deployment:
        print(f"{'Last':<10} {trace_link(interface, deployment.trace_id)}")
        print(f"{'Search':<10} {search_link(interface, deployment)}")
    print(f"\nSend to it:  export OTEL_EXPORTER_OTLP_ENDPOINT={http}")
    if deployment:
        print("What was recorded before:  flash-otel push --all")


def _addresses(found: list[Standing]) -> tuple[str, str]:
    from flash_otel.collector import service
    from flash_otel.collector.programs import OTELCOL

    ports = service.ports_of(found, OTELCOL)
    base = f"{'https' if service.is_reachable() else 'http'}://localhost"
    return f"{base}:{ports['OTELCOL_HTTP_PORT']}", f"{base}:{ports['OTELCOL_GRPC_PORT']}"


def _print_json(found: list[Standing], deployment: TraceSummary | None) -> None:
    import json

    from flash_otel.collector import service
    from flash_otel.collector.links import search_link, trace_link

    interface = service.interface(found)
    http, grpc = _addresses(found)
    answer: dict[str, Any] = {
        "engine": service.engine(),
        "healthy": not any(one.trouble for one in found),
        "programs": [
            {
                "name": one.program.name,
                "healthy": one.trouble is None,
                "trouble": one.trouble,
                "pid": one.pid,
                "ports": one.ports,
                "log": one.log,
            }
            for one in found
        ],
        "ui": interface,
        "otlp_http": http,
        "otlp_grpc": grpc,
        "last_deployment": deployment
        and {
            "trace_id": deployment.trace_id,
            "trace": trace_link(interface, deployment.trace_id),
            "search": search_link(interface, deployment),
        },
    }
    print(json.dumps(answer, indent=2))


def _last_deployment() -> TraceSummary | None:
    """Return the last deployment; a store that cannot be read is no reason to say nothing else."""
    from flash_otel.cli.open_store import reading
    from flash_otel.collector.links import last_deployment

    try:
        with reading(None) as store:
            return last_deployment(store) if store else None
    except CommandError:
        return None
