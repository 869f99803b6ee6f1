"""The page folds and names things as the terminal does; every way to what is folded opens it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import TWO, call, deployment, read, records
from diagnosis.scenes import SCENES
from docs.commands import ROOT
from page.pages import write
from playwright.sync_api import expect
from support.browser import visiting

from flash_otel import semconv as sc
from flash_otel.diagnosis import diagnose
from flash_otel.report.html import trace_html
from flash_otel.report.traces import STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

    from flash_otel.records import SpanRecord

SPANS = 11
LIMITS = "min 300 ms, median 800 ms, max 1.30 s"


@pytest.fixture(scope="module")
def recording() -> list[SpanRecord]:
    """Twelve workers' reads, of which the last gets no endpoints."""
    fine = [
        read(9 + n, number=f"{n}", instance=f"worker-{n}", held=TWO, lasting=0.3 + n / 10)
        for n in range(SPANS)
    ]
    empty = read(30, number="30", instance="late", phase=sc.PHASE_BUILD)
    return records(deployment(), *fine, empty)


@pytest.fixture
def page(browser: Browser, recording: list[SpanRecord], tmp_path: Path) -> Iterator[Page]:
    with visiting(browser) as visit:
        yield visit.open(write(tmp_path / "page.html", recording))


def test_labels_have_the_tones_of_the_terminal() -> None:
    """The page colours a list's labels as the terminal does; any other is a fault on both."""
    tones = {"green": "good", "yellow": "odd", "cyan": "odd"}
    source = (ROOT / "page/src/parts/Verdict.jsx").read_text("utf-8")
    entries, others = re.findall(r"const (?:ENTRIES|OPEN) = (.*);", source)
    shown = dict(re.findall(r'"?(\w[\w ]*)"?: "(\w+)"', entries))
    shown |= dict.fromkeys(json.loads(others), "odd")
    assert shown == {label: tones[style] for label, style in STYLES.items()}


@pytest.mark.parametrize(
    ("scene", "tone", "title"),
    [
        ("a build that failed", "bad", "The deployment failed"),
        ("a deployment of Flash 1.14 that nobody has read", "odd", "No read yet"),
    ],
)
def test_the_verdict_has_the_tone_of_the_terminal(
    browser: Browser, scene: str, tone: str, title: str, tmp_path: Path
) -> None:
    """A failed deployment is red, though no fault explains it; one that nobody has read is open."""
    with visiting(browser) as visit:
        page = visit.open(write(tmp_path / "page.html", SCENES[scene].make()))
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        expect(page.locator("section.verdict")).to_have_class(f"verdict {tone}")


def fetches(page: Page) -> Locator:
    return page.get_by_role("row", name=re.compile("^flash.runtime.fetch"))


def repeats(page: Page) -> Locator:
    return page.get_by_role(
        "row", name=re.compile("^flash.runtime.fetch \N{MULTIPLICATION SIGN}11")
    )


def test_repeats_are_one_row_with_their_durations(page: Page, recording: list[SpanRecord]) -> None:
    """The number, least, middle and greatest duration; the read at fault has a row of its own."""
    expect(repeats(page)).to_contain_text(LIMITS)
    expect(repeats(page)).to_have_attribute("aria-expanded", "false")
    expect(repeats(page).locator(".took")).to_have_text("800 ms")
    expect(fetches(page)).to_have_count(2)
    expect(fetches(page).filter(has_text="fault")).to_have_count(1)
    status = page.get_by_role("status").filter(has_text="spans")
    expect(status).to_have_text(f"{len(recording)} spans")


def test_a_row_of_repeats_opens_to_its_spans(page: Page) -> None:
    """A click, or the keyboard, shows each span, and folds them again."""
    repeats(page).click()
    expect(fetches(page)).to_have_count(2 + SPANS)
    repeats(page).locator(".toggle").click()
    expect(fetches(page)).to_have_count(2)
    page.get_by_role("treegrid").focus()
    page.keyboard.press("Enter")
    expect(fetches(page)).to_have_count(2 + SPANS)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Span")).to_contain_text("flash.runtime.fetch")


def test_buttons_open_and_fold_repeats(page: Page) -> None:
    """With all others."""
    page.get_by_role("button", name="Unfold all").click()
    expect(fetches(page)).to_have_count(2 + SPANS)
    page.get_by_role("button", name="Fold all", exact=True).click()
    expect(fetches(page)).to_have_count(2)


def test_a_search_finds_a_span_that_is_folded(page: Page, recording: list[SpanRecord]) -> None:
    """The way to it is shown, and only the span itself is counted."""
    hidden = [record for record in recording if record.name == sc.RUNTIME_FETCH][5]
    page.get_by_role("searchbox").fill(hidden.trace_id)
    expect(fetches(page)).to_have_count(2)
    expect(page.locator(".row.hit").first).to_contain_text("flash.runtime.fetch")
    expect(repeats(page)).not_to_have_class(re.compile("hit"))


def test_a_jump_opens_what_is_folded(
    browser: Browser, recording: list[SpanRecord], tmp_path: Path
) -> None:
    """An address names a folded span; so does a link, and a bracketed line."""
    hidden = [record for record in recording if record.name == sc.MANIFEST_FETCH][5]
    file = write(tmp_path / "page.html", recording)
    with visiting(browser) as visit:
        page = visit.open(file)
        page.goto(f"{file.as_uri()}#{hidden.trace_id}-{hidden.span_id}")
        page.reload()
        selected = page.locator('[role=row][aria-selected="true"]')
        expect(selected).to_contain_text("flash.manifest.fetch")
        expect(repeats(page)).to_have_attribute("aria-expanded", "true")
        page.get_by_role("button", name="Fold all", exact=True).click()
        page.get_by_text("Bracketed lines").click()
        line = page.locator(".lines li", has_text="[RUNTIME SYNC] Querying").nth(3)
        line.get_by_role("button").click()
        expect(selected).to_contain_text("flash.runtime.fetch")
        expect(selected).to_be_in_viewport()


def test_paper_shows_each_of_them(page: Page, recording: list[SpanRecord]) -> None:
    """Nothing can be unfolded on paper."""
    page.emulate_media(media="print")
    expect(page.locator(".row")).to_have_count(len(recording) + 1)


def test_a_wait_names_what_came_and_by_which_clock(browser: Browser, tmp_path: Path) -> None:
    """In the words of the terminal."""
    recording = records(deployment(), [call(498.2, host="pod")])
    with visiting(browser) as visit:
        page = visit.open(write(tmp_path / "page.html", recording))
        expect(page.locator(".wait")).to_have_text("call 8 min 12 s later, by its own clock")


def test_a_deployment_that_failed_or_runs_is_called_so(browser: Browser, tmp_path: Path) -> None:
    """Though no fault explains a failure, and nothing is missing while a deployment runs."""
    failed = SCENES["a build that failed"].make()
    begun = deployment()
    begun["deploy"] = replace(begun["deploy"], end_ns=None)
    running = trace_html(records(begun), diagnose(records(begun)), lambda _: True)
    (tmp_path / "running.html").write_text(running, encoding="utf-8")
    with visiting(browser) as visit:
        page = visit.open(write(tmp_path / "failed.html", failed))
        expect(page.get_by_role("heading", level=1)).to_have_text("The deployment failed")
        expect(page.locator(".verdict .code")).to_have_text("inconclusive")
        page = visit.open(tmp_path / "running.html")
        expect(page.get_by_role("heading", level=1)).to_have_text("The deployment is running")
        expect(page.locator(".verdict")).not_to_contain_text("inconclusive")
        expect(page.locator(".verdict")).not_to_contain_text("Missing")


def test_a_job_lies_below_its_call(browser: Browser, tmp_path: Path) -> None:
    """The worker's trace is another one; the id of the job joins them, in the caller's trace."""
    caller = call(9)
    submitted = {**caller.attributes, "faas.invocation_id": "job-1"}
    caller = replace(caller, attributes=submitted)
    served = replace(
        caller,
        name="process gpu",
        kind="consumer",
        trace_id="e" * 32,
        span_id="e" * 16,
        attributes={"faas.invocation_id": "job-1", "faas.trigger": "pubsub"},
    )
    file = tmp_path / "page.html"
    with visiting(browser) as visit:
        page = visit.open(write(file, [caller, *records(deployment()), served]))
        job = page.get_by_role("row", name=re.compile("^process gpu"))
        expect(job).to_have_attribute("aria-level", "2")
    with visiting(browser) as visit:
        page = visit.open(write(file, [served, *records(deployment()), caller]))
        job = page.get_by_role("row", name=re.compile("^process gpu"))
        expect(job).to_have_attribute("aria-level", "1")
