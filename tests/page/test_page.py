"""The page of a failed deployment, as a person uses it in a browser: by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from page.pages import recorded, write
from playwright.sync_api import expect
from support.browser import unfold, violations, visiting

from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.diagnosis import diagnose
from flash_otel.otlp.encode import encode_json
from flash_otel.report import words
from flash_otel.report.json import diagnosis_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page
    from support.runs import ScenarioRuns

    from flash_otel.records import SpanRecord

pytestmark = pytest.mark.flash


@pytest.fixture(scope="module")
def records(shared_run: ScenarioRuns, tmp_path_factory: pytest.TempPathFactory) -> list[SpanRecord]:
    """A deployment whose activation had no effect, and a worker that read the older build."""
    return recorded(shared_run(SCENARIOS["stale_build"]), tmp_path_factory.mktemp("stale"))


@pytest.fixture
def page(browser: Browser, records: list[SpanRecord], tmp_path: Path) -> Iterator[Page]:
    """Its page, opened from disk; it must request nothing, and report no error."""
    with visiting(browser) as visit:
        yield visit.open(write(tmp_path / "page.html", records))


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row", name=re.compile(rf"^{re.escape(name)}\b")).first


def details(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Span")


def test_the_verdict_comes_first(page: Page, records: list[SpanRecord]) -> None:
    """The heading, the sentence, the remedy and the facts are those of the diagnosis."""
    found = diagnosis_json(diagnose(records))
    [deployment, *_] = found["deployments"]
    [finding, *_] = found["findings"]
    main = page.get_by_role("main")
    expect(page.get_by_role("heading", level=1)).to_contain_text("active build is not the one")
    expect(main).to_contain_text(finding["sentence"])
    expect(main).to_contain_text(finding["remedy"]["deployer"].replace("`", ""))
    expect(main).to_contain_text("1 worker read it: got another build")
    for value in ("app_name", "environment_name", "flash_version"):
        expect(page.get_by_label("Deployment", exact=True)).to_contain_text(deployment[value])
    for match in deployment["ids"]:
        cells = page.get_by_role("row", name=match["name"].replace("_", " "))
        expect(cells).to_contain_text(match["deployed"])
        expect(cells).to_contain_text(match["read"])
        expect(cells).to_contain_text(words.RESULTS[match["result"]])


def test_the_offending_read_is_one_step_from_the_verdict(page: Page) -> None:
    """Evidence leads to its span, which is marked; its details name the build that was read."""
    page.get_by_role("button", name=re.compile("^flash.runtime.fetch")).click()
    selected = page.locator('[role=row][aria-selected="true"]')
    expect(selected).to_contain_text("flash.runtime.fetch")
    expect(selected).to_contain_text("fault")
    expect(selected).not_to_contain_text("failed")  # it returned, though what it got is bad
    expect(selected).to_contain_text(re.compile(r"build [0-9a-f]{8}…"))
    expect(details(page)).to_contain_text("flash.build_id")
    expect(selected).to_be_in_viewport()


def test_a_link_leads_to_the_workers_trace_and_back(page: Page) -> None:
    """The call's trace links to the deployment, which links back; so does the browser's Back."""
    row(page, "flash.call").click()
    details(page).get_by_role("button", name=re.compile("^flash.deploy")).click()
    expect(details(page).get_by_role("heading", level=3)).to_contain_text("flash.deploy")
    details(page).get_by_role("button", name=re.compile("^flash.call")).click()
    expect(details(page).get_by_role("heading", level=3)).to_contain_text("flash.call")
    page.go_back()
    expect(details(page).get_by_role("heading", level=3)).to_contain_text("flash.deploy")
    page.go_back()
    expect(details(page).get_by_role("heading", level=3)).to_contain_text("flash.call")


def test_an_address_names_a_span(page: Page) -> None:
    """The page's address, copied, opens at the selected span."""
    row(page, "flash.manifest.upload").click()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(details(page).get_by_role("heading", level=3)).to_contain_text("flash.manifest.upload")


def test_spans_fold(page: Page) -> None:
    """A click folds a span's children away and brings them back; buttons fold and unfold all."""
    row(page, "flash.provision").locator(".toggle").click()
    expect(page.get_by_text("flash.manifest.upload", exact=True)).to_be_hidden()
    expect(row(page, "flash.provision")).to_have_attribute("aria-expanded", "false")
    row(page, "flash.provision").locator(".toggle").click()
    expect(row(page, "flash.manifest.upload")).to_be_visible()
    page.get_by_role("button", name="Fold all", exact=True).click()
    expect(row(page, "flash.manifest.upload")).to_be_hidden()
    expect(row(page, "flash.build")).to_be_visible()
    page.get_by_role("button", name="Unfold all").click()
    expect(row(page, "flash.manifest.fetch")).to_be_visible()


def test_the_keyboard_alone_reaches_everything(page: Page) -> None:
    """Arrows move, fold and unfold; Enter opens details, `/` searches, Esc leaves."""
    grid = page.get_by_role("treegrid")
    active = page.locator("#active-row")
    grid.focus()
    page.keyboard.press("ArrowDown")
    expect(active).to_contain_text("flash.build")
    page.keyboard.press("ArrowLeft")
    expect(active).to_contain_text("flash.deploy")
    page.keyboard.press("ArrowLeft")
    expect(active).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(active).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("End")
    expect(active).to_contain_text("flash.call")
    page.keyboard.press("Enter")
    expect(details(page)).to_contain_text("No endpoint URL for resource")
    page.keyboard.press("Escape")
    expect(details(page)).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("manifest.upload")
    page.keyboard.press("Enter")
    expect(active).to_contain_text("flash.manifest.upload")
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(row(page, "flash.build")).to_be_visible()


def test_a_search_finds_attributes_and_ids(page: Page, records: list[SpanRecord]) -> None:
    """What a span holds is found, with the way to it; a text that none holds leaves nothing."""
    search = page.get_by_role("searchbox")
    activation = next(record for record in records if record.name == "flash.activate")
    found = {activation.span_id: "flash.activate", "FLASH.MANIFEST.SIZE": "flash.manifest.upload"}
    for text, name in found.items():
        search.fill(text)
        expect(page.get_by_role("status").filter(has_text=re.compile("^1 of"))).to_be_visible()
        expect(row(page, name)).to_have_class(re.compile("hit"))
        expect(row(page, "flash.deploy")).not_to_have_class(re.compile("hit"))
        expect(row(page, "flash.build")).to_be_hidden()
    search.fill("no span holds this")
    expect(page.get_by_role("status").filter(has_text=re.compile("^0 of"))).to_be_visible()


def test_the_wait_between_the_phases_is_folded(page: Page) -> None:
    """One axis holds both phases, and says how much later the worker read."""
    expect(page.locator(".wait")).to_have_text(re.compile(r"^worker read [\d.]+ \w+ later$"))
    read = row(page, "flash.runtime.fetch").locator(".span-bar").bounding_box()
    deployment = row(page, "flash.deploy").locator(".span-bar").bounding_box()
    assert read is not None
    assert deployment is not None
    assert read["x"] > deployment["x"] + deployment["width"]
    assert read["width"] > 10


def test_bracketed_lines_lead_to_their_spans(page: Page) -> None:
    """The guide's lines are there, each a way to the span that writes it."""
    page.get_by_text("Bracketed lines").click()
    line = page.locator(".lines li", has_text="[STATE MANAGER] environment_id=")
    line.get_by_role("button").click()
    expect(page.locator("#active-row")).to_contain_text("flash.manifest.fetch")


def test_a_resource_is_shown_once_per_process(page: Page) -> None:
    """A span names its process, which leads to the attributes of that process's resource."""
    row(page, "flash.call").click()
    details(page).get_by_role("button", name=re.compile("^api on")).click()
    process = page.locator(".process", has_text="api on")
    expect(process).to_be_in_viewport()
    expect(process).to_contain_text("faas.instance")
    assert page.get_by_text("faas.instance", exact=True).count() == 1


def test_raw_otlp_and_values_leave_the_page(
    browser: Browser, records: list[SpanRecord], tmp_path: Path
) -> None:
    """The saved file is what `show --json` prints; a copy button copies what stands beside it."""
    with visiting(browser, permissions=["clipboard-read", "clipboard-write"]) as visit:
        page = visit.open(write(tmp_path / "page.html", records))
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as OTLP").click()
        saved = json.loads(download.value.path().read_text("utf-8"))
        assert saved == json.loads(json.dumps(encode_json(records)))
        assert download.value.suggested_filename == f"trace-{records[0].trace_id[:8]}.json"
        page.get_by_role("button", name="Copy trace id").first.click()
        assert page.evaluate("navigator.clipboard.readText()") == records[0].trace_id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    browser: Browser, records: list[SpanRecord], tmp_path: Path, scheme: str
) -> None:
    """No violation of accessibility rules: at first, with everything open, and in a search."""
    with visiting(browser, color_scheme=scheme) as visit:
        page = visit.open(write(tmp_path / "page.html", records))
        assert violations(page) == []
        unfold(page)
        row(page, "flash.call").click()
        assert violations(page) == []
        page.get_by_role("searchbox").fill("build")
        page.locator(".row.hit").first.wait_for()
        assert violations(page) == []


def test_light_and_dark(page: Page) -> None:
    """The button changes between the two, whatever the system prefers, and is remembered."""
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == dark


def test_paper_shows_every_row_in_light(page: Page, records: list[SpanRecord]) -> None:
    """In print there are no buttons and nothing scrolls: all rows, and the folded sections."""
    page.get_by_role("button", name="Dark").click()
    page.emulate_media(media="print")
    expect(page.locator(".row")).to_have_count(len(records))
    expect(page.get_by_role("button", name="Save as OTLP")).to_be_hidden()
    expect(page.get_by_text("[DEPLOY SYNC] Uploading manifest")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    assert page.pdf().startswith(b"%PDF")


def test_an_ordinary_page_is_small(records: list[SpanRecord], tmp_path: Path) -> None:
    """A deployment with a worker's read takes less than 250 kB."""
    assert write(tmp_path / "page.html", records).stat().st_size < 250_000


def test_the_picture_shows_what_was_held_and_who_read_it(page: Page) -> None:
    """The offending read stands out beside the states; each mark leads to its span."""
    picture = page.locator("svg.picture")
    states = picture.locator(".state text").all_text_contents()
    assert [text for text in states if "endpoint" in text] == [
        *("no endpoints", "2 endpoints", "1 endpoint, as read")
    ]
    read = picture.get_by_role("button", name=re.compile("^Worker.*not the deployed build"))
    expect(read).to_have_count(1)
    expect(read).to_have_class(re.compile("marked"))
    read.focus()
    page.keyboard.press("Enter")
    expect(details(page).get_by_role("heading", level=3)).to_contain_text("flash.runtime.fetch")
