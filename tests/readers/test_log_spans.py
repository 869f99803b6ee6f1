"""Records of bracketed lines: their ids, their times, their attributes and what covers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from flash_otel import manifest
from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import NothingFoundError, log_spans, open_reader
from flash_otel.diagnosis.readers.log_edges import Edges, decoded, encoded
from flash_otel.diagnosis.readers.log_groups import Draft
from flash_otel.diagnosis.readers.log_spans import _RecordQueue, record_of
from flash_otel.diagnosis.readers.log_text import LoggedLine
from flash_otel.lines.format import ParsedLine
from flash_otel.otlp.encode import encode_log_line
from flash_otel.records import (
    LINES_CLOCK,
    LINES_LOOSE_COUNT,
    LINES_PARTIAL,
    LINES_SCOPE,
    LINES_STREAM,
    LINES_TORN,
    LOGGED,
    SpanRecord,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEYS: Final = ("resources_endpoints", "functions")
OTHER_KEYS: Final = ("functions",)
NAMES: Final = ("gpu", "cpu")
URLS: Final = ("https://a", "https://b")
DIGEST: Final = manifest.digest(dict(zip(NAMES, URLS, strict=True)))


def draft(name: str, number: int = 1, **known: Any) -> Draft:
    """Return the lines of a span, numbered and placed alike."""
    return Draft(name, number, known.pop("stream", ""), number, **known)


# --- ids, times and places -----------------------------------------------------------------------


def test_a_record_of_a_draft() -> None:
    """It has the draft's name, times, writer and place, and the same ids in every version."""
    lines = draft(
        sc.RUNTIME_FETCH, 7, stream="w-1", keys=["querying", "entries"], start_ns=5, end_ns=9
    )
    assert record_of(lines, "a.log") == SpanRecord(
        trace_id="2eed5400fad196550fe30a31948558af",
        span_id="9350f393ca165037",
        parent_span_id=None,
        name=sc.RUNTIME_FETCH,
        kind="internal",
        start_ns=5,
        end_ns=9,
        attributes={sc.OUTCOME: sc.RETURNED},
        resource={LINES_STREAM: "w-1", LINES_CLOCK: "naive"},
        scope_name=LINES_SCOPE,
        origin="a.log:7",
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (sc.ACTIVATE, "client"),
        (sc.MANIFEST_UPLOAD, "client"),
        (sc.MANIFEST_FETCH, "client"),
        (sc.RUNTIME_FETCH, "internal"),
    ],
)
def test_the_kind_of_a_record(name: str, kind: str) -> None:
    """Requests to Runpod are those of a client."""
    assert record_of(draft(name, keys=["retrieved"]), "a.log").kind == kind


@pytest.mark.parametrize(
    ("known", "times", "resource"),
    [
        ({"keys": ["querying"]}, (0, None), {}),
        ({"keys": ["querying"], "start_ns": 5, "end_ns": 5}, (5, None), {LINES_CLOCK: "naive"}),
        ({"keys": ["received"]}, (0, 0), {}),
        (
            {"keys": ["received"], "start_ns": 5, "end_ns": 6, "zoned": True},
            (5, 6),
            {LINES_CLOCK: "zoned"},
        ),
        ({"keys": ["received"], "start_ns": 0, "end_ns": 0, "zoned": True}, (0, 0), {}),
    ],
)
def test_the_times_of_a_record(
    known: dict[str, Any], times: tuple[int, int | None], resource: dict[str, str]
) -> None:
    """A span without a line of its end has none; without times, both are 0."""
    found = record_of(draft(sc.RUNTIME_FETCH, **known), "a.log")
    assert (found.start_ns, found.end_ns) == times
    assert found.resource == resource


def test_an_attempt_is_within_its_read() -> None:
    """It has the trace of the read, and the read's id as that of its parent."""
    read = draft(sc.RUNTIME_FETCH, 1, keys=["querying"])
    attempt = draft(sc.MANIFEST_FETCH, 2, keys=["retrieved"], parent=read)
    outer, inner = record_of(read, "a.log"), record_of(attempt, "a.log")
    assert (inner.trace_id, inner.parent_span_id) == (outer.trace_id, outer.span_id)
    assert inner.span_id != outer.span_id
    other = record_of(draft(sc.RUNTIME_FETCH, 2, keys=["querying"]), "a.log")
    assert (other.trace_id, other.span_id) == (other.trace_id, inner.span_id)
    assert other.trace_id != outer.trace_id


def trace_of(name: str, number: int, build: str | None, *cut: str, origin: str = "a.log") -> str:
    """Return the trace of a draft with a build."""
    values = {sc.BUILD_ID: build}
    return record_of(
        draft(name, number, keys=["mapping"], values=values, cut=set(cut)), origin
    ).trace_id


def test_the_steps_of_a_deployment_share_a_trace() -> None:
    """They have one build; a part of its id, no id, or another file may mean another build."""
    activation = trace_of(sc.ACTIVATE, 1, "b-1")
    assert activation == "4c6a87b1dcaac6bfee22a5d729661a86", "in every version"
    assert trace_of(sc.MANIFEST_UPLOAD, 2, "b-1") == activation
    others = {
        trace_of(sc.MANIFEST_UPLOAD, 2, "b-2"),
        trace_of(sc.MANIFEST_UPLOAD, 2, "b-1", sc.BUILD_ID),
        trace_of(sc.MANIFEST_UPLOAD, 3, None),
        trace_of(sc.MANIFEST_UPLOAD, 2, "b-1", origin="b.log"),
        trace_of(sc.RUNTIME_FETCH, 4, "b-1"),
        trace_of(sc.MANIFEST_FETCH, 5, "b-1"),
    }
    assert len(others | {activation}) == 7
    assert trace_of(sc.MANIFEST_UPLOAD, 3, "b-1", sc.ENVIRONMENT_ID) == activation


# --- attributes ----------------------------------------------------------------------------------

WRITTEN: Final = {sc.ENDPOINT_COUNT: 2, sc.ENDPOINT_NAMES: NAMES, sc.ENDPOINT_URLS: URLS}
HELD: Final = {sc.ENDPOINT_COUNT: 2, sc.ENDPOINT_NAMES: NAMES, sc.MANIFEST_KEYS: KEYS}
OWN: Final = {sc.ENVIRONMENT_ID: "e-1"}
BUILT: Final = {sc.BUILD_ID: "b-1"}
RETURNED: Final = {sc.OUTCOME: sc.RETURNED}
COMPLETE: Final = {sc.MANIFEST_STATE: sc.MANIFEST_COMPLETE}
INCOMPLETE: Final = {sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE}
LOOSE: Final = {LINES_LOOSE_COUNT: 2}


def attributes(name: str, keys: str, values: dict[str, Any], *cut: str, **more: Any) -> Any:
    """Return the attributes of a record of lines."""
    lines = draft(name, keys=keys.split(), values=values, cut=set(cut), **more)
    return record_of(lines, "a.log").attributes


@pytest.mark.parametrize(
    ("keys", "values", "cut", "expected"),
    [
        ("mapping", WRITTEN, [], WRITTEN | {sc.ENDPOINTS_DIGEST: DIGEST}),
        ("mapping mutation", BUILT, [], BUILT | RETURNED),
        (
            "mapping",
            {sc.ENDPOINT_NAMES: NAMES, sc.ENDPOINT_URLS: URLS},
            [],
            {sc.ENDPOINT_NAMES: NAMES, sc.ENDPOINT_URLS: URLS, sc.ENDPOINTS_DIGEST: DIGEST},
        ),
        (
            "mapping",
            {sc.ENDPOINT_NAMES: NAMES[:1], sc.ENDPOINT_URLS: URLS},
            [],
            {
                sc.ENDPOINT_NAMES: NAMES[:1],
                sc.ENDPOINTS_DIGEST: manifest.digest({"gpu": "https://a"}),
            },
        ),
        ("mapping", {sc.BUILD_ID: None}, [], {}),
        ("mapping", {sc.BUILD_ID: None}, [sc.BUILD_ID], {}),
        (
            "mapping",
            {sc.BUILD_ID: "b*", sc.ENVIRONMENT_ID: "e*"},
            [sc.ENVIRONMENT_ID, sc.BUILD_ID, sc.ENDPOINT_COUNT],
            {
                sc.BUILD_ID: "b*",
                sc.ENVIRONMENT_ID: "e*",
                LINES_PARTIAL: tuple(sorted((sc.BUILD_ID, sc.ENVIRONMENT_ID))),
            },
        ),
        (
            "mapping",
            {sc.ENDPOINT_COUNT: 3, sc.ENDPOINT_NAMES: NAMES, sc.MANIFEST_KEYS: KEYS},
            [sc.MANIFEST_KEYS, sc.ENDPOINT_NAMES],
            {
                sc.ENDPOINT_COUNT: 3,
                sc.ENDPOINT_NAMES: NAMES,
                sc.MANIFEST_KEYS: KEYS,
                sc.TRUNCATED: tuple(sorted((sc.ENDPOINT_NAMES, sc.MANIFEST_KEYS))),
            },
        ),
        ("mapping", {sc.ENDPOINT_NAMES: NAMES}, [sc.ENDPOINT_NAMES], {}),
        ("mapping", {sc.ENDPOINT_URLS: URLS}, [], {}),
        (
            "mapping",
            WRITTEN | {sc.ENDPOINT_NAMES: NAMES[:1]},
            [sc.ENDPOINT_NAMES],
            {
                sc.ENDPOINT_COUNT: 2,
                sc.ENDPOINT_NAMES: NAMES[:1],
                sc.TRUNCATED: (sc.ENDPOINT_NAMES,),
            },
        ),
        (
            "uploaded_keys",
            {sc.ENDPOINT_COUNT: 0, sc.MANIFEST_KEYS: OTHER_KEYS},
            [],
            {sc.ENDPOINT_COUNT: 0, sc.MANIFEST_KEYS: OTHER_KEYS} | RETURNED,
        ),
    ],
)
def test_the_attributes_of_an_upload(
    keys: str, values: dict[str, Any], cut: list[str], expected: dict[str, Any]
) -> None:
    """What is whole, what is a part of a text or of a list, and the digest of a whole mapping."""
    assert attributes(sc.MANIFEST_UPLOAD, keys, values, *cut) == expected


@pytest.mark.parametrize(
    ("keys", "values", "expected"),
    [
        (
            "active_build has_endpoints",
            BUILT | HELD,
            BUILT | HELD | COMPLETE | RETURNED | {sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_ACTIVE},
        ),
        ("retrieved", BUILT, BUILT),
        (
            "active_build",
            {sc.BUILD_ID: None},
            {sc.ENVIRONMENT_STATE: sc.ENVIRONMENT_NO_ACTIVE_BUILD},
        ),
        ("active_build", OWN, OWN),
        (
            "retrieved",
            BUILT | {sc.MANIFEST_KEYS: None},
            BUILT | {sc.MANIFEST_STATE: sc.MANIFEST_NULL},
        ),
        (
            "retrieved",
            BUILT | {sc.ENDPOINT_NAMES: NAMES},
            BUILT | {sc.ENDPOINT_NAMES: NAMES} | COMPLETE,
        ),
        ("retrieved", BUILT | {sc.ENDPOINT_COUNT: 0}, BUILT | {sc.ENDPOINT_COUNT: 0} | INCOMPLETE),
        (
            "retrieved",
            BUILT | {sc.ENDPOINT_COUNT: 0, sc.ENDPOINT_NAMES: (), sc.MANIFEST_KEYS: KEYS},
            BUILT
            | {sc.ENDPOINT_COUNT: 0, sc.ENDPOINT_NAMES: (), sc.MANIFEST_KEYS: KEYS}
            | INCOMPLETE,
        ),
        (
            "retrieved",
            BUILT | {sc.ENDPOINT_COUNT: 0, sc.ENDPOINT_NAMES: (), sc.MANIFEST_KEYS: OTHER_KEYS},
            BUILT | {sc.MANIFEST_KEYS: OTHER_KEYS} | INCOMPLETE,
        ),
        ("missing_endpoints", BUILT, BUILT | INCOMPLETE | RETURNED),
        # No line names the build that was read: it may be of any deployment.
        ("has_endpoints", OWN | HELD, OWN | LOOSE | RETURNED),
        (
            "has_endpoints",
            HELD | {sc.ENDPOINT_COUNT: 0},
            HELD | {sc.ENDPOINT_COUNT: 0} | INCOMPLETE | RETURNED,
        ),
        ("has_endpoints", {sc.MANIFEST_KEYS: KEYS}, {sc.MANIFEST_KEYS: KEYS} | RETURNED),
    ],
)
def test_the_attributes_of_an_attempt(
    keys: str, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The states of environment and manifest follow from its lines, as a span would have them."""
    assert attributes(sc.MANIFEST_FETCH, keys, values) == expected


def attempts(*builds: str | None, cut: Iterable[str] = ()) -> list[Draft]:
    """Return attempts at a read, each with the build that it retrieved."""
    return [draft(sc.MANIFEST_FETCH, values={sc.BUILD_ID: build}, cut=set(cut)) for build in builds]


UNSET: Final = {sc.ENVIRONMENT_ID: None, sc.WORKER_ENVIRONMENT_ID: None}


@pytest.mark.parametrize(
    ("values", "more", "expected"),
    [
        (OWN | HELD, {}, OWN | HELD | COMPLETE),
        (BUILT | HELD, {}, BUILT | HELD | COMPLETE),
        (HELD, {}, LOOSE),
        (OWN | {sc.MANIFEST_KEYS: None}, {}, OWN | {sc.MANIFEST_STATE: sc.MANIFEST_NULL}),
        (OWN, {"attempts": attempts("b-1")}, OWN | BUILT),
        (OWN, {"attempts": attempts("b-1", "b-1")}, OWN | BUILT),
        (OWN, {"attempts": attempts("b-1", "b-2")}, OWN),
        (OWN, {"attempts": attempts("b-1", None)}, OWN),
        (OWN, {"attempts": attempts(None)}, OWN),
        (OWN, {"attempts": attempts("b-1", cut=[sc.BUILD_ID])}, OWN),
        (OWN, {"attempts": attempts("b-1", cut=[sc.ENVIRONMENT_ID])}, OWN | BUILT),
        (
            OWN | HELD,
            {"attempts": attempts("b-1"), "is_among_attempts": True},
            OWN | HELD | BUILT | COMPLETE,
        ),
        (OWN | HELD, {"is_among_attempts": True}, OWN | LOOSE),
        (
            OWN | HELD,
            {"attempts": [draft(sc.MANIFEST_FETCH)], "is_among_attempts": True},
            OWN | LOOSE,
        ),
        (UNSET, {}, {sc.FAULT: sc.ENVIRONMENT_UNSET}),
        ({sc.ENVIRONMENT_ID: None}, {}, {}),
        (UNSET | OWN, {}, OWN),
        (
            UNSET | {sc.WORKER_ENVIRONMENT_ID: "e-1"},
            {},
            {sc.WORKER_ENVIRONMENT_ID: "e-1"},
        ),
    ],
)
def test_the_attributes_of_a_read(
    values: dict[str, Any], more: dict[str, Any], expected: dict[str, Any]
) -> None:
    """It has its attempts' build if they agree; what may be of any deployment proves nothing."""
    assert attributes(sc.RUNTIME_FETCH, "querying", values, **more) == expected


def test_an_activation_has_no_state() -> None:
    """Only reads tell of a manifest and of an environment."""
    assert attributes(sc.ACTIVATE, "activated", BUILT | HELD) == BUILT | HELD | RETURNED
    assert attributes(sc.MANIFEST_UPLOAD, "mapping", UNSET | {sc.MANIFEST_KEYS: None}) == {}


# --- records beside spans ------------------------------------------------------------------------


def span(name: str = sc.RUNTIME_FETCH, **changes: Any) -> SpanRecord:
    """Return a span that a worker wrote."""
    attributes = {**OWN, **BUILT, **HELD, **COMPLETE, **changes}
    return SpanRecord(
        trace_id="ab" * 16,
        span_id="cd" * 8,
        parent_span_id=None,
        name=name,
        kind="internal",
        start_ns=1,
        end_ns=2,
        attributes=attributes,
        scope_name=sc.SCOPE_NAME,
    )


def queued(*items: Draft | SpanRecord) -> list[SpanRecord]:
    """Return the records of a log with these drafts and spans."""
    queue = _RecordQueue("a.log", Edges())
    return [record for item in items for record in queue.add(item)] + list(queue.rest())


@pytest.mark.parametrize(
    ("known", "values", "is_covered"),
    [
        (span(), OWN | BUILT | HELD, True),
        (span(), OWN, True),
        (span(), {}, True),
        (span(), {sc.BUILD_ID: "b-1", sc.ENVIRONMENT_NAME: "another"}, True),
        (span(), OWN | {sc.BUILD_ID: "b-2"}, False),
        (span(), OWN | HELD | {sc.ENDPOINT_COUNT: 1}, False),
        (span(), {sc.ENVIRONMENT_ID: "e-2"}, False),
        (span(), OWN | {sc.MANIFEST_KEYS: OTHER_KEYS}, True),
        (
            span(**{sc.MANIFEST_STATE: sc.MANIFEST_INCOMPLETE}),
            OWN | {sc.MANIFEST_KEYS: OTHER_KEYS},
            False,
        ),
        (span(sc.MANIFEST_FETCH), OWN, False),
    ],
)
@pytest.mark.parametrize("is_first", [False, True])
def test_a_span_covers_the_lines_that_it_holds(
    known: SpanRecord, values: dict[str, Any], is_covered: bool, is_first: bool
) -> None:
    """Lines that agree in all that distinguishes reads are left out, in front of it or behind."""
    lines = draft(sc.RUNTIME_FETCH, keys=["querying"], values=values)
    items: list[Any] = [known, lines] if is_first else [lines, known]
    names = [record.scope_name for record in queued(*items)]
    expected = [sc.SCOPE_NAME, LINES_SCOPE] if is_first else [LINES_SCOPE, sc.SCOPE_NAME]
    assert names == ([sc.SCOPE_NAME] if is_covered else expected)
    assert lines.closed


def test_records_wait_for_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes when so many others are behind it, in their order."""
    monkeypatch.setattr(log_spans, "WINDOW", 2)
    queue = _RecordQueue("a.log", Edges())
    found = [
        [record.origin for record in queue.add(draft(sc.ACTIVATE, number, keys=["activated"]))]
        for number in range(1, 5)
    ]
    assert found == [[], [], ["a.log:1"], ["a.log:2"]]
    assert [record.origin for record in queue.rest()] == ["a.log:3", "a.log:4"]


def test_the_latest_spans_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many that differ; one that comes again is the latest."""
    monkeypatch.setattr(log_spans, "_MAX_KNOWN", 2)
    spans = [span(**{sc.BUILD_ID: f"b-{number}"}) for number in (1, 2, 1, 3)]
    lines = [
        draft(sc.RUNTIME_FETCH, keys=["querying"], values=OWN | {sc.BUILD_ID: f"b-{number}"})
        for number in (1, 2, 3)
    ]
    rest = queued(*spans, *lines)[4:]
    assert [record.attributes[sc.BUILD_ID] for record in rest] == ["b-2"]


def test_a_record_keeps_the_lines_at_an_edge() -> None:
    """Diagnosis may join them with those of another log."""
    line = LoggedLine(1, ParsedLine("querying", {"environment_id": "e-1"}), "w-1")
    edges = Edges()
    edges.note(line)
    queue = _RecordQueue("a.log", edges)
    torn = draft(sc.RUNTIME_FETCH, keys=["querying"], values=OWN, stream="w-1")
    other = draft(sc.RUNTIME_FETCH, 2, keys=["querying"], values=OWN, stream="w-1")
    found = [record for item in (torn, other) for record in queue.add(item)] + [*queue.rest()]
    assert found[0].attributes == {**OWN, LINES_TORN: (encoded(line),)}
    assert found[1].attributes == OWN


# --- the reader ----------------------------------------------------------------------------------

READ: Final = (
    "[RUNTIME SYNC] Querying State Manager with environment_id=e-1",
    "[STATE MANAGER] environment_id=e-1 → activeBuildId=b-1",
    "[RUNTIME SYNC] Received manifest with keys: ['functions']",
)


def test_the_origins_of_a_log(tmp_path: Path) -> None:
    """They have the lines' numbers, from its end if the log is backwards without times."""
    path = tmp_path / "a.log"

    def origins(*lines: str) -> list[str]:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return [record.origin.removeprefix(str(path)) for record in open_reader(path).records()]

    assert origins("noise", *READ) == [":2", ":3"]
    assert origins(*READ[::-1], "noise") == [" from its end:2", " from its end:3"]
    stamped = [f"2026-11-28T12:00:0{at}Z {line}" for at, line in enumerate(READ)]
    assert origins(*stamped[::-1], "noise") == [":3", ":2"]


def test_an_operation_that_the_end_of_a_log_cuts_keeps_its_lines(tmp_path: Path) -> None:
    """The rest may stand in another log."""
    path = tmp_path / "a.log"
    path.write_text(f"noise\n{READ[0]}\n", encoding="utf-8")
    (found,) = open_reader(path).records()
    (line,) = texts(found.attributes, LINES_TORN) or ()
    assert (decoded(line).number, decoded(line).parsed.key) == (2, "querying")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\xef\xbb\xbf\r\n \0\tXno\xffthing\nmore\n", "it begins with 'Xno\ufffdthing'"),
        (b"x" * 81, f"it begins with '{'x' * 80}'"),
        (b"\n \n", "it is blank"),
    ],
)
def test_the_first_line_of_a_log_without_lines_is_shown(
    tmp_path: Path, data: bytes, shown: str
) -> None:
    """Its first characters are, without what is blank before them."""
    path = tmp_path / "a.log"
    path.write_bytes(data)
    with pytest.raises(NothingFoundError) as caught:
        list(open_reader(path).records())
    assert f" flash_otel ({shown}); " in str(caught.value)


def test_a_span_in_a_log_is_marked_as_logged(tmp_path: Path) -> None:
    """Its bracketed lines stand in the same log; it has the number of its line."""
    path = tmp_path / "a.log"
    path.write_text("noise\n" + encode_log_line(span()), encoding="utf-8")
    (found,) = open_reader(path).records()
    assert found.origin == f"{path}:2"
    assert found.resource == {LOGGED: True}
    assert found.attributes == span().attributes


def test_a_line_that_a_runtime_has_split_is_whole(tmp_path: Path) -> None:
    """In a log in its own order, the last part proves the end of an id."""
    path = tmp_path / "a.log"
    time, (begin, end) = "2026-11-28T12:00:09Z", (READ[0][:-2], READ[0][-2:])
    lines = (f"{time} stderr P {begin}", f"{time} stderr F {end}", "x" * 200)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (found,) = open_reader(path).records()
    assert found.attributes.get(sc.ENVIRONMENT_ID) == "e-1"
    assert LINES_PARTIAL not in found.attributes


@pytest.mark.parametrize(("noise", "is_partial"), [("x" * 200, False), ("x", True)])
def test_the_end_of_the_longest_line_is_partial(
    tmp_path: Path, noise: str, *, is_partial: bool
) -> None:
    """A limit may have cut it, unless there is a longer line."""
    path = tmp_path / "a.log"
    path.write_text(f"{noise}\n{READ[0]}\n", encoding="utf-8")
    (found,) = open_reader(path).records()
    assert found.attributes.get(LINES_PARTIAL) == ((sc.ENVIRONMENT_ID,) if is_partial else None)
