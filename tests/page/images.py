"""The images of the documents: the page in light and dark, and the terminal, of each scenario.

`PYTHONPATH=tests python -m page.images` runs the scenarios with the real Flash and replaces the
images; look at them before they are checked in.
"""

from __future__ import annotations

import io
import re
from base64 import b64decode, b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from page.pages import recorded, write
from rich.console import Console
from support.browser import running_browser, visiting
from support.interpreter import activate

from flash_otel.demo.runner import run_scenario
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.diagnosis import diagnose
from flash_otel.report.diagnosis import render_diagnosis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from flash_otel.records import SpanRecord

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs/images"
FAULTS: Final = (
    *("environment_mismatch", "stale_build"),
    *("manifest_not_persisted", "read_before_write"),
)
SCHEMES: Final = ("light", "dark")
LARGEST: Final = 150_000  # bytes

_SIZE: Final = {"width": 1240, "height": 900}
_COLUMNS: Final = 100
_MARGIN: Final = 24
_TO_WEBP: Final = """async png => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.9);
}"""
# Rich's drawing names a font on another host, which a page that shows it would request.
_ELSEWHERE: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)


def names() -> list[str]:
    """Return the names of all images."""
    pages = [f"{fault}-{scheme}.webp" for fault in FAULTS for scheme in SCHEMES]
    return [*pages, *(f"{fault}-terminal.svg" for fault in FAULTS)]


def take(browser: Browser, fault: str, records: list[SpanRecord], folder: Path) -> None:
    """Write the images of a scenario into a folder."""
    with TemporaryDirectory() as made:
        file = write(Path(made) / "page.html", records)
        for scheme in SCHEMES:
            with visiting(browser, color_scheme=scheme, viewport=_SIZE) as visit:
                page = visit.open(file)
                last = page.locator("svg.picture").bounding_box()
                assert last is not None
                height = int(last["y"] + last["height"] + _MARGIN)
                shot = page.screenshot(
                    full_page=True,
                    clip={"x": 0, "y": 0, "width": _SIZE["width"], "height": height},
                )
            (folder / f"{fault}-{scheme}.webp").write_bytes(_as_webp(browser, shot))
    drawn = terminal(records)
    (folder / f"{fault}-terminal.svg").write_text(drawn, encoding="utf-8")


def _as_webp(browser: Browser, png: bytes) -> bytes:
    """Return an image in a format that takes half of the space; the browser has the encoder."""
    with browser.new_context() as context:
        made: str = context.new_page().evaluate(_TO_WEBP, b64encode(png).decode())
    return b64decode(made.partition(",")[2])


def terminal(records: list[SpanRecord]) -> str:
    """Return what `flash-otel diagnose` prints on a terminal, as SVG."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    render_diagnosis(diagnose(records), console)
    return _ELSEWHERE.sub("", console.export_svg(title="flash-otel diagnose", unique_id="terminal"))


def _recordings(folder: Path) -> Iterator[tuple[str, list[SpanRecord]]]:
    for fault in FAULTS:
        workdir = folder / f"run-{FAULTS.index(fault)}"
        workdir.mkdir()
        yield fault, recorded(run_scenario(SCENARIOS[fault], workdir=workdir), workdir)


if __name__ == "__main__":
    activate()
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as temporary, running_browser() as chromium:
        for name, spans in _recordings(Path(temporary)):
            take(chromium, name, spans, FOLDER)
