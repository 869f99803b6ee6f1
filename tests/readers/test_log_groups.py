"""Bracketed lines become records of the spans that wrote them."""

from __future__ import annotations

import io
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from flash_otel import manifest
from flash_otel import semconv as sc
from flash_otel.diagnosis import diagnose
from flash_otel.diagnosis.readers import log_groups, open_reader
from flash_otel.diagnosis.readers.log_groups import Draft, Grouper
from flash_otel.diagnosis.readers.log_spans import WINDOW, record_of
from flash_otel.diagnosis.readers.log_text import LoggedLine, LogLines
from flash_otel.diagnosis.readers.log_values import LineValues
from flash_otel.export.worker_log import WorkerLogSpanProcessor
from flash_otel.lines.format import parse
from flash_otel.lines.processor import LegacyLogSpanProcessor
from flash_otel.lines.table import LINES
from flash_otel.records import (
    LINES_CLOCK,
    LINES_PARTIAL,
    LINES_SCOPE,
    LINES_STREAM,
    LINES_TORN,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flash_otel.records import SpanRecord

WORKER = {
    sc.ENVIRONMENT_ID: "e-1",
    sc.WORKER_ENVIRONMENT_ID: "e-1",
    sc.WORKER_ENDPOINT_ID: "w-1",
}
HELD: dict[str, Any] = {
    sc.BUILD_ID: "b-1",
    sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE,
    sc.MANIFEST_KEYS: ("functions", "resources_endpoints"),
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "cpu"),
}
WRITTEN: dict[str, Any] = {
    sc.BUILD_ID: "b-1",
    sc.ENVIRONMENT_ID: "e-1",
    sc.ENDPOINT_COUNT: 2,
    sc.ENDPOINT_NAMES: ("gpu", "cpu"),
    sc.ENDPOINT_URLS: ("https://gpu", "https://cpu"),
    sc.MANIFEST_KEYS: ("functions", "resources_endpoints"),
}
EMPTY = {sc.ENDPOINT_COUNT: 0, sc.ENDPOINT_NAMES: ()}
WITHOUT = {sc.ENDPOINT_COUNT: None, sc.ENDPOINT_NAMES: None}
ENDPOINTS = {"gpu": "https://gpu", "cpu": "https://cpu"}


class Log:
    """A log that real spans write: bracketed lines and, in a worker, OTLP lines."""

    def __init__(self, *, spans: bool = False) -> None:
        self.stream = io.StringIO()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(LegacyLogSpanProcessor(self.stream))
        if spans:
            provider.add_span_processor(WorkerLogSpanProcessor(self.stream))
        self.tracer = provider.get_tracer(sc.SCOPE_NAME)

    def deploy(self) -> Log:
        """Write the lines of a deployment's activation and upload."""
        returned = {sc.OUTCOME: sc.RETURNED}
        activated = {sc.BUILD_ID: "b-1", sc.ENVIRONMENT_NAME: "prod", sc.ENVIRONMENT_ID: "e-1"}
        for name, attributes in ((sc.ACTIVATE, activated), (sc.MANIFEST_UPLOAD, WRITTEN)):
            with self.tracer.start_as_current_span(name, attributes=attributes) as span:
                span.set_attributes(returned)
        return self

    def read(self, held: dict[str, Any] | None = None, attempts: int = 1) -> Log:
        """Write a worker's read; `held` overrides attributes of its last attempt (None removes)."""
        got = {**HELD, **(held or {})}
        got = {name: value for name, value in got.items() if value is not None}
        with self.tracer.start_as_current_span(sc.RUNTIME_FETCH, attributes=WORKER) as fetch:
            for attempt in range(attempts):
                is_last = attempt + 1 == attempts
                asking = {sc.ENVIRONMENT_ID: "e-1"}
                with self.tracer.start_as_current_span(
                    sc.MANIFEST_FETCH, attributes=asking
                ) as span:
                    span.set_attributes(got if is_last else {sc.BUILD_ID: "b-1"})
            fetch.set_attributes(got)
        return self

    def text(self) -> str:
        """Return the log so far."""
        return self.stream.getvalue()


def records(tmp_path: Path, text: str, name: str = "a.log") -> list[SpanRecord]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return list(open_reader(path).records())


NAMES = st.sampled_from(["['gpu', 'cpu']", "['resources_endpoints', 'gpu']", "[]", "NONE", "EMPTY"])
FIELDS = {
    "build_id": st.sampled_from(["b-1", "b-2", "(null)"]),
    "environment_id": st.sampled_from(["e-1", "e-2", "(null)"]),
    "environment_name": st.sampled_from(["prod", "my env"]),
    "worker_environment_id": st.sampled_from(["e-1", "(null)"]),
    "worker_endpoint_id": st.sampled_from(["w-1", "(null)"]),
    "endpoint_count": st.sampled_from(["0", "2", "EMPTY"]),
    "endpoints": st.sampled_from(["{}", '{"gpu": "https://a"}', '{\n  "gpu": "https://a"\n}', "{"]),
    "endpoint_names": NAMES,
    "manifest_keys": NAMES,
}


@st.composite
def contradicting_lines(draw: st.DrawFn) -> str:
    """Draw a line of the guide whose values may contradict those of other lines."""
    template = draw(st.sampled_from([line.template for line in LINES]))
    return re.sub(r"{(\w+)(?::\w+)?}", lambda word: draw(FIELDS[word[1]]), template)


@settings(max_examples=300)
@given(st.lists(contradicting_lines(), max_size=12))
def test_lines_in_any_order_become_records(lines: list[str]) -> None:
    """Contradicting and incomplete lines all become records, and can be diagnosed."""
    found = list(LogLines().read([f"{line}\n".encode() for line in lines]))
    grouper = Grouper()
    drafts = [
        draft for line in found if isinstance(line, LoggedLine) if (draft := grouper.add(line))
    ]
    assert sum(len(draft.keys) for draft in drafts) == len(lines)
    made = [record_of(draft, "a.log") for draft in drafts]
    assert len({record.key for record in made}) == len(made)
    assert diagnose(made).verdict in sc.FAULTS


def test_an_upload_without_endpoints(tmp_path: Path) -> None:
    """An empty mapping counts as zero endpoints, even if the manifest lacks the key."""
    lines = [
        "[DEPLOY SYNC] resources_endpoints mapping: {}",
        "[STATE MANAGER] GraphQL mutation succeeded for build_id=b-1",
        "[STATE MANAGER] Uploaded manifest with keys: ['version', 'resources']",
    ]
    (upload,) = records(tmp_path, "".join(f"{line}\n" for line in lines))
    assert upload.attributes[sc.ENDPOINT_COUNT] == 0
    assert upload.attributes[sc.ENDPOINTS_DIGEST] == manifest.digest({})


def test_a_deployment_and_a_read_come_back(tmp_path: Path) -> None:
    """Records have the spans' names, ids, endpoints and parents, and the lines' places."""
    path = tmp_path / "a.log"
    found = records(tmp_path, Log().deploy().read().text())
    activate, upload, fetch, attempt = found
    assert [record.origin for record in found] == [f"{path}:{line}" for line in (1, 2, 14, 16)]
    assert {record.scope_name for record in found} == {LINES_SCOPE}
    assert activate.name == sc.ACTIVATE
    assert activate.attributes == {
        sc.ENVIRONMENT_NAME: "prod",
        sc.BUILD_ID: "b-1",
        sc.OUTCOME: sc.RETURNED,
    }
    assert upload.name == sc.MANIFEST_UPLOAD
    assert upload.attributes == {
        **WRITTEN,
        sc.OUTCOME: sc.RETURNED,
        sc.ENDPOINTS_DIGEST: manifest.digest(ENDPOINTS),
    }
    assert upload.trace_id == activate.trace_id
    assert fetch.name == sc.RUNTIME_FETCH
    assert fetch.attributes == {**WORKER, **HELD, sc.OUTCOME: sc.RETURNED}
    assert attempt.name == sc.MANIFEST_FETCH
    assert attempt.attributes == {
        sc.ENVIRONMENT_ID: "e-1",
        sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_ACTIVE,
        sc.OUTCOME: sc.RETURNED,
        **HELD,
    }
    assert (attempt.trace_id, attempt.parent_span_id) == (fetch.trace_id, fetch.span_id)
    assert fetch.trace_id != upload.trace_id
    assert {(record.start_ns, record.end_ns) for record in found} == {(0, 0)}


def test_ids_are_the_same_every_time_and_differ_between_files(tmp_path: Path) -> None:
    """Generated ids depend only on the file's name and the line's place."""
    text = Log().deploy().read().text()
    first, again = records(tmp_path, text), records(tmp_path, text)
    other = records(tmp_path, text, "b.log")
    assert [record.key for record in first] == [record.key for record in again]
    assert not {record.key for record in first} & {record.key for record in other}


def test_a_read_that_found_nothing(tmp_path: Path) -> None:
    """An empty mapping, a missing mapping and a null manifest are distinguished."""
    empty = Log().read(EMPTY).text()
    missing = Log().read({**WITHOUT, sc.MANIFEST_KEYS: ("functions",)}).text()
    null = Log().read({**WITHOUT, sc.MANIFEST_KEYS: None, sc.MANIFEST_STATE: sc.MANIFEST_NULL})
    states = []
    for text in (empty, missing, null.text()):
        fetch, attempt = records(tmp_path, text)
        states.append(
            (
                attempt.attributes.get(sc.MANIFEST_STATE),
                attempt.attributes.get(sc.ENDPOINT_COUNT),
                fetch.attributes.get(sc.MANIFEST_STATE),
                fetch.attributes.get(sc.ENDPOINT_COUNT),
            )
        )
    assert states == [
        (sc.MANIFEST_INCOMPLETE, 0, sc.MANIFEST_INCOMPLETE, 0),
        (sc.MANIFEST_INCOMPLETE, None, sc.MANIFEST_INCOMPLETE, None),
        (sc.MANIFEST_NULL, None, None, None),
    ]


def test_attempts_belong_to_their_read(tmp_path: Path) -> None:
    """Each attempt is a record of its own, with the read as its parent."""
    fetch, *attempts = records(tmp_path, Log().read(attempts=3).text())
    assert [record.parent_span_id for record in attempts] == [fetch.span_id] * 3
    assert [record.attributes.get(sc.ENDPOINT_COUNT) for record in attempts] == [None, None, 2]


def test_reads_one_after_the_other_stay_apart(tmp_path: Path) -> None:
    """A failed read does not get the lines of the same worker's next read."""
    failed = "\n".join(Log().read().text().splitlines()[:3]) + "\n"
    first, broken, second, whole = records(tmp_path, failed + Log().read().text())
    assert (first.end_ns, broken.end_ns, second.end_ns) == (None, 0, 0)
    assert sc.ENDPOINT_COUNT not in first.attributes
    assert (broken.parent_span_id, whole.parent_span_id) == (first.span_id, second.span_id)
    assert second.attributes[sc.ENDPOINT_COUNT] == 2


def prefixed(text: str, worker: str) -> list[str]:
    return [f"{worker}  | {line}" for line in text.splitlines()]


@given(st.lists(st.sampled_from(["w-1", "w-2"]), min_size=14, max_size=14))
def test_interleaved_workers_are_separated_by_their_prefixes(order: list[str]) -> None:
    """If prefixes name the workers, each read gets its own lines in any interleaving."""
    builds = {"w-1": "b-1", "w-2": "b-2"}
    left = {
        name: prefixed(Log().read({sc.BUILD_ID: build}).text(), name)
        for name, build in builds.items()
    }
    mixed = [left[name].pop(0) for name in order if left[name]]
    data = "\n".join([*mixed, *left["w-1"], *left["w-2"], ""]).encode()
    grouper = Grouper()
    found = [grouper.add(line) for line in LogLines().read([data]) if isinstance(line, LoggedLine)]
    drafts = [draft for draft in found if draft is not None]
    assert len(drafts) == 4
    for draft in drafts:
        if draft.parent is not None:
            assert draft.stream == draft.parent.stream
            assert draft.values[sc.BUILD_ID] == builds[draft.stream]


def test_lines_that_fit_two_workers_are_not_guessed(tmp_path: Path) -> None:
    """Without prefixes, a line that fits two workers becomes a record of its own."""
    first, second = (Log().read().text().replace("w-1", worker) for worker in ("w-1", "w-2"))
    mixed = [
        line for pair in zip(first.splitlines(), second.splitlines(), strict=True) for line in pair
    ]
    found = records(tmp_path, "\n".join(mixed) + "\n")
    fetches = [record for record in found if sc.WORKER_ENDPOINT_ID in record.attributes]
    assert {record.attributes[sc.WORKER_ENDPOINT_ID] for record in fetches} == {"w-1", "w-2"}
    assert all(sc.ENDPOINT_COUNT not in record.attributes for record in fetches)
    attempts = [record for record in found if record.name == sc.MANIFEST_FETCH]
    assert [record.parent_span_id for record in attempts] == [None] * len(attempts)
    assert any(record.attributes.get(sc.ENDPOINT_COUNT) == 2 for record in attempts)


def test_the_span_wins_over_its_lines(tmp_path: Path) -> None:
    """A fetch that a log holds as a span and as lines gives one record, the span."""
    found = records(tmp_path, Log(spans=True).read().read(attempts=2).text())
    assert [record.name for record in found] == [
        sc.MANIFEST_FETCH,
        sc.RUNTIME_FETCH,
        *[sc.MANIFEST_FETCH] * 2,
        sc.RUNTIME_FETCH,
    ]
    assert {record.scope_name for record in found} == {sc.SCOPE_NAME}
    assert all(record.origin.startswith(str(tmp_path)) for record in found)


def test_lines_of_a_worker_without_spans_stay(tmp_path: Path) -> None:
    """A span replaces only its own lines, not those of a read with another result."""
    other = Log().read(EMPTY).text()
    found = records(tmp_path, Log(spans=True).read().text() + other)
    lines = [record for record in found if record.scope_name == LINES_SCOPE]
    assert [record.name for record in lines] == [sc.RUNTIME_FETCH, sc.MANIFEST_FETCH]
    assert lines[0].attributes[sc.ENDPOINT_COUNT] == 0


def test_times_come_from_prefixes(tmp_path: Path) -> None:
    """A time before a line becomes the record's time, marked as with or without an offset."""
    lines = Log().read().text().splitlines()
    stamped = [f"2026-01-01T10:00:0{at}Z {line}" for at, line in enumerate(lines)]
    fetch, attempt = records(tmp_path, "\n".join(stamped) + "\n")
    base = 1767261600 * 10**9
    assert (fetch.start_ns, fetch.end_ns) == (base, base + 6 * 10**9)
    assert (attempt.start_ns, attempt.end_ns) == (base + 2 * 10**9, base + 4 * 10**9)
    assert fetch.resource == {LINES_CLOCK: "zoned"}
    stamped = [f"w-1  | 2026-01-01 10:00:0{at},0 {line}" for at, line in enumerate(lines)]
    fetch, _ = records(tmp_path, "\n".join(stamped) + "\n")
    assert fetch.resource == {LINES_CLOCK: "naive", LINES_STREAM: "w-1"}


def test_lines_show_an_unset_environment(tmp_path: Path) -> None:
    """A worker without the environment variables gives a record with that fault."""
    log = Log()
    log.tracer.start_span(sc.RUNTIME_FETCH).end()
    (fetch,) = records(tmp_path, log.text())
    assert fetch.attributes.keys() - {LINES_TORN} == {sc.FAULT}
    assert fetch.attributes[sc.FAULT] == sc.ENVIRONMENT_UNSET


def test_a_cut_id_is_marked_as_partial(tmp_path: Path) -> None:
    """An id at the end of an incomplete log is listed as partial, with `*` for its end."""
    (fetch,) = records(tmp_path, "[STATE MANAGER] environment_id=e-1 → activeBuildId=b-1")
    assert fetch.attributes[sc.BUILD_ID] == "b-1*"
    assert fetch.attributes[LINES_PARTIAL] == (sc.BUILD_ID,)


def test_the_guides_samples(tmp_path: Path) -> None:
    """The guide's own sample lines, including its elisions, are parsed."""
    text = """\
[DEPLOY] Environment env456 activated with build_id=abc123
[DEPLOY SYNC] Uploading manifest to State Manager...
[STATE MANAGER] Uploaded X endpoints
[STATE MANAGER] environment_id=env456 → activeBuildId=old789
[STATE MANAGER] Manifest MISSING resources_endpoints!
"""
    activate, upload, fetch = records(tmp_path, text)
    assert activate.attributes[sc.ENVIRONMENT_NAME] == "env456"
    assert upload.attributes == {sc.OUTCOME: sc.RETURNED}
    assert fetch.attributes == {
        sc.ENVIRONMENT_ID: "env456",
        sc.BUILD_ID: "old789",
        sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_ACTIVE,
        sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE,
        sc.OUTCOME: sc.RETURNED,
        LINES_PARTIAL: (sc.BUILD_ID,),  # the end of the longest line: a limit may have cut it
    }


def test_long_logs_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are yielded during the reading, in the order of their lines."""
    monkeypatch.setattr("flash_otel.diagnosis.readers.log_spans.WINDOW", 10)
    path = tmp_path / "long.log"
    read = Log().read().text()
    path.write_text(read * 200, encoding="utf-8")
    size = path.stat().st_size
    seen: list[int] = []
    reader = open_reader(path, chunk=4096)
    early = 0
    found = []
    for record in reader.records(lambda done, total: seen.append(done * 100 // total)):
        found.append(record)
        early += bool(not seen or seen[-1] < 50)
    assert WINDOW > 10
    assert early > 100
    assert seen[-1] == 100
    assert size > 4096 * 10
    lines = [int(record.origin.rpartition(":")[2]) for record in found]
    assert lines == sorted(lines)
    assert len(found) == 400


# --- which line belongs to which span ------------------------------------------------------------

BOTH = "['functions', 'resources_endpoints']"
# Lines by their key's letter and what is particular in them.
LETTERS = {
    "q1": "[RUNTIME SYNC] Querying State Manager with environment_id=e-1",
    "q2": "[RUNTIME SYNC] Querying State Manager with environment_id=e-2",
    "qn": "[RUNTIME SYNC] Querying State Manager with environment_id=(null)",
    "qw": "[RUNTIME SYNC] Querying State Manager with environment_id=w-1",
    "w1": "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=e-1, RUNPOD_ENDPOINT_ID=w-1",
    "wx": "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=e-1, RUNPOD_ENDPOINT_ID=w-9",
    "w2": "[RUNTIME SYNC] FLASH_ENVIRONMENT_ID=e-2, RUNPOD_ENDPOINT_ID=w-2",
    "a1": "[STATE MANAGER] environment_id=e-1 → activeBuildId=b-1",
    "a2": "[STATE MANAGER] environment_id=e-2 → activeBuildId=b-2",
    "an": "[STATE MANAGER] environment_id=e-1 → activeBuildId=(null)",
    "a0": "[STATE MANAGER] environment_id=(null) → activeBuildId=b-1",
    "r1": f"[STATE MANAGER] Retrieved build b-1, manifest keys: {BOTH}",
    "r2": f"[STATE MANAGER] Retrieved build b-2, manifest keys: {BOTH}",
    "rn": "[STATE MANAGER] Retrieved build b-1, manifest keys: NONE",
    "rf": "[STATE MANAGER] Retrieved build b-1, manifest keys: ['functions']",
    "h2": "[STATE MANAGER] Manifest has 2 endpoints: ['gpu', 'cpu']",
    "h1": "[STATE MANAGER] Manifest has 1 endpoints: ['gpu']",
    "mf": "[STATE MANAGER] Manifest MISSING resources_endpoints! Full manifest keys: ['functions']",
    "v": "[RUNTIME SYNC] Received manifest with keys: ['functions', 'resources_endpoints']",
    "vf": "[RUNTIME SYNC] Received manifest with keys: ['functions']",
    "e2": "[RUNTIME SYNC] resources_endpoints contains 2 entries: ['gpu', 'cpu']",
    "e1": "[RUNTIME SYNC] resources_endpoints contains 1 entries: ['gpu']",
    "e0": "[RUNTIME SYNC] resources_endpoints contains 0 entries: EMPTY",
    "m0": "[DEPLOY SYNC] resources_endpoints mapping: {}",
    "u1": "[DEPLOY SYNC] Uploading manifest to State Manager - build_id=b-1, environment_id=e-1",
    "u2": "[DEPLOY SYNC] Uploading manifest to State Manager - build_id=b-2, environment_id=e-1",
    "c1": "[STATE MANAGER] GraphQL mutation succeeded for build_id=b-1",
    "c2": "[STATE MANAGER] GraphQL mutation succeeded for build_id=b-2",
    "k": "[STATE MANAGER] Uploaded manifest with keys: ['functions', 'resources_endpoints']",
    "kf": "[STATE MANAGER] Uploaded manifest with keys: ['functions']",
    "n2": "[STATE MANAGER] Uploaded 2 endpoints: ['gpu', 'cpu']",
    "n0": "[STATE MANAGER] Uploaded 0 endpoints: []",
    "d1": "[DEPLOY] Environment prod activated with build_id=b-1",
}


def logged(
    name: str, number: int = 1, seconds: int | None = None, stream: str = "", **more: Any
) -> LoggedLine:
    """Return a line by its letters."""
    parsed = parse(LETTERS[name])
    assert parsed is not None
    time_ns = None if seconds is None else seconds * 10**9
    return LoggedLine(number, parsed, stream, time_ns, seconds is not None, **more)


def grouped(lines: Iterable[tuple[str, LoggedLine]]) -> list[str]:
    """Return the lines of each span; behind `<`, the number of the read that it belongs to."""
    grouper, drafts = Grouper(), list[Draft]()
    names: dict[int, list[str]] = {}
    for name, line in lines:
        counts = [len(draft.keys) for draft in drafts]
        begun = grouper.add(line)
        drafts += [] if begun is None else [begun]
        (grown,) = (
            draft for draft, count in zip_longest(drafts, counts) if len(draft.keys) != count
        )
        names.setdefault(grown.ordinal, []).append(name)
    return [
        " ".join(names[draft.ordinal]) + (f" < {draft.parent.ordinal}" if draft.parent else "")
        for draft in drafts
    ]


@pytest.mark.parametrize(
    ("names", "spans"),
    [
        ("q1 w1 a1 r1 h2 v e2", ["q1 w1 v e2", "a1 r1 h2 < 1"]),
        ("m0 u1 c1 k n0", ["m0 u1 c1 k n0"]),
        ("d1 d1", ["d1", "d1"]),
        # A worker names itself behind its own question.
        ("q1 w1 q2 w2", ["q1 w1", "q2 w2"]),
        ("q1 q2 w1 w2", ["q1 w1", "q2 w2"]),
        ("q1 q2 w2 w1", ["q1 w1", "q2 w2"]),
        ("q1 q1 w1 w1", ["q1 w1", "q1 w1"]),
        ("qw w1", ["qw w1"]),
        ("q1 qw w1", ["q1", "qw", "w1"]),
        ("q2 w1", ["q2 w1"]),
        # An attempt belongs to the read that asked for its environment and has no answer yet.
        ("q1 q2 a1 a2", ["q1", "q2", "a1 < 1", "a2 < 2"]),
        ("q1 a2", ["q1", "a2"]),
        ("q1 an", ["q1", "an < 1"]),
        ("q1 a0", ["q1", "a0"]),
        ("qn w1 a1", ["qn w1", "a1"]),
        ("w1 a1", ["w1", "a1 < 1"]),
        ("w1 a2", ["w1", "a2"]),
        ("a1 q1", ["a1", "q1"]),
        ("r1 q1", ["r1", "q1"]),
        ("q1 r1", ["q1", "r1 < 1"]),
        ("q1 q1 a1 a1", ["q1", "q1", "a1 < 2", "a1 < 1"]),
        ("q1 q1 a1 rn a1", ["q1", "q1", "a1 rn < 2", "a1 < 2"]),
        ("q1 q1 a1 r1 a1", ["q1", "q1", "a1 r1 < 2", "a1 < 1"]),
        ("q1 a1 r1 h2 a1", ["q1", "a1 r1 h2 < 1", "a1"]),
        ("q1 a1 r1 h2 v a1", ["q1 v", "a1 r1 h2 < 1", "a1"]),
        ("q1 v a1", ["q1 v", "a1"]),
        ("q1 an a1 r1", ["q1", "an < 1", "a1 r1 < 1"]),
        ("q1 q2 an a1", ["q1", "q2", "an < 1", "a1 < 1"]),
        # What is received is what the read's last attempt retrieved.
        ("q1 a1 r1 h2 q1 a1 r1 h2 v", ["q1", "a1 r1 h2 < 1", "q1 v", "a1 r1 h2 < 3"]),
        ("q1 a1 rf mf q1 a1 r1 h2 v e2", ["q1", "a1 rf mf < 1", "q1 v e2", "a1 r1 h2 < 3"]),
        ("q1 a1 rf mf q1 a1 r1 h2 vf", ["q1 vf", "a1 rf mf < 1", "q1", "a1 r1 h2 < 3"]),
        ("q1 a1 r1 h2 q2 a2 v", ["q1 v", "a1 r1 h2 < 1", "q2", "a2 < 3"]),
        ("q1 q2 v", ["q1", "q2", "v"]),
        # Lines are in their order, and none contradicts another of its span.
        ("h2 r1 a1", ["h2", "r1", "a1"]),
        ("n0 k c1", ["n0", "k", "c1"]),
        ("q1 v v", ["q1 v", "v"]),
        ("v e2", ["v e2"]),
        ("e2 v", ["e2", "v"]),
        ("a1 a2 r1 r2 h2", ["a1 r1", "a2 r2", "h2"]),
        ("a1 a1 r1", ["a1", "a1 r1"]),
        ("a1 r1 a1 h2", ["a1 r1 h2", "a1"]),
        ("a1 rf mf h2", ["a1 rf mf", "h2"]),
        ("a1 r1 mf", ["a1 r1", "mf"]),
        ("an rn", ["an", "rn"]),
        ("m0 u1 c1 k n2", ["m0 u1 c1 k", "n2"]),
        ("m0 m0 u1 u2 c2 c1", ["m0 u2 c2", "m0 u1 c1"]),
        ("u1 u2 k", ["u1", "u2", "k"]),
        ("u1 c2", ["u1", "c2"]),
        # A manifest without the key of the endpoints is the less likely one with some.
        ("u1 kf n2", ["u1 kf n2"]),
        ("u1 k u1 kf n2", ["u1 k n2", "u1 kf"]),
        ("u1 k u1 kf n0", ["u1 k", "u1 kf", "n0"]),
        ("q1 vf e2", ["q1 vf e2"]),
        ("q1 v q1 vf e2", ["q1 v e2", "q1 vf"]),
        ("q1 v q1 vf e0", ["q1 v", "q1 vf", "e0"]),
    ],
)
def test_a_line_continues_the_only_span_that_it_fits(names: str, spans: list[str]) -> None:
    """Of several spans, the likeliest; of different ones that are as likely, none."""
    lines = [(name, logged(name, at)) for at, name in enumerate(names.split(), 1)]
    assert grouped(lines) == spans


@pytest.mark.parametrize(
    ("first", "second", "is_continued"),
    [
        (logged("q1"), logged("w1", 20_001), True),
        (logged("q1"), logged("w1", 20_002), False),
        (logged("q1", seconds=1000), logged("w1", seconds=1900), True),
        (logged("q1", seconds=1000), logged("w1", seconds=1901), False),
        (logged("q1", seconds=1000), logged("w1", seconds=100), True),
        (logged("q1", seconds=1000), logged("w1", seconds=99), False),
        (logged("q1"), logged("w1", seconds=9000), True),
        (logged("q1", seconds=9000), logged("w1"), True),
        (logged("q1", stream="a"), logged("w1", stream="b"), False),
        (logged("q1", stream="a"), logged("w1", stream="a"), True),
    ],
)
def test_a_span_continues_only_near_its_beginning(
    first: LoggedLine, second: LoggedLine, *, is_continued: bool
) -> None:
    """Much later lines, and those of another stream, are another span's."""
    grouper = Grouper()
    assert grouper.add(first) is not None
    assert (grouper.add(second) is None) == is_continued


@pytest.mark.parametrize(("limit", "is_continued"), [(2, False), (3, True)])
def test_only_so_many_spans_of_a_stream_may_continue(
    monkeypatch: pytest.MonkeyPatch, limit: int, *, is_continued: bool
) -> None:
    """The oldest is given up first."""
    monkeypatch.setattr(log_groups, "MAX_OPEN", limit)
    grouper = Grouper()
    for name in ("q1", "q2", "qw"):
        grouper.add(logged(name))
    assert (grouper.add(logged("wx")) is None) == is_continued


@pytest.mark.parametrize(
    ("order", "is_continued"),
    [("ab", True), ("abb", True), ("abc", False), ("abac", True), ("abacbc", False)],
)
def test_only_so_many_streams_may_continue(
    monkeypatch: pytest.MonkeyPatch, order: str, *, is_continued: bool
) -> None:
    """The stream that was not used for longest is given up first."""
    monkeypatch.setattr(log_groups, "MAX_STREAMS", 2)
    grouper = Grouper()
    for stream in order:
        grouper.add(logged("q1" if stream != "b" else "d1", stream=stream))
    assert (grouper.add(logged("w1", stream="a")) is None) == is_continued


def flags(lines: Iterable[LoggedLine]) -> list[bool]:
    """Return of each read whether its stream has attempts."""
    grouper = Grouper()
    drafts = [draft for line in lines if (draft := grouper.add(line)) is not None]
    return [draft.is_among_attempts for draft in drafts if draft.name == sc.RUNTIME_FETCH]


def test_a_read_in_a_stream_with_attempts_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts may stand before the read or behind, and any number of lines away."""
    monkeypatch.setattr(log_groups, "MAX_OPEN", 2)
    monkeypatch.setattr(log_groups, "MAX_STREAMS", 2)
    read = logged("q1")
    attempt = logged("a1")
    assert flags([read, read]) == [False, False]
    assert flags([read, attempt, read]) == [True, True]
    assert flags([attempt, read]) == [True]
    assert flags([attempt, attempt, read]) == [True]
    assert flags([read, read, read, attempt, read]) == [False, True, True, True]
    assert flags([logged("u1"), read, logged("c1")]) == [False]
    a, b, c = "abc"
    assert flags([logged("q1", stream=a), logged("a1", stream=b), logged("q1", stream=b)]) == [
        False,
        True,
    ]
    others = [logged("u1", stream=stream) for stream in (b, c)]
    own = logged("q1", stream=a), logged("a1", stream=a)
    assert flags([*own, *others, own[0]]) == [True, False]
    assert flags([own[0], *others, own[1]]) == [False]


def draft_of(*lines: LoggedLine) -> Draft:
    """Return a span with lines."""
    draft = Draft(sc.RUNTIME_FETCH, 1, "", 1)
    for line in lines:
        draft.add(line, LineValues.of(line.parsed, is_longest=line.is_longest))
    return draft


def known(value: Any, *, is_cut: bool = False) -> LineValues:
    """Return a line that knows a build."""
    return LineValues({sc.BUILD_ID: value}, frozenset({sc.BUILD_ID} if is_cut else ()))


@pytest.mark.parametrize(
    ("first", "second", "value", "is_cut"),
    [
        (known("b-1"), known("b-2"), "b-1", False),
        (known("b-1"), known("b-123*", is_cut=True), "b-1", False),
        (known("b-1*", is_cut=True), known("b-12*", is_cut=True), "b-12*", True),
        (known("b-1*", is_cut=True), known("b*-1", is_cut=True), "b-1*", True),
        (known("b-1*", is_cut=True), known("b*", is_cut=True), "b-1*", True),
        (known("b-1*", is_cut=True), known("b-1"), "b-1", False),
        (known(None), known("b-1"), None, False),
    ],
)
def test_a_value_that_is_whole_or_longer_replaces_a_part(
    first: LineValues, second: LineValues, value: str | None, *, is_cut: bool
) -> None:
    """A value that an earlier line holds in full stays."""
    draft = draft_of()
    for line in (first, second):
        draft.add(logged("q1"), line)
    assert draft.values == {sc.BUILD_ID: value}
    assert (sc.BUILD_ID in draft.cut) == is_cut


@pytest.mark.parametrize(
    ("own", "other", "is_accepted"),
    [
        (known("b-1"), known("b-1"), True),
        (known("b-1"), known("b-2"), False),
        (known("b-1"), known(None), False),
        (known("b-1*", is_cut=True), known("b-12"), True),
        (known("b-1*", is_cut=True), known("b-2"), False),
        (known("b-12"), known("b-1*", is_cut=True), True),
        (known("b-1*"), known("b-12"), False),
        (known("b-1"), LineValues({sc.ENVIRONMENT_ID: "e-1"}, frozenset()), True),
    ],
)
def test_a_line_that_contradicts_a_value_is_not_accepted(
    own: LineValues, other: LineValues, *, is_accepted: bool
) -> None:
    """What is not known contradicts nothing."""
    draft = draft_of()
    draft.add(logged("q1"), own)
    assert draft.accepts(other) == is_accepted


@pytest.mark.parametrize(
    ("seconds", "start", "end", "inversions"),
    [
        ([], None, None, 0),
        ([None], None, None, 0),
        ([5], 5, 5, 0),
        ([None, 5, None, 7], 5, 7, 0),
        ([5, 5], 5, 5, 0),
        ([5, 4, 3], 5, 3, 2),
        ([5, 7, 6], 5, 6, 1),
        ([0, 1], 0, 1, 0),
    ],
)
def test_the_times_of_a_span_are_those_of_its_lines(
    seconds: list[int | None], start: int | None, end: int | None, inversions: int
) -> None:
    """It begins with the first and ends with the last of its lines, in the log's order."""
    draft = draft_of(*(logged("q1", seconds=second) for second in seconds))
    times = [None if at is None else at // 10**9 for at in (draft.start_ns, draft.end_ns)]
    assert [*times, draft.inversions, draft.zoned] == [start, end, inversions, start is not None]


def test_a_span_is_closed_by_the_last_of_its_lines() -> None:
    """It stays closed."""
    draft = draft_of(logged("q1"), logged("v"))
    assert not draft.closed
    for name in ("e2", "v"):
        draft.add(logged(name), LineValues({}, frozenset()))
        assert draft.closed
    assert draft.keys == ["querying", "received", "entries", "received"]


def test_the_end_of_the_longest_line_is_a_part() -> None:
    """A limit may have cut the line."""
    grouper = Grouper()
    whole, longest = grouper.add(logged("a1")), grouper.add(logged("a1", is_longest=True))
    assert whole is not None
    assert longest is not None
    assert (whole.cut, longest.cut) == (set(), {sc.BUILD_ID})
    assert (whole.line, whole.stream, whole.ordinal, longest.ordinal) == (1, "", 1, 2)


CLOSED = '{\n  "web": "https://b/"\n}'
OPEN = '{\n  "cpu": "https://c/",\n  "gpu": "https://a/",\n  "web": "https://b/"'
MAPPING, CONTAINS = "resources_endpoints mapping: ", "Manifest contains resources_endpoints: "


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        (CLOSED, OPEN, None),
        (OPEN, CLOSED, None),
        (CLOSED, OPEN.replace("cpu", "web"), None),
        (CLOSED, '{\n  "gpu": "https://a/",\n  "web": "https', None),
        (CLOSED.replace("web", "***"), OPEN, None),
        (CLOSED, CLOSED, ("web",)),
        (CLOSED, '{\n  "web": "https://b/"', ("web",)),
        ('{\n  "web": "https://b/"', CLOSED, ("web",)),
    ],
    ids=[
        "the first lost a line",
        "the second did",
        "the first lost one of two",
        "the second has only the lost one",
        "the first, and its names are masked",
        "equal",
        "the second is open",
        "the first is",
    ],
)
def test_mappings_of_other_endpoints_have_lost_lines(
    tmp_path: Path, first: str, second: str, names: tuple[str, ...] | None
) -> None:
    """Nothing is known of the endpoints, if one that lost its end has some that the other lacks."""
    path = tmp_path / "deploy.log"
    between = "[DEPLOY SYNC] Uploading manifest to State Manager - build_id=b, environment_id=e"
    written = [f"[DEPLOY SYNC] {MAPPING}{first}", between, f"[DEPLOY SYNC] {CONTAINS}{second}"]
    path.write_text("".join(f"{text}\n" for text in written))
    [record] = open_reader(path).records()
    held = {sc.ENDPOINT_NAMES, sc.ENDPOINT_COUNT, sc.ENDPOINTS_DIGEST} & record.attributes.keys()
    assert record.attributes.get(sc.ENDPOINT_NAMES) == names
    assert bool(held) == (names is not None)
