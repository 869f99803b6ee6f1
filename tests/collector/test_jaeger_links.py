"""Menu entries and link patterns of Jaeger's UI, expanded by its rules and asked of its API.

The UI opens a search by passing the address's own parameters to the API.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from collector.ui_links import MENU, PATTERNS, expanded, mapping, spans_of
from support import loopback

from flash_otel import semconv as sc
from flash_otel.collector.programs import search_link, trace_link
from flash_otel.otlp.encode import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collector.exported import Exported
    from support.real_collector import Collector

FIVE_DAYS_NS: Final = 5 * 86_400 * 10**9
_SECONDS: Final = 60.0
_TIME: Final = re.compile(r'("(?:startTime|endTime|time)UnixNano": ")(\d+)"')


class Old:
    """The traces of a scenario as they would be if it had run five days ago."""

    def __init__(self, made: Exported, collector: Collector) -> None:
        self.url = made.url
        spans = made.spans()
        text = json.dumps(encode_json(spans))
        self.trace_ids = []
        for trace_id in {span.trace_id for span in spans}:
            self.trace_ids.append(secrets.token_hex(16))
            text = text.replace(trace_id, self.trace_ids[-1])
        aged = _TIME.sub(lambda found: f'{found[1]}{int(found[2]) - FIVE_DAYS_NS}"', text)
        sent = loopback.post(f"{collector.http_url}/v1/traces", json=json.loads(aged), timeout=30)
        assert sent.status_code == 200
        deadline = time.monotonic() + _SECONDS
        while len(self.spans()) < len(spans):
            assert time.monotonic() < deadline, collector.log
            time.sleep(0.2)

    def spans(self) -> list[dict[str, Any]]:
        """Return all spans, with their tags and those of their processes as mappings."""
        return spans_of(self.url, self.trace_ids)


@pytest.fixture(scope="module")
def old(exported: Callable[[str], Exported], running_collector: Collector) -> Old:
    return Old(exported("manifest_not_persisted"), running_collector)


def answers(url: str, address: str, limit: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the traces that an address of the UI shows."""
    parts = urlsplit(address)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path.startswith("/trace/"):
        answer = loopback.get(f"{url}/api/traces/{parts.path.removeprefix('/trace/')}", timeout=30)
    else:
        assert parts.path == "/search"
        # Anything else is overridden, or refused, when the address is opened.
        assert asked["lookback"] == "custom"
        asked["limit"] = limit or asked["limit"]
        answer = loopback.get(f"{url}/api/traces", params=asked, timeout=30)
    assert answer.status_code == 200, answer.text
    for trace in answer.json()["data"]:
        keys = {span["spanID"] for span in trace["spans"]}
        assert set(asked.get("uiFind", "").split()) <= keys
        yield trace


@pytest.mark.flash
@pytest.mark.parametrize("key", PATTERNS)
def test_a_link_opens_what_it_promises(key: str, old: Old) -> None:
    """Each pattern makes a link on some span that finds traces of the same, old, deployment."""
    links = {expanded(PATTERNS[key], span) for span in old.spans()} - {None}
    assert links
    found = {
        trace["traceID"] for link in links for trace in answers(old.url, str(link), limit="1500")
    }
    assert found & set(old.trace_ids)


@pytest.mark.flash
@pytest.mark.parametrize("label", MENU)
def test_a_menu_entry_answers(label: str, old: Old) -> None:
    """Each entry finds only what it names, of any age."""
    asked = parse_qs(urlsplit(MENU[label]).query)
    wanted = json.loads(asked.get("tags", ["{}"])[0])
    found = list(answers(old.url, MENU[label], limit="1500"))
    for trace in found:
        # Badger intersects traces: operation and tags may be those of two spans of the service.
        assert any(span["operationName"] == asked["operation"][0] for span in trace["spans"])
        assert any(
            all(str(mapping(span).get(key)).lower() == value for key, value in wanted.items())
            for span in trace["spans"]
        )
    holds = {"Deployments", "Verdicts: any fault", "Verdicts: manifest_not_persisted"}
    ids = {trace["traceID"] for trace in found}
    assert bool(ids & set(old.trace_ids)) == (label in holds)


@pytest.mark.flash
def test_the_links_of_the_last_deployment(old: Old) -> None:
    """`collector up` prints the trace, and a search by build and environment, of any age."""
    (root,) = (span for span in old.spans() if span["operationName"] == sc.DEPLOY)
    ids = {"environment_id": root["own"][sc.ENVIRONMENT_ID], "build_id": root["own"][sc.BUILD_ID]}
    deployment: Any = SimpleNamespace(trace_id=root["traceID"], **ids)
    (trace,) = answers(old.url, trace_link("", deployment.trace_id))
    assert trace["traceID"] == root["traceID"]
    found = {trace["traceID"] for trace in answers(old.url, search_link("", deployment), "1500")}
    assert root["traceID"] in found


def highlighted(url: str, trace_id: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return the names of the spans that the link printed by a diagnosis highlights."""
    from flash_otel.cli.app import status_of as run

    capsys.readouterr()
    assert run(["diagnose", "--json", "--from", f"jaeger={url}", "--trace", trace_id]) == 1
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("Evidence: ")
    ]
    address = line.removeprefix("Evidence: ").removeprefix(url)
    (trace,) = answers(url, address)
    shown = set(parse_qs(urlsplit(address).query)["uiFind"][0].split())
    return {span["operationName"] for span in trace["spans"] if span["spanID"] in shown}


@pytest.mark.flash
def test_a_printed_link_highlights_the_evidence(
    exported: Callable[[str], Exported], capsys: pytest.CaptureFixture[str]
) -> None:
    """`diagnose --from jaeger` prints one address that opens the spans that prove the verdict."""
    made = exported("stale_build")  # not the recording whose build the old traces repeat
    named = highlighted(made.url, str(made.result.trace_id), capsys)
    assert named == {sc.ACTIVATE, sc.RUNTIME_FETCH}


@pytest.mark.flash
def test_a_printed_link_to_an_old_deployment(old: Old, capsys: pytest.CaptureFixture[str]) -> None:
    """It opens a deployment of any age."""
    (root,) = (span for span in old.spans() if span["operationName"] == sc.DEPLOY)
    assert sc.RUNTIME_FETCH in highlighted(old.url, root["traceID"], capsys)
