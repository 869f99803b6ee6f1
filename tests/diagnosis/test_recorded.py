"""Very many records, and those of a store: looked up by indices, with the same diagnosis."""

from __future__ import annotations

import json
import random
import tracemalloc
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import NOW_NS, TWO, deployment, read, records, stopped
from diagnosis.scenes import SCENES
from hypothesis import given, settings
from hypothesis import strategies as st
from support.any_records import RECORDS

import flash_otel.diagnosis
from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.diagnosis import Diagnosis, Limits, diagnose, judge, recorded
from flash_otel.diagnosis.collect import unique
from flash_otel.diagnosis.facts import with_host
from flash_otel.diagnosis.recorded import RecordedSpans, laid_out
from flash_otel.otlp.encode import encode_json
from flash_otel.report.json import diagnosis_json
from flash_otel.store.errors import StoreDiskError
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
QUESTIONS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"environment": "env-prod"},
    {"environment": "production"},
    {"build_id": "build-1"},
    {"trace_id": "0"},
)
# What another deployment, another process has of its own.
_OWN: Final = frozenset(
    {sc.BUILD_ID, sc.DEPLOYMENT_ID, sc.CODE_DEPLOYMENT_ID, sc.ACTIVE_DEPLOYMENT_ID}
)
AMONG: Final = "a first deployment and a read"
CHANCE: Final = random.Random(7)  # noqa: S311 - a choice of tests, the same in every run
PAIRS: Final = CHANCE.sample(list(combinations(SCENES, 2)), 16)


def apart(made: list[SpanRecord], mark: str, seconds: float) -> list[SpanRecord]:
    """Return a recording as of other deployments to the same environments, at another time."""
    later = int(seconds * 1e9)
    return [
        replace(
            record,
            trace_id=f"{mark}{record.trace_id[len(mark) :]}",
            span_id=f"{mark}{record.span_id[len(mark) :]}",
            parent_span_id=record.parent_span_id and f"{mark}{record.parent_span_id[len(mark) :]}",
            start_ns=record.start_ns and record.start_ns + later,
            end_ns=record.end_ns and record.end_ns + later,
            attributes=_marked(record.attributes, _OWN, mark),
            resource=_marked(record.resource, {sc.SERVICE_INSTANCE_ID}, mark),
        )
        for record in made
    ]


def _marked(said: Any, names: Any, mark: str) -> dict[str, Any]:
    return {key: f"{value}-{mark}" if key in names else value for key, value in said.items()}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_judged_alike(name: str) -> None:
    """On disk or in memory, every scene has the same verdict, findings, tables and timeline."""
    made = SCENES[name].make()
    backwards = made[::-1]
    for asked in QUESTIONS:
        expected = diagnose(made, limits=LIMITS, **asked)  # type: ignore[arg-type]  # names only
        assert diagnose(backwards, limits=LIMITS, in_memory=0, **asked) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_scenes_together_are_judged_alike(name: str, other: str) -> None:
    """Nor does it matter what else was recorded, before or after."""
    made = [*SCENES[name].make(), *apart(SCENES[other].make(), "f", 1_000)]
    for asked in QUESTIONS:
        expected = diagnose(made, limits=LIMITS, **asked)  # type: ignore[arg-type]  # names only
        assert diagnose(made, limits=LIMITS, in_memory=0, **asked) == expected  # type: ignore[arg-type]


@given(st.lists(RECORDS, max_size=4), st.sampled_from(sorted(sc.EVIDENCE)))
@settings(max_examples=30)
def test_any_record_can_be_laid_out(made: list[SpanRecord], name: str) -> None:
    """Whatever a span holds, it comes back from disk as it was, and diagnosis never raises."""
    named = [replace(record, name=name) for record in made]
    with laid_out(named) as spans:
        found = {record.key for record in spans.where("1")}
        assert found == {record.key for record in named}
    diagnose(named, limits=LIMITS, in_memory=0)


def many(environments: int, *, faulty: int) -> Iterator[SpanRecord]:
    """Yield a deployment to each of many environments, some with a read in the open window."""
    sound = [*records(deployment(), read(10, held=TWO))]
    raced = SCENES["a read in the open window, on one clock"].make()
    for number in range(environments):
        made = apart(raced if number < faulty else sound, f"{number + 0xA0000:05x}", number * 100)
        for record in made:
            said = {key: _numbered(value, number) for key, value in record.attributes.items()}
            yield replace(record, attributes=said, origin=f"f.jsonl:{number}")


def _numbered(value: Any, number: int) -> Any:
    """Return a value as another environment's: of its own are its ids and its endpoints."""
    if isinstance(value, tuple):
        return tuple(_numbered(item, number) for item in value)
    if not isinstance(value, str):
        return value
    for name in ("env-prod", "gpu0000001", "web0000001"):
        value = value.replace(name, f"{name}{number}")
    return value


def test_very_many_findings_are_folded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of hundreds of equal findings a report shows a few and counts the rest; JSON is bounded."""
    from flash_otel.report.diagnosis import render_diagnosis
    from flash_otel.report.layout import ReportConsole

    monkeypatch.setattr(judge, "MOST_JUDGED", 10)
    faulty, sound = 14, 5
    told: list[tuple[int, int]] = []
    found = diagnose(
        many(faulty + sound, faulty=faulty),
        limits=LIMITS,
        in_memory=0,
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.verdict == sc.READ_BEFORE_WRITE
    assert len(found.judged) == 10
    assert found.left_out == ((sc.READ_BEFORE_WRITE, 4), (sc.NONE, sound))
    assert told[-1] == (faulty + sound, faulty + sound)
    value = diagnosis_json(found)
    assert value["left_out"] == [
        {"verdict": sc.READ_BEFORE_WRITE, "count": 4},
        {"verdict": sc.NONE, "count": sound},
    ]
    assert len(value["findings"]) <= 20
    render_diagnosis(found, ReportConsole())
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(f"{sc.READ_BEFORE_WRITE}: ") for line in lines) == 3
    assert any(line.startswith(sc.READ_BEFORE_WRITE) and "more" in line for line in lines)
    assert any("more deployments were judged" in line for line in lines)
    assert len(lines) < 200


def test_environments_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those deployed to last are judged; how many others there are is told."""
    monkeypatch.setattr(import_module("flash_otel.diagnosis.diagnose"), "MOST_ENVIRONMENTS", 4)
    found = diagnose(many(10, faulty=6), limits=LIMITS, in_memory=0)
    assert len(found.judged) == 4
    assert (found.verdict, found.others) == (sc.NONE, 6)


def test_memory_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many deployments take no more memory: what was judged is let go."""
    monkeypatch.setattr(recorded, "_BATCH", 100)
    peaks = []
    for number in (30, 300):
        tracemalloc.start()
        diagnose(many(number, faulty=0), limits=LIMITS, environment="env-prod7", in_memory=50)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_a_full_disk_is_an_error_with_a_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where records cannot be laid out, the error names the cause and what to do."""

    def full(*_: object) -> None:
        raise StoreDiskError("database or disk is full")

    def on_disk(made: Iterator[SpanRecord], **asked: Any) -> Diagnosis:
        return diagnose(made, in_memory=0, **asked)

    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setattr(SpanStore, "write", full)
    monkeypatch.setattr(flash_otel.diagnosis, "diagnose", on_disk)
    file = tmp_path / "spans.jsonl"
    file.write_text(json.dumps(encode_json(list(many(2, faulty=0)))) + "\n", encoding="utf-8")
    assert run(["diagnose", "--from", str(file)]) == 3
    printed = capsys.readouterr().err
    assert "disk is full" in printed
    assert "TMPDIR" in printed


@pytest.mark.parametrize("name", SCENES)
def test_the_store_is_asked_by_its_indices(name: str, tmp_path: Path) -> None:
    """A scene in the local store has the diagnosis of its records, among those of others."""
    made = [*SCENES[name].make(), *apart(SCENES[AMONG].make(), "e", -9_000)]
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(made)
        spans = RecordedSpans(store, partial(with_host, host="here"))
        hosted = [with_host(record, "here") for record in store.spans()]
        for asked in QUESTIONS:
            expected = diagnose(hosted, limits=LIMITS, **asked)  # type: ignore[arg-type]  # names only
            assert diagnose(spans, limits=LIMITS, **asked) == expected  # type: ignore[arg-type]


def test_an_environment_is_found_by_its_name_in_each_app(tmp_path: Path) -> None:
    """A name that several apps use stands for all of their environments."""
    apps = [deployment(n, at=n * 100, app=f"app-{n}", env_id=f"env-{n}") for n in range(1, 7)]
    made = records(*apps)
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(made)
        found = diagnose(RecordedSpans(store), environment="production", limits=LIMITS)
    assert found == diagnose(made, environment="production", limits=LIMITS)
    assert len(found.judged) == 6


def test_the_fullest_record_of_a_span_counts_on_disk() -> None:
    """Of several records of a span, temporary stores and memory keep the same one."""
    made = SCENES["a first deployment and a read"].make()
    started = [replace(record, end_ns=None, origin="a.jsonl:1") for record in made]
    fuller = [replace(record, origin=f"b.jsonl:{at}") for at, record in enumerate(made, 1)]
    for order in ([*started, *made, *fuller], [*fuller, *made, *started]):
        with laid_out(order) as spans:
            kept = {record.key: record for record in spans.where("1")}
        assert kept == unique(order)
        assert {record.origin.partition(":")[0] for record in kept.values()} == {"b.jsonl"}


TIMES: Final = (-4_000.0, -1_000.0, -3.0, 0.0, 3.0, 100.0, 1_000.0)
PLACES: Final = (("shop", "production", "env-prod"), ("shop", "staging", "env-stag"))
HELD: Final = (TWO, {"gpu": "https://api.runpod.ai/v2/gpu0000002"}, {"web": TWO["web"]})
STOPS: Final = ((), ("artifact",), ("activate",), ("upload", "provision"))


@st.composite
def histories(draw: st.DrawFn) -> list[SpanRecord]:
    """Make a few deployments to two environments, some of which failed or overlap, and reads."""
    parts: list[Any] = []
    for number in range(1, draw(st.integers(2, 4))):
        app, env, env_id = draw(st.sampled_from(PLACES))
        at, held = draw(st.sampled_from(TIMES)), draw(st.sampled_from(HELD))
        made = deployment(number, at=at, app=app, env=env, env_id=env_id, held=held)
        stops = draw(st.sampled_from(STOPS))
        parts.append(stopped(made, *stops, error=("RuntimeError", "no")) if stops else made)
    for number in range(draw(st.integers(0, 2))):
        own, asked = draw(st.integers(1, 3)), draw(st.sampled_from(PLACES))[2]
        seen: dict[str, Any] = {"code": own, "build": draw(st.integers(1, 3)), "env_id": asked}
        held = draw(st.sampled_from((*HELD, None)))
        at = draw(st.sampled_from(TIMES)) + 5
        parts.append(read(at, number=str(number), held=held, instance=f"w-{number}", **seen))
    return records(*parts)


@given(histories())
@settings(max_examples=30)
def test_any_history_is_judged_alike(made: list[SpanRecord]) -> None:
    """On disk or in memory, whatever deployments overlap, failed or share endpoints."""
    for asked in (*QUESTIONS, {"environment": "staging"}, {"build_id": "build-2"}):
        expected = diagnose(made, limits=LIMITS, **asked)  # type: ignore[arg-type]  # names only
        assert diagnose(made, limits=LIMITS, in_memory=0, **asked) == expected, asked  # type: ignore[arg-type]


@pytest.mark.parametrize("apart_s", [-2.5, 2.5])
@pytest.mark.parametrize("stops", [(), ("activate",)])
def test_neighbours_are_found_among_many(apart_s: float, stops: tuple[str, ...]) -> None:
    """A deployment is judged beside those directly before and after it, however many follow."""
    beside = deployment(2, at=apart_s)
    near = stopped(beside, *stops, error=("RuntimeError", "no")) if stops else beside
    later = [deployment(number, at=100.0 * number) for number in range(3, 60)]
    failed = [
        stopped(deployment(number, at=-100.0 * number), "artifact", error=("OSError", "no"))
        for number in range(60, 64)
    ]
    made = records(deployment(1), near, *later, *failed)
    for asked in ({"build_id": "build-1"}, {"trace_id": "d1".rjust(32, "0")}):
        expected = diagnose(made, limits=LIMITS, **asked)  # type: ignore[arg-type]  # names only
        assert diagnose(made, limits=LIMITS, in_memory=0, **asked) == expected  # type: ignore[arg-type]
        overlap = {finding.code for finding in expected.findings} & {sc.OVERLAPPING_DEPLOYS}
        assert bool(overlap) is not bool(stops)


def test_more_spans_than_one_query_binds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are found, in as many queries as it takes."""
    monkeypatch.setattr(recorded, "_CHUNK", 2)
    made = records(deployment(), read(9, held=TWO))
    keys = [record.key for record in made]
    assert len(keys) > 4
    with SpanStore(tmp_path / "spans.db") as store:
        store.write(made)
        found = recorded._stored(store, keys)
    assert sorted(record.key for record in found) == sorted(keys)
