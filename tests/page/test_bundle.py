"""The script and the style sheet of the page: what is checked in is what the sources make."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from support.optional import unavailable

ROOT: Final = Path(__file__).resolve().parents[2]
BUNDLE: Final = ROOT / "flash_otel/report/page"


def found_node() -> str:
    """Return the path of Node; skip the test without it or the packages of `make page`."""
    node = shutil.which("node")
    if node is None or not (ROOT / "page/node_modules/esbuild").exists():
        unavailable("Node, and the packages of `make page`")
    return node


def test_the_sources_are_free_of_mistakes() -> None:
    """The linter finds nothing, such as a name that is not declared, and the form is its own."""
    found_node()
    biome = ROOT / "page/node_modules/.bin/biome"
    command = [str(biome), "check", "src", "build.js"]
    checked = subprocess.run(
        command, cwd=ROOT / "page", capture_output=True, text=True, check=False, timeout=120
    )
    assert checked.returncode == 0, checked.stderr


def test_the_bundle_is_a_build_of_its_sources(tmp_path: Path) -> None:
    """A fresh build from the locked packages has the same bytes as the files in the package."""
    node = found_node()
    subprocess.run([node, ROOT / "page/build.js", tmp_path], check=True, timeout=120)
    built = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert built == {path.name: path.read_bytes() for path in BUNDLE.iterdir()}


def test_the_bundle_can_stand_in_a_page() -> None:
    """It is small, holds the licence of preact, and no text that would end its element."""
    script = (BUNDLE / "page.js").read_text("utf-8")
    style = (BUNDLE / "page.css").read_text("utf-8")
    assert len(script) + len(style) < 100_000
    assert "The MIT License" in script
    assert "Permission is hereby granted" in script
    assert not [word for word in ("</script", "<!--", "\r") if word in script]
    assert not [word for word in ("</style", "\r", "@import", "url(") if word in style]
