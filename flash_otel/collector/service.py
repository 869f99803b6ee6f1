"""Collector and Jaeger together: start both, stop both, and their status."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.collector import process, programs
from flash_otel.collector.programs import (
    BINARIES_VARIABLE,
    DOCKER,
    JAEGER,
    LOCAL,
    OTELCOL,
    PROGRAMS,
    CollectorError,
    StartedProcess,
    StartedPrograms,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.collector.programs import Program

# The first start pulls images; `docker compose up` returns before their programs listen.
_CONTAINER_TIMEOUT_S: Final = 120.0
_REACHABLE: Final = frozenset({programs.REACHABLE, programs.REACHABLE_COMPOSE})


@dataclass(frozen=True, slots=True)
class CollectorOptions:
    """The options of `flash-otel collector up`.

    Attributes:
        engine: DOCKER or LOCAL; None for Docker if an engine answers, else LOCAL.
        reachable: Accept OTLP from other machines too, over TLS and with a token.
        monitor: Start Prometheus too (Docker only).
    """

    engine: str | None = None
    reachable: bool = False
    monitor: bool = False


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """The status of one program.

    Attributes:
        program: The program.
        ports: Its ports, by variable.
        problem: Why it is not healthy; None if it is.
        pid: Its process id, if it was started here as a process.
        log: Its log file, if it was started here as a process.
    """

    program: Program
    ports: dict[str, int]
    problem: str | None
    pid: int | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True)
class BundleStatus:
    """The status of both programs.

    Attributes:
        engine: DOCKER or LOCAL; None if they were not started here.
        is_reachable: Whether the Collector accepts OTLP over TLS, from other machines too.
        programs: The status of each, in start order.
    """

    engine: str | None
    is_reachable: bool
    programs: tuple[ProgramStatus, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether every program is healthy."""
        return not any(status.problem for status in self.programs)

    @property
    def ui_url(self) -> str:
        """The address of Jaeger's UI."""
        return f"http://localhost:{self._ports(JAEGER)['JAEGER_UI_PORT']}"

    @property
    def http_url(self) -> str:
        """The address for OTLP over HTTP."""
        return f"{self._base}:{self._ports(OTELCOL)['OTELCOL_HTTP_PORT']}"

    @property
    def grpc_url(self) -> str:
        """The address for OTLP over gRPC."""
        return f"{self._base}:{self._ports(OTELCOL)['OTELCOL_GRPC_PORT']}"

    @property
    def _base(self) -> str:
        return f"{'https' if self.is_reachable else 'http'}://localhost"

    def _ports(self, program: Program) -> dict[str, int]:
        return next(status.ports for status in self.programs if status.program is program)


def up(options: CollectorOptions) -> BundleStatus:
    """Start what is not running, wait until both are healthy, and return their status.

    Raises:
        CollectorError: A program cannot run; what this call started is stopped again.
    """
    with _locked_folder() as folder:
        state = programs.load_state(folder)
        command = None if options.engine == LOCAL else _compose_for(options, state)
        if command:
            _refuse_running_processes(state)
            programs.forget_state(folder)
            _up_docker(folder, command, options)
        else:
            _up_local(folder, state, options)
    return status()


def down() -> list[str]:
    """Stop what is running, the Collector first; return the titles of what was stopped."""
    with _locked_folder() as folder:
        state = programs.load_state(folder)
        if state is None:
            return []
        if state.engine == DOCKER:
            # With the profile in any case: without it, Compose leaves Prometheus running.
            programs.run(_require_compose(), state.files, "--profile", "monitor", "down")
            stopped = [program.title for program in PROGRAMS]
        else:
            stopped = [
                program.title
                for program in reversed(PROGRAMS)
                if program.name in state.processes and process.stop(state.processes[program.name])
            ]
        programs.forget_state(folder)
        return stopped


def status() -> BundleStatus:
    """Check the health of both programs, also of those that were started elsewhere."""
    state = programs.load_state(programs.data_folder())
    return BundleStatus(
        engine=state.engine if state else None,
        is_reachable=bool(state and _REACHABLE & set(state.files)),
        programs=tuple(_program_status(program, state) for program in PROGRAMS),
    )


def container_logs(lines: int) -> list[str]:
    """Return the last lines of each container's log."""
    state = programs.load_state(programs.data_folder())
    compose_files = state.files if state else [programs.COMPOSE]
    arguments = ("logs", "--tail", str(lines))
    output = programs.run(_require_compose(), compose_files, *arguments, captures=True)
    return output.split("\n")[:-1]


def _program_status(program: Program, state: StartedPrograms | None) -> ProgramStatus:
    started = state.processes.get(program.name) if state else None
    if started is not None:
        exited = None if process.is_running(started) else f"process {started.pid} has exited"
        problem = exited or program.problem(started.ports)
        return ProgramStatus(program, started.ports, problem, started.pid, started.log)
    ports = (state.ports.get(program.name) if state else None) or program.chosen_ports()
    return ProgramStatus(program, ports, program.problem(ports))


@contextmanager
def _locked_folder() -> Iterator[Path]:
    from flash_otel.runtime.locks import try_lock

    folder = programs.data_folder()
    with try_lock(folder / "lock") as is_free:
        if not is_free:
            raise CollectorError(
                "another flash-otel collector command is running.", "Wait for it, then try again."
            )
        yield folder


def _compose_for(
    options: CollectorOptions, state: StartedPrograms | None
) -> tuple[str, ...] | None:
    """Return the command of Docker Compose if it should run the programs."""
    if options.engine == DOCKER:
        return _require_compose()
    return None if state and state.engine == LOCAL else programs.compose_command()


def _require_compose() -> tuple[str, ...]:
    command = programs.compose_command()
    if command is None:
        raise CollectorError(
            "no Docker engine answers, or Docker Compose is missing.",
            "Start Docker, or run the programs without it: --engine programs",
        )
    return command


def _refuse_running_processes(state: StartedPrograms | None) -> None:
    processes = state.processes.values() if state and state.engine == LOCAL else ()
    if any(process.is_running(started) for started in processes):
        raise CollectorError(
            "the programs already run without Docker.", "Stop them first: flash-otel collector down"
        )


def _up_docker(folder: Path, command: tuple[str, ...], options: CollectorOptions) -> None:
    compose_files = [programs.COMPOSE, *([programs.REACHABLE_COMPOSE] if options.reachable else [])]
    profile = ("--profile", "monitor") if options.monitor else ()
    programs.run(command, compose_files, *profile, "up", "--detach")
    # Only published ports can be reached from here, and so are all that status may check.
    ports = {
        program.name: {
            name: port for name, port in program.chosen_ports().items() if name in program.published
        }
        for program in PROGRAMS
    }
    programs.save_state(folder, StartedPrograms(DOCKER, compose_files, ports))
    for program in PROGRAMS:
        problem = program.wait_until_healthy(
            ports[program.name], _CONTAINER_TIMEOUT_S, is_alive=lambda: True
        )
        if problem:
            raise CollectorError(
                f"{program.title} is not healthy: {problem}.", "Look: flash-otel collector logs"
            )


def _up_local(folder: Path, state: StartedPrograms | None, options: CollectorOptions) -> None:
    _refuse_docker(options, state)
    _require_binaries()
    processes = state.processes if state else {}
    running = {name: started for name, started in processes.items() if process.is_running(started)}
    _refuse_another_receiver(state, options, is_running=OTELCOL.name in running)
    fresh: list[StartedProcess] = []
    try:
        for program in PROGRAMS:
            if program.name not in running:
                started = process.start(_launch(program, state, running, options), folder)
                running[program.name] = started
                fresh.append(started)
        configs = _configs(OTELCOL, options)
        programs.save_state(folder, StartedPrograms(LOCAL, configs, {}, running))
    except BaseException:
        for started in reversed(fresh):
            process.stop(started)
        raise


def _launch(
    program: Program,
    state: StartedPrograms | None,
    running: dict[str, StartedProcess],
    options: CollectorOptions,
) -> process.Launch:
    previous = state.processes.get(program.name) if state else None
    # A program that still runs keeps the other one's port in its configuration.
    ports = program.chosen_ports(previous.ports if previous and running else None)
    jaeger = running.get(JAEGER.name)
    variables = (
        {"JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{jaeger.ports['JAEGER_OTLP_PORT']}"} if jaeger else {}
    )
    return process.Launch(program, _configs(program, options), ports, variables)


def _refuse_another_receiver(
    state: StartedPrograms | None, options: CollectorOptions, *, is_running: bool
) -> None:
    if state and is_running and state.files != _configs(OTELCOL, options):
        raise CollectorError(
            f"the Collector already runs {'without' if options.reachable else 'with'} --reachable.",
            "Stop it first: flash-otel collector down",
        )


def _refuse_docker(options: CollectorOptions, state: StartedPrograms | None) -> None:
    if state and state.engine == DOCKER:
        raise CollectorError(
            "the programs already run in Docker.", "Stop them first: flash-otel collector down"
        )
    if options.monitor:
        raise CollectorError(
            "--monitor needs Docker.",
            f"Without it, start a Prometheus of your own with {programs.config('prometheus.yml')}",
        )


def _require_binaries() -> None:
    missing = [program for program in PROGRAMS if program.binary() is None]
    if not missing:
        return
    titles = " and ".join(program.title for program in missing)
    are_missing = f"{titles} {'is' if len(missing) == 1 else 'are'} not on PATH."
    ways = (
        "Do one of these:",
        "  start Docker, and try again",
        *(f"  install {program.title}: {program.source}" for program in missing),
        f"  name the folder that holds the programs: {BINARIES_VARIABLE}=FOLDER",
        "  in a checkout of flash_otel, build them: make collector",
        "Or go without: the local store has every span, too: flash-otel show last",
    )
    raise CollectorError(f"no Docker engine answers, and {are_missing}", "\n".join(ways))


def _configs(program: Program, options: CollectorOptions) -> list[str]:
    if program is OTELCOL and options.reachable:
        return [program.config, programs.REACHABLE]
    return [program.config]
