"""Every view says what `diagnose --json` says: for each demo, and for the whole matrix."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from e2e.matrix import recording
from e2e.matrix_cases import CASES, FILE, STORE

from flash_otel.cli.app import status_of
from flash_otel.cli.sources import Selection
from flash_otel.cli.ui import ui_source
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.ui.documents import Documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.runs import ScenarioRuns

    Compare = Callable[[Path, list[str]], None]

DOCUMENT = re.compile(r'<script type="application/json" id="document-(\w+)">(.*?)</script>')
# How the text of `show` begins: with a code, or with the words for none.
HEADINGS = re.compile(
    r"✗ (?:the deployment failed|cancelled) \((?P<ended>inconclusive)\): |"
    r"[✗✓?] (?P<verdict>no fault found|no read yet|\w+)(?: \((?P<confidence>\w+)\))?: "
)

CODES = {"no fault found": "none", "no read yet": "inconclusive"}
"""Words for people, and the codes that they stand for."""


@dataclass(frozen=True)
class Views:
    """The views of one source; each command runs in this process.

    Attributes:
        folder: For files.
        run: Returns what a command prints.
        words: The values of `--from`, with the option before each.
        documents: Those of the page of `ui`.
    """

    folder: Path
    run: Callable[..., str]
    words: list[str]
    documents: Documents

    def json(self, *words: str) -> Any:
        """Return what a command prints with `--json`."""
        return json.loads(self.run(words[0], "--json", *words[1:], *self.words))

    def listed(self) -> list[dict[str, Any]]:
        """Return the list of traces, once it is the same in `traces` and in `ui`."""
        entries: list[dict[str, Any]] = self.json("traces")
        while (page := self.document("entries", limit="20"))["is_partial"]:
            pass
        assert page["entries"] == entries
        return entries

    def document(self, name: str, **parameters: str) -> Any:
        """Return a document of `ui`."""
        return json.loads(self.documents.named(name, parameters))

    def heading(self, trace_id: str) -> tuple[str, str] | None:
        """Return the verdict of `show` as a code, and its confidence; None if it has none."""
        first = self.run("show", trace_id, *self.words).partition("\n")[0]
        found = HEADINGS.match(first)
        if found is None:
            assert first.startswith(f"trace {trace_id}")
            return None
        verdict = found["ended"] or CODES.get(found["verdict"], found["verdict"])
        return verdict, found["confidence"] or "certain"

    def embedded(self, trace_id: str) -> dict[str, Any]:
        """Return the documents in the page that `show --html` writes."""
        file = self.folder / "page.html"
        self.run("show", trace_id, "--html", str(file), *self.words)
        return {name: json.loads(text) for name, text in DOCUMENT.findall(file.read_text("utf-8"))}


@pytest.fixture
def compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Compare:
    """Call it with a store and the sources of a recording to compare every view of every trace."""

    def run(*words: str) -> str:
        capsys.readouterr()
        status_of([*words])
        return capsys.readouterr().out

    def compared(store: Path, words: list[str]) -> None:
        monkeypatch.setenv("FLASH_OTEL_STORE", str(store))
        documents = Documents(ui_source(words[1::2] or None, Selection()))
        try:
            views = Views(tmp_path, run, words, documents)
            listed = views.listed()
            assert listed
            for entry in listed:
                compare_trace(views, entry)
        finally:
            documents.close()

    return compared


def compare_trace(views: Views, entry: dict[str, Any]) -> None:
    """Check what each view says of a listed trace against a diagnosis of it."""
    trace_id = entry["trace_id"]
    found = views.json("diagnose", "--trace", trace_id)
    page = views.embedded(trace_id)
    assert page["diagnosis"] == found
    assert page["trace"] == views.json("show", trace_id)
    assert views.document("diagnosis", trace_id=trace_id) == found
    deciding = [each for each in found["findings"] if each["code"] == found["verdict"]]
    if found["unmatched"]:  # a trace that belongs to no deployment
        assert (entry["verdict"], views.heading(trace_id)) == (None, None)
        return
    said = (found["verdict"], deciding[0]["confidence"])
    assert (entry["verdict"], entry["confidence"]) == said
    assert views.heading(trace_id) == said
    evidence = {each["span_id"] for each in deciding[0]["evidence"] if each["span_id"]}
    for trace in (page["trace"], views.document("trace", trace_id=trace_id)):
        assert evidence <= {span["spanId"] for span in spans_of(trace)}


def spans_of(trace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans of a trace in OTLP."""
    for group in trace["resourceSpans"]:
        for scope in group["scopeSpans"]:
            yield from scope["spans"]


@pytest.mark.flash
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_view_of_a_demo(name: str, shared_run: ScenarioRuns, compare: Compare) -> None:
    """The store alone; the matrix has it together with the logs of its workers."""
    compare(shared_run(SCENARIOS[name]).store, [])


@pytest.mark.flash
@pytest.mark.parametrize("name", CASES)
def test_every_view_of_a_row_of_the_matrix(
    name: str, shared_run: ScenarioRuns, compare: Compare, tmp_path: Path
) -> None:
    """The store with the workers' logs, and one OTLP file.

    Without `--skew`, which is for `diagnose` alone: the other views take its default.
    """
    case = CASES[name]
    recorded = recording(case, shared_run(case.scenario), tmp_path)
    for source in (STORE, FILE):
        words = recorded.inputs[source]
        if words:
            compare(recorded.store, words[: -2 if "--skew" in words else None])
