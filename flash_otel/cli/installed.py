"""Whether this interpreter has the Flash that a command needs."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from flash_otel.cli.app import MissingError


def require_flash() -> None:
    """Do nothing if this interpreter has Flash.

    Raises:
        MissingError: It has not; with the exact command if another interpreter has.
    """
    from flash_otel.verify.client import is_installed

    if is_installed():
        return
    from flash_otel.runtime import interpreters

    found = shutil.which("flash")
    script = Path(found) if found else None
    python = interpreters.interpreter_of(script) if script else None
    if python is None:
        raise MissingError(*interpreters.explain(script, ["flash"]))
    again = shlex.join([str(python), "-m", "flash_otel", *sys.argv[1:]])
    add = interpreters.install_command(python)
    raise MissingError(
        f"flash lives in another interpreter ({python}).",
        f"Add flash-otel there:  {add}\nThen run:              {again}",
    )
