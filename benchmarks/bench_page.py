"""The page of `show --html` in a real browser: its size, its first paint, scrolling, and its heap.

Chromium runs without a window, and without its sandbox, which needs privileges. A figure in ms is
wall-clock time, so only those of an idle machine count.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from measuring import Row, row
from playwright.sync_api import sync_playwright

from flash_otel import semconv as sc
from flash_otel.diagnosis import diagnose
from flash_otel.records import SpanRecord
from flash_otel.report.html import trace_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

SPANS: Final = 20_000
ROUNDS: Final = 7
FRAMES: Final = 200

_TRACE: Final = "5c" * 16
_EPOCH_NS: Final = 1_760_000_000 * 10**9
_PER_ENDPOINT: Final = 25
_IDS: Final = {
    sc.ENVIRONMENT_ID: "0483bffc-9a48-4e1b-bdcc-861ee2a2bd58",
    sc.BUILD_ID: "0c069c1f-9ac9-48ed-9f76-d79799af0cc2",
    sc.ENDPOINT_COUNT: 2,
    sc.ENVIRONMENT_NAME: "production",
    sc.RESOURCE_NAME: "an endpoint with a name of usual length",
    sc.GRAPHQL_OPERATION_NAME: "updateFlashBuildManifest",
    "http.response.status_code": 200,
    "server.address": "api.runpod.io",
    sc.OUTCOME: sc.RETURNED,
}
# Until the first rows of the waterfall are on the screen.
_SHOWN: Final = """
new MutationObserver((_, observer) => {
    if (!document.querySelector('.row')) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.shownAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
# By ten rows at a time, as a wheel does, and now and then to another part of the trace.
_SCROLLED: Final = """async frames => {
    const grid = document.querySelector('.grid');
    const gaps = [];
    let last = performance.now();
    for (let i = 0; i < frames; i += 1) {
        grid.scrollTop += i % 40 === 39 ? 100_000 : 280;
        await new Promise(requestAnimationFrame);
        gaps.push(performance.now() - last);
        last = performance.now();
    }
    return gaps;
}"""


def many(number: int) -> list[SpanRecord]:
    """Return a deployment of `number` spans: requests below endpoints, some of which failed."""
    made = [_span(1, None, sc.DEPLOY, 0, number)]
    for n in range(2, number + 1):
        first = n - (n - 2) % _PER_ENDPOINT  # of a group: an endpoint, and the requests below it
        if n == first:
            made.append(_span(n, 1, sc.PROVISION_ENDPOINT, n - 1, n + _PER_ENDPOINT - 1))
        else:
            made.append(_span(n, first, sc.GRAPHQL, n - 1, n, has_failed=n % 997 == 0))
    return made


def _span(
    n: int, parent: int | None, name: str, start: int, end: int, *, has_failed: bool = False
) -> SpanRecord:
    """Return span `n`, from `start` to `end` milliseconds after an epoch."""
    return SpanRecord(
        trace_id=_TRACE,
        span_id=f"{n:016x}",
        parent_span_id=None if parent is None else f"{parent:016x}",
        name=name,
        kind="client",
        start_ns=_EPOCH_NS + start * 10**6,
        end_ns=_EPOCH_NS + end * 10**6,
        status="error" if has_failed else "unset",
        status_message="HTTP 500" if has_failed else "",
        attributes={**_IDS, sc.OUTCOME: sc.FAILED} if has_failed else _IDS,
        scope_name=sc.SCOPE_NAME,
    )


def rows() -> Iterator[Row]:
    """Yield the rows of the page."""
    with TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.html", Path(folder) / "large.html"
        for file, number in ((small, 40), (large, SPANS)):
            spans = many(number)
            file.write_text(trace_html(spans, diagnose(spans)), encoding="utf-8")
        size = small.stat().st_size / 1000
        yield row("a page of 40 spans", "kB", [size], goal=250)
        yield from _in_browser(large)


def _in_browser(file: Path) -> Iterator[Row]:
    shown, gaps, heaps = [], [], []
    with _running() as browser:
        for _ in range(ROUNDS):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            shown.append(_first_paint(page, file))
            gaps.append(_scrolling(page))
            heaps.append(_heap(page))
            page.close()
    what, note = f"a page of {SPANS:,} spans", f"{file.stat().st_size / 1e6:.0f} MB on disk"
    yield row(f"{what}: its first paint", "ms", shown, goal=1000, note=note)
    frames = f"{FRAMES} frames"
    yield row(f"{what}: scrolling, 95th percentile of a frame", "ms", gaps, goal=50, note=frames)
    yield row(f"{what}: its heap", "MB", heaps, goal=150)


def _first_paint(page: Page, file: Path) -> float:
    page.add_init_script(_SHOWN)
    page.goto(file.as_uri())
    page.wait_for_function("window.shownAt")
    shown: float = page.evaluate("window.shownAt")
    return shown


def _scrolling(page: Page) -> float:
    page.get_by_role("button", name="Unfold all").click()
    gaps: list[float] = page.evaluate(_SCROLLED, FRAMES)
    return statistics.quantiles(gaps, n=20)[-1]


def _heap(page: Page) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    return used / 1e6


@contextmanager
def _running() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Chromium is missing (Debian and Ubuntu: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    for found in rows():
        print(" | ".join(found.cells), flush=True)
