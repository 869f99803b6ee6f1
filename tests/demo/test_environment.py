from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.flash import CACHE

import flash_otel
from flash_otel.demo import environment
from flash_otel.demo.control_plane import CANARY_API_KEY
from flash_otel.demo.environment import (
    EnvironmentSetupError,
    find_environment,
    source_folder,
)
from flash_otel.demo.processes import flash_environment

if TYPE_CHECKING:
    from support.flash import FlashEnvironments

PACKAGE = Path(flash_otel.__file__).parent


def test_half_made_folder_is_made_anew(tmp_path: Path) -> None:
    """A folder without its mark of completion, as an interrupted making leaves it, is redone."""
    folder = tmp_path / "it"
    folder.mkdir()
    (folder / "rest").touch()
    made: list[Path] = []

    def make(target: Path) -> None:
        assert not target.exists()
        target.mkdir()
        made.append(target)

    environment._complete(folder, make)
    environment._complete(folder, make)
    assert made == [folder]


def test_interrupted_making_leaves_no_complete_folder(tmp_path: Path) -> None:
    """Ctrl-C while it is made does not leave something that counts."""
    folder = tmp_path / "it"

    def interrupted(target: Path) -> None:
        target.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment._complete(folder, interrupted)
    environment._complete(folder, Path.mkdir)
    assert (folder / ".complete").exists()


def test_only_one_makes_it(tmp_path: Path) -> None:
    """Several that need it at once wait for the one that makes it."""
    made: list[Path] = []

    def make(target: Path) -> None:
        target.mkdir()
        made.append(target)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: environment._complete(tmp_path / "it", make), range(8)))
    assert len(made) == 1


def test_source_folder_holds_the_running_package_alone(tmp_path: Path) -> None:
    """The folder offers flash_otel and its metadata to another Python, and nothing else."""
    folder = source_folder(tmp_path)
    assert source_folder(tmp_path) == folder
    names = sorted(entry.name for entry in folder.iterdir())
    assert names == ["flash_otel", f"flash_otel-{flash_otel.__version__}.dist-info"]
    code = (
        "import json, importlib.metadata as m, importlib.util as u\n"
        "entries = m.entry_points(group='opentelemetry_instrumentor')\n"
        "print(json.dumps([m.version('flash-otel'), [e.name for e in entries],\n"
        "  u.find_spec('flash_otel').origin, u.find_spec('pytest') is None]))"
    )
    answer = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-S", "-c", code],
        env={"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    ).stdout
    version, entries, origin, alone = json.loads(answer)
    assert version == flash_otel.__version__
    assert "runpod_flash" in entries
    assert Path(origin).resolve() == (PACKAGE / "__init__.py").resolve()
    assert alone


def test_source_folder_replaces_what_is_stale(tmp_path: Path) -> None:
    """An old copy of the package and an old version's metadata do not survive."""
    folder = source_folder(tmp_path)
    (folder / "flash_otel").unlink()
    (folder / "flash_otel").mkdir()
    (folder / "flash_otel" / "old.py").touch()
    (folder / "flash_otel-0.0.0.dist-info").mkdir()
    assert source_folder(tmp_path) == folder
    assert not (folder / "flash_otel" / "old.py").exists()
    assert not (folder / "flash_otel-0.0.0.dist-info").exists()


def test_source_folder_copies_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows without the right to link, the package is copied instead."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    folder = source_folder(tmp_path)
    assert not (folder / "flash_otel").is_symlink()
    assert (folder / "flash_otel" / "semconv.py").read_bytes() == (
        PACKAGE / "semconv.py"
    ).read_bytes()


def test_unusable_cache_is_a_clear_error(tmp_path: Path) -> None:
    """A cache that is a file is named in the error, with the variable that names another."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(EnvironmentSetupError, match="FLASH_OTEL_CACHE"):
        find_environment("1.14.0", cache=file)


@pytest.mark.flash
def test_unknown_version_is_a_clear_error(
    flash_env: FlashEnvironments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that pip cannot find fails with pip's own words, and leaves nothing."""
    flash_env("1.14.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(EnvironmentSetupError, match=r"runpod-flash==0\.0\.1"):
        find_environment("0.0.1", cache=CACHE)
    for rest in (CACHE / "environments").glob("flash-0.0.1-*"):
        assert rest.suffix == ".lock"
        rest.unlink()


@pytest.mark.flash
def test_environment_has_flash_and_flash_otel(flash_env: FlashEnvironments) -> None:
    """Its Python has the wanted Flash as an installed package, and the running flash_otel."""
    for version in ("1.14.0", "1.21.0"):
        found = flash_env(version)
        code = "import importlib.metadata as m; print(m.version('runpod-flash'))"
        printed = subprocess.run(
            [str(found.python), "-c", code + "; import flash_otel.records"],
            env={"PYTHONPATH": str(found.source), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.strip() == version
        assert found.flash.exists()


@pytest.mark.flash
def test_running_python_is_used_if_it_has_that_version(flash_env: FlashEnvironments) -> None:
    """Within an environment that has the wanted version, no other one is made."""
    found = flash_env("1.14.0")
    code = (
        "import sys, pathlib; from flash_otel.demo.environment import find_environment\n"
        "print(find_environment('1.14.0', cache=pathlib.Path(sys.argv[1])).python)"
    )
    printed = subprocess.run(
        [str(found.python), "-c", code, str(CACHE)],
        env={"PYTHONPATH": str(found.source), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(printed.stdout.strip()) == found.python


def test_variables_leak_nothing_of_the_callers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the user's key nor any other variable of theirs reaches the demo's processes."""
    monkeypatch.setenv("RUNPOD_API_KEY", "the user's own")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    variables = flash_environment("http://127.0.0.1:1", home=tmp_path)
    assert variables["RUNPOD_API_KEY"] == CANARY_API_KEY
    assert "HTTP_PROXY" not in variables
    assert variables["HOME"] == str(tmp_path)
    urls = {name: value for name, value in variables.items() if name.endswith("_URL")}
    assert len(urls) == 6
    assert all(url.startswith("http://127.0.0.1:1") for url in urls.values())
    assert "RUNPOD_API_KEY" not in flash_environment("x", home=tmp_path, api_key=None)
