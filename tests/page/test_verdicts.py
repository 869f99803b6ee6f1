"""The page says what `diagnose --json` says, for every scene of the diagnosis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from support.browser import Visit, visiting

from flash_otel.diagnosis import Limits, diagnose
from flash_otel.report import words
from flash_otel.report.html import trace_html
from flash_otel.report.json import diagnosis_json
from flash_otel.report.overview import overview_of
from flash_otel.report.words import clean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

EMPTY = "nothing"  # a page is of at least one span
# The texts of the page by the parts that the diagnosis fills; one call, for there are many scenes.
SHOWN = """() => {
    const texts = (selector, root = document) =>
        [...root.querySelectorAll(selector)].map(each => each.textContent);
    return {
        code: texts('.verdict .code code'),
        title: texts('.verdict h1'),
        sentence: texts('.verdict .sentence'),
        steps: texts('.verdict .steps'),
        evidence: texts('.finding li > :last-child'),
        ids: [...document.querySelectorAll('table.ids tbody tr')].map(row => [
            ...texts('td code', row), ...texts('.result', row)
        ]),
        checks: texts('.checks li > .mark'),
        states: texts('.picture .state title'),
        reads: texts('.picture .mark.marked > title'),
    };
}"""


@pytest.fixture(scope="module")
def visit(browser: Browser) -> Iterator[Visit]:
    """A page that shows one scene after another."""
    with visiting(browser) as visit:
        yield visit


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene != EMPTY])
def test_the_page_says_what_the_diagnosis_says(scene: str, visit: Visit, tmp_path: Path) -> None:
    """Verdict, sentence, remedy, evidence, ids, checks and the marks of the picture."""
    records = SCENES[scene].make()
    diagnosis = diagnose(records, limits=Limits(now_ns=NOW_NS))
    file = tmp_path / "page.html"
    file.write_text(trace_html(records, diagnosis), encoding="utf-8")
    shown = visit.open(file).evaluate(SHOWN)
    said = diagnosis_json(diagnosis)
    deciding = [finding for finding in said["findings"] if finding["code"] == said["verdict"]]
    label = overview_of(diagnosis.judged[0], records).label
    assert shown["code"] == ([label] if label else [])
    assert words.verdict(said["verdict"]) == (label or shown["title"][0].lower())
    assert shown["sentence"] == [
        clean(finding["sentence"]).replace("`", "") for finding in deciding[:1]
    ]
    for missing in said["missing"]:
        assert missing.replace("`", "") in shown["steps"][0]
    if said["verdict"] != "none":
        assert deciding[0]["remedy"]["deployer"].replace("`", "") in shown["steps"][0]
    says = [exhibit["says"] for finding in said["findings"] for exhibit in finding["evidence"]]
    assert shown["evidence"] == [text.replace("`", "") for text in says]
    nothing: dict[str, Any] = {"ids": [], "checks": [], "picture": None}
    deployment: dict[str, Any] = next(iter(said["deployments"]), nothing)
    assert shown["ids"] == [
        [*filter(None, (row["deployed"], row["read"])), words.RESULTS[row["result"]]]
        for row in deployment["ids"]
    ]
    assert shown["checks"] == [words.RESULTS[check["result"]] for check in deployment["checks"]]
    if shown["states"]:
        states = [deployment["picture"]["before"]]
        states += [mark["state"] for mark in deployment["picture"]["marks"] if mark["state"]]
        texts = {", ".join(state["says"]) for state in states}
        assert set(shown["states"]) <= texts
        marks = [mark for mark in deployment["picture"]["marks"] if mark["is_marked"]]
        assert len(shown["reads"]) == len(marks)
