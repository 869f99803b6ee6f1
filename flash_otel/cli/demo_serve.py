"""`flash-otel demo --serve`: the stand-in control plane alone, for deployments of any project."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.cli.app import CLEAN, pasteable
from flash_otel.cli.demo_recording import require_extra
from flash_otel.cli.streams import note

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each line stays within 80 columns, as it is not wrapped.
_HELP: Final = """\
The stand-in control plane is running. In another terminal, in a copy of your
project, paste the lines above, and then:
  flash-otel run -- flash deploy --env production
  flash-otel verify --app APP --env production
No worker starts: a call of an endpoint gets a fixed response. Apps and builds
stay in memory until Ctrl-C. Flash notes their endpoints in .flash: delete that
folder before you deploy the same copy to Runpod.
"""


def serve(*, as_json: bool) -> int:
    """Run the stand-in control plane until Ctrl-C, and print the variables to set.

    Args:
        as_json: Print them as one JSON object, not as lines for a shell.

    Raises:
        CommandError: The extra `demo` is not installed.
    """
    with require_extra():
        from flash_otel.demo.control_plane import ControlPlane
    from flash_otel.demo.processes import plane_variables

    with _interruption() as interrupted, ControlPlane() as plane:
        variables = plane_variables(plane.base_url)
        if as_json:
            print(json.dumps(variables, indent=2))
        else:
            for name, value in variables.items():
                print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        note(pasteable(_HELP).rstrip())
        # Without a timeout, Windows does not interrupt the wait.
        while not interrupted.wait(1.0):
            pass
        note("\nflash-otel: the stand-in control plane has stopped.")
    return CLEAN


@contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets: here, both are the way to end."""
    event = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: event.set()) for number in numbers]
    try:
        yield event
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
