"""One span record as one fact: what of its attributes, its times and its events is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from diagnosis.recordings import unsound

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    ActiveManifest,
    EndpointFact,
    EndpointSet,
    Failure,
    ManifestFetch,
    ManifestUpload,
    Origin,
    ProcessIdentity,
    Provisioning,
    RemoteCall,
    RuntimeFetch,
    Served,
    SpanFact,
    Step,
)
from flash_otel.diagnosis.facts import (
    endpoints_of,
    fact_of,
    failure_of,
    of_kind,
    origin,
    process_of,
    served,
    step_of,
    with_host,
)
from flash_otel.failures import NOT_FOUND, OTHER, UNAUTHORIZED, UNAVAILABLE
from flash_otel.records import (
    LINES_CLOCK,
    LINES_LOOSE_COUNT,
    LINES_SCOPE,
    LOGGED,
    Event,
    SpanRecord,
)

TRACE: Final = "a" * 32
SPAN: Final = "b" * 16
PARENT: Final = "c" * 16
SECOND: Final = 10**9
WRITTEN: Final = "2026-01-31T12:00:00Z"
WRITTEN_NS: Final = 1_769_860_800 * SECOND
CARRIED: Final = "2026-01-31T13:00:00Z"
CARRIED_NS: Final = WRITTEN_NS + 3600 * SECOND
PROCESS: Final = ProcessIdentity(instance="one", flash_version=(1, 14, 0))
SUCCESSOR: Final = replace(PROCESS, flash_version=(2, 0, 0))
COMMON: Final[dict[str, Any]] = {
    "origin": Origin("spans.jsonl", 7, TRACE, SPAN),
    "process": PROCESS,
    "parent_id": PARENT,
    "start_ns": 100,
    "end_ns": 200,
}


def span(name: str = sc.ACTIVATE, **said: Any) -> SpanRecord:
    """Make a record with these attributes, whose names have `__` for a dot."""
    return SpanRecord(
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=PARENT,
        name=name,
        kind="client",
        start_ns=100,
        end_ns=200,
        attributes={key.replace("__", "."): value for key, value in said.items()},
        scope_name=sc.SCOPE_NAME,
        origin="spans.jsonl:7",
    )


def of_lines(record: SpanRecord) -> SpanRecord:
    """Return a record as bracketed lines tell it."""
    return replace(record, scope_name=LINES_SCOPE)


MAPPING: Final[dict[str, Any]] = {
    "flash__endpoint_count": 2,
    "flash__endpoint_names": ["gpu", "web"],
    "flash__endpoint_urls": ("https://gpu.example", "https://web.example/v2/abcdefghijklmn"),
    "flash__endpoints_digest": "0123",
}
MAPPED: Final = EndpointSet(
    2, ("gpu", "web"), ("https://gpu.example", "https://web.example/v2/abcdefghijklmn"), "0123"
)
PLACED: Final[dict[str, Any]] = {
    "flash__build_id": "build-1",
    "flash__environment_id": "env-1",
    "deployment__environment__name": "production",
}
AT: Final[dict[str, Any]] = {
    "build_id": "build-1",
    "environment_id": "env-1",
    "environment_name": "production",
}
ANSWER: Final[dict[str, Any]] = {
    **PLACED,
    **MAPPING,
    "flash__environment__state": "active",
    "flash__manifest__state": "complete",
    "flash__active__deployment_id": "d1",
    "flash__active__phase": "write",
    "flash__active__endpoint_count": 3,
    "flash__active__generated_at": CARRIED,
    "flash__active__source_fingerprint": "carried",
    "flash__manifest__generated_at": WRITTEN,
    "flash__manifest__source_fingerprint": "written",
    LINES_LOOSE_COUNT: 4,
}
ANSWERED: Final[dict[str, Any]] = {
    **AT,
    "endpoints": MAPPED,
    "environment_state": "active",
    "manifest_state": "complete",
    "active": ActiveManifest("d1", "write", 3),
    "generated_at_ns": WRITTEN_NS,
    "source_fingerprint": "written",
    "loose_count": 4,
}
CALLED: Final[dict[str, Any]] = {
    **PLACED,
    "flash__function_name": "train",
    "flash__resource_name": "gpu",
    "flash__call__route": "remote",
    "flash__endpoint_url": "https://gpu.example",
    "flash__app_name": "shop",
    "flash__code__deployment_id": "d1",
    "faas__invocation_id": "job-1",
}
CALL: Final[dict[str, Any]] = {
    "environment_id": "env-1",
    "environment_name": "production",
    "function_name": "train",
    "resource_name": "gpu",
    "route": "remote",
    "endpoint_url": "https://gpu.example",
    "app_name": "shop",
    "code_deployment_id": "d1",
    "job_id": "job-1",
}

KINDS: Final[dict[str, tuple[SpanRecord, SpanFact]]] = {
    "activation": (
        span(
            sc.ACTIVATE,
            **PLACED,
            flash__artifact__object_key="sent",
            flash__active__object_key="active",
            flash__previous_build_id="build-0",
        ),
        Activation(
            **AT,
            object_key="sent",
            active_object_key="active",
            previous_build_id="build-0",
            **COMMON,
        ),
    ),
    "upload": (
        span(
            sc.MANIFEST_UPLOAD,
            **PLACED,
            **MAPPING,
            flash__persisted_endpoint_count=1,
            flash__persisted_digest="4567",
            flash__manifest__generated_at=WRITTEN,
            flash__manifest__source_fingerprint="written",
        ),
        ManifestUpload(
            build_id="build-1",
            environment_id="env-1",
            endpoints=MAPPED,
            persisted_count=1,
            persisted_digest="4567",
            generated_at_ns=WRITTEN_NS,
            source_fingerprint="written",
            **COMMON,
        ),
    ),
    "provisioning": (span(sc.PROVISION, **MAPPING), Provisioning(endpoints=MAPPED, **COMMON)),
    "endpoint": (
        span(
            sc.PROVISION_ENDPOINT,
            flash__resource_name="gpu",
            flash__endpoint_id="gpu0000001",
            flash__environment_id="env-1",
            flash__provision__action="update",
        ),
        EndpointFact(
            resource_name="gpu",
            endpoint_id="gpu0000001",
            environment_id="env-1",
            action="update",
            **COMMON,
        ),
    ),
    "attempt": (span(sc.MANIFEST_FETCH, **ANSWER), ManifestFetch(**ANSWERED, **COMMON)),
    "refresh": (
        span(
            sc.RUNTIME_FETCH,
            **ANSWER,
            flash__worker__environment_id="env-2",
            flash__worker__endpoint_id="web0000001",
            flash__code__deployment_id="d2",
        ),
        RuntimeFetch(
            **ANSWERED,
            worker_environment_id="env-2",
            worker_endpoint_id="web0000001",
            code_deployment_id="d2",
            asked_ns=100,
            **COMMON,
        ),
    ),
    "call": (span(sc.CALL, **CALLED), RemoteCall(**CALL, **COMMON)),
    "any other": (span(sc.BUILD, **PLACED), Step(name=sc.BUILD, **COMMON)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_span_is_read_as_the_fact_of_its_kind(kind: str) -> None:
    """Each attribute of a span has one place in its fact, and nothing else gets there."""
    record, expected = KINDS[kind]
    assert fact_of(record, PROCESS) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_span_without_attributes_is_a_fact_that_knows_nothing(kind: str) -> None:
    """What a span does not say stays unknown, rather than zero, empty or a guess."""
    record, expected = KINDS[kind]
    unknown: dict[str, Any] = {"name": record.name} if isinstance(expected, Step) else {}
    if isinstance(expected, RuntimeFetch):
        unknown = {"asked_ns": 100}
    found = fact_of(replace(record, attributes={}), PROCESS)
    assert found == type(expected)(**unknown, **COMMON)


def test_a_build_of_a_call_is_its_workers_own_with_runpod_2_only() -> None:
    """With runpod-flash, it is the active build of the read that came before."""
    record = span(sc.CALL, **CALLED)
    expected = RemoteCall(**CALL, own_build_id="build-1", **{**COMMON, "process": SUCCESSOR})
    assert fact_of(record, SUCCESSOR) == expected


def test_a_job_is_known_by_its_code_and_its_id() -> None:
    """What a worker serves has the process and the place of its span."""
    said = {"flash__code__deployment_id": "d1", "faas__invocation_id": "job-1"}
    record = span("process gpu", **said)
    assert served(record, PROCESS) == Served(code_deployment_id="d1", job_id="job-1", **COMMON)


def test_any_fact_can_be_taken_for_a_bare_step() -> None:
    """The steps of a deployment have the name, the times and the place of their spans."""
    record, fact = KINDS["upload"]
    assert step_of(record, fact) == Step(name=sc.MANIFEST_UPLOAD, **COMMON)


def test_facts_of_one_kind_keep_their_order() -> None:
    """A read is an answer as well; a step is no other kind of fact."""
    facts = [fact for _, fact in KINDS.values()]
    refresh, attempt = KINDS["refresh"][1], KINDS["attempt"][1]
    assert of_kind(ManifestFetch, [refresh, *facts]) == (refresh, attempt, refresh)
    assert of_kind(RuntimeFetch, facts) == (refresh,)
    assert of_kind(Step, facts[:-1]) == ()


def test_what_a_carrier_says_stands_in_for_what_a_server_dropped() -> None:
    """Of the time of the build and of its source, each on its own."""
    record = span(sc.MANIFEST_FETCH, **ANSWER)
    for lost, expected in (
        (sc.MANIFEST_GENERATED_AT, (CARRIED_NS, "written")),
        (sc.MANIFEST_SOURCE_FINGERPRINT, (WRITTEN_NS, "carried")),
    ):
        kept = {key: value for key, value in record.attributes.items() if key != lost}
        found = fact_of(replace(record, attributes=kept), PROCESS)
        assert isinstance(found, ManifestFetch)
        assert (found.generated_at_ns, found.source_fingerprint) == expected


@pytest.mark.parametrize(
    ("record", "is_in_log"),
    [
        (span(sc.MANIFEST_FETCH), False),
        (of_lines(span(sc.MANIFEST_FETCH)), True),
        (replace(span(sc.MANIFEST_FETCH), resource={LOGGED: True}), True),
        (replace(span(sc.MANIFEST_FETCH), resource={LOGGED: False}), False),
    ],
    ids=["span", "lines", "span in a log", "span in no log"],
)
def test_an_answer_may_stand_in_a_log(record: SpanRecord, is_in_log: bool) -> None:
    """As bracketed lines, or as a span that a worker wrote there."""
    found = fact_of(record, PROCESS)
    assert isinstance(found, ManifestFetch)
    assert found.in_log is is_in_log


# --- place, host and process ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("", ("", 0)),
        ("a.log", ("a.log", 0)),
        ("a.log:12", ("a.log", 12)),
        ("C:\\logs\\a.log:3", ("C:\\logs\\a.log", 3)),
        ("2026:10:3", ("2026:10", 3)),
        ("a.log:1234567890123", ("a.log:1234567890123", 0)),
        ("two\nlines:5", ("two\nlines", 5)),
    ],
)
def test_the_place_of_a_record(written: str, place: tuple[str, int]) -> None:
    """A file, whose name may hold colons, and a line, if there is one."""
    record = replace(span(), origin=written)
    assert origin(record) == Origin(*place, TRACE, SPAN)
    assert origin(of_lines(record)) == Origin(*place, TRACE, SPAN, rebuilt=True)


@pytest.mark.parametrize("key", ["host.id", "host.name", "faas.instance", "faas.name"])
def test_a_host_is_given_to_processes_of_this_machine_only(key: str) -> None:
    """What names another host, or a worker's pod, runs elsewhere."""
    elsewhere = replace(span(), resource={key: "there"})
    assert with_host(elsewhere, "here") is elsewhere
    own = replace(span(), resource={key: "", "service.name": "flash-cli"})
    expected = {key: "", "service.name": "flash-cli", "host.id": "here"}
    assert with_host(own, "here") == replace(own, resource=expected)
    assert own.resource == {key: "", "service.name": "flash-cli"}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({}, {}),
        ({"host.id": "id", "host.name": "name"}, {"host": "id"}),
        ({"host.name": "name"}, {"host": "name"}),
        ({"host.name": "localhost"}, {}),
        ({"host.id": "localhost.localdomain"}, {}),
        ({"flash.version": "1.2.3", "service.version": "9"}, {"flash_version": (1, 2, 3)}),
        ({"service.version": "1.14.0"}, {"flash_version": (1, 14, 0)}),
        ({"faas.name": "gpu"}, {"resource_name": "gpu"}),
        ({"process.pid": 17}, {"pid": 17}),
        ({LINES_CLOCK: "naive"}, {}),
    ],
    ids=str,
)
def test_a_process_is_known_by_its_resource(
    resource: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A name that many machines share is no host; Flash's own version goes before the service's."""
    record = replace(span(), resource=resource)
    for is_worker in (False, True):
        found = process_of(record, "one", worker=is_worker)
        assert found == ProcessIdentity(instance="one", worker=is_worker, **expected)


@pytest.mark.parametrize(
    ("clock", "is_naive"), [(None, True), ("naive", True), ("zoned", False)], ids=str
)
def test_times_in_lines_may_lack_their_zone(clock: str | None, is_naive: bool) -> None:
    """Only lines that say so have times that can be compared with those of others."""
    record = of_lines(replace(span(), resource={LINES_CLOCK: clock} if clock else {}))
    found = process_of(record, "one", worker=False)
    assert found == ProcessIdentity(instance="one", rebuilt=True, naive=is_naive)


# --- times, outcome and failure -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((100, 200), (100, 200)),
        ((1, 2), (1, 2)),
        ((0, 200), (None, None)),
        ((-5, 200), (None, None)),
        ((100, 0), (100, None)),
        ((100, None), (100, None)),
        ((100, 90), (100, 100)),
    ],
    ids=str,
)
def test_times_that_prove_nothing_are_unknown(
    times: tuple[int, int | None], expected: tuple[int | None, int | None]
) -> None:
    """Zero stands for no clock, and nothing ends before it starts."""
    record = replace(span(), start_ns=times[0], end_ns=times[1])
    found = fact_of(record, PROCESS)
    assert (found.start_ns, found.end_ns) == expected


OUTCOMES: Final = (sc.RETURNED, sc.FAILED, sc.CANCELLED, sc.UNKNOWN)


@pytest.mark.parametrize("said", [*OUTCOMES, "odd", None, 3], ids=str)
@pytest.mark.parametrize("status", ["unset", "ok", "error"])
def test_how_a_span_ended(said: object, status: str) -> None:
    """Its outcome tells, else its status; lines without one lack the line of their success."""
    attributes: dict[str, Any] = {} if said is None else {sc.OUTCOME: said}
    record = replace(span(), attributes=attributes, status=status, status_message="it broke")
    known = said if said in OUTCOMES else None
    expected = known or (sc.FAILED if status == "error" else sc.RETURNED)
    found = fact_of(record, PROCESS)
    failure = None if expected == sc.RETURNED else Failure(OTHER, "", "it broke")
    assert (found.outcome, found.failure) == (expected, failure)
    lines = fact_of(of_lines(record), PROCESS)
    assert (lines.outcome, lines.failure) == (known or sc.UNKNOWN, None)
    for other in (record, of_lines(record)):
        open_one = fact_of(replace(other, end_ns=None), PROCESS)
        assert (open_one.outcome, open_one.failure) == (UNFINISHED, None)


def test_a_span_may_show_a_fault_by_itself() -> None:
    """Its code is kept, also of a span that returned."""
    assert fact_of(span(flash__fault=sc.STALE_BUILD), PROCESS).fault == sc.STALE_BUILD
    assert fact_of(span(), PROCESS).fault is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            unsound(unsound(span(), "a.First", "one"), "b.ConnectTimeout", " two\n"),
            Failure(UNAVAILABLE, "b.ConnectTimeout", "two"),
        ),
        (
            replace(
                unsound(span(), "builtins.ValueError", "bad"),
                attributes={sc.ERROR_TYPE: sc.STALE_BUILD},
            ),
            Failure(OTHER, "builtins.ValueError", "bad"),
        ),
        (
            replace(span(error__type="x.ConnectTimeout"), status_message=" it broke "),
            Failure(UNAVAILABLE, "x.ConnectTimeout", "it broke"),
        ),
        (
            replace(
                span(error__type="x.E"),
                status_message="of the status",
                events=(Event(sc.EXCEPTION, 1, {}),),
            ),
            Failure(OTHER, "x.E", ""),
        ),
        (
            replace(
                span(error__type="x.E"),
                status_message="of the status",
                events=(Event("log", 1, {sc.EXCEPTION_TYPE: "y.F"}),),
            ),
            Failure(OTHER, "x.E", "of the status"),
        ),
        (
            replace(span(http__response__status_code=404), status_message="gone"),
            Failure(NOT_FOUND, "", "gone"),
        ),
        (
            unsound(span(), "x.HTTPError", "request failed: 401 - no"),
            Failure(UNAUTHORIZED, "x.HTTPError", "request failed: 401 - no"),
        ),
        (span(), Failure(OTHER)),
    ],
    ids=[
        "the last exception",
        "an exception before the fault's code",
        "the status",
        "an exception without a message",
        "another event",
        "a status of HTTP",
        "a status of HTTP in the message",
        "nothing",
    ],
)
def test_why_a_span_failed(record: SpanRecord, expected: Failure) -> None:
    """The last recorded exception tells, else the status."""
    assert failure_of(record) == expected


# --- endpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, EndpointSet()),
        ({"flash__endpoint_names": ("gpu",)}, EndpointSet(1, ("gpu",))),
        ({"flash__endpoint_names": ()}, EndpointSet(0, ())),
        (
            {"flash__endpoint_names": ("gpu",), "flash__endpoint_count": 2000},
            EndpointSet(2000, ("gpu",)),
        ),
        (
            {"flash__endpoint_names": ("gpu",), "flash__endpoint_count": 0},
            EndpointSet(0, ("gpu",)),
        ),
        ({"flash__endpoint_count": 3}, EndpointSet(3)),
        ({"flash__endpoint_names": "gpu", "flash__endpoint_count": True}, EndpointSet()),
    ],
    ids=str,
)
def test_endpoints_are_counted_by_their_names_if_nothing_else_counts_them(
    said: dict[str, Any], expected: EndpointSet
) -> None:
    """A list may have been cut, so a count goes before it."""
    assert endpoints_of(span(**said)) == expected


SHORT: Final = "https://api.example/v2/abcdefghijklm"
WHOLE: Final = "https://api.example/v2/abcdefghijklmn"


@pytest.mark.parametrize(
    ("urls", "other", "is_whole"),
    [
        ((SHORT,), "", False),
        ((WHOLE,), "", True),
        ((WHOLE, SHORT), "", True),
        ((SHORT, "https://a.example/v2/a"), "", False),
        ((SHORT,), "x" * len(SHORT), False),
        ((SHORT,), "x" * len(WHOLE), True),
        ((SHORT,), ["x", "x" * len(WHOLE)], True),
        ((SHORT,), ("x" * len(WHOLE),), True),
        ((SHORT,), 10 ** len(WHOLE), False),
        ((), "", True),
    ],
    ids=str,
)
def test_urls_are_whole_if_no_limit_may_have_cut_them(
    urls: tuple[str, ...], other: object, is_whole: bool
) -> None:
    """A longer text in the same span, or an id of full length, shows that nothing was cut."""
    said: dict[str, Any] = {"flash__endpoint_urls": urls, "flash__any": other}
    assert endpoints_of(span(**said)).are_urls_whole is is_whole
    assert endpoints_of(of_lines(span(**said))).are_urls_whole
