"""Runs a traced deployment under each environment that it is given, in a fork of its own.

    python fork_server.py cold|warm FOLDER < requests > answers

A request is a JSON object with the variables and the name of a job: `observed` or `described`, the
functions of that name, whose result is the answer. A cold server has
imported what OpenTelemetry and flash_otel depend on, but neither of them: each fork imports them
under its own variables, which some modules read at import. A warm one has imported everything
under no variables, and its first line names those that were looked for meanwhile.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import shutil
import signal
import sqlite3
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

PATIENCE_S: Final = 60
_DEPENDENCIES: Final = (
    *("asyncio", "base64", "concurrent.futures", "csv", "dataclasses", "difflib", "email.utils"),
    *("enum", "gzip", "hashlib", "http.client", "importlib.metadata", "inspect", "json", "logging"),
    *("platform", "queue", "random", "re", "secrets", "socket", "sqlite3", "ssl", "statistics"),
    *("subprocess", "tempfile", "traceback", "typing", "typing_extensions", "urllib.request"),
    *("uuid", "weakref", "zipfile", "zlib", "wrapt", "packaging.requirements", "platformdirs"),
    *("google.protobuf.json_format", "google.protobuf.descriptor_pb2", "multiprocessing.util"),
    *("importlib.resources", "fcntl", "stat", "encodings.idna", "stringprep"),
)
_SETTINGS: Final = (
    *("name", "headers", "compression", "timeout_s", "certificate", "client_certificate"),
    *("client_key", "is_secure"),
)
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

_ENVIRONMENT, _BUILD = (
    "0483bffc-9a48-4e1b-bdcc-861ee2a2bd58",
    "0c069c1f-9ac9-48ed-9f76-d79799af0cc2",
)
_MANIFEST: Final = {
    "resources_endpoints": {"gpu": "https://api.runpod.ai/v2/abc"},
    "resources": {"gpu": {}},
}


_EVERYTHING: Final = (
    *("tracing.decorators", "tracing.instrumentor", "pipeline.provider", "store.processor"),
    *("store.writer", "export.delivery", "export.http", "lines.processor", "doctor.variables"),
)

# What is installed is the same for every fork, and the search takes half of its time.
_GROUPS: Final = (
    *("opentelemetry_context", "opentelemetry_id_generator", "opentelemetry_propagator"),
    *("opentelemetry_resource_detector", "opentelemetry_tracer_provider"),
    *("opentelemetry_traces_exporter", "opentelemetry_traces_sampler"),
)


class _Recording(os._Environ):  # type: ignore[type-arg]  # its parameter is for type checkers only
    """The variables of the process; notes each name that is looked for."""

    names: ClassVar[set[str]] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return str(super().__getitem__(name))

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


def main(kind: str, folder: Path) -> None:
    """Answer each line of standard input with a line on standard output."""
    for name in _DEPENDENCIES:
        with suppress(ImportError):
            importlib.import_module(name)
    if kind == "warm":
        _send(_warm_up())
    # A collection in a fork would copy the pages of every object that it visits.
    gc.collect()
    gc.freeze()
    gc.disable()
    for number, line in enumerate(sys.stdin):
        home = folder / str(number)
        home.mkdir()
        _send(_fork(home, **json.loads(line)))
        shutil.rmtree(home, ignore_errors=True)


def _warm_up() -> list[str]:
    """Import everything; return the names of the variables that were looked for."""
    plain = os.environ.__class__
    os.environ.__class__ = _Recording
    for name in _EVERYTHING:
        importlib.import_module(f"flash_otel.{name}")
    os.environ.__class__ = plain
    from flash_otel.runtime import environment

    for group in _GROUPS:
        environment.installed(group)
    return sorted(_Recording.names)


def _send(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _fork(home: Path, job: str, variables: dict[str, str]) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            os.setpgid(0, 0)
            os.chdir(home)
            around = {name: str(home) for name in ("HOME", "XDG_STATE_HOME")}
            # Short, because no draw has an exporter that takes anything.
            os.environ.update({**around, "FLASH_OTEL_EXIT_BUDGET": "0.05", **variables})
            answer = {"observed": observed, "described": described}[job](home)
            with os.fdopen(writing, "w") as pipe:
                json.dump(answer, pipe, default=str)
        finally:
            os._exit(0)
    os.close(writing)
    try:
        return _answer(reading)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _answer(reading: int) -> dict[str, Any]:
    with os.fdopen(reading) as pipe:
        ready, _, _ = select.select([pipe], [], [], PATIENCE_S)
        if not ready:
            return {"raised": f"no answer within {PATIENCE_S} s"}
        found = pipe.read()
        return json.loads(found) if found else {"raised": "the process died"}


def observed(home: Path) -> dict[str, Any]:
    """Trace a deployment, and end as a process does.

    Returns:
        `raised`: the traceback of what reached the host's code; empty if nothing did.
        `returned`: what the traced function returned.
        `spans`: the names of the stored spans.
        `output`, `errors`: everything on standard output and standard error.
        `addresses`: the hosts that the process wanted to reach.
        `doctor`: name, result and text of the doctor's checks of variables.
    """
    output = os.open(home / "output", os.O_CREAT | os.O_RDWR)
    os.dup2(output, 1)
    errors = os.open(home / "errors", os.O_CREAT | os.O_RDWR)
    os.dup2(errors, 2)
    addresses: list[str] = []
    sys.addaudithook(_network(addresses))
    found: dict[str, Any] = {"raised": "", "returned": None, "spans": [], "doctor": []}
    try:
        found["returned"] = _deploy()
        _exit()
    except BaseException:
        found["raised"] = traceback.format_exc()
    try:
        found["doctor"] = _doctor()
    except BaseException:
        found["raised"] += traceback.format_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for name in ("output", "errors"):
        found[name] = (home / name).read_text("utf-8", "backslashreplace")
    found["spans"] = _stored(home)
    found["addresses"] = addresses
    return found


def described(_home: Path) -> dict[str, Any]:
    """Describe the provider of a deployment, without starting anything that sends."""
    from opentelemetry import context

    from flash_otel.export import destination
    from flash_otel.pipeline import components, provider, resource
    from flash_otel.runtime import options

    exporters = [type(exporter).__name__ for exporter in destination.create_exporters()]
    attributes = dict(resource.create().attributes)
    for varying in ("service.instance.id", "process.pid", "host.name"):
        attributes.pop(varying, None)
    return {
        "disabled": options.is_disabled(),
        "joined": type(components.application_provider()).__name__,
        "context": type(context._RUNTIME_CONTEXT).__name__,
        "ids": type(components.ids()).__name__,
        "sampler": components.sampler().get_description(),
        "limits": vars(provider._span_limits()),
        "resource": attributes,
        "exporters": exporters,
        "batches": components.batch_settings() if exporters else None,
        "destinations": [
            {name: getattr(found, name) for name in _SETTINGS} for found in destination.forwarded()
        ],
    }


def _deploy() -> str:
    import flash_otel
    from flash_otel import trace_activate, trace_deploy, trace_upload

    flash_otel.instrument(legacy_logs=sys.stdout)

    @trace_activate
    def activate(build_id: str, environment_id: str) -> None:
        del build_id, environment_id

    @trace_upload
    def push(build_id: str, environment_id: str, manifest: dict[str, Any]) -> None:
        del build_id, environment_id, manifest

    @trace_deploy
    def deploy(app_name: str, env_name: str) -> str:
        activate(_BUILD, _ENVIRONMENT)
        push(_BUILD, _ENVIRONMENT, dict(_MANIFEST))
        return f"{app_name} {env_name}"

    return deploy("shop", "production")


def _exit() -> None:
    import atexit

    atexit._run_exitfuncs()


def _doctor() -> list[list[str]]:
    from flash_otel.doctor.variables import variables

    return [
        [check.name.removeprefix("variable "), check.result, f"{check.text} {check.next_step}"]
        for check in variables()
    ]


def _stored(home: Path) -> list[str]:
    names: list[str] = []
    for file in home.rglob("*.db"):
        with suppress(sqlite3.Error):
            connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
            names += [name for (name,) in connection.execute("SELECT name FROM spans")]
            connection.close()
    return sorted(names)


def _network(addresses: list[str]) -> Any:
    """Note every host, and let the process reach none but its own machine."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo":
            host = arguments[0]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        else:
            return
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        addresses.append(host)
        if host not in _LOOPBACK:
            raise OSError("no network in this test")

    return hook


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
