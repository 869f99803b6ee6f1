"""The entries of a list of traces."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from support.samples import EPOCH_NS, OTHER, TRACE, failed_deployment, healthy_deployment, span

from flash_otel import semconv
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.facts import with_host
from flash_otel.diagnosis.recorded import local_spans
from flash_otel.records import LINES_SCOPE
from flash_otel.report.entry import TraceEntry, entry_json
from flash_otel.report.listing import Listing, Wanted, diagnosis_of, entry_of, list_traces
from flash_otel.store.queries import TraceFilter
from flash_otel.store.store import SpanStore, temporary_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
MANY: Final = Wanted(limit=1_000)


def listed(
    records: Iterable[SpanRecord], wanted: Wanted = MANY, limits: Limits = LIMITS
) -> Listing:
    """Return the list of the traces of some records."""
    with temporary_store() as store:
        store.write(records)
        return list_traces(store, local_spans(store), wanted, limits)


def only(records: Iterable[SpanRecord], limits: Limits = LIMITS) -> TraceEntry:
    """Return the entry of the only trace."""
    (entry,) = listed(records, limits=limits).entries
    return entry


@pytest.mark.parametrize("name", SCENES)
def test_verdicts_are_those_of_a_diagnosis(name: str) -> None:
    """Every trace of every scene has the verdict that asking for it by its id has, in memory."""
    records = SCENES[name].make()
    hosted = [with_host(record, "here") for record in records]
    rebuilt = {record.trace_id for record in records if record.scope_name == LINES_SCOPE}
    for entry in listed(records).entries:
        if entry.trace_id in rebuilt:
            continue
        found = diagnose(hosted, trace_id=entry.trace_id, limits=LIMITS)
        if found.is_unmatched:
            assert entry.verdict is None
        else:
            assert entry.verdict == found.verdict
            (first, *_) = [each for each in found.findings if each.code == found.verdict]
            assert (entry.confidence, entry.sentence) == (first.confidence, first.sentence)


def test_the_duration_is_that_of_the_deployment() -> None:
    """A worker's late read, which continues the trace, does not prolong it."""
    late = span(9, 1, "flash.runtime.fetch", 600_000, 600_020)
    entry = only([*healthy_deployment(), late])
    assert entry.deployment_duration_ns == 4_000_000_000
    assert (entry.end_ns or 0) - entry.start_ns == 600_020_000_000


def ended(outcome: str | None, *, error: str | None = None) -> list[SpanRecord]:
    """Return a deployment that ended in its build."""
    end = None if outcome is None else 90
    facts = {} if outcome is None else {semconv.OUTCOME: outcome}
    return [
        span(1, None, "flash.deploy", 0, end, attributes=facts, error=error),
        span(2, 1, "flash.build", 10, 80, attributes=facts, error=error),
    ]


@pytest.mark.parametrize(
    ("records", "is_running", "label", "result"),
    [
        (ended("failed", error="SyntaxError"), None, "failed: build", "failed"),
        (ended("cancelled"), None, "cancelled", "cancelled"),
        (ended("unknown"), None, "unknown", "unknown"),
        (ended(None), True, "running", "running"),
        (ended(None), False, "unfinished", "unfinished"),
        (ended(None), None, "unfinished", "unfinished"),
        (ended("returned"), None, "inconclusive", "returned"),
        (healthy_deployment(), None, "no read yet", "returned"),
        ([span(1, None, "GET /", 0, 5)], None, "returned", "returned"),
        ([span(1, None, "GET /", 0, 5, error="HTTP 500")], None, "failed", "failed"),
        ([span(1, None, "GET /", 0, None)], None, "unfinished", "unfinished"),
        (
            [span(1, None, "GET /", 0, 5, attributes={semconv.OUTCOME: "returned"}, error="no")],
            *(None, "failed", "failed"),
        ),
    ],
)
def test_labels(
    records: list[SpanRecord], is_running: bool | None, label: str, result: str
) -> None:
    """Without a fault, the label shows how the deployment ended, or how it stands."""
    entry = only(records, Limits(now_ns=NOW_NS, is_running=lambda _: is_running))
    assert (entry.label, entry.result) == (label, result)


def test_a_fault_counts_more_than_the_end() -> None:
    """The label of a failed deployment with a fault is the fault's code."""
    entry = only(failed_deployment())
    assert (entry.label, entry.result) == ("manifest_never_written", "failed")
    assert entry.failed_step == "flash.manifest.upload"
    assert entry.is_fault


def test_a_read_has_the_names_of_its_environment() -> None:
    """A worker knows the id; name and app are those that the deployment recorded for it."""
    facts = {"flash.environment_id": "env456", "flash.build_id": "abc123"}
    read = span(9, None, "flash.runtime.fetch", 9000, 9020, trace_id=OTHER, attributes=facts)
    entry, _ = listed([*healthy_deployment(), read]).entries
    assert (entry.kind, entry.environment_name, entry.app_name) == ("read", "prod", "shop")
    assert (entry.deployment_id, entry.deployment_duration_ns) == (None, None)


def test_lines_are_judged_by_their_build() -> None:
    """A trace that was rebuilt from lines has a made-up id, which no diagnosis can ask for."""
    facts = {"flash.environment_id": "env456", "flash.build_id": "abc123"}
    lines = [
        replace(span(n, None, name, 0, 0, attributes=facts), scope_name=LINES_SCOPE)
        for n, name in ((1, "flash.activate"), (2, "flash.manifest.upload"))
    ]
    timeless = [replace(record, start_ns=0, end_ns=0) for record in lines]
    entry = only(timeless)
    assert (entry.kind, entry.verdict) == ("deploy", "inconclusive")
    assert entry_json(entry)["started"] is None


@pytest.mark.parametrize("known", ["flash.environment_id", "deployment.environment.name"])
def test_lines_without_a_build_are_judged_by_their_environment(known: str) -> None:
    """Its id or its name is enough."""
    facts = {known: "env456"}
    lines = [
        replace(span(n, None, name, n, n, attributes=facts), scope_name=LINES_SCOPE)
        for n, name in ((1, "flash.activate"), (2, "flash.manifest.upload"))
    ]
    assert only(lines).verdict == "inconclusive"


def test_the_start_of_a_trace_as_json() -> None:
    """It is a moment with its time zone, in ISO 8601; one beyond the calendar is null."""
    entry = only(healthy_deployment())
    started = datetime.fromisoformat(entry_json(entry)["started"])
    assert started.utcoffset() is not None
    assert started.timestamp() == entry.start_ns / 1e9
    assert entry_json(replace(entry, start_ns=10**30))["started"] is None


ASKED: Final = {"app_name": "a", "environment_id": "e", "environment_name": "n", "build_id": "b"}
OTHERS: Final = {"app_name": "A", "environment_id": "E", "environment_name": "N", "build_id": "B"}
UNKNOWN: Final = dict.fromkeys(ASKED)


def entry_from(
    of_trace: dict[str, str | None] | None = None,
    of_deployment: dict[str, Any] | None = None,
    **of_results: Any,
) -> TraceEntry:
    """Return the entry of a deployment's trace, with changes of what is known of it."""
    with temporary_store() as store:
        store.write(healthy_deployment())
        spans = local_spans(store)
        [summary] = store.matching_traces(TraceFilter())
        diagnosis = diagnosis_of(spans, summary, LIMITS)
        judged = diagnosis.judged[0]
        known = replace(judged.deployment, **of_deployment or {})
        judged = replace(judged, deployment=known, **of_results)
        summary = replace(summary, **of_trace or {})  # type: ignore[arg-type]  # all are texts
        return entry_of(store, spans, summary, LIMITS, replace(diagnosis, judged=(judged,)))


@pytest.mark.parametrize(
    ("of_trace", "of_deployment", "expected"),
    [(ASKED, OTHERS, OTHERS), (ASKED, UNKNOWN, ASKED), (UNKNOWN, OTHERS, OTHERS)],
    ids=["both", "only the trace", "only the deployment"],
)
def test_a_deployment_is_known_better_than_its_trace(
    of_trace: dict[str, str | None],
    of_deployment: dict[str, str | None],
    expected: dict[str, str | None],
) -> None:
    """Names and ids are those of the deployment, else those that its trace holds."""
    entry = entry_from(of_trace, of_deployment)
    assert {name: getattr(entry, name) for name in expected} == expected


@pytest.mark.parametrize("known", ["environment_name", "app_name"])
def test_an_environment_lends_only_the_names_that_are_missing(known: str) -> None:
    """A name that the trace holds stays, and the other is that of the environment's deployment."""
    facts = {"flash.environment_id": "env456", "flash.build_id": "abc123"}
    own = {"environment_name": semconv.ENVIRONMENT_NAME, "app_name": semconv.APP_NAME}[known]
    read = span(
        *(9, None, "flash.runtime.fetch", 9000, 9020),
        trace_id=OTHER,
        attributes={**facts, own: "own"},
    )
    entry, _ = listed([*healthy_deployment(), read]).entries
    expected = {"environment_name": "prod", "app_name": "shop", known: "own"}
    assert {name: getattr(entry, name) for name in expected} == expected


def test_without_a_finding_there_is_no_confidence() -> None:
    """A verdict that no finding explains has neither a sentence nor a confidence."""
    entry = entry_from(findings=())
    assert (entry.confidence, entry.sentence) == (None, "")


@pytest.mark.parametrize("unknown", ["start_ns", "end_ns"])
def test_a_duration_needs_both_ends(unknown: str) -> None:
    """A deployment whose first span is not recorded, or has one end only, has no duration."""
    root = entry_from().deployment_duration_ns
    assert root == 4_000_000_000
    assert entry_from(of_deployment={"root": None}).deployment_duration_ns is None
    [judged, *_] = diagnose(healthy_deployment(), limits=LIMITS).judged
    assert judged.deployment.root is not None
    timeless = replace(judged.deployment.root, **{unknown: None})  # type: ignore[arg-type]
    assert entry_from(of_deployment={"root": timeless}).deployment_duration_ns is None


def test_an_entry_as_json() -> None:
    """It has what is known of the trace and of the deployment in it, by these names."""
    value = entry_json(only(healthy_deployment()))
    assert value.pop("started") == datetime.fromtimestamp(EPOCH_NS / 1e9).astimezone().isoformat()
    assert value == {
        "trace_id": TRACE,
        "short_id": TRACE[:8],
        "kind": "deploy",
        "root_name": "flash.deploy",
        "start_ns": EPOCH_NS,
        "end_ns": EPOCH_NS + 4_000_000_000,
        "deployment_duration_ns": 4_000_000_000,
        "app_name": "shop",
        "environment_id": "env456",
        "environment_name": "prod",
        "build_id": "abc123",
        "deployment_id": f"{1:016x}",
        "result": "returned",
        "failed_step": None,
        "verdict": "inconclusive",
        "confidence": "certain",
        "sentence": "No worker's read of its endpoints is recorded.",
        "is_unread": True,
        "span_count": 8,
        "error_count": 0,
        "status": "unset",
        "outcome": "returned",
        "unfinished": False,
        "label": "no read yet",
    }


def test_a_trace_that_is_none_of_flash() -> None:
    """Nothing is judged: its entry has what its own spans hold."""
    facts = {"flash.app_name": "shop", "flash.environment_id": "e", "flash.build_id": "b"}
    names = {"deployment.environment.name": "prod", "flash.outcome": "cancelled"}
    root = span(1, None, "GET /", 5, 70, attributes={**facts, **names}, error="no")
    entry = only([root, span(2, 1, "check", 6, 9)])
    assert entry == TraceEntry(
        trace_id=TRACE,
        short_id=TRACE[:8],
        kind="other",
        root_name="GET /",
        start_ns=EPOCH_NS + 5_000_000,
        end_ns=EPOCH_NS + 70_000_000,
        deployment_duration_ns=None,
        app_name="shop",
        environment_id="e",
        environment_name="prod",
        build_id="b",
        deployment_id=None,
        result="cancelled",
        failed_step=None,
        verdict=None,
        confidence=None,
        sentence="",
        is_unread=False,
        span_count=2,
        error_count=1,
        status="error",
        outcome="cancelled",
        unfinished=False,
    )


def test_the_lines_of_a_read_are_no_deployment() -> None:
    """A worker's log is judged by the build that it names, but does not hold its deployment."""
    facts = {"flash.environment_id": "env456", "flash.build_id": "abc123"}
    read = span(9, None, "flash.runtime.fetch", 9000, 9020, trace_id=OTHER, attributes=facts)
    entry, deployed = listed([*healthy_deployment(), replace(read, scope_name=LINES_SCOPE)]).entries
    assert (entry.kind, entry.deployment_id) == ("read", None)
    assert entry.verdict == deployed.verdict
    assert (entry.is_unread, deployed.is_unread) == (False, False)


# --- filters --------------------------------------------------------------------------------------

SHOP: Final = healthy_deployment()
CAFE_IDS: Final = {"flash.environment_id": "env-cafe", "flash.build_id": "cafe"}
CAFE_NAMES: Final = {"flash.app_name": "cafe", "deployment.environment.name": "staging"}
ODD: Final = {"flash.endpoint_names": ("gpu", "cpu"), "n": 2, "x": 1.5, "b": True}
CAFE: Final = [
    span(71, None, "flash.deploy", 1e6, 1e6 + 90, trace_id=OTHER, attributes=CAFE_IDS | CAFE_NAMES),
    span(
        *(72, 71, "flash.activate", 1e6, 1e6 + 9),
        trace_id=OTHER,
        attributes={
            **CAFE_IDS,
            "flash.endpoint_names": ("gpu", "cpu"),
            "n": 2,
            "x": 1.5,
            "b": True,
        },
    ),
]
READ: Final = "12" * 16
READS: Final = [
    replace(
        span(81, None, "flash.runtime.fetch", 2e6, 2e6 + 9, trace_id=READ, attributes=CAFE_IDS),
        resource={"service.name": "web", "faas.instance": "w1"},
    )
]
STORED: Final = (*SHOP, *CAFE, *READS)


@pytest.fixture
def stored() -> Iterator[SpanStore]:
    """A store with deployments of two apps, and a read by a worker of the later one."""
    with temporary_store() as store:
        store.write(STORED)
        yield store


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (TraceFilter(), [READ, OTHER, TRACE]),
        (TraceFilter(app="cafe"), [READ, OTHER]),
        (TraceFilter(app="shop"), [TRACE]),
        (TraceFilter(app="sho"), []),
        (TraceFilter(environment="staging"), [READ, OTHER]),
        (TraceFilter(environment="env-cafe"), [READ, OTHER]),
        (TraceFilter(environment="staging", app="shop"), []),
        (TraceFilter(since_ns=SHOP[0].start_ns + 10**12), [READ, OTHER]),
        (TraceFilter(where=(("flash.build_id", "cafe"),)), [READ, OTHER]),
        (TraceFilter(where=(("service.name", "web"),)), [READ]),
        (TraceFilter(where=(("flash.endpoint_names", "cpu"),)), [OTHER]),
        (TraceFilter(where=(("flash.endpoint_names", "gpu, cpu"),)), []),
        (TraceFilter(where=(("n", "2"),)), [OTHER]),
        (TraceFilter(where=(("x", "1.5"),)), [OTHER]),
        (TraceFilter(where=(("b", "true"),)), [OTHER]),
        (TraceFilter(where=(("b", "1"),)), []),
        # Each condition may be met by another span of the trace.
        (TraceFilter(where=(("flash.app_name", "cafe"), ("n", "2"))), [OTHER]),
        (TraceFilter(where=(("flash.app_name", "shop"), ("n", "2"))), []),
        (TraceFilter(where=(("' OR 1=1 --", "x"),)), []),
    ],
)
def test_filters(asked: TraceFilter, expected: list[str], stored: SpanStore) -> None:
    """By app and environment (those that know only the id, too), time and attributes."""
    assert [summary.trace_id for summary in stored.matching_traces(asked)] == expected


def test_edited_attributes_do_not_stop_a_search(stored: SpanStore) -> None:
    """Text that is no JSON, in a row that a person has edited, holds no attribute."""
    stored.connection.execute("UPDATE spans SET attributes = '{' WHERE trace_id = ?", (OTHER,))
    asked = TraceFilter(where=(("flash.build_id", "cafe"),))
    assert [summary.trace_id for summary in stored.matching_traces(asked)] == [READ]


def named(found: Sequence[TraceEntry]) -> list[str]:
    """Return the traces of entries."""
    return [entry.trace_id for entry in found]


BROKEN: Final = [
    replace(
        record, trace_id="f" * 32, span_id=f"b{record.span_id[1:]}", start_ns=record.start_ns + n
    )
    for n, record in enumerate(ended("failed", error="SyntaxError"))
]
FAULTY: Final = [
    replace(
        record,
        trace_id="d" * 32,
        span_id=f"d{record.span_id[1:]}",
        parent_span_id=record.parent_span_id and f"d{record.parent_span_id[1:]}",
        attributes={**record.attributes, "flash.environment_id": "e9", "flash.build_id": "b9"},
    )
    for record in failed_deployment()
]


def test_failed_ones_are_those_with_a_fault_or_a_failure() -> None:
    """A deployment that failed without a known fault counts; one without a result does not."""
    found = listed([*STORED, *BROKEN, *FAULTY], replace(MANY, is_failed=True))
    assert sorted(named(found.entries)) == ["d" * 32, "f" * 32]


def test_a_verdict_can_be_asked_for() -> None:
    """By the code of a fault; `-n` counts what was found, not what was judged."""
    records = [*STORED, *BROKEN, *FAULTY]
    asked = Wanted(limit=1, fault=semconv.MANIFEST_NEVER_WRITTEN)
    assert named(listed(records, asked).entries) == ["d" * 32]
    assert len(listed(records, Wanted(limit=2, fault=semconv.INCONCLUSIVE)).entries) == 2


def test_a_search_for_a_verdict_ends() -> None:
    """Beyond the bound, the list says that older traces were not judged."""
    asked = Wanted(fault=semconv.MANIFEST_NEVER_WRITTEN, most_judged=2)
    found = listed([*STORED, *FAULTY], asked)
    assert (named(found.entries), found.judged, found.is_cut) == ([], 2, True)
    assert not listed([*STORED, *FAULTY], replace(asked, most_judged=4)).is_cut


def test_the_newest_traces_are_listed() -> None:
    """Unless more are asked for, the list has twenty traces, and no other is judged."""
    many = [span(n, None, "GET /", n, n + 1, trace_id=f"{n:032x}") for n in range(1, 24)]
    with temporary_store() as store:
        store.write(many)
        found = list_traces(store, local_spans(store))
    assert named(found.entries) == [f"{n:032x}" for n in range(23, 3, -1)]
    assert (found.judged, found.is_cut) == (20, False)
    found = listed(many, Wanted(limit=5))
    assert (len(found.entries), found.judged) == (5, 5)


@pytest.mark.parametrize(
    ("wanted", "looked_at"), [(Wanted(limit=3), 3), (Wanted(limit=3, is_failed=True), 52)]
)
def test_no_more_traces_are_looked_at_than_are_wanted(
    wanted: Wanted, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short list does not read the whole store, unless it searches for a verdict."""
    with temporary_store() as store:
        store.write(span(n, None, "GET /", n, n + 1, trace_id=f"{n:032x}") for n in range(1, 53))
        summaries = list(store.matching_traces(TraceFilter()))
        left = iter(summaries)
        monkeypatch.setattr(store, "matching_traces", lambda _: left)
        list_traces(store, local_spans(store), wanted, LIMITS)
        assert len(summaries) - len(list(left)) == looked_at


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(limit=200), [(50, 200), (52, 200)]),
        (Wanted(limit=51), [(50, 51)]),
        (Wanted(limit=2), []),
        (Wanted(limit=2, is_failed=True), [(0, 2), (0, 2)]),
    ],
    ids=["all", "one too many", "few", "few of many"],
)
def test_traces_are_judged_in_batches(wanted: Wanted, expected: list[tuple[int, int]]) -> None:
    """Fifty are judged at once, or as many as are wanted, unless a verdict is searched for."""
    seen: list[tuple[int, int]] = []
    with temporary_store() as store:
        store.write(span(n, None, "GET /", n, n + 1, trace_id=f"{n:032x}") for n in range(1, 53))
        list_traces(store, local_spans(store), wanted, LIMITS, lambda *done: seen.append(done))
    assert seen == expected


def test_progress_counts_what_is_found() -> None:
    """It is called after each batch of judged traces."""
    seen: list[tuple[int, int]] = []
    with temporary_store() as store:
        store.write(STORED)
        list_traces(store, local_spans(store), Wanted(), LIMITS, lambda *done: seen.append(done))
    assert seen == [(3, 20)]
