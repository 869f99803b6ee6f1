"""Installing packages with the real pip, from wheels that lie on this machine."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from support.flash import ROOT

from flash_otel.demo.packages import InstallError, install, install_pinned, packages_folder

if TYPE_CHECKING:
    from pathlib import Path

OFFLINE = ("--no-index", "--find-links")


def write_wheel(folder: Path, name: str, *needs: str) -> None:
    """Write the wheel of a package with one module."""
    information = f"{name}-1.0.dist-info"
    required = "".join(f"Requires-Dist: {need}\n" for need in needs)
    files = {
        f"{name}.py": "",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{required}",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{information}/RECORD"))
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for file, text in {**files, f"{information}/RECORD": record}.items():
            wheel.writestr(file, text)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return the interpreter of a new environment, without pip."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "made")], check=True
    )
    return tmp_path / "made" / "bin" / "python"


def modules(python: Path) -> set[str]:
    """Return the modules that are installed for an interpreter."""
    return {file.stem for file in packages_folder(python.parent.parent).glob("*.py")}


def test_packages_are_installed_with_details_of_the_progress(python: Path, tmp_path: Path) -> None:
    """Pip's own dependencies are resolved, and it is reported how many packages there are."""
    write_wheel(tmp_path / "wheels", "red", "blue")
    write_wheel(tmp_path / "wheels", "blue")
    details: list[str] = []
    install(python, [*OFFLINE, str(tmp_path / "wheels"), "red"], details.append)
    assert modules(python) == {"red", "blue"}
    assert details
    assert all(
        re.fullmatch(r"reading the index|[12] packages, 0 MB, (red|blue|[12] unpacked)", detail)
        for detail in details
    )


def test_what_several_pips_leave_is_completed(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pins are installed by several pips at once; one that fails is left to the next install."""
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    for name in ("red", "blue", "green"):
        write_wheel(tmp_path / "wheels", name, "gold")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    install_pinned(python, ["red==1.0", "blue==1.0", "green==2.0"], lambda _: None)
    assert modules(python) == {"red", "blue"}
    write_wheel(tmp_path / "wheels", "gold")
    install(python, ["red", "green"], lambda _: None)
    assert modules(python) == {"red", "blue", "green", "gold"}


def test_a_failure_has_pips_own_words(python: Path, tmp_path: Path) -> None:
    """A package that does not exist is named."""
    with pytest.raises(InstallError, match="No matching distribution found for absent"):
        install(python, [*OFFLINE, str(tmp_path), "absent"], lambda _: None)


def test_an_interruption_ends_pip(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C leaves no pip behind that would go on installing."""
    started: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]  # its alias cannot be a base
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    write_wheel(tmp_path / "wheels", "red")
    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(KeyboardInterrupt):
        install(python, [*OFFLINE, str(tmp_path / "wheels"), "red"], interrupt)
    assert [process.poll() is not None for process in started] == [True]


def test_the_makefiles_installation_reports_a_failure() -> None:
    """Its exit status is not 0, and pip's reason is the last that is printed."""
    module = [sys.executable, "-m", "flash_otel.demo.packages", "Installing it"]
    done = subprocess.run(
        [*module, "--no-index", "absent-package"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Installing it" in done.stderr.splitlines()[0]
    assert "No matching distribution found for absent-package" in done.stderr
