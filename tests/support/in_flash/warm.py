"""Forks Python processes from one that has imported modules.

    python warm.py SOCKET flash|commands

A request, sent by `warm_start.py`, holds a command line, a folder and an environment, with the
three standard streams attached. The forked process sets itself up as the interpreter does for that
command line, so it differs from a started one only in modules that are loaded already. For `flash`,
these are the third-party modules that Flash and OpenTelemetry import: nothing of Flash, of runpod,
of OpenTelemetry or of flash_otel is, and nothing that reads their variables. For `commands`, they
are the rooms of flash_otel that the commands use, without OpenTelemetry.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, Final

_COLD: Final = ("runpod", "runpod_flash", "flash_otel", "opentelemetry", "grpc", "google")
"""Packages that each process imports itself: they read variables, or are what the tests test."""
_ROOMS: Final = ("cli", "demo", "diagnosis", "report", "ui")
_OF_EXTRAS: Final = ("jsonschema", "mcp.server.stdio", "mcp.types")
# Third-party modules that OpenTelemetry imports.
_OF_OPENTELEMETRY: Final = ("packaging.requirements", "wrapt")
_LIST: Final = "import sys, runpod_flash.cli.main; print(*sys.modules, sep='\\n')"
_LARGEST: Final = 1 << 20


def third_party() -> list[str]:
    """Return the modules that Flash's command line imports, without the cold packages'."""
    listed = subprocess.run([sys.executable, "-c", _LIST], stdout=subprocess.PIPE, check=True)
    names = [*listed.stdout.decode().split(), *_OF_OPENTELEMETRY]
    return [name for name in names if name.partition(".")[0] not in (*_COLD, "__main__")]


def commands() -> list[str]:
    """Return the modules of the rooms that the commands use, and of the packages of extras."""
    import flash_otel

    folder = Path(flash_otel.__file__).parent
    files = [file for room in _ROOMS for file in sorted((folder / room).rglob("*.py"))]
    names = [".".join(file.relative_to(folder.parent).with_suffix("").parts) for file in files]
    return [*(name.removesuffix(".__init__") for name in names), *_OF_EXTRAS]


def load(names: list[str]) -> None:
    """Import modules; some names are aliases that cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def _remember_the_plugins() -> None:
    """Look for plugins of pydantic once: its first model does so, in all installed packages."""
    import pydantic  # type: ignore[import-not-found,unused-ignore]  # in the Flash environment

    pydantic.create_model("First", field=(int, 0))


def _remember_the_processor() -> None:
    """Probe the processor once: runpod does so at its import, in a process of its own."""
    import cpuinfo  # type: ignore[import-not-found]  # in the Flash environment

    found = cpuinfo.get_cpu_info()
    cpuinfo.get_cpu_info = lambda: dict(found)


class Server:
    """Forks a process per connection; passes its end on, and ends it if the connection breaks."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._pids: dict[socket.socket, int] = {}
        self._connections: dict[int, socket.socket] = {}

    def serve(self) -> Any:
        """Serve; return a request, in the process that was forked for it."""
        while True:
            for key, _ in self._selector.select():
                found = key.fileobj
                if found is self._listener:
                    request = self._accept()
                    if request is not None:
                        return request
                elif isinstance(found, socket.socket):
                    self._hang_up(found)
                else:
                    assert isinstance(found, int)
                    self._ended(found)

    def _accept(self) -> Any:
        connection, _ = self._listener.accept()
        data, streams, _, _ = socket.recv_fds(connection, _LARGEST, 3)
        if not data:
            connection.close()
            return None
        pid = os.fork()
        if pid == 0:
            self._leave(connection, streams)
            return json.loads(data)
        for stream in streams:
            os.close(stream)
        connection.send(f"{pid}\n".encode())
        ending = os.pidfd_open(pid)
        self._pids[connection], self._connections[ending] = pid, connection
        self._selector.register(ending, selectors.EVENT_READ)
        self._selector.register(connection, selectors.EVENT_READ)
        return None

    def _leave(self, connection: socket.socket, streams: list[int]) -> None:
        """Close, in a forked process, whatever is the server's."""
        self._selector.close()
        for descriptor in self._connections:
            os.close(descriptor)
        for kept in (*self._pids, connection, self._listener):
            kept.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)

    def _hang_up(self, connection: socket.socket) -> None:
        """The process at the other end was killed: kill the one that it stands for."""
        self._selector.unregister(connection)
        os.kill(self._pids[connection], signal.SIGKILL)

    def _ended(self, ending: int) -> None:
        self._selector.unregister(ending)
        os.close(ending)
        connection = self._connections.pop(ending)
        _, status = os.waitpid(self._pids.pop(connection), 0)
        if connection in self._selector.get_map():
            self._selector.unregister(connection)
            connection.send(f"{status}\n".encode())
        connection.close()


def become(arguments: list[str], cwd: str, environ: dict[str, str]) -> None:
    """Set this process up as `python ARGUMENTS` and run it."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    sys.dont_write_bytecode = bool(environ.get("PYTHONDONTWRITEBYTECODE"))
    sys.orig_argv = [sys.executable, *arguments]
    _open_streams(environ)
    kind, rest = (arguments[0], arguments[1:]) if arguments[0] in {"-c", "-m"} else ("", arguments)
    first = {"-c": "", "-m": cwd}.get(kind, str(Path(rest[0]).resolve().parent))
    entries = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [first, *entries, *sys.path[1:]]
    importlib.invalidate_caches()
    if importlib.util.find_spec("sitecustomize"):
        importlib.import_module("sitecustomize")
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __annotations__={})
    sys.modules["__main__"] = main
    sys.argv = [kind or rest[0], *rest[1:]]
    if kind == "-c":
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)  # noqa: S102 - as python -c does
    elif kind == "-m":
        runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined]  # python -m calls it
    else:
        code = compile(Path(rest[0]).read_bytes(), rest[0], "exec")
        main.__dict__.update(__file__=rest[0], __cached__=None)
        exec(code, main.__dict__)  # noqa: S102 - as python does


def _open_streams(environ: dict[str, str]) -> None:
    named = environ.get("PYTHONIOENCODING")
    is_unbuffered = bool(environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
        raw.name = f"<{name}>"
        buffer: Any = raw
        if not number:
            buffer = io.BufferedReader(raw)
        elif not is_unbuffered:
            buffer = io.BufferedWriter(raw)
        before: io.TextIOWrapper = getattr(sys, name)
        stream = io.TextIOWrapper(
            buffer,
            named or before.encoding,
            "strict" if named and number != 2 else before.errors,
            line_buffering=not is_unbuffered and (number == 2 or raw.isatty()),
            write_through=is_unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(arguments: list[str], cwd: str, environ: dict[str, str]) -> None:
    """Run the command; an exception is reported without the lines of this file."""
    try:
        become(arguments, cwd, environ)
    except Exception as error:
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
            traceback = traceback.tb_next
        sys.excepthook(type(error), error.with_traceback(traceback), traceback)
        sys.exit(1)


def main() -> None:
    """Load, then serve: the socket is there when a request can be sent."""
    _, place, kind = sys.argv
    if kind == "flash":
        load(third_party())
        _remember_the_plugins()
        _remember_the_processor()
    else:
        load(commands())
    gc.collect()
    gc.freeze()  # forked processes need not copy the pages of what is loaded
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}.new")
    listener.listen(64)
    Path(f"{place}.new").rename(place)
    run(**Server(listener).serve())


if __name__ == "__main__":
    main()
