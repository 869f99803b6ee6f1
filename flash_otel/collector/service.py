"""Collector and Jaeger together: up, down, and how they are."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.collector import docker, files, health, process, state
from flash_otel.collector.errors import CollectorError
from flash_otel.collector.programs import BINARIES_VARIABLE, JAEGER, OTELCOL, PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.collector.programs import Program
    from flash_otel.collector.state import State

ENGINES: Final = (state.DOCKER, state.LOCAL)

# Docker may still be starting what it has just fetched.
_CONTAINER_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How one program is.

    Attributes:
        program: Which one.
        ports: Its ports, by variable.
        trouble: Why it is not well; None where it is.
        pid: Its process id, where it was started here as a process.
        log: The file that it writes to, where it was started here as a process.
    """

    program: Program
    ports: dict[str, int]
    trouble: str | None
    pid: int | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        engine: DOCKER or LOCAL; None for what there is.
        reachable: Also for workers: TLS and a token.
        monitor: Prometheus too (Docker only).
    """

    engine: str | None = None
    reachable: bool = False
    monitor: bool = False


def up(options: Options) -> list[Standing]:
    """Start what does not run yet, wait until all is well, and tell how it is.

    Raises:
        CollectorError: Something keeps it from running; what was started by this call is ended.
    """
    with _alone() as folder:
        known = state.load(folder)
        command = None if options.engine == state.LOCAL else _compose(options, known)
        if command:
            _refuse_mixture(folder, known)
            _up_docker(folder, command, options)
        else:
            _up_local(folder, known, options)
    return standings()


def down() -> list[str]:
    """Stop what runs, the Collector first, and return the titles of what was running."""
    with _alone() as folder:
        known = state.load(folder)
        if known is None:
            return []
        if known.engine == state.DOCKER:
            docker.run(_required_compose(), known.files, "--profile", "monitor", "down")
            stopped = [program.title for program in PROGRAMS]
        else:
            stopped = [
                program.title
                for program in reversed(PROGRAMS)
                if program.name in known.processes and process.stop(known.processes[program.name])
            ]
        state.forget(folder)
        return stopped


def standings() -> list[Standing]:
    """Ask every program how it is, wherever it was started."""
    known = state.load(files.data_folder())
    return [_standing(program, known) for program in PROGRAMS]


def engine() -> str | None:
    """Return what runs the programs, as far as it was started here."""
    known = state.load(files.data_folder())
    return known.engine if known else None


def is_reachable() -> bool:
    """Tell whether the Collector was started here with TLS and a token."""
    known = state.load(files.data_folder())
    return bool(known and {files.REACHABLE, files.REACHABLE_COMPOSE} & set(known.files))


def container_logs(lines: int) -> None:
    """Print the last lines of each container's log."""
    known = state.load(files.data_folder())
    named = known.files if known else [files.COMPOSE]
    docker.run(_required_compose(), named, "logs", "--tail", str(lines))


def ports_of(found: list[Standing], program: Program) -> dict[str, int]:
    """Return the ports of one program."""
    return next(one.ports for one in found if one.program is program)


def _standing(program: Program, known: State | None) -> Standing:
    started = known.processes.get(program.name) if known else None
    if started is not None:
        dead = None if process.is_running(started) else f"process {started.pid} has ended"
        trouble = dead or health.trouble(program, started.ports)
        return Standing(program, started.ports, trouble, started.pid, started.log)
    ports = (known.ports.get(program.name) if known else None) or program.chosen_ports()
    return Standing(program, ports, health.trouble(program, ports))


@contextmanager
def _alone() -> Iterator[Path]:
    from flash_otel.runtime.locks import sole

    folder = files.data_folder()
    with sole(folder / "lock") as is_free:
        if not is_free:
            raise CollectorError(
                "another flash-otel collector is at work.", "Wait for it to end, and try again."
            )
        yield folder


def _compose(options: Options, known: State | None) -> tuple[str, ...] | None:
    if options.engine == state.DOCKER:
        return _required_compose()
    return None if known and known.engine == state.LOCAL else docker.compose_command()


def _required_compose() -> tuple[str, ...]:
    command = docker.compose_command()
    if command is None:
        raise CollectorError(
            "no Docker engine answers, or Docker Compose is missing.",
            "Start Docker, or run the programs without it: --engine programs",
        )
    return command


def _refuse_mixture(folder: Path, known: State | None) -> None:
    running = known.processes.values() if known and known.engine == state.LOCAL else ()
    if any(process.is_running(one) for one in running):
        raise CollectorError(
            "the programs run without Docker already.", "Stop them first: flash-otel collector down"
        )
    state.forget(folder)


def _up_docker(folder: Path, command: tuple[str, ...], options: Options) -> None:
    named = [files.COMPOSE, *([files.REACHABLE_COMPOSE] if options.reachable else [])]
    profile = ("--profile", "monitor") if options.monitor else ()
    docker.run(command, named, *profile, "up", "--detach")
    ports = {
        program.name: {
            name: port for name, port in program.chosen_ports().items() if name in program.published
        }
        for program in PROGRAMS
    }
    state.save(folder, state.State(state.DOCKER, named, ports))
    for program in PROGRAMS:
        found = health.wait(program, ports[program.name], _CONTAINER_SECONDS, alive=lambda: True)
        if found:
            raise CollectorError(
                f"{program.title} is not well: {found}.", "Look: flash-otel collector logs"
            )


def _up_local(folder: Path, known: State | None, options: Options) -> None:
    _refuse_what_needs_docker(options, known)
    _require_binaries()
    running = {
        name: one
        for name, one in (known.processes if known else {}).items()
        if process.is_running(one)
    }
    _refuse_another_receiver(known, options, is_running=OTELCOL.name in running)
    fresh: list[state.Process] = []
    try:
        for program in PROGRAMS:
            if program.name not in running:
                what = _start_of(program, known, running, options)
                running[program.name] = process.start(what, folder)
                fresh.append(running[program.name])
        state.save(folder, state.State(state.LOCAL, _configs(OTELCOL, options), {}, running))
    except BaseException:
        for one in reversed(fresh):
            process.stop(one)
        raise


def _start_of(
    program: Program, known: State | None, running: dict[str, state.Process], options: Options
) -> process.Start:
    before = known.processes.get(program.name) if known else None
    # What still runs knows the other one by its port.
    ports = program.chosen_ports(before.ports if before and running else None)
    jaeger = running.get(JAEGER.name)
    otlp = (
        {"JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{jaeger.ports['JAEGER_OTLP_PORT']}"} if jaeger else {}
    )
    return process.Start(program, _configs(program, options), ports, otlp)


def _refuse_another_receiver(known: State | None, options: Options, *, is_running: bool) -> None:
    if known and is_running and known.files != _configs(OTELCOL, options):
        raise CollectorError(
            f"the Collector runs {'without' if options.reachable else 'with'} --reachable already.",
            "Stop it first: flash-otel collector down",
        )


def _refuse_what_needs_docker(options: Options, known: State | None) -> None:
    if known and known.engine == state.DOCKER:
        raise CollectorError(
            "the programs run in Docker already.", "Stop them first: flash-otel collector down"
        )
    if options.monitor:
        raise CollectorError(
            "Prometheus comes with Docker only.",
            f"Without Docker, start your own on {files.config('prometheus.yml')}",
        )


def _require_binaries() -> None:
    missing = [program for program in PROGRAMS if program.binary() is None]
    if missing:
        raise CollectorError(
            f"no Docker engine answers, and {' and '.join(one.title for one in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not on PATH.",
            "\n".join(
                (
                    "Any of these helps:",
                    "  start Docker, and try again",
                    *(f"  install {one.title}: {one.source}" for one in missing),
                    f"  name the folder that holds them: {BINARIES_VARIABLE}=FOLDER",
                    "  in a checkout of flash_otel, build them: make collector",
                    "Or do without: every span is in the local store, too: flash-otel show last",
                )
            ),
        )


def _configs(program: Program, options: Options) -> list[str]:
    if program is OTELCOL and options.reachable:
        return [program.config, files.REACHABLE]
    return [program.config]


def interface(found: list[Standing]) -> str:
    """Return the address of Jaeger's UI."""
    return f"http://localhost:{ports_of(found, JAEGER)['JAEGER_UI_PORT']}"
