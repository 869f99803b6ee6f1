"""What the page gets is what the commands print: for every scene, from the same store."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from diagnosis.recordings import NOW_NS, TWO, deployment, read, records
from diagnosis.scenes import SCENES

from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.recorded import local_spans
from flash_otel.report.entry import entry_json
from flash_otel.report.json import diagnosis_json
from flash_otel.report.listing import list_traces
from flash_otel.store.store import SpanStore, open_for_reading
from flash_otel.ui.documents import Documents, UiSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord

RECORDED = [name for name, scene in SCENES.items() if scene.make()]


def limits() -> Limits:
    return Limits(now_ns=NOW_NS)


@contextmanager
def served(path: Path, made: Iterable[SpanRecord]) -> Iterator[Documents]:
    """Yield the documents of a store."""
    with SpanStore(path) as store:
        store.write(made)

    @contextmanager
    def opened() -> Iterator[tuple[SpanStore, RecordedSpans] | None]:
        store = open_for_reading(path)
        assert store is not None
        with store:
            yield store, local_spans(store)

    documents = Documents(UiSource(opened, path, limits))
    try:
        yield documents
    finally:
        documents.close()


def got(documents: Documents, name: str, **parameters: str) -> Any:
    return json.loads(documents.named(name, parameters))


def listed_whole(documents: Documents, **parameters: str) -> list[dict[str, Any]]:
    """Return the entries of a list that may take several requests."""
    while (found := got(documents, "entries", **parameters))["is_partial"]:
        pass
    entries: list[dict[str, Any]] = found["entries"]
    return entries


@pytest.mark.parametrize("scene", RECORDED)
def test_every_view_says_what_the_commands_say(tmp_path: Path, scene: str) -> None:
    """The list is that of `traces --json`, and each diagnosis that of `diagnose --json`."""
    path = tmp_path / "spans.db"
    with served(path, SCENES[scene].make()) as documents:
        listed = listed_whole(documents)
        with SpanStore(path, is_read_only=True) as store:
            found = list_traces(store, local_spans(store), limits=limits()).entries
            assert listed == json.loads(json.dumps([entry_json(entry) for entry in found]))
            for entry in listed:
                diagnosis = diagnose(
                    local_spans(store), trace_id=entry["trace_id"], limits=limits()
                )
                if diagnosis.is_unmatched:
                    continue
                shown = got(documents, "diagnosis", trace_id=entry["trace_id"])
                assert shown == json.loads(json.dumps(diagnosis_json(diagnosis)))
                assert shown["verdict"] == entry["verdict"]


def test_a_trace_holds_the_traces_of_its_workers(tmp_path: Path) -> None:
    """The spans are those of the deployment and of its workers' reads."""
    made = records(deployment(), read(10, held=TWO))
    with served(tmp_path / "spans.db", made) as documents:
        [first] = [each for each in listed_whole(documents) if each["deployment_id"]]
        trace = got(documents, "trace", trace_id=first["trace_id"])
    spans = [
        span["spanId"]
        for group in trace["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]
    assert sorted(spans) == sorted(record.span_id for record in made)


def test_filters(tmp_path: Path) -> None:
    """Each filter leaves the entries that it names."""
    made = records(deployment(), deployment(2, at=400, app="other", env="dev", env_id="env-dev"))
    with served(tmp_path / "spans.db", made) as documents:
        names = {
            question: [each["app_name"] for each in listed_whole(documents, **asked)]
            for question, asked in {
                "all": {},
                "app": {"app": "shop"},
                "env": {"env": "env-dev"},
                "failed": {"failed": "1"},
                "fault": {"fault": "environment_takeover"},
                "where": {"where": "flash.environment_id=env-dev"},
                "limit": {"limit": "1"},
                "since": {"since_s": "1"},
            }.items()
        }
    assert names["all"] == ["other", "shop"]
    assert names["app"] == ["shop"]
    assert names["env"] == names["where"] == ["other"]
    assert names["limit"] == ["other"]
    assert names["since"] == []
    assert names["failed"] == names["fault"]


def test_a_comparison(tmp_path: Path) -> None:
    """Steps with their durations, the endpoints of both manifests, and what differs."""
    made = records(deployment(), deployment(2, at=400, held={"gpu": TWO["gpu"]}, size=50_000))
    with served(tmp_path / "spans.db", made) as documents:
        second, first = (each["trace_id"] for each in listed_whole(documents))
        found = got(documents, "comparison", first=first, second=second)
    assert [each["build_id"] for each in found["deployments"]] == ["build-1", "build-2"]
    steps = {step["name"]: step["values"] for step in found["steps"]}
    assert [value["count"] for value in steps["flash.provision.endpoint"]] == [2, 1]
    assert [value["duration_ns"] for value in steps["flash.deploy"]] == [6_200_000_000] * 2
    web = next(row for row in found["endpoints"] if row["name"] == "web")
    assert web == {"name": "web", "values": [TWO["web"], None], "is_same": False}
    facts = {row["name"]: row for row in found["facts"]}
    assert facts["artifact size"]["values"] == ["40000", "50000"]
    assert facts["flash.version"]["is_same"]


def test_what_is_kept_is_little(tmp_path: Path) -> None:
    """Documents are kept until the store changes, and never many of them."""
    with served(tmp_path / "spans.db", records(deployment())) as documents:
        [entry] = listed_whole(documents)
        for number in range(20, 32):
            got(documents, "trace", trace_id=entry["trace_id"][:number])
        assert len(documents._kept) <= 6
        before = documents.version()
        with SpanStore(tmp_path / "spans.db") as store:
            store.write(records(deployment(2, at=400)))
        assert documents.version() != before
        assert len(listed_whole(documents, limit="39")) == 2


def test_a_list_that_takes_long_is_sent_in_parts(tmp_path: Path) -> None:
    """First the newest ten, for traces are judged together, and with the last answer all."""
    made = records(*(deployment(number, at=400.0 * number) for number in range(1, 13)))
    with served(tmp_path / "spans.db", made) as documents:
        documents._lists.budget_s = 0
        sizes = []
        while (found := got(documents, "entries"))["is_partial"]:
            sizes.append(len(found["entries"]))
        assert sizes == [10]
        assert len(found["entries"]) == 12
        with SpanStore(tmp_path / "spans.db") as store:
            store.write(records(deployment(13, at=8000)))
        again = got(documents, "entries")
        assert (len(again["entries"]), again["is_partial"]) == (10, True), "a change judges anew"
