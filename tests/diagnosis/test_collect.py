"""Records of any sources become facts: each span once, completed by what belongs to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import EPOCH_NS, TWO, call, changed, deployment, read, records, span

from flash_otel import semconv as sc
from flash_otel.diagnosis.collect import collect, is_fuller, reads_of, unique
from flash_otel.diagnosis.evidence import (
    ActiveManifest,
    EndpointSet,
    ManifestFetch,
    Origin,
    RuntimeFetch,
)
from flash_otel.records import LOGGED, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

SPAN: Final = replace(records(deployment())[0], origin="a.jsonl:1")
MORE: Final = {**SPAN.attributes, sc.FLASH_VERSION: "1.0.0"}

# --- each span once ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fuller",
    [
        # Finished, then later, then with more attributes, then of the later origin.
        (replace(SPAN, end_ns=1), replace(SPAN, end_ns=None, attributes=MORE, origin="z")),
        (replace(SPAN, end_ns=8), replace(SPAN, end_ns=7, attributes=MORE, origin="z")),
        (replace(SPAN, attributes=MORE), replace(SPAN, origin="z")),
        (replace(SPAN, origin="b"), replace(SPAN, origin="a", name="z")),
        # Nothing but their contents tells these apart.
        (replace(SPAN, status="unset"), replace(SPAN, status="error")),
    ],
)
def test_the_fullest_record_of_a_span_is_kept(fuller: tuple[SpanRecord, SpanRecord]) -> None:
    """In any order of the records."""
    kept, left = fuller
    assert (is_fuller(kept, left), is_fuller(left, kept)) == (True, False)
    for order in ((kept, left), (left, kept), (kept, left, kept)):
        assert unique(order) == {SPAN.key: kept}
    assert not is_fuller(kept, kept)


@pytest.mark.parametrize("is_kept_logged", [False, True])
@pytest.mark.parametrize("is_left_logged", [False, True])
def test_a_span_stands_in_a_log_if_any_of_its_records_does(
    *, is_kept_logged: bool, is_left_logged: bool
) -> None:
    """The mark of the record that is not kept is taken over, and nothing else of it."""
    marked: dict[bool, dict[str, Any]] = {False: {"a": "1"}, True: {"a": "1", LOGGED: True}}
    kept = replace(SPAN, resource=marked[is_kept_logged])
    left = replace(SPAN, end_ns=None, resource={**marked[is_left_logged], "b": "2"})
    expected = replace(SPAN, resource=marked[is_kept_logged or is_left_logged])
    for order in ((kept, left), (left, kept)):
        assert unique(order) == {SPAN.key: expected}


def test_only_spans_of_flash_are_kept() -> None:
    """Spans of its requests and jobs, too; not those of other libraries, nor verdicts."""
    other, verdict, job = (
        replace(SPAN, name=name, span_id=f"{at:016x}", attributes=said)
        for at, (name, said) in enumerate(
            (("GET /", {}), (sc.DIAGNOSIS, {}), ("work", {sc.FAAS_TRIGGER: sc.TRIGGER_QUEUE}))
        )
    )
    assert unique([other, verdict, job, SPAN]) == {job.key: job, SPAN.key: SPAN}


# --- what is collected -------------------------------------------------------------------------


def test_each_kind_of_span_has_its_place() -> None:
    """Deployments, reads, calls, jobs, and what workers provisioned or wrote."""
    job = span(
        "work",
        20,
        21,
        {sc.FAAS_TRIGGER: sc.TRIGGER_QUEUE, sc.FAAS_INVOCATION_ID: "j-1"},
        trace="e",
        number="e1",
    )
    of_worker = {sc.FAAS_NAME: "web", sc.SERVICE_INSTANCE_ID: "w-2"}
    endpoint, upload = (
        span(name, at, at + 1, {sc.BUILD_ID: "b-9"}, trace="f", number=f"f{at}", resource=of_worker)
        for name, at in ((sc.PROVISION_ENDPOINT, 30), (sc.MANIFEST_UPLOAD, 32))
    )
    made = records(deployment(), read(10, held=TWO), call(15), job, endpoint, upload)
    for order in (made, made[::-1], made * 2):
        found = collect(order)
        assert [one.build_id for one in found.deployments] == ["build-1"]
        assert [one.build_id for one in found.reads] == ["build-1"]
        assert [one.resource_name for one in found.calls] == ["gpu"]
        assert [one.job_id for one in found.served] == ["j-1"]
        assert [one.start_ns for one in found.worker_endpoints] == [EPOCH_NS + 30 * 10**9]
        assert [one.build_id for one in found.worker_uploads] == ["b-9"]


def test_facts_are_in_the_order_of_their_times_then_of_their_places() -> None:
    """Whatever order the records come in."""
    calls = [
        replace(call(at, number=str(number)), origin=place)
        for number, (at, place) in enumerate(
            ((20.0, "b:2"), (20.0, "b:10"), (10.0, "c:1"), (20.0, "a:3"), (30.0, "a:1"))
        )
    ]
    expected = ["c:1", "a:3", "b:2", "b:10", "a:1"]
    for order in (calls, calls[::-1]):
        assert [one.origin.place for one in collect(order).calls] == expected


def test_a_process_is_described_by_its_fullest_resource() -> None:
    """All of its spans have that description, and one of them shows that it is a worker."""
    own = {sc.SERVICE_INSTANCE_ID: "w-1"}
    resources = [{**own, "a": "1"}, {**own, "host.name": "pod", "b": "2"}, {**own, "c": "3"}]
    calls = [
        replace(call(at, number=str(at)), resource=resource)
        for at, resource in enumerate(resources, 1)
    ]
    shown = read(9, endpoint="e-1")[0]
    for order in (calls, calls[::-1]):
        found = collect(order)
        assert {one.process.host for one in found.calls} == {"pod"}
        assert {one.process.worker for one in found.calls} == {False}
        found = collect([*order, replace(shown, resource=own)])
        assert {one.process.worker for one in (*found.calls, *found.reads)} == {True}
    # Of equally full resources, that of the first span counts.
    equal = [
        replace(calls[at], resource={**own, "host.name": name}) for at, name in ((0, "x"), (1, "y"))
    ]
    assert {one.process.host for one in collect(equal[::-1]).calls} == {"x"}


# --- reads -------------------------------------------------------------------------------------

WHOLE: Final = EndpointSet(2, ("gpu", "web"))
ANSWER: Final[dict[str, Any]] = {
    "environment_id": "e-1",
    "environment_name": "production",
    "environment_state": sc.ENVIRONMENT_ACTIVE,
    "build_id": "b-1",
    "manifest_state": sc.MANIFEST_COMPLETE,
    "generated_at_ns": 5,
    "source_fingerprint": "abc",
}


def refresh(number: int = 1, **known: Any) -> RuntimeFetch:
    return RuntimeFetch(origin=Origin(trace_id="t", span_id=f"r{number}"), **known)


def attempt(parent: str | None = "r1", number: int = 1, **known: Any) -> ManifestFetch:
    return ManifestFetch(
        origin=Origin(trace_id="t", span_id=f"m{number}"), parent_id=parent, **known
    )


@pytest.mark.parametrize("name", ANSWER)
def test_a_refresh_takes_what_it_lacks_from_its_last_attempt(name: str) -> None:
    """What it holds itself stays."""
    mine: Any = "mine"
    attempts = [attempt(number=1), attempt(number=2, **ANSWER)]
    (found,) = reads_of([refresh()], attempts)
    assert getattr(found, name) == ANSWER[name]
    assert found.attempts == tuple(attempts)
    (found,) = reads_of([replace(refresh(), **{name: mine})], attempts)
    assert getattr(found, name) == mine
    (found,) = reads_of([refresh()], attempts[::-1])
    assert getattr(found, name) is None


def test_a_refresh_was_asked_when_its_last_attempt_began() -> None:
    """Or when it began itself, if no attempt is known, or has no time."""
    early, late = attempt(number=1, start_ns=3), attempt(number=2, start_ns=7)
    for attempts, expected in (([early, late], 7), ([early, attempt()], 1), ([], 1)):
        (found,) = reads_of([refresh(start_ns=1, asked_ns=1)], attempts)
        assert found.asked_ns == expected


def test_endpoints_and_carrier_of_the_last_attempt() -> None:
    """They stand in for those that the refresh lacks."""
    carrier, other = ActiveManifest("d-1", sc.PHASE_WRITE, 2), ActiveManifest("d-2")
    last = attempt(endpoints=WHOLE, active=carrier)
    (found,) = reads_of([refresh()], [last])
    assert (found.endpoints, found.active) == (WHOLE, carrier)
    (found,) = reads_of([refresh(endpoints=EndpointSet(1), active=other)], [last])
    assert (found.endpoints, found.active) == (EndpointSet(1), other)


@pytest.mark.parametrize(
    ("parent", "trace", "is_inside"),
    [("r1", "t", True), ("r2", "t", False), (None, "t", False), ("r1", "u", False)],
)
def test_an_attempt_belongs_to_the_refresh_around_it(
    parent: str | None, trace: str, *, is_inside: bool
) -> None:
    """By its parent, in the same trace; otherwise it is a read of its own."""
    one = replace(attempt(parent), origin=Origin(trace_id=trace, span_id="m1"))
    found = reads_of([refresh()], [one])
    assert len(found) == (1 if is_inside else 2)
    assert sorted(read.bare for read in found) == ([False] if is_inside else [False, True])
    assert sum(len(read.attempts) for read in found) == 1


def test_an_attempt_without_a_refresh_keeps_all_that_it_holds() -> None:
    """It is a read that is known by the answer alone."""
    given = collect(changed(one, fault=sc.STALE_BUILD) for one in read(9, held=TWO)[1:])
    (found,) = given.reads
    (inner,) = found.attempts
    alone = replace(
        inner,
        **ANSWER,
        endpoints=WHOLE,
        active=ActiveManifest("d-1"),
        in_log=True,
        loose_count=3,
        outcome=sc.FAILED,
    )
    (whole,) = reads_of([], [alone])
    assert whole.bare
    assert whole.attempts == (alone,)
    assert whole.asked_ns == alone.start_ns == EPOCH_NS + 9_050_000_000
    names = list(ManifestFetch.__dataclass_fields__)
    assert [getattr(whole, name) for name in names] == [getattr(alone, name) for name in names]
    assert inner.parent_id is not None
    assert inner.fault == sc.STALE_BUILD
    assert found.process == inner.process
    assert found.process.instance == "worker-1"


def order_of(reads: Sequence[RuntimeFetch]) -> list[str]:
    return [read.origin.span_id for read in reads]


def test_reads_are_in_the_order_of_their_times_then_of_their_places() -> None:
    """A read without a time comes first."""
    made = [refresh(1, start_ns=9), refresh(2, start_ns=4), refresh(3), refresh(4, start_ns=4)]
    bare = [attempt(None, 5, start_ns=6)]
    assert order_of(reads_of(made, bare)) == ["r3", "r2", "r4", "m5", "r1"]
    assert order_of(reads_of(made[::-1], bare)) == ["r3", "r2", "r4", "m5", "r1"]
