"""A real browser, and pages in it that notice each request, error and violation."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from support.optional import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Request

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
# The sandbox needs privileges that a container lacks, and that root has not.
ARGUMENTS: Final = ("--no-sandbox", "--disable-dev-shm-usage")


@contextmanager
def running_browser(*arguments: str) -> Iterator[Browser]:
    """Yield the machine's Chromium; skip the test if there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        unavailable("Chromium (Debian and Ubuntu: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*ARGUMENTS, *arguments], env={**os.environ}
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page that was opened from disk, and what it did besides showing itself.

    Attributes:
        page: The page.
        requests: Addresses that it requested, other than its own file.
        errors: Exceptions, and messages of the console: violations of its policy among them.
    """

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _opened: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.on("request", self._on_request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))

    def _on_request(self, request: Request) -> None:
        if request.url.partition("#")[0] not in self._opened:
            self.requests.append(request.url)

    def open(self, file: Path) -> Page:
        """Open a file, after which others may follow."""
        self._opened.add(file.as_uri())
        self.page.goto(file.as_uri())
        return self.page


@contextmanager
def visiting(browser: Browser, **settings: Any) -> Iterator[Visit]:
    """Yield a page of a browser context of its own; check at the end that it did nothing else."""
    settings = {"viewport": {"width": 1280, "height": 900}, **settings}
    with browser.new_context(**settings) as context:
        context.set_default_timeout(20_000)
        visit = Visit(context.new_page())
        yield visit
        assert visit.errors == []
        assert visit.requests == []


def violations(page: Page) -> list[str]:
    """Return what axe finds wrong with the page as it is: rule, help and element."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]}"
        for rule in found
        for node in rule["nodes"]
    ]


def unfold(page: Page) -> None:
    """Open every folded section of the page."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
