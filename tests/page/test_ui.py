"""The page of `flash-otel ui` in a browser: list, trace and back, comparison."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import TWO, changed, deployment, read, records
from playwright.sync_api import expect
from support.browser import violations
from support.ui_server import serving

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from support.ui_server import UiServer

EVIL = "<img src=x onerror=\"document.title='owned'\">\x1b[2J\u202eevil"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UiServer]:
    """A server over two deployments; a worker of the second read the first one's build."""
    first = {name: changed(step, app_name=EVIL) for name, step in deployment().items()}
    second = deployment(2, at=400, previous=1, held={"gpu": TWO["gpu"]})
    stale = read(420, code=2, build=1, held=TWO, number="b2")
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(records(first, second, stale))
    with serving(tmp_path) as found:
        yield found


@pytest.fixture
def page(browser: Browser, server: UiServer) -> Iterator[Page]:
    """The list, opened by its address; it must report no error, and ask no other server."""
    errors: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((server.base, "data:"))
                else errors.append(request.url)
            ),
        )
        page.goto(server.address)
        yield page
    assert errors == []


def test_from_the_list_to_a_trace_and_back(page: Page) -> None:
    """The fault stands in the list; its trace opens, and Back returns."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Recorded deployments")
    row = page.get_by_role("row", name=re.compile("build-2.*stale_build"))
    expect(row).to_have_count(1)
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("active build is not the one")
    expect(page.get_by_role("link", name="All recorded deployments")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("row", name=re.compile("stale_build")).first).to_be_visible()


def test_two_deployments_side_by_side(page: Page) -> None:
    """Two chosen deployments are compared: steps, endpoints and facts."""
    boxes = page.get_by_role("checkbox", name=re.compile("^Compare"))
    expect(boxes).to_have_count(2)
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("link", name="Compare the two chosen deployments").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Two deployments")
    endpoints = page.get_by_role("region", name="Endpoints in the manifest")
    expect(endpoints.get_by_role("row", name=re.compile("^web"))).to_contain_text("differs")
    assert violations(page) == []
    page.get_by_role("link", name="All recorded deployments").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recorded deployments")


def test_filters_stay_in_the_address(page: Page) -> None:
    """A filter changes the list and the address, which shows the same when it is loaded again."""
    expect(page.get_by_role("row", name=re.compile("no read yet"))).to_have_count(1)
    page.get_by_label("Only failed").check()
    expect(page.get_by_role("row", name=re.compile("no read yet"))).to_have_count(0)
    assert page.url.endswith("?failed=1")
    page.reload()
    expect(page.get_by_label("Only failed")).to_be_checked()
    expect(page.get_by_role("row", name=re.compile("no read yet"))).to_have_count(0)


def test_new_spans_appear(page: Page, tmp_path: Path) -> None:
    """The list follows the store without a reload."""
    expect(page.get_by_role("row", name=re.compile("build-3"))).to_have_count(0)
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(records(deployment(3, at=900)))
    expect(page.get_by_role("row", name=re.compile("build-3"))).to_have_count(1)


def test_new_spans_of_a_trace_are_offered(page: Page, tmp_path: Path) -> None:
    """A trace that is open does not jump, but offers to show what was recorded since."""
    page.get_by_role("row", name=re.compile("build-2.*stale_build")).get_by_role("link").click()
    button = page.get_by_role("button", name="Show new spans")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(button).to_have_count(0)
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(records(read(430, code=2, build=2, held={"gpu": TWO["gpu"]}, number="b3")))
    button.click()
    reads = page.get_by_role("row", name=re.compile(r"^flash\.runtime\.fetch"))
    expect(reads).to_have_count(2)


def test_hostile_text_is_text(page: Page) -> None:
    """Markup and control characters of a recording are shown, and do nothing."""
    expect(page.get_by_role("table")).to_contain_text("<img src=x onerror")
    expect(page.get_by_role("table")).to_contain_text("\\x1b[2J")
    assert page.title() == "flash-otel"
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_is_accessible(page: Page, scheme: str) -> None:
    """Axe finds nothing, in either scheme."""
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    expect(page.get_by_role("table")).to_be_visible()
    assert violations(page) == []
