from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from diagnosis.recordings import (
    EPOCH_NS,
    GPU,
    NOW_NS,
    TWO,
    call,
    changed,
    deployment,
    failed_read,
    line,
    moved,
    nanoseconds,
    read,
    records,
    stopped,
    unsound,
)
from diagnosis.scenes import SCENES, killed

from flash_otel import semconv as sc
from flash_otel.diagnosis import collect
from flash_otel.diagnosis.deployments import failed_step
from flash_otel.diagnosis.evidence import (
    HOLDS,
    LACKS_ALL,
    LACKS_SOME,
    OTHER_URLS,
    UNFINISHED,
    UNKNOWN,
    EndpointSet,
    Failure,
    Origin,
)
from flash_otel.diagnosis.matching import looks_like_id
from flash_otel.diagnosis.order import CERTAIN, LIKELY, NO, Offset, offset
from flash_otel.failures import OTHER, UNAVAILABLE
from flash_otel.manifest import endpoint_id

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord


def test_a_deployment_is_put_together() -> None:
    """Spans of one deployment id become one deployment with its steps and facts."""
    (found,) = collect(records(deployment())).deployments
    assert found.id == "000000000000d100"
    assert (found.build_id, found.environment_id) == ("build-1", "env-prod")
    assert (found.app_name, found.environment_name) == ("shop", "production")
    assert (found.outcome, found.activated) == (sc.RETURNED, True)
    assert found.start_ns == EPOCH_NS
    assert found.end_ns == nanoseconds(6.2)
    assert found.process.flash_version == (1, 14, 0)
    assert [endpoint.endpoint_id for endpoint in found.endpoints] == ["gpu0000001", "web0000001"]
    assert found.upload is not None
    assert found.upload.endpoints.by_name == TWO
    assert found.upload.origin.span_id == "000000000000d105"


def test_a_read_knows_what_its_last_attempt_knew() -> None:
    """A refresh that failed tells the environment and the manifest that its attempt was told."""
    refresh, attempt = read(10, state=sc.MANIFEST_NULL)
    silent = changed(refresh, build_id=None, manifest__state=None, environment__state=None)
    (found,) = collect([unsound(silent, "E", "no manifest"), attempt]).reads
    assert (found.build_id, found.manifest_state, found.held) == ("build-1", sc.MANIFEST_NULL, 0)
    assert len(found.attempts) == 1
    assert not found.bare


def test_an_attempt_on_its_own_is_a_read() -> None:
    """An attempt that nothing surrounds is kept as a bare read."""
    _, attempt = read(10, held=TWO)
    (found,) = collect([attempt]).reads
    assert found.bare
    assert found.held == 2


def test_a_finished_record_replaces_an_unfinished_one() -> None:
    """Of two records of one span the finished one counts, in either order."""
    whole = records(deployment())
    started = killed()["deploy"]
    for order in ([started, *whole], [*whole, started]):
        (found,) = collect(order).deployments
        assert found.outcome == sc.RETURNED


def test_a_killed_deployment_is_unfinished() -> None:
    """A root that never ended is told apart from one that failed."""
    (found,) = collect(records(killed("activate"))).deployments
    assert found.outcome == UNFINISHED
    assert found.end_ns is None


@pytest.mark.parametrize("name", SCENES)
def test_evidence_does_not_depend_on_order_or_repetition(name: str) -> None:
    """The same records in another order, and some of them twice, are the same evidence."""
    made = SCENES[name].make()
    shuffled = [*made, *made[::2]]
    random.Random(name).shuffle(shuffled)  # noqa: S311 - the same in every run, no secret
    assert collect(shuffled) == collect(made)


def test_spans_without_ids_are_told_apart_by_trace() -> None:
    """Functions decorated by hand, without a root, make one deployment for each trace."""
    steps = deployment()
    bare = [changed(steps[name], deployment_id=None) for name in ("activate", "upload")]
    (found,) = collect(bare).deployments
    assert found.id == f"trace {'d1'.rjust(32, '0')}"
    assert found.build_id == "build-1"
    assert found.outcome == sc.RETURNED


def test_a_build_of_its_own_is_an_alias() -> None:
    """Where building is a command of its own, carriers name the build: the root's link tells."""
    made = collect(SCENES["an artifact of a command of its own"].make())
    assert [deployment.aliases >= {"000000000000d101"} for deployment in made.deployments] == [True]


def test_a_packaging_alone_is_no_deployment() -> None:
    """`flash build`, and endpoints of a local run, deploy nothing."""
    steps = deployment()
    build = changed(steps["build"], deployment_id=None)
    local = changed(steps["gpu"], deployment_id=None)
    alone = [replace(record, parent_span_id=None) for record in (build, local)]
    assert collect(alone).empty


def test_a_workers_upload_is_no_deployment() -> None:
    """Load balancers of Flash 1.0 to 1.2 write manifests: those belong to no deployment."""
    mine, _ = read(10, held=TWO)
    upload = changed(deployment()["upload"], deployment_id=None)
    own = replace(upload, resource=mine.resource, trace_id="e" * 32, parent_span_id=None)
    found = collect([mine, own])
    assert found.deployments == ()
    assert [upload.build_id for upload in found.worker_uploads] == ["build-1"]


def test_parents_in_a_circle_end() -> None:
    """Records whose parents form a circle are read like any other."""
    step = deployment()["activate"]
    first = replace(changed(step, deployment_id=None), parent_span_id="b" * 16)
    second = replace(first, span_id="b" * 16, parent_span_id=first.span_id)
    assert len(collect([first, second]).deployments) == 1


def test_lines_of_a_build_become_a_deployment() -> None:
    """Lines are put together by build id, those without by their place in the file."""
    found = collect(
        [
            line(sc.ACTIVATE, 3, build_id="b1", environment_name="production", outcome="returned"),
            line(sc.MANIFEST_UPLOAD, 1, environment_id="e1", endpoint_count=2),
            line(sc.ACTIVATE, 9, build_id="b2", environment_name="production", outcome="returned"),
        ]
    )
    assert [
        (deployment.build_id, deployment.environment_id) for deployment in found.deployments
    ] == [
        ("b1", "e1"),
        ("b2", None),
    ]
    first = found.deployments[0]
    assert first.by_lines
    assert first.start_ns is None
    assert first.upload is not None
    assert first.upload.outcome == sc.UNKNOWN
    assert str(first.upload.origin) == "deploy.log:1"


def test_lines_do_not_repeat_what_spans_tell() -> None:
    """The same deployment, and the same read, told twice is there once, at full length."""
    told = [
        line(sc.ACTIVATE, 1, build_id="build-1", environment_name="production"),
        line(
            sc.RUNTIME_FETCH, 2, "worker.log", environment_id="env-prod", build_id="build-1",
            endpoint_count=2,
        ),
    ]  # fmt: skip
    found = collect([*records(deployment(), read(10, held=TWO)), *told])
    assert [deployment.by_lines for deployment in found.deployments] == [False]
    assert [read.by_lines for read in found.reads] == [False]


def test_lines_fill_what_spans_lack() -> None:
    """A deployment whose spans were lost at its end is completed by its log."""
    told = line(sc.MANIFEST_UPLOAD, 4, build_id="build-1", endpoint_count=2, outcome="returned")
    (found,) = collect([*records(killed("activate")), told]).deployments
    assert found.upload is not None
    assert found.upload.by_lines


def test_a_process_that_asks_with_an_endpoint_id_is_a_worker() -> None:
    """What one span of a process shows of it holds for all of them."""
    mine = read(10, held=TWO)
    plain = {sc.SERVICE_NAME: "flash-cli", sc.SERVICE_INSTANCE_ID: "one"}
    spans = [replace(span, resource=plain) for span in (*mine, call(11))]
    assert [call.process.worker for call in collect(spans).calls] == [True]


@pytest.mark.parametrize(
    ("step", "others", "error", "outcome"),
    [
        ("gpu", ("provision",), ("RuntimeError", "no capacity"), sc.FAILED),
        ("upload", ("provision",), ("ServerDisconnectedError", "gone"), sc.UNKNOWN),
        ("activate", (), ("TimeoutError", ""), sc.FAILED),
    ],
)
def test_the_innermost_failed_step_is_the_cause(
    step: str, others: tuple[str, ...], error: tuple[str, str], outcome: str
) -> None:
    """Neither its parents nor its cancelled siblings are blamed."""
    steps = stopped(deployment(), step, *others, error=error, outcome=outcome)
    if "web" in steps:
        cancelled = ("asyncio.exceptions.CancelledError", "")
        steps["web"] = unsound(deployment()["web"], *cancelled, outcome=sc.UNKNOWN)
    (found,) = collect(records(steps)).deployments
    cause = failed_step(found)
    assert cause is not None
    assert cause.origin.span_id == deployment()[step].span_id


def test_a_timeout_of_the_whole_is_not_its_parts_fault() -> None:
    """Where the provisioning gave up, its cancelled endpoints are not the cause."""
    steps = stopped(deployment(), "provision", error=("RuntimeError", "timed out"))
    for name in ("gpu", "web"):
        steps[name] = unsound(steps[name], "asyncio.exceptions.CancelledError", "", sc.UNKNOWN)
    (found,) = collect(records(steps)).deployments
    cause = failed_step(found)
    assert cause is not None
    assert cause.name == sc.PROVISION


def test_a_failure_reads_well() -> None:
    """A cause names its class once."""
    assert str(Failure(OTHER, "a.ValueError", "bad")) == "ValueError: bad"
    assert str(Failure(OTHER, "a.ValueError", "ValueError: bad")) == "ValueError: bad"
    assert str(Failure(OTHER)) == "no cause was recorded"
    assert str(Failure(OTHER, "a.ValueError")) == "ValueError"
    assert str(Failure(OTHER, "", "bad\nworse")) == "bad"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("The key is not set.\n\nGet one:\n  https://a.example", "The key is not set"),
        ("\n  First.\nSecond.", "First"),
        ("2 errors:\n  name is missing\n  id is missing", "2 errors: name is missing"),
        ("Wait...\nMore", "Wait..."),
        ("Wait..\nMore", "Wait.."),
        ("Stopped.", "Stopped"),
        ("2 errors:", "2 errors:"),
        ("2 errors:\n\n  name is missing.", "2 errors: name is missing"),
        ("One\nTwo:", "One"),
        ("ValueError:", "ValueError:"),
        ("ValueErrors are bad", "ValueErrors are bad"),
        ("a ValueError", "a ValueError"),
        ("\n", "ValueError"),
    ],
)
def test_what_a_failure_says_first(message: str, shown: str) -> None:
    """A sentence has the first line of a message, and the second if the first announces it."""
    assert str(Failure(OTHER, "a.ValueError", message)).removeprefix("ValueError: ") == shown


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (GPU, "gpu0000001"),
        ("https://web0000001.api.runpod.ai", "web0000001"),
        ("http://127.0.0.1:8000/v2/abc", "abc"),
        ("http://127.0.0.1:8000", ""),
        ("http://[broken", ""),
        ("", ""),
    ],
)
def test_an_endpoints_id_is_in_its_url(url: str, found: str) -> None:
    """Queue-based endpoints have it in the path, load-balanced ones in the host."""
    assert endpoint_id(url) == found


@pytest.mark.parametrize(
    ("label", "asked", "is_id"),
    [
        ("env456", "xyz789", True),
        ("{env_name}", "xyz789", True),
        ("production", "xyz789", False),
        ("staging2", "cm4x8f2kz0001", False),
        ("", "xyz789", False),
    ],
)
def test_a_label_may_be_an_id(label: str, asked: str, is_id: bool) -> None:
    """The guide prints ids, or a placeholder, where Flash prints names."""
    assert looks_like_id(label, asked) is is_id


@pytest.mark.parametrize(
    ("origin", "place", "shown"),
    [
        (Origin("a.log", 3, "t", "s", rebuilt=True), "a.log:3", "a.log:3"),
        (Origin("a.log", 3, "t", "s"), "a.log:3", "a.log:3 span s"),
        (Origin("a.log", 0, "t", "s"), "a.log", "a.log span s"),
        (Origin("a.log", 3), "a.log:3", "a.log:3"),
        (Origin("", 3, "t", "s"), "", "span s"),
        (Origin("", 0, "t", "s"), "", "span s"),
        (Origin("", 0, "t", "s", rebuilt=True), "", "unknown place"),
        (Origin(), "", "unknown place"),
    ],
    ids=repr,
)
def test_origins_say_where(origin: Origin, place: str, shown: str) -> None:
    """A fact is found again by file and line, by span, or by both; lines have no span ids."""
    assert (origin.place, str(origin)) == (place, shown)


NAMED: Final = EndpointSet(2, ("gpu", "web"), digest="d")


@pytest.mark.parametrize(
    ("written", "held", "found"),
    [
        (NAMED, EndpointSet(2, ("gpu", "web"), digest="d"), HOLDS),
        (NAMED, EndpointSet(2, ("web", "gpu")), HOLDS),
        (NAMED, EndpointSet(2, ("gpu", "web"), digest="e"), OTHER_URLS),
        (NAMED, EndpointSet(2, ("gpu", "cpu"), digest="e"), LACKS_SOME),
        (NAMED, EndpointSet(2, ("gpu", "cpu"), digest="d"), LACKS_SOME),
        (NAMED, EndpointSet(1, ("gpu",)), LACKS_SOME),
        (NAMED, EndpointSet(1), LACKS_SOME),
        (NAMED, EndpointSet(3, ("gpu", "web", "cpu")), HOLDS),
        (NAMED, EndpointSet(3, ("gpu", "web", "cpu"), digest="e"), OTHER_URLS),
        (NAMED, EndpointSet(2, ("gpu",)), HOLDS),
        (NAMED, EndpointSet(2), HOLDS),
        (NAMED, EndpointSet(0, ()), LACKS_ALL),
        (NAMED, EndpointSet(), UNKNOWN),
        (EndpointSet(), EndpointSet(), UNKNOWN),
        (EndpointSet(), EndpointSet(2, ("gpu", "web")), UNKNOWN),
        (EndpointSet(), EndpointSet(0), LACKS_ALL),
        (EndpointSet(0), EndpointSet(0), HOLDS),
        (EndpointSet(0), EndpointSet(1), HOLDS),
        (EndpointSet(0, ()), EndpointSet(), UNKNOWN),
        (EndpointSet(1), EndpointSet(0), LACKS_ALL),
        (EndpointSet(digest="d"), EndpointSet(1, digest="d"), HOLDS),
        (EndpointSet(digest="d"), EndpointSet(1, digest="e"), OTHER_URLS),
        (EndpointSet(digest="d"), EndpointSet(1), HOLDS),
        (EndpointSet(2), EndpointSet(2, digest="e"), HOLDS),
    ],
    ids=str,
)
def test_answers_are_compared_with_the_write(
    written: EndpointSet, held: EndpointSet, found: str
) -> None:
    """Count, names and digest tell what an answer lacks; a list that was cut accuses nobody."""
    assert written.compared_with(held, held.count) == found


@pytest.mark.parametrize(
    ("written", "held", "missing"),
    [
        (("web", "gpu", "cpu"), ("gpu",), ("cpu", "web")),
        (("gpu",), ("gpu", "web"), ()),
        (("gpu",), None, ()),
        (None, ("gpu",), ()),
        ((), (), ()),
    ],
    ids=str,
)
def test_what_an_answer_lacks_is_named_in_alphabetical_order(
    written: tuple[str, ...] | None, held: tuple[str, ...] | None, missing: tuple[str, ...]
) -> None:
    """As far as all names of both are known: a list may have been cut."""
    mine, theirs = EndpointSet(names=written), EndpointSet(names=held)
    assert mine.missing_in(theirs) == missing
    assert mine.missing_in(replace(theirs, count=9)) == ()
    assert replace(mine, count=9).missing_in(theirs) == ()


def _offset(*reads: list[SpanRecord], skew: float = 5.0) -> Offset:
    found = collect(records(deployment(), *reads))
    return offset(found.reads[-1].process, found.deployments[0], found.reads, skew)


def test_one_host_has_one_clock() -> None:
    """Times of one machine are compared to the nanosecond."""
    same = _offset(read(10, host="laptop"))
    assert same.after(nanoseconds(6.0), nanoseconds(6.0)) == CERTAIN
    assert same.before(nanoseconds(5.9), nanoseconds(6.0)) == CERTAIN
    assert same.after(nanoseconds(5.9), nanoseconds(6.0)) == NO


def test_other_clocks_are_compared_outside_the_skew() -> None:
    """Within the assumed skew nothing is said; outside it, only that it is likely."""
    other = _offset(read(10))
    assert other.after(nanoseconds(10.9), nanoseconds(6.0)) == NO
    assert other.after(nanoseconds(11.1), nanoseconds(6.0)) == LIKELY
    assert other.before(nanoseconds(1.1), nanoseconds(6.0)) == NO
    assert other.before(nanoseconds(0.9), nanoseconds(6.0)) == LIKELY


def test_an_unknown_clock_says_nothing() -> None:
    """A line without time, and a step without end, order nothing."""
    other = _offset(read(10, host="laptop"))
    assert other.after(None, nanoseconds(1)) == NO
    assert other.before(nanoseconds(1), None) == NO


def test_causality_measures_a_clock_that_is_behind() -> None:
    """A worker that knows of a deployment before it began has a clock that is off.

    Then the assumption is given up, and the worker's own clock tells what came after.
    """
    behind = _offset([moved(record, -600) for record in read(10)])
    assert behind.before(nanoseconds(-100), nanoseconds(6)) == NO
    assert behind.after(nanoseconds(-580), nanoseconds(6)) == CERTAIN


def test_a_host_that_contradicts_causality_is_not_believed() -> None:
    """Two machines of one name, or a clock that was set back, are not one clock."""
    assert not _offset([moved(record, -600) for record in read(10, host="laptop")]).exact


def test_a_read_that_failed_keeps_its_reason() -> None:
    """Why a worker got no answer is known from its refresh."""
    (found,) = collect(failed_read(10, "TimeoutError", "")).reads
    assert found.failure == Failure(UNAVAILABLE, "TimeoutError", "")
    assert found.held is None


def test_the_present_is_after_every_recording() -> None:
    """The tests' present is fixed, so that no test depends on the day it runs."""
    assert NOW_NS > EPOCH_NS


# --- provenance of manifests ----------------------------------------------------------------------


def test_provenance_of_a_write_and_of_its_read() -> None:
    """Upload, refresh and bare attempt have when and from what their manifest was built."""
    fingerprint = "a" * 64
    steps = deployment(generated=0.5)
    upload = changed(steps["upload"], manifest__source_fingerprint=fingerprint)
    refresh, attempt = read(20, held=TWO, generated=0.5)
    attempt = changed(attempt, manifest__source_fingerprint=fingerprint)
    nothing = changed(refresh, manifest__generated_at=None)
    found = collect(records({**steps, "upload": upload}, [nothing, attempt]))
    expected = (EPOCH_NS + 500_000_000, fingerprint)
    written = found.deployments[0].upload
    assert written is not None
    assert (written.generated_at_ns, written.source_fingerprint) == expected
    for fact in (*found.reads, *collect([attempt]).reads):
        assert (fact.generated_at_ns, fact.source_fingerprint) == expected


def test_a_carriers_provenance_stands_in() -> None:
    """What a server dropped from the manifest is taken from its carrier; what it kept is not."""
    refresh, _ = read(20, held=TWO, generated=0.5)
    carried = {"active__generated_at": "2026-01-31T12:00:00Z", "active__source_fingerprint": "b"}
    (kept,) = collect([changed(refresh, manifest__source_fingerprint="a", **carried)]).reads
    assert (kept.generated_at_ns, kept.source_fingerprint) == (EPOCH_NS + 500_000_000, "a")
    (dropped,) = collect([changed(refresh, manifest__generated_at=None, **carried)]).reads
    assert (dropped.generated_at_ns, dropped.source_fingerprint) == (1_769_860_800 * 10**9, "b")


def test_an_unreadable_time_is_unknown() -> None:
    """A masked time proves nothing."""
    refresh, _ = read(20, held=TWO)
    (found,) = collect([changed(refresh, manifest__generated_at="2026-01-***")]).reads
    assert found.generated_at_ns is None


def test_a_recording_that_says_things_twice() -> None:
    """Spans of 0.1 repeat names and versions under other attributes; they are read as before."""
    made = [
        replace(
            record,
            attributes={
                **record.attributes,
                "flash.environment_name": record.attributes[sc.ENVIRONMENT_NAME],
                "deployment.id": record.attributes[sc.DEPLOYMENT_ID],
            },
            resource={**record.resource, "flash.version": "1.14.0", "service.version": "9"},
        )
        for record in records(deployment())
    ]
    (old,) = collect(made).deployments
    (new,) = collect(records(deployment())).deployments
    assert (old.id, old.environment_name) == (new.id, new.environment_name)
    assert old.process.flash_version == (1, 14, 0)
