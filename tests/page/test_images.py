"""The images of the documents can be made again, and the ones checked in are of the same kind."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from page.images import FAULTS, FOLDER, LARGEST, names, take
from page.pages import recorded
from support.flash import ROOT

from flash_otel.demo.scenarios import SCENARIOS

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser
    from support.runs import ScenarioRuns


def width_of(browser: Browser, file: Path) -> int:
    """Return the width of an image in pixels."""
    address = f"data:image/webp;base64,{b64encode(file.read_bytes()).decode()}"
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content(f"<img src='{address}'>")
        width: int = page.locator("img").evaluate("image => image.decode().then(() => image.width)")
    return width


def test_every_image_is_there_and_stands_in_the_readme() -> None:
    """The folder holds what is made and nothing else; each is small, and shown."""
    assert {path.name for path in FOLDER.iterdir()} == set(names())
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in names() if f"docs/images/{name}" not in readme] == []
    assert [path.name for path in FOLDER.iterdir() if path.stat().st_size > LARGEST] == []


def test_a_terminal_requests_nothing() -> None:
    """A drawing of the terminal names no address but that of its own format."""
    for fault in FAULTS:
        text = (FOLDER / f"{fault}-terminal.svg").read_text("utf-8")
        assert text.replace("http://www.w3.org/2000/svg", "").count("http") == 0
        assert fault in text


@pytest.mark.flash
@pytest.mark.parametrize("fault", FAULTS)
def test_images_are_made_from_a_real_run(
    fault: str, browser: Browser, shared_run: ScenarioRuns, tmp_path: Path
) -> None:
    """Each scenario, run with the real Flash, gives its images, in light and in dark."""
    take(browser, fault, recorded(shared_run(SCENARIOS[fault]), tmp_path), tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".webp", ".svg"))
    assert made == sorted(name for name in names() if name.startswith(fault))
    light, dark = (tmp_path / f"{fault}-{scheme}.webp" for scheme in ("light", "dark"))
    assert width_of(browser, light) == width_of(browser, FOLDER / light.name)
    assert light.read_bytes() != dark.read_bytes()
