"""What a person sees in the real UI of Jaeger, if FLASH_OTEL_JAEGER_UI names a built one.

CI has none: no package registry has it. There, test_jaeger_links.py expands the links by the UI's
rules, which this module compares with what the UI itself makes of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from collector.conftest import BUILT_UI
from collector.ui_links import MENU, PATTERNS, expanded, spans_of
from support.browser import running_browser

from flash_otel import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.exported import Exported
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.flash,
    pytest.mark.skipif(BUILT_UI not in os.environ, reason=f"{BUILT_UI} names no built UI"),
]
OURS: Final = "a[href*='/search?'], a[href*='/trace/']"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1500, "height": 5000}) as context:
        context.set_default_timeout(20_000)
        yield context.new_page()


def test_the_menu(page: Page, exported: Callable[[str], Exported]) -> None:
    """The menu has the entries of jaeger-ui.json, and one of them finds the faulty deployment."""
    made = exported("stale_build")
    page.goto(f"{made.url}{MENU['Verdicts: stale_build']}")
    page.locator(f"a[href*='{made.result.trace_id}']").first.wait_for()
    page.locator(".Menu--item a", has_text="Flash").hover()
    shown = page.locator(".ant-dropdown-menu a")
    shown.first.wait_for()
    assert shown.all_inner_texts() == list(MENU)


@pytest.mark.parametrize("name", ["healthy", "stale_build"])
def test_links_are_expanded_as_expected(
    name: str, page: Page, exported: Callable[[str], Exported]
) -> None:
    """The UI makes of each pattern the address that the other tests ask for."""
    made = exported(name)
    spans = spans_of(made.url, [str(made.result.trace_id)])
    found = "+".join(span["spanID"] for span in spans)
    page.goto(f"{made.url}/trace/{made.result.trace_id}?uiFind={found}")
    page.locator(".AccordianKeyValues--header").first.wait_for()
    for header in page.locator(".AccordianKeyValues--header:not(.is-open)").all():
        header.click()
    page.locator(f".KeyValueTable :is({OURS})").first.wait_for()
    links = page.locator(f".KeyValueTable :is({OURS})")
    addresses = {link.get_attribute("href") for link in links.all()}
    assert addresses == {
        expanded(pattern, span) for pattern in PATTERNS.values() for span in spans
    } - {None}


def test_the_evidence_is_highlighted(page: Page, exported: Callable[[str], Exported]) -> None:
    """The link of a verdict opens the trace with the spans that prove it, and no others."""
    made = exported("stale_build")
    spans = {span["spanID"]: span for span in spans_of(made.url, [str(made.result.trace_id)])}
    (verdict,) = (span for span in spans.values() if span["operationName"] == sc.DIAGNOSIS)
    page.goto(made.url + str(expanded(PATTERNS[sc.DIAGNOSIS_SPANS], verdict)))
    highlighted = page.locator(".span-row.is-matching-filter .endpoint-name")
    highlighted.first.wait_for()
    shown = set(highlighted.all_inner_texts())
    evidence = str(verdict["own"][sc.DIAGNOSIS_SPANS]).split()
    assert {spans[span_id]["operationName"] for span_id in evidence} <= shown
