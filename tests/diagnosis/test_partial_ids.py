"""Partial ids are completed where one whole id fits; otherwise they prove nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.partial import resolved
from flash_otel.records import LINES_BUILD, LINES_PARTIAL, LINES_SCOPE, SpanRecord

UUID: Final = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"
OTHER_UUID: Final = "7f3e11d2-5a6b-4c7d-8e9f-0a1b2c3d4e5f"
LONG: Final = "abcdefghijklmn"
"""An id of Runpod's, of the least length."""
URL: Final = "https://api.runpod.ai/v2/"


def span(
    number: int,
    attributes: dict[str, Any],
    name: str = sc.ACTIVATE,
    *,
    scope: str = sc.SCOPE_NAME,
    instance: str = "i-1",
    parent: int | None = None,
) -> SpanRecord:
    return SpanRecord(
        trace_id="a" * 32,
        span_id=f"{number:016x}",
        parent_span_id=None if parent is None else f"{parent:016x}",
        name=name,
        kind="client",
        start_ns=0,
        end_ns=0,
        attributes=attributes,
        resource={sc.SERVICE_INSTANCE_ID: instance},
        scope_name=scope,
    )


def write(number: int, build: str | None, environment: str | None, **more: Any) -> SpanRecord:
    """Return an activation; an id with `*` is partial."""
    return of_ids(number, build, environment, sc.ACTIVATE, **more)


def read(number: int, build: str | None, environment: str | None, **more: Any) -> SpanRecord:
    """Return a read; an id with `*` is partial."""
    return of_ids(number, build, environment, sc.RUNTIME_FETCH, **more)


def of_ids(
    number: int, build: str | None, environment: str | None, name: str, **more: Any
) -> SpanRecord:
    given = {sc.BUILD_ID: build, sc.ENVIRONMENT_ID: environment}
    known: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if partial := tuple(key for key, value in known.items() if "*" in value):
        known[LINES_PARTIAL] = partial
    return span(number, known, name, **more)


def kept(*given: SpanRecord) -> list[int]:
    """Return the numbers of the records that are not left out."""
    return [int(record.span_id, 16) for record in resolved(given)]


# --- which ids are partial ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "known", "expected"),
    [
        # Masked.
        ("0c069c1f-***", [UUID], UUID),
        ("***c1f-9ac9-48ed-9f76-d79799af0cc2", [UUID], UUID),
        ("0c069c1f-***", [OTHER_UUID], None),
        # The part of a UUID that a width left.
        ("0c069c1f-9ac9", [UUID], UUID),
        ("0c069c1f-", [UUID], UUID),
        ("0c069c1f-9ac9", [OTHER_UUID], None),
        # The beginning of an id of another form.
        ("abcdefgh", [LONG], LONG),
        ("abcdefgh", [LONG, "zzzzzzzzzzzzzz"], LONG),
        ("abcdefghijkl", [LONG], LONG),
        ("abcdefgh", [LONG, "abcdefghzzzzzz"], None),
        # Whole, as far as anybody can tell.
        ("abcdefg", [LONG], "abcdefg"),
        ("abcdefghijklm", [LONG], "abcdefghijklm"),
        ("abcdefgh", ["abcdefghij"], "abcdefgh"),
        ("abcdefgx", [LONG], "abcdefgx"),
        (LONG, ["zzzzzzzzzzzzzz"], LONG),
        (UUID, [OTHER_UUID], UUID),
    ],
)
@pytest.mark.parametrize("name", [sc.PREVIOUS_BUILD_ID, sc.BUILD_ID])
def test_an_id_that_is_masked_or_cut(
    value: str, known: list[str], expected: str | None, name: str
) -> None:
    """It is the only whole id that it may be; if it may be several or none, it is unknown."""
    whole = [span(at, {sc.BUILD_ID: one}) for at, one in enumerate(known, 2)]
    for others in (whole, whole[::-1]):
        first, *rest = resolved([span(1, {name: value, "x": 1}), *others])
        assert first.attributes.get(name) == expected
        assert first.attributes.keys() - {name, LINES_BUILD} == {"x"}
        assert rest == others


@pytest.mark.parametrize(
    ("name", "other", "is_completed"),
    [
        (sc.BUILD_ID, sc.BUILD_ID, True),
        (sc.BUILD_ID, sc.PREVIOUS_BUILD_ID, False),
        (sc.ENVIRONMENT_ID, sc.WORKER_ENVIRONMENT_ID, True),
        (sc.ENVIRONMENT_ID, sc.WORKER_ENDPOINT_ID, True),
        (sc.WORKER_ENVIRONMENT_ID, sc.WORKER_ENDPOINT_ID, False),
        (sc.WORKER_ENDPOINT_ID, sc.ENDPOINT_ID, True),
        (sc.ENDPOINT_ID, sc.ENDPOINT_ID, False),
        (sc.CODE_DEPLOYMENT_ID, sc.DEPLOYMENT_ID, True),
        (sc.DEPLOYMENT_ID, sc.DEPLOYMENT_ID, True),
        (sc.ENDPOINT_URL, sc.ENDPOINT_URL, False),
        (sc.ENVIRONMENT_NAME, sc.ENVIRONMENT_ID, True),
        (sc.ENVIRONMENT_NAME, sc.APP_NAME, False),
    ],
)
def test_ids_of_which_kind_complete_another(name: str, other: str, *, is_completed: bool) -> None:
    """Only ids that are compared with each other, and never the endpoint of a deployment."""
    partial = span(1, {name: "abcd*", LINES_PARTIAL: (name,)})
    first, _ = resolved([partial, span(2, {other: LONG})])
    assert first.attributes.get(name) == (LONG if is_completed else None)


def test_a_list_with_a_partial_url_is_unknown() -> None:
    """Its other URLs alone would be those of another deployment."""
    whole, cut = f"{URL}{LONG}", f"{URL}abcd"
    given = span(1, {sc.ENDPOINT_URLS: (whole, cut), sc.ENDPOINT_COUNT: 2})
    (found,) = resolved([given])
    assert found.attributes == {sc.ENDPOINT_COUNT: 2}
    others = span(2, {sc.ENDPOINT_URLS: (whole, f"{URL}zzzz")})
    assert resolved([others]) == [others]


def test_a_single_url_that_was_cut_is_unknown() -> None:
    """It is not completed by another one that begins like it."""
    given = span(1, {sc.ENDPOINT_URL: f"{URL}ab"}, sc.CALL)
    first, whole = resolved([given, span(2, {sc.ENDPOINT_URL: f"{URL}{LONG}"}, sc.CALL)])
    assert (first.attributes, whole.attributes) == ({}, {sc.ENDPOINT_URL: f"{URL}{LONG}"})


@pytest.mark.parametrize(
    ("value", "known", "expected"),
    [
        ("abcd", ["abcdef", "xyz"], "abcdef"),
        ("abcd", ["abcd", "abcdef"], "abcd"),
        ("abcd", ["abcdef", "abcdxyz"], None),
        ("abcd", ["xyz"], "abcd"),
        ("abc", ["abcdef"], None),
    ],
)
def test_an_id_that_a_limit_may_have_cut(
    value: str, known: list[str], expected: str | None
) -> None:
    """It is whole, unless it only begins others; of these, the single one is meant."""
    given = span(1, {sc.BUILD_ID: value, LINES_PARTIAL: (sc.BUILD_ID,)}, sc.DEPLOY)
    others = [span(at, {sc.BUILD_ID: one}, sc.DEPLOY) for at, one in enumerate(known, 2)]
    first, *rest = resolved([given, *others])
    assert first.attributes == ({} if expected is None else {sc.BUILD_ID: expected})
    assert rest == others


def test_an_id_that_is_known_to_be_partial_is_completed_once() -> None:
    """Also if it shows it by itself; the others of the record are looked at, too."""
    given = span(
        1,
        {
            sc.PREVIOUS_BUILD_ID: "0c069c1f-***",
            sc.BUILD_ID: "7f3e11d2-5a6b",
            LINES_PARTIAL: (sc.PREVIOUS_BUILD_ID,),
        },
    )
    first, *_ = resolved([given, span(2, {sc.BUILD_ID: UUID}), span(3, {sc.BUILD_ID: OTHER_UUID})])
    assert first.attributes == {sc.PREVIOUS_BUILD_ID: UUID, sc.BUILD_ID: OTHER_UUID}
    both = {sc.BUILD_ID: UUID, sc.PREVIOUS_BUILD_ID: "7f3e11d2-5a6b"}
    first, _ = resolved([span(1, both), span(3, {sc.BUILD_ID: OTHER_UUID})])
    assert first.attributes == {sc.BUILD_ID: UUID, sc.PREVIOUS_BUILD_ID: OTHER_UUID}


@pytest.mark.parametrize(
    ("attributes", "others", "is_kept"),
    [
        ({sc.BUILD_ID: "hidden-build"}, {sc.PREVIOUS_BUILD_ID: UUID}, False),
        ({sc.ENVIRONMENT_ID: "hidden"}, {sc.ENVIRONMENT_ID: UUID}, False),
        ({sc.WORKER_ENVIRONMENT_ID: "hidden"}, {sc.ENVIRONMENT_ID: UUID}, False),
        # No other id is a UUID, so that this one may be whole.
        ({sc.BUILD_ID: "hidden-build"}, {sc.BUILD_ID: "build-2"}, True),
        ({sc.BUILD_ID: "hidden-build"}, {sc.ENVIRONMENT_ID: UUID}, True),
        # Ids of another kind have other forms.
        ({sc.PREVIOUS_BUILD_ID: "hidden"}, {sc.BUILD_ID: UUID}, True),
        ({sc.WORKER_ENDPOINT_ID: "hidden"}, {sc.ENVIRONMENT_ID: UUID}, True),
        # Workers have asked for these by mistake.
        ({sc.ENVIRONMENT_ID: "prod"}, {sc.ENVIRONMENT_ID: UUID, sc.ENVIRONMENT_NAME: "prod"}, True),
        ({sc.ENVIRONMENT_ID: "ep"}, {sc.ENVIRONMENT_ID: UUID, sc.ENDPOINT_ID: "ep"}, True),
        ({sc.ENVIRONMENT_ID: "ep"}, {sc.ENVIRONMENT_ID: UUID, sc.WORKER_ENDPOINT_ID: "ep"}, True),
        ({sc.ENVIRONMENT_ID: "ep"}, {sc.ENVIRONMENT_ID: UUID, sc.ENDPOINT_URL: f"{URL}ep"}, True),
        (
            {sc.ENVIRONMENT_ID: "ep"},
            {sc.ENVIRONMENT_ID: UUID, sc.ENDPOINT_URLS: ("https://a", "https://ep.runpod.ai")},
            True,
        ),
    ],
)
def test_an_id_in_a_line_that_is_no_uuid_though_others_are(
    attributes: dict[str, Any], others: dict[str, Any], *, is_kept: bool
) -> None:
    """It may be a mask of any form, and is unknown; a span's own id is not doubted."""
    whole = span(2, others)
    first, second = resolved([span(1, attributes, scope=LINES_SCOPE), whole])
    assert first.attributes == (attributes if is_kept else {})
    assert second == whole
    assert resolved([span(1, attributes), whole]) == [span(1, attributes), whole]


def test_a_write_keeps_what_is_known_of_its_build() -> None:
    """Enough of an id shows that it is none of the whole ones; a mark, that of a build."""
    for name, value, expected in (
        (sc.ACTIVATE, "abcd*", {LINES_BUILD: "abcd*"}),
        (sc.MANIFEST_UPLOAD, "a*bcd", {LINES_BUILD: "a*bcd"}),
        (sc.ACTIVATE, "abc*", {}),
        (sc.ACTIVATE, "zz*z-1", {sc.BUILD_ID: "zz-z-1"}),
        (sc.DEPLOY, "abcd*", {}),
    ):
        given = span(1, {sc.BUILD_ID: value, LINES_PARTIAL: (sc.BUILD_ID,)}, name)
        first, _ = resolved([given, span(2, {sc.BUILD_ID: "zz-z-1"}, sc.DEPLOY)])
        assert first.attributes == expected
    both = [span(at, {sc.BUILD_ID: f"abcd-{at}"}, sc.DEPLOY) for at in (2, 3)]
    first, *_ = resolved([write(1, "abcd*", None), *both])
    assert first.attributes == {}


def test_a_value_that_is_no_text_is_left_out() -> None:
    """Nothing is known of a partial list or number."""
    for value in (3, ("a", "b"), True):
        (found,) = resolved([span(1, {"x": value, LINES_PARTIAL: ("x", "y")})])
        assert found.attributes == {}


# --- what is left out with an unknown id -------------------------------------------------------

DEPLOYED: Final = write(1, "b-1", "e-1")


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ([DEPLOYED, read(9, "b-1", "e-1")], True),
        ([DEPLOYED, read(9, "xxxx*", "e-1")], False),
        ([DEPLOYED, read(9, "b-1", "xxxx*")], False),
        ([DEPLOYED, read(9, "xxxx*", None)], False),
        # What asked for another environment is evidence, whatever it got.
        ([DEPLOYED, read(9, "xxxx*", "e-2")], True),
        ([DEPLOYED, read(9, "xxxx*", "yyyy*")], False),
        ([write(1, "b-1", None), read(9, "xxxx*", "e-2")], False),
        ([write(1, "b-1", "xxxx*"), read(9, "zzzz*", "e-2")], False),
        ([write(1, "b-1", "abcd*"), read(9, "zzzz*", "abcdef")], False),
        ([read(1, "b-1", "e-1"), read(9, "xxxx*", "e-2")], False),
        # Of a partial id that can be completed, nothing is left out.
        ([write(1, "b-1234", "e-1"), read(9, "b-12*", "e-1")], True),
    ],
)
def test_a_read_of_something_unknown(given: list[SpanRecord], *, is_kept: bool) -> None:
    """It would seem to agree with anything."""
    for order in (given, given[::-1]):
        assert (9 in kept(*order)) is is_kept
        assert len(kept(*order)) == len(given) - (not is_kept)


def test_with_a_read_its_refresh_and_its_workers_calls_are_left_out() -> None:
    """The calls would seem to lack the read; those of other workers stay."""
    unknown = replace(read(9, "xxxx*", "e-1", parent=8), name=sc.MANIFEST_FETCH)
    given = [
        DEPLOYED,
        read(7, "b-1", "e-1"),
        read(8, None, "e-1"),
        unknown,
        span(10, {}, sc.CALL),
        span(11, {}, sc.CALL, instance="i-2"),
        span(12, {}, sc.GRAPHQL),
    ]
    assert kept(*given) == [1, 7, 11, 12]
    elsewhere = [
        replace(one, trace_id="b" * 32) if one.span_id == f"{8:016x}" else one for one in given
    ]
    assert kept(*elsewhere) == [1, 7, 8, 11, 12]


@pytest.mark.parametrize(
    ("writes", "builds", "expected"),
    [
        # The build that was deployed is one of two, so that a third one is another or not.
        ([("abcd*", "e-1")], ["abcd-1", "abcd-2", "zzzz-1"], [0, 1]),
        ([("abcd*", "e-1"), ("zzzz*", "e-1")], ["abcd-1", "abcd-2", "zzzz-1", "zzzz-2", "y"],
         [0, 1, 2, 3]),
        # A whole build is known, or the partial one fits only one.
        ([("abcd*", "e-1"), ("b-1", "e-1")], ["abcd-1", "abcd-2", "zzzz-1"], [0, 1, 2]),
        ([("abcd*", "e-1")], ["abcd-1", "zzzz-1"], [0, 1]),
        ([(None, "e-1")], ["abcd-1", "zzzz-1"], [0, 1]),
    ],
)  # fmt: skip
def test_reads_of_other_builds_than_a_partial_one(
    writes: list[tuple[str | None, str]], builds: list[str], expected: list[int]
) -> None:
    """They would prove another build if that id were whole, and are left out."""
    made = [write(at, *ids) for at, ids in enumerate(writes, 100)]
    reads = [read(at, build, "e-1") for at, build in enumerate(builds)]
    without = [read(50, None, "e-1"), span(51, {sc.BUILD_ID: "zzzz-9"}, sc.GRAPHQL)]
    found = kept(*made, *reads, *without)
    assert [number for number in found if number < 100] == [*expected, 50, 51]


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([("b-1", "yyyy*")], [0]),
        ([("b-1", "yyyy*"), ("b-2", "e-2")], [0, 2]),
        # Another write of the build knows the environment, or nothing was lost.
        ([("b-1", "yyyy*"), ("b-1", "e-3")], [0, 1, 2]),
        ([("b-1", None)], [0, 1, 2]),
        ([("b-1", "e-2")], [0, 1, 2]),
        ([(None, "yyyy*"), ("b-2", "e-2")], [0, 2]),
        ([(None, "yyyy*"), (None, "e-2")], [0, 2]),
    ],
)
def test_reads_of_environments_that_may_be_the_unknown_one(
    writes: list[tuple[str | None, str | None]], expected: list[int]
) -> None:
    """They prove no mismatch, unless the environment is known to be deployed to."""
    made = [write(at, *ids) for at, ids in enumerate(writes, 100)]
    # Something partial is needed for anything to be doubted at all.
    noise = span(200, {"x": "*", LINES_PARTIAL: ("x",)})
    reads = [read(at, "b-1", environment) for at, environment in enumerate((None, "e-1", "e-2"))]
    found = kept(*made, noise, *reads)
    assert [number for number in found if number < 100] == expected
    assert [number for number in found if number >= 100] == [*range(100, 100 + len(made)), 200]


def test_whole_records_stay_as_they_are() -> None:
    """In their order, from any source."""
    given = [DEPLOYED, read(9, "b-2", "e-2"), span(3, {}, sc.CALL)]
    assert resolved(iter(given)) == given
    assert resolved([]) == []
