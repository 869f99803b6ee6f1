"""Apply the change of docs/adoption.md to an installed copy of runpod-flash or of runpod 2.

    python docs/adoption/apply.py --diff SITE_PACKAGES
    python docs/adoption/apply.py SITE_PACKAGES

SITE_PACKAGES is a folder with `runpod_flash` 1.21.0 or `runpod` 2.0.0rc2, or both, and their
metadata. With `--diff`, the change is printed, and nothing is written. In Flash's own repository,
the requirement of the extra goes into `pyproject.toml`.

Exit status: 0 if the change was applied, or was applied before; 2 if it could not be.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_EXTRA: Final = 'Provides-Extra: otel\nRequires-Dist: flash-otel; extra == "otel"\n'

_INSTRUMENT: Final = """\
# Traced with OpenTelemetry if the extra is installed: pip install "{package}[otel]"
try:
    import flash_otel as _flash_otel{noqa}

    _flash_otel.instrument()
except ImportError:
    pass
"""

_DECORATORS: Final = '''\
"""Decorators of the optional tracing; without flash_otel, they return the function itself."""

try:
    from flash_otel import {names}
except ImportError:

    def _untraced(function=None, /, **_sources):
        return _untraced if function is None else function

    {assigned} = _untraced

__all__ = [{listed}]
'''


@dataclass(frozen=True)
class Insertion:
    """Lines to insert into a file.

    Attributes:
        file: The file's path in site-packages.
        anchor: A line of the file that occurs once; empty for a file that does not exist yet.
        text: The lines.
        is_after: Whether they follow the anchor, or else precede it.
    """

    file: str
    anchor: str
    text: str
    is_after: bool = False


@dataclass(frozen=True)
class Change:
    """The change to one package.

    Attributes:
        metadata: The folder of the version's metadata, which proves that it is installed.
        insertions: What is inserted.
    """

    metadata: str
    insertions: tuple[Insertion, ...]


def _decorators(*names: str) -> str:
    return _DECORATORS.format(
        names=", ".join(names),
        assigned=" = ".join(names),
        listed=", ".join(f'"{name}"' for name in names),
    )


_FLASH: Final = "runpod_flash-1.21.0.dist-info"
_FLASH_API: Final = "runpod_flash/core/api/runpod.py"
_FLASH_READS: Final = "runpod_flash/runtime/state_manager_client.py"
_SUCCESSOR: Final = "runpod-2.0.0rc2.dist-info"

CHANGES: Final = (
    Change(
        _FLASH,
        (
            Insertion(f"{_FLASH}/METADATA", "Dynamic: license-file", _EXTRA),
            # It covers the command line and workers, and follows `.env` and the logging.
            Insertion(
                "runpod_flash/__init__.py",
                "setup_logging()",
                "\n" + _INSTRUMENT.format(package="runpod-flash", noqa="  # noqa: E402"),
                is_after=True,
            ),
            Insertion(
                "runpod_flash/_tracing.py",
                "",
                _decorators(
                    "trace_activate", "trace_manifest_fetch", "trace_runtime_fetch", "trace_upload"
                ),
            ),
            Insertion(
                _FLASH_API,
                "from runpod_flash.core.credentials import get_api_key",
                "from runpod_flash._tracing import trace_activate, trace_upload\n",
            ),
            Insertion(
                _FLASH_API,
                "    async def update_build_manifest(",
                "    @trace_upload(carrier=True)\n",
            ),
            Insertion(
                _FLASH_API,
                "    async def deploy_build_to_environment(",
                "    @trace_activate(\n"
                '        build_id="input_data.flashBuildId",\n'
                '        environment_id="input_data.flashEnvironmentId",\n'
                "    )\n",
            ),
            Insertion(
                _FLASH_READS,
                "from runpod_flash.core.api.runpod import RunpodGraphQLClient",
                "from runpod_flash._tracing import trace_manifest_fetch, trace_runtime_fetch\n",
            ),
            Insertion(
                _FLASH_READS, "    async def get_persisted_manifest(", "    @trace_runtime_fetch\n"
            ),
            Insertion(
                _FLASH_READS,
                "    async def _fetch_build_and_manifest(",
                "    @trace_manifest_fetch\n",
            ),
        ),
    ),
    Change(
        _SUCCESSOR,
        (
            Insertion(f"{_SUCCESSOR}/METADATA", "Dynamic: author", _EXTRA),
            # Not in `runpod/__init__.py`: workers without an app are none of Flash's.
            Insertion(
                "runpod/apps/__init__.py",
                "from .app import App, get_registered_apps",
                _INSTRUMENT.format(package="runpod", noqa="") + "\n",
            ),
            Insertion(
                "runpod/apps/_tracing.py",
                "",
                _decorators(
                    "trace_activate", "trace_deploy", "trace_provision", "trace_provision_endpoint"
                ),
            ),
            Insertion(
                "runpod/apps/api.py",
                "from ..error import QueryError",
                "from ._tracing import trace_activate, trace_provision_endpoint\n",
                is_after=True,
            ),
            Insertion(
                "runpod/apps/api.py",
                "    async def save_endpoint(self, endpoint_input: Dict[str, Any])"
                " -> Dict[str, Any]:",
                "    @trace_provision_endpoint(\n"
                '        resource_name="endpoint_input.name",\n'
                '        environment_id="endpoint_input.flashEnvironmentId",\n'
                "    )\n",
            ),
            Insertion(
                "runpod/apps/api.py",
                "    async def deploy_build(self, environment_id: str, build_id: str)"
                " -> Dict[str, Any]:",
                "    @trace_activate\n",
            ),
            Insertion(
                "runpod/apps/deploy.py",
                "from .api import AppsApiClient",
                "from ._tracing import trace_deploy, trace_provision\n",
            ),
            Insertion(
                "runpod/apps/deploy.py",
                "async def reconcile_endpoints(",
                "@trace_provision(\n"
                '    environment_id="environment.id", environment_name="environment.name"\n'
                ")\n",
            ),
            Insertion(
                "runpod/apps/deploy.py",
                "async def deploy_app(",
                '@trace_deploy(environment_name=("env_name", "app.env"))\n',
            ),
        ),
    ),
)


class NotApplicableError(Exception):
    """The change does not fit what is installed."""


def inserted(before: str, insertion: Insertion) -> str:
    """Return a file's text with an insertion; as it is, if it holds the insertion already.

    Raises:
        NotApplicableError: The anchor is missing, or is no unique line.
    """
    if insertion.text in before:
        return before
    if not insertion.anchor:
        return insertion.text
    lines = before.splitlines(keepends=True)
    found = [index for index, line in enumerate(lines) if line.rstrip("\n") == insertion.anchor]
    if len(found) != 1:
        raise NotApplicableError(
            f"{insertion.file} has {len(found)} lines {insertion.anchor.strip()!r}, not 1"
        )
    place = found[0] + insertion.is_after
    return "".join((*lines[:place], insertion.text, *lines[place:]))


def changed_files(folder: Path, change: Change) -> dict[str, tuple[str, str]]:
    """Return each file that the change alters: its text before and after.

    Raises:
        NotApplicableError: The change does not fit the file.
    """
    texts: dict[str, tuple[str, str]] = {}
    for insertion in change.insertions:
        path = folder / insertion.file
        read = path.read_text(encoding="utf-8") if path.exists() else ""
        before, after = texts.get(insertion.file, (read, read))
        texts[insertion.file] = (before, inserted(after, insertion))
    return {file: (before, after) for file, (before, after) in texts.items() if before != after}


def unified_diff(file: str, before: str, after: str) -> str:
    """Return the change of a file as a patch."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    name = f"a/{file}" if before else "/dev/null"
    return "".join(difflib.unified_diff(old, new, name, f"b/{file}"))


def main() -> int:
    """Apply or print the change; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="SITE_PACKAGES")
    parser.add_argument("--diff", action="store_true", help="print the change, and write nothing")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    changes = [change for change in CHANGES if (folder / change.metadata).is_dir()]
    if not changes:
        known = ", ".join(change.metadata.removesuffix(".dist-info") for change in CHANGES)
        print(f"apply.py: {folder} has neither of {known}", file=sys.stderr)
        return 2
    try:
        files = [found for change in changes for found in changed_files(folder, change).items()]
    except NotApplicableError as error:
        print(f"apply.py: {error}", file=sys.stderr)
        return 2
    for file, (before, after) in files:
        if arguments.diff:
            print(unified_diff(file, before, after), end="")
        else:
            (folder / file).write_text(after, encoding="utf-8")
            print(f"changed {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
