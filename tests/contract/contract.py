"""Collects what flash_otel promises by name: the public API, emitted names, commands, JSON keys.

`python tests/contract/contract.py` writes the snapshot that `test_contract.py` compares with.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import flash_otel
from flash_otel import semconv, testing
from flash_otel.cli import app
from flash_otel.cli.app import COMMANDS

SNAPSHOT: Final = Path(__file__).with_name("contract.json")
PACKAGE: Final = Path(flash_otel.__file__).parent

_ARGUMENT_STARTS: Final = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ[a")

# The guide's own lines: a deployment and a read that answers with an older build.
_GUIDE: Final = """\
[DEPLOY] Environment env456 activated with build_id=abc123
[DEPLOY SYNC] Uploading manifest to State Manager - build_id=abc123, environment_id=env456
[STATE MANAGER] Uploaded 2 endpoints: ['resource_1', 'resource_2']
[RUNTIME SYNC] Querying State Manager with environment_id=env456
[STATE MANAGER] environment_id=env456 → activeBuildId=old789
"""


def collect(folder: Path) -> dict[str, Any]:
    """Return the whole contract as plain data.

    Args:
        folder: An empty folder for the logs that the commands read.
    """
    return {
        "public": {name: _signature(getattr(flash_otel, name)) for name in flash_otel.__all__},
        "testing": {
            name: _signature(value)
            for name, value in sorted(vars(testing).items())
            if not name.startswith("_") and getattr(value, "__module__", "") == testing.__name__
        },
        "emitted": sorted(
            {
                value
                for name, value in vars(semconv).items()
                if name.isupper() and isinstance(value, str)
            }
        ),
        "variables": sorted(set(_variables())),
        "exit_statuses": {
            name: value
            for name, value in sorted(vars(app).items())
            if name.isupper() and type(value) is int
        },
        "commands": {name: _parameters(name) for name in COMMANDS},
        "json": _json_keys(folder),
    }


def _signature(value: object) -> str:
    if not callable(value):
        return type(value).__name__
    # Where a class lives is no promise: only its own name counts.
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(inspect.signature(value)))


def _variables() -> list[str]:
    found = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    return re.findall(r"\bFLASH_OTEL_[A-Z_]*[A-Z]\b", "\n".join(found))


def _parameters(name: str) -> list[str]:
    """Return the names column of `--help`, and the defaults that it prints: all but the prose."""
    found = []
    for line in _help(name).splitlines():
        # Two spaces begin a row; its text stands in a column of its own, or on the next line.
        names, _, prose = line.removeprefix("  ").partition("  ")
        is_argument = bool(prose) and names.startswith(_ARGUMENT_STARTS)
        if line.startswith("  ") and (names.startswith("-") or is_argument):
            notes = re.findall(r"\[(?:default|required|x>|x<|0|1)[^\]]*\]", prose)
            found.append(" ".join([names.strip(), *notes]))
    return found


def _help(name: str) -> str:
    printed = io.StringIO()
    wide = {"COLUMNS": "300", "TERMINAL_WIDTH": "300"}
    with patch.dict(os.environ, wide), redirect_stdout(printed):
        app.status_of([name, "--help"])
    return printed.getvalue()


def _json_keys(folder: Path) -> dict[str, list[str]]:
    """Return the paths of keys in what each command prints as JSON."""
    log = folder / "guide.log"
    log.write_text(_GUIDE, encoding="utf-8")
    source = ["--from", str(log), "--json"]
    commands = {
        "diagnose": ["diagnose", *source],
        "traces": ["traces", *source],
        "show": ["show", *source],
        "doctor": ["doctor", "--offline", "--json"],
    }
    return {name: sorted(set(_paths(_printed(words)))) for name, words in commands.items()}


def _printed(words: list[str]) -> Any:
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        app.status_of(words)
    return json.loads(printed.getvalue())


def _paths(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _paths(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for item in value for found in _paths(item, f"{path}[]")] or [f"{path}[]"]
    return [path]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        text = json.dumps(collect(Path(scratch)), indent=1, ensure_ascii=False)
    SNAPSHOT.write_text(f"{text}\n", encoding="utf-8")
    sys.stdout.write(f"{SNAPSHOT} is written.\n")
