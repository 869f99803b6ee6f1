"""Flash with the change of docs/adoption.md, on copies of the installed packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from docs.commands import python_blocks
from support.adopted import Adopted, adopt, apply, copy_flash
from support.comparing import asked, left, shown
from support.flash import ROOT, FlashRun, run_flash
from support.site import APP, Site

from flash_otel import semconv
from flash_otel.demo.control_plane import ControlPlane
from flash_otel.demo.processes import worker_spans
from flash_otel.demo.project import write_project
from flash_otel.demo.releases import generation_of
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.flash import FlashEnvironments

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash

VERSIONS: Final = ("1.21.0", "2.0.0rc2")
BUNDLED: Final = "runpod_flash/"
DOCUMENT: Final = ROOT / "docs/adoption.md"


@dataclass(frozen=True)
class Runs:
    """Four deployments of the same project.

    Attributes:
        untouched: The first, with the installed Flash.
        without: The first of another folder, with the changed Flash and no flash_otel.
        changed: A redeployment with the changed Flash and flash_otel.
        launched: A redeployment with the installed Flash under `flash-otel run`.
    """

    untouched: FlashRun
    without: FlashRun
    changed: tuple[FlashRun, list[SpanRecord]]
    launched: tuple[FlashRun, list[SpanRecord]]


@pytest.fixture(scope="session")
def runs_of(
    flash_env: FlashEnvironments, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Runs]:
    """Call it with a version to get this session's deployments with it."""
    made: dict[str, Runs] = {}

    def runs(version: str) -> Runs:
        if version not in made:
            folder = tmp_path_factory.mktemp("adoption")
            made[version] = _run_all(adopt(flash_env(version), folder / "copy"), folder)
        return made[version]

    return runs


def _run_all(adopted: Adopted, folder: Path) -> Runs:
    with ControlPlane(seed=1) as plane, ControlPlane(seed=1) as other:
        here, there = (_project(adopted, folder / name) for name in "ab")
        untouched = _deploy(adopted, plane, here, changed=False, traced=False)
        without = _deploy(adopted, other, there, changed=True, traced=False)
        assert not (there.parent / "home/spans.db").exists()
        changed = _deploy(adopted, plane, here, changed=True, traced=True)
        records = _stored(here)
        launcher = [str(adopted.environment.python), "-m", "flash_otel", "run", "--quiet", "--"]
        script = adopted.environment.generation.script
        launched = _deploy(
            adopted, plane, here, changed=False, traced=True, launcher=[*launcher, script]
        )
        return Runs(
            untouched, without, (changed, records), (launched, _stored(here)[len(records) :])
        )


def _project(adopted: Adopted, folder: Path) -> Path:
    project = folder / APP
    write_project(project, adopted.environment.version)
    return project


def _deploy(
    adopted: Adopted,
    plane: ControlPlane,
    project: Path,
    *,
    changed: bool,
    traced: bool,
    **options: Any,
) -> FlashRun:
    variables = {
        "PYTHONPATH": adopted.path(changed=changed, traced=traced),
        "FLASH_OTEL_RAISE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    arguments = adopted.environment.generation.deploy
    return run_flash(
        adopted.environment, plane, project, *arguments, variables=variables, **options
    )


def _stored(project: Path) -> list[SpanRecord]:
    with SpanStore(project.parent / "home/spans.db") as store:
        return list(store.spans())


def _left(run: FlashRun) -> Any:
    """Return the files but for Flash's own source, which Flash copies into artifacts."""

    def without_source(files: dict[str, Any]) -> dict[str, Any]:
        return {
            name: without_source(content) if isinstance(content, dict) else content
            for name, content in files.items()
            if BUNDLED not in name
        }

    return without_source(left(run))


def _described(records: list[SpanRecord]) -> list[tuple[str, str | None, list[str]]]:
    names = {record.span_id: record.name for record in records}
    return [
        (record.name, names.get(record.parent_span_id or ""), sorted(record.attributes))
        for record in records
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_without_flash_otel_nothing_differs(version: str, runs_of: Callable[[str], Runs]) -> None:
    """Output, exit status, requests and files are those of the untouched Flash."""
    runs = runs_of(version)
    assert runs.without.exit_code == runs.untouched.exit_code == 0
    for stream in ("stdout", "stderr"):
        texts = [shown(run, getattr(run, stream)) for run in (runs.without, runs.untouched)]
        assert texts[0] == texts[1]
    assert asked(runs.without) == asked(runs.untouched)
    assert _left(runs.without) == _left(runs.untouched)


@pytest.mark.parametrize("version", VERSIONS)
def test_with_flash_otel_everything_is_traced(version: str, runs_of: Callable[[str], Runs]) -> None:
    """The plain command records the spans, and each their attributes, that the launcher does."""
    runs = runs_of(version)
    (changed, records), (launched, expected) = runs.changed, runs.launched
    assert changed.exit_code == launched.exit_code == 0
    assert _described(records) == _described(expected)
    assert len({record.trace_id for record in records}) == 1
    (activation,) = [record for record in records if record.name == semconv.ACTIVATE]
    assert semconv.PREVIOUS_BUILD_ID in activation.attributes
    assert shown(changed, changed.stdout) == shown(launched, launched.stdout)
    assert sorted(changed.operations) == sorted(launched.operations)


def test_the_import_loads_the_standard_library(
    flash_env: FlashEnvironments, tmp_path: Path
) -> None:
    """`import runpod_flash` loads no package that it does not load without the change."""
    adopted = adopt(flash_env("1.21.0"), tmp_path / "copy")
    code = """
import sys
before = set(sys.modules)
import runpod_flash
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(added - sys.stdlib_module_names))
"""
    loaded = [
        subprocess.check_output(
            [str(adopted.environment.python), "-c", code],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "PYTHONPATH": adopted.path(changed=changed, traced=True),
            },
            text=True,
        ).split()
        for changed in (True, False)
    ]
    assert set(loaded[0]) - set(loaded[1]) == {"flash_otel"}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_script(version: str, flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """It prints what it would change, changes it once, and refuses what it does not know."""
    adopted = adopt(flash_env(version), tmp_path / "copy")
    again = apply(adopted.copy, "--diff")
    assert (again.returncode, again.stdout) == (0, "")
    package = generation_of(version).package.replace("-", "_")
    metadata = adopted.copy / f"{package}-{version}.dist-info"
    text = (metadata / "METADATA").read_text(encoding="utf-8")
    assert text.partition("\n\n")[0].count('Requires-Dist: flash-otel; extra == "otel"') == 1
    metadata.rename(metadata.with_name(f"{package}-9.0.dist-info"))
    unknown = apply(adopted.copy)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "has neither of runpod_flash-1.21.0, runpod-2.0.0rc2" in unknown.stderr


def test_the_script_writes_all_or_nothing(flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """A file that differs from the release is named, and no other file is changed."""
    copy = adopt(flash_env("1.21.0"), tmp_path / "copy").copy
    decorators = copy / "runpod_flash/_tracing.py"
    decorators.unlink()
    (copy / "runpod_flash/__init__.py").write_text("")
    done = apply(copy)
    assert (done.returncode, done.stdout) == (2, "")
    assert "runpod_flash/__init__.py has 0 lines 'setup_logging()', not 1" in done.stderr
    assert not decorators.exists()


def test_the_documented_change(flash_env: FlashEnvironments, tmp_path: Path) -> None:
    """The commands of the document work as printed, and insert the lines that it shows."""
    copy_flash(flash_env("1.21.0"), tmp_path)
    text = DOCUMENT.read_text(encoding="utf-8")
    printed = [line for line in text.splitlines() if line.startswith("python docs/adoption/")]
    patch, changed = (
        subprocess.run(
            [sys.executable, *command.replace("SITE_PACKAGES", str(tmp_path)).split()[1:]],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout
        for command in printed
    )  # fmt: skip
    start, decorators = python_blocks(DOCUMENT)
    assert start in (tmp_path / "runpod_flash/__init__.py").read_text(encoding="utf-8")
    assert decorators in (tmp_path / "runpod_flash/_tracing.py").read_text(encoding="utf-8")
    diff = text.partition("```diff\n")[2].partition("```")[0]
    assert set(diff.splitlines()) - {""} <= set(patch.splitlines())
    assert len(changed.splitlines()) == patch.count("\n+++ ")
    assert apply(tmp_path, "--diff").stdout == ""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*pip, "--no-build-isolation", str(ROOT)], check=True, capture_output=True)
    return folder


@pytest.fixture
def deployed(
    flash_env: FlashEnvironments, wheels: Path, tmp_path: Path
) -> Iterator[tuple[Site, FlashRun]]:
    """A project with flash-otel in its requirements, deployed by the changed Flash."""
    adopted = adopt(flash_env("1.21.0"), tmp_path / "copy")
    # Flash would install pip into its own environment, which all tests share.
    found = util.find_spec("pip")
    assert found is not None
    assert found.origin is not None
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip/pip").symlink_to(Path(found.origin).parent, target_is_directory=True)
    with ControlPlane(seed=1) as plane:
        site = Site(tmp_path / "site", adopted.environment, plane)
        site.folder.mkdir()
        (site.project / "requirements.txt").write_text("flash-otel\n")
        path = (adopted.path(changed=True, traced=True), str(tmp_path / "pip"))
        variables = {
            "PYTHONPATH": os.pathsep.join(path),
            "PIP_FIND_LINKS": str(wheels),
            "PIP_NO_INDEX": "1",
            "FLASH_OTEL_STORE": str(site.store),
        }
        run = run_flash(
            site.environment, plane, site.project, "deploy", "--no-deps", variables=variables
        )
        assert run.exit_code == 0, run.stdout
        yield site, run


def test_worker_in_its_artifact(deployed: tuple[Site, FlashRun]) -> None:
    """The artifact holds flash_otel, and the worker that unpacks it emits spans of the deployment.

    No line of the project names flash_otel: the bundled Flash starts it.
    """
    site, _ = deployed
    worker = site.worker(
        """
        import asyncio, json, sys
        import gpu_worker
        from runpod_flash.runtime.service_registry import ServiceRegistry
        route = asyncio.run(ServiceRegistry().get_routing_info("gpu_info"))
        places = [sys.modules[name].__file__ for name in ("flash_otel", "runpod_flash")]
        print(json.dumps([route["resource_name"], *places]))
        """,
        {"PYTHONPATH": str(site.folder / "worker")},
    )
    assert worker.exit_code == 0, worker.output
    name, *places = json.loads(worker.stdout.splitlines()[-1])
    app = site.folder / "worker"
    assert name == "gpu_info"
    assert places == [str(app / name / "__init__.py") for name in ("flash_otel", "runpod_flash")]
    assert list(app.glob("flash_otel-*.dist-info"))
    log = site.folder / "worker.log"
    log.write_text(worker.stderr)
    read, attempt = sorted(worker_spans(log), key=lambda span: span.start_ns)
    with SpanStore(site.store) as store:
        root = next(iter(store.spans()))
    assert (read.name, read.trace_id, read.parent_span_id) == (
        semconv.RUNTIME_FETCH,
        root.trace_id,
        root.span_id,
    )
    assert (attempt.name, attempt.parent_span_id) == (semconv.MANIFEST_FETCH, read.span_id)
    assert read.attributes[semconv.WORKER_ENVIRONMENT_ID]
