"""Spans that an attacker wrote, and very many spans, in a real browser: they do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_page import many
from page.pages import LONG, hostile, write
from playwright.sync_api import expect
from support.browser import unfold, violations, visiting

from flash_otel import semconv as sc

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

ELEMENTS = "document.querySelectorAll('script, img, iframe, link, object, embed, base').length"


def test_hostile_spans_do_nothing(browser: Browser, tmp_path: Path) -> None:
    """No script of theirs runs, no element of theirs exists, and no request is made."""
    with visiting(browser) as visit:
        page = visit.open(write(tmp_path / "page.html", hostile()))
        title = page.title()
        own = page.evaluate(ELEMENTS)
        unfold(page)
        page.locator(".row").first.click()
        expect(page.locator(".details")).to_contain_text("document.title='owned'")
        assert page.title() == title
        assert "owned" not in title.replace("'owned'", "")
        assert page.evaluate(ELEMENTS) == own
        assert violations(page) == []


def test_what_deceives_readers_is_spelled_out(browser: Browser, tmp_path: Path) -> None:
    """Control, bidirectional and invisible characters are shown as escapes, and marked as such."""
    with visiting(browser, permissions=["clipboard-read", "clipboard-write"]) as visit:
        page = visit.open(write(tmp_path / "page.html", hostile()))
        page.locator(".row").first.click()
        text = page.evaluate("document.documentElement.innerText + document.title")
        assert {char for char in text if not char.isprintable()} <= set("\n\t")
        assert r"\x1b[2J" in text
        assert r"\u202eeslaf\u202c\u2066\u200b\x00" in text
        expect(page.locator(".spelled", has_text=r"\u202e").first).to_be_visible()
        evil = page.locator(".details .attributes > div", has_text=r"\x1b[2J").first
        evil.locator(".copy").click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert r"\x1b[2J" in copied
        assert "\x1b" not in copied


def test_a_megabyte_is_cut_and_whole_on_demand(browser: Browser, tmp_path: Path) -> None:
    """A long value shows its beginning; `show all` has the rest, without freezing the page."""
    with visiting(browser) as visit:
        page = visit.open(write(tmp_path / "page.html", hostile()))
        page.locator(".row").first.click()
        value = page.locator(".details .attributes > div", has_text=LONG[:200])
        assert len(value.inner_text()) < 1000
        value.get_by_role("button", name=f"show all ({len(LONG):,} characters)").click()
        assert value.locator(".whole").evaluate("element => element.textContent") == LONG
        value.get_by_role("button", name="show less").click()
        assert len(value.inner_text()) < 1000


def test_twenty_thousand_spans_are_a_window(browser: Browser, tmp_path: Path) -> None:
    """Only rows that can be seen exist, wherever one scrolls; folding and search reach all."""
    with visiting(browser) as visit:
        records = many(20_000)
        page = visit.open(write(tmp_path / "page.html", records))
        failed = sum(record.status == "error" for record in records)
        # Each endpoint has one more row for its requests; so have the endpoints with and without
        # a failed request.
        repeats = sum(record.name == sc.PROVISION_ENDPOINT for record in records) + 2
        all_rows = f"{len(records) + repeats + 1}"
        grid, rows = page.get_by_role("treegrid"), page.locator(".row")
        page.get_by_role("button", name="Unfold all").click()
        expect(grid).to_have_attribute("aria-rowcount", all_rows)
        assert rows.count() < 120
        grid.focus()
        page.keyboard.press("End")
        expect(page.locator("#active-row")).to_have_attribute("aria-rowindex", all_rows)
        expect(page.locator("#active-row")).to_be_in_viewport()
        assert rows.count() < 120
        page.get_by_role("searchbox").fill("http 500")
        expect(
            page.get_by_role("status").filter(has_text=f"{failed} of 20,000 spans")
        ).to_be_visible()
        page.get_by_role("searchbox").fill("")
        page.get_by_role("button", name="Fold all", exact=True).click()
        expect(grid).to_have_attribute("aria-rowcount", "7")
