"""What fills a gap of the evidence: other pieces of a fact, counts, windows, names without ids."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from diagnosis.recordings import changed, deployment, read, records

from flash_otel import semconv as sc
from flash_otel.diagnosis.deployments import _completed, _filled
from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    EndpointSet,
    ManifestFetch,
    ManifestUpload,
    Origin,
    RuntimeFetch,
)
from flash_otel.diagnosis.pieces import _together, filled
from flash_otel.diagnosis.readers import NothingFoundError, open_reader
from flash_otel.diagnosis.readers.containers import container_of
from flash_otel.diagnosis.readers.log_entry import time_in
from flash_otel.diagnosis.readers.log_order import ordered
from flash_otel.diagnosis.readers.log_values import _counts_more
from flash_otel.diagnosis.recorded import laid_out

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord

WHOLE = EndpointSet(2, ("gpu", "web"), ("https://g", "https://w"), "digest")


def upload(**known: Any) -> ManifestUpload:
    """Return an upload of which only this is known."""
    given: dict[str, Any] = {
        "origin": Origin(),
        "process": None,
        "start_ns": 0,
        "end_ns": None,
        "outcome": sc.UNKNOWN,
        **known,
    }
    return ManifestUpload(**given)


FIELDS = {"build_id": "b-1", "environment_id": "e-1"}


@pytest.mark.parametrize("name", FIELDS)
def test_an_upload_takes_what_it_lacks_from_another_piece(name: str) -> None:
    """A field that is known stays; one that is not comes from the other piece."""
    empty, known = upload(), upload(**{name: FIELDS[name]})
    other = upload(**{name: "another"})
    assert getattr(_completed(empty, known), name) == FIELDS[name]
    assert getattr(_completed(known, empty), name) == FIELDS[name]
    assert getattr(_completed(known, other), name) == FIELDS[name]


@pytest.mark.parametrize("name", ["count", "names", "urls", "digest"])
def test_endpoints_are_completed_field_by_field(name: str) -> None:
    """Each of count, names, URLs and digest is completed by itself, and never replaced."""
    nothing: dict[str, Any] = {name: None}
    lacking = replace(WHOLE, **nothing)
    whole, part = upload(endpoints=WHOLE), upload(endpoints=lacking)
    assert _completed(part, whole).endpoints == WHOLE
    assert _completed(whole, part).endpoints == WHOLE
    if name != "count":
        changes: dict[str, Any] = {"names": ("x", "y"), "urls": ("x", "y"), "digest": "other"}
        other = upload(endpoints=replace(WHOLE, **{name: changes[name]}))
        assert _completed(whole, other).endpoints == WHOLE


def test_urls_are_as_whole_as_in_the_piece_that_has_them() -> None:
    """A limit on lengths may have cut those of one piece and not those of the other."""
    cut = upload(endpoints=replace(WHOLE, are_urls_whole=False))
    whole, lacking = upload(endpoints=WHOLE), upload(endpoints=replace(WHOLE, urls=None))
    assert _completed(whole, cut).endpoints == WHOLE
    assert _completed(cut, whole).endpoints == cut.endpoints
    assert _completed(lacking, cut).endpoints == cut.endpoints
    assert _completed(cut, lacking).endpoints == cut.endpoints


def test_pieces_of_different_writes_are_not_mixed() -> None:
    """Another number of endpoints shows another write; an unknown number does not."""
    more = upload(endpoints=EndpointSet(3), build_id="b-2", outcome=sc.RETURNED)
    fewer = upload(endpoints=EndpointSet(2))
    assert _completed(fewer, more) is fewer
    assert _completed(upload(), more).build_id == "b-2"


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        (sc.UNKNOWN, sc.RETURNED, sc.RETURNED),
        (sc.RETURNED, sc.UNKNOWN, sc.RETURNED),
        (sc.FAILED, sc.UNKNOWN, sc.FAILED),
    ],
)
def test_a_piece_that_shows_the_answer_decides_the_outcome(
    mine: str, theirs: str, expected: str
) -> None:
    """An upload returned if any of its pieces shows it."""
    assert _completed(upload(outcome=mine), upload(outcome=theirs)).outcome == expected


@pytest.mark.parametrize("window", [1, 2, 3, 4, 9, 10, 11])
def test_no_line_is_lost_between_windows(window: int) -> None:
    """Items are looked at in windows of any size, and all of them come out once, in order."""
    items: list[Any] = [object() for _ in range(10)]
    assert list(ordered(iter(items), window)) == items
    assert list(ordered(iter([]), window)) == []


@pytest.mark.parametrize(
    ("fields", "cut", "expected"),
    [
        ({"endpoint_count": 3}, (), True),
        ({"endpoint_count": 2}, (), False),
        ({"endpoint_count": 1}, (), False),
        ({"endpoint_count": 3}, ("endpoint_count",), False),
        ({"endpoint_count": 3}, ("endpoint_names",), True),
        ({"endpoint_count": "3"}, (), False),
        ({}, (), False),
    ],
)
def test_a_larger_count_shows_that_names_are_missing(
    fields: dict[str, Any], cut: tuple[str, ...], *, expected: bool
) -> None:
    """Only a whole number that exceeds the names does."""
    line: Any = SimpleNamespace(fields=fields, cut=frozenset(cut))
    assert _counts_more(line, ("gpu", "web")) is expected


@pytest.mark.parametrize(
    ("text", "is_table"),
    [
        ("timestamp,message\n", True),
        ("sep=,\ntimestamp,message\n", True),
        ("sep=,\nsep=,\ntimestamp,message\n", False),
        ("message\n", False),
        ('"message"\n', True),
    ],
)
def test_a_header_is_in_the_first_line_or_behind_excels(text: str, *, is_table: bool) -> None:
    """One line may come before a header, if it is the one that Excel writes."""
    assert (container_of(text.encode()) is not None) is is_table


def without_id(steps: dict[str, SpanRecord]) -> list[SpanRecord]:
    """Return a deployment of which the environment's id is not known."""
    return [changed(step, environment_id=None) for step in steps.values()]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: records(deployment()), []),
        (lambda: without_id(deployment()), [("production", "shop")]),
        # Another deployment to the same place, of the same app, knows its id.
        (lambda: [*without_id(deployment()), *records(deployment(2))], []),
        (
            lambda: [*without_id(deployment()), *records(deployment(2, env="other"))],
            [("production", "shop")],
        ),
        (
            lambda: [
                *without_id(deployment()),
                *without_id(deployment(2, app="blog")),
                *without_id(deployment(3, env="staging")),
            ],
            [("production", "blog"), ("production", "shop"), ("staging", "shop")],
        ),
        # Of a name that two apps use, the id is known in one of them.
        (
            lambda: [*without_id(deployment()), *records(deployment(2, app="blog", env_id="e-2"))],
            [("production", "shop")],
        ),
        # A deployment by id has the id in place of the name.
        (lambda: [*records(deployment()), *without_id(deployment(2, env="env-prod"))], []),
        # A read knows the name of an environment that was deployed to by its id.
        (
            lambda: [
                *records(deployment(env="env-prod")),
                *without_id(deployment(2)),
                *(changed(span, environment_name="production") for span in read(10)),
            ],
            [],
        ),
    ],
)
def test_environments_of_which_no_id_is_known(made: Any, expected: list[tuple[str, str]]) -> None:
    """A name in an app counts as an environment, unless something recorded knows its id."""
    with laid_out(made()) as spans:
        assert sorted(spans.nameless()) == expected


LINES = RuntimeFetch(
    origin=Origin(file="a.log", line=3, rebuilt=True),
    environment_id="e-1",
    build_id="b-1",
    manifest_state=sc.MANIFEST_COMPLETE,
    environment_state=sc.ENVIRONMENT_ACTIVE,
    endpoints=WHOLE,
    worker_environment_id="e-1",
    worker_endpoint_id="w-1",
    fault=sc.STALE_BUILD,
    start_ns=1,
    end_ns=2,
    outcome=sc.RETURNED,
    bare=True,
)
COMPLETED = (
    "environment_state",
    "manifest_state",
    "endpoints",
    "worker_environment_id",
    "worker_endpoint_id",
    "fault",
)


@pytest.mark.parametrize("name", COMPLETED)
def test_a_span_takes_what_it_lacks_from_its_lines(name: str) -> None:
    """Each field that the span lacks comes from the lines; one that it holds stays."""
    bare = RuntimeFetch(origin=Origin(trace_id="a"), bare=False)
    assert getattr(filled(bare, LINES), name) == getattr(LINES, name)
    held: Any = EndpointSet(1) if name == "endpoints" else "mine"
    whole = replace(bare, **{name: held})
    assert getattr(filled(whole, LINES), name) == held
    assert (filled(bare, LINES).in_log, filled(bare, LINES).bare) == (True, False)
    assert filled(replace(bare, bare=True), LINES).bare


@pytest.mark.parametrize("name", ["environment_id", "build_id", "end_ns"])
def test_two_pieces_of_a_read_hold_what_either_holds(name: str) -> None:
    """The question is in one piece and the answer in the other."""
    empty = RuntimeFetch(origin=Origin(file="b.log", line=1, rebuilt=True), outcome=sc.UNKNOWN)
    for first, second in ((LINES, empty), (empty, LINES)):
        found = _together(first, second)
        assert getattr(found, name) == getattr(LINES, name)
        assert found.outcome == sc.RETURNED
        assert found.origin == first.origin
    attempts = (ManifestFetch(), ManifestFetch(build_id="b-1"))
    pieces = [replace(empty, attempts=(attempt,)) for attempt in attempts]
    assert _together(*pieces).attempts == attempts


OF_LINES = Deployment(
    id="a.log:1",
    activation=Activation(build_id="b-1"),
    upload=upload(build_id="b-1"),
    environment_id="e-1",
    environment_name="production",
    by_lines=True,
    in_log=True,
)


@pytest.mark.parametrize("name", ["activation", "upload", "environment_id", "environment_name"])
def test_a_deployment_takes_what_its_spans_lack_from_its_lines(name: str) -> None:
    """What the spans hold stays, unless it is known by lines itself."""
    bare = Deployment(id="d-1")
    assert getattr(_filled(bare, OF_LINES), name) == getattr(OF_LINES, name)
    own: Any = {
        "activation": Activation(build_id="mine"),
        "upload": upload(build_id="mine", origin=Origin(trace_id="a")),
    }.get(name, "mine")
    found = _filled(replace(bare, **{name: own}), OF_LINES)
    assert (getattr(found, name), found.in_log, found.by_lines, found.id) == (
        own,
        True,
        False,
        "d-1",
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_795_860_001, (1_795_860_001_000_000_000, True)),
        (1_795_860_001.25, (1_795_860_001_250_000_000, True)),
        (1_795_860_001_250, (1_795_860_001_250_000_000, True)),
        (1_795_860_001_250_125_375, (1_795_860_001_250_125_375, True)),
        ("1795860001.25", (1_795_860_001_250_000_000, True)),
        (["1795860001250"], (1_795_860_001_250_000_000, True)),
        (["1", "2"], (None, False)),
        (True, (None, False)),
        (None, (None, False)),
        (12, (None, False)),
        ("soon", (None, False)),
        ("2026-11-29T00:00:01Z", (1_795_910_401_000_000_000, True)),
        ("2026-11-29 00:00:01", (1_795_910_401_000_000_000, False)),
    ],
)
def test_the_time_of_a_field(value: object, expected: tuple[int | None, bool]) -> None:
    """A number is counted since the epoch, in the unit of its digits, and is exact."""
    assert time_in(value) == expected


FIELDS_HINT = (
    "an entry's text is read from a field such as message, log, line or textPayload: export the "
    "log as text, JSON lines or CSV with such a field"
)
LOGS_HINT = "name the log of `flash deploy` or of a worker"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b" \n\n",
            f"text without a bracketed line or a span of flash_otel (it is blank); {LOGS_HINT}",
        ),
        (
            b"\nhello\nworld\n",
            "text without a bracketed line or a span of flash_otel (it begins with 'hello'); "
            + LOGS_HINT,
        ),
        (
            b'{"message": "hello"}\n{"message": "world"}\n',
            "text without a bracketed line or a span of flash_otel (it begins with "
            """'{"message": "hello"}'); """ + LOGS_HINT,
        ),
        (
            b'{"count": 1}\n{"count": 2}\n',
            "a JSON document in which no log entries were recognised (it begins with "
            """'{"count": 1}'); """ + FIELDS_HINT,
        ),
        (
            b"timestamp,message\n",
            "a table with the columns timestamp, message in which no log entries were recognised "
            "(it begins with 'timestamp,message'); " + FIELDS_HINT,
        ),
    ],
)
def test_a_log_without_anything_is_described(tmp_path: Path, data: bytes, expected: str) -> None:
    """The error has the kind of the file, its first line, and what to name instead."""
    path = tmp_path / "a.log"
    path.write_bytes(data)
    with pytest.raises(NothingFoundError) as caught:
        list(open_reader(path).records())
    assert str(caught.value) == f"{path} is {expected}"


def test_a_table_with_a_quote_that_nothing_closes() -> None:
    """Its other rows are read, and each has the number of its line."""
    table = container_of(b"timestamp,message\n")
    assert table is not None
    data = b'timestamp,message\n1,a\n2,"b\n'
    first, *_ = table.entries([data])
    assert (first[0], first[1].text) == (2, "a")
    header = b"timestamp,message\ntimestamp,message\n1,a\n"
    assert [(number, entry.text) for number, entry in table.entries([header])] == [(3, "a")]
