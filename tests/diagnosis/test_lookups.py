"""What a store is asked for: spans by their columns and references, and the names in it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import (
    EPOCH_NS,
    TWO,
    call,
    changed,
    deployment,
    nanoseconds,
    read,
    records,
    stopped,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis import recorded
from flash_otel.diagnosis.recorded import (
    DEPLOYING,
    ODD,
    RUNNING,
    RecordedSpans,
    laid_out,
    local_spans,
)
from flash_otel.records import LINES_SCOPE
from flash_otel.store import references as refs
from flash_otel.store.errors import StoreError
from flash_otel.store.references import reference
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diagnosis.recordings import Steps

    from flash_otel.records import SpanRecord

ALL: Final = "ORDER BY span LIMIT 100"
BUILD: Final = reference(refs.BUILD, "build-1")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    """Open a store for all tests, as making one takes longer than a test."""
    with SpanStore(tmp_path_factory.mktemp("lookups") / "spans.db") as made:
        yield made


@pytest.fixture
def store(opened: SpanStore) -> SpanStore:
    """Empty the store."""
    opened.replace([])
    return opened


@pytest.fixture
def laid(store: SpanStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay out records in this store."""
    monkeypatch.setattr(recorded, "temporary_store", lambda: nullcontext(store))


def numbers(found: list[SpanRecord]) -> list[str]:
    """Return the ends of span ids, without the zeros before them."""
    return [record.span_id.lstrip("0") for record in found]


# --- conditions on spans --------------------------------------------------------------------------


def test_spans_are_found_by_a_condition_in_the_order_that_is_asked_for(store: SpanStore) -> None:
    """The first or the last of them by their start, as many as are asked for."""
    store.write(records(deployment()))
    spans = RecordedSpans(store)
    is_endpoint = "spans.name = ?"
    assert numbers(spans.where("1", order=f"{spans.first} 3")) == ["d100", "d101", "d102"]
    assert numbers(spans.where("1", order=f"{spans.last} 2")) == ["d105", "d111"]
    found = spans.where(is_endpoint, sc.PROVISION_ENDPOINT, order=f"{spans.first} 9")
    assert numbers(found) == ["d110", "d111"]
    assert found == [step for name, step in deployment().items() if name in TWO]
    assert spans.where(is_endpoint, "another") == []


@pytest.mark.usefixtures("laid")
def test_spans_with_the_same_start_are_in_the_order_of_their_places() -> None:
    """By file and by line; without one, in the order in which they were recorded."""
    step = deployment()["deploy"]
    places = ("b.log:2", "a.log:10", "a.log:9", "a.log")
    made = [
        replace(step, span_id=f"{number:016}", origin=place) for number, place in enumerate(places)
    ]
    with laid_out(made) as spans:
        first = spans.where("1", order=f"{spans.first} 9")
        last = spans.where("1", order=f"{spans.last} 9")
    assert [record.origin for record in first] == ["a.log", "a.log:9", "a.log:10", "b.log:2"]
    assert last == first[::-1]


def test_spans_of_deployments_are_told_from_those_of_workers(store: SpanStore) -> None:
    """A worker may make steps that deployments make, too; what may show a fault is odd."""
    steps = deployment()
    own = replace(
        changed(steps["gpu"], deployment_id=None, environment_id=None, build_id=None),
        resource={sc.FAAS_NAME: "web"},
        trace_id="e" * 32,
        span_id="e" * 16,
        parent_span_id=None,
    )
    whole, bare = read(10, held=TWO), read(20, number="2", state=sc.MANIFEST_NULL)
    silent = [changed(record, manifest__state=None) for record in read(30, number="3")]
    shown = changed(call(40), fault=sc.STALE_CACHE)
    failed = replace(call(50, number="2"), status="error")
    in_lines = replace(call(60, number="3"), scope_name=LINES_SCOPE)
    parts = [*whole, *bare, *silent, shown, failed, in_lines]
    store.write([*records(steps), own, *parts])
    spans = RecordedSpans(store)
    made = spans.where(DEPLOYING, order=f"{spans.first} 99")
    assert sorted(numbers(made)) == sorted(numbers(records(steps)))
    ran = spans.where(RUNNING, order=f"{spans.first} 99")
    assert numbers(ran) == numbers([own, *parts])
    odd = spans.where(f"{RUNNING} AND {ODD}", order=f"{spans.first} 99")
    assert numbers(odd) == numbers([*bare, shown, failed, in_lines])


def test_spans_of_many_traces_are_found_in_parts(
    store: SpanStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same trace, asked for twice, is looked up once; a condition may leave some out."""
    monkeypatch.setattr(recorded, "_CHUNK", 2)
    made = [records(deployment(number, at=number * 10.0)) for number in (1, 2, 3, 4, 5)]
    store.write([record for each in made for record in each])
    spans = RecordedSpans(store)
    wanted = [each[0].trace_id for each in made[:3]]
    is_root = f"AND spans.name = '{sc.DEPLOY}'"
    found = spans.in_traces([*wanted, wanted[0]], is_root)
    assert sorted(numbers(found)) == ["d100", "d200", "d300"]
    assert len(spans.in_traces(iter(wanted))) == 24
    one_of_each = spans.in_traces(wanted, order="LIMIT 1")
    assert len(one_of_each) == 2  # of each part
    assert spans.in_traces([]) == []


def test_a_value_that_is_no_text_is_asked_for_as_far_as_it_is(store: SpanStore) -> None:
    """A command line may hold bytes that are not UTF-8; no span has such a value."""
    made = changed(deployment()["deploy"], environment_name="p?")
    store.write([made])
    spans = RecordedSpans(store)
    assert spans.where("environment_name = ?", "p\udcff") == [made]
    assert spans.where("start_ns = ?", made.start_ns) == [made]


def test_a_store_that_cannot_be_read_is_an_error_of_the_store(store: SpanStore) -> None:
    """Rather than one of SQLite."""
    with pytest.raises(StoreError):
        RecordedSpans(store).where("no_such_column = 1")


# --- references -----------------------------------------------------------------------------------


def test_spans_are_found_by_what_they_refer_to(store: SpanStore) -> None:
    """In the order in which they were written, with a condition, or those of several."""
    first, second = deployment(), deployment(2, at=100)
    store.write(records(first, second))
    spans = RecordedSpans(store)
    assert numbers(spans.referring(BUILD, order=ALL)) == ["d100", "d103"]
    assert numbers(spans.referring(BUILD, order="ORDER BY span DESC LIMIT 1")) == ["d103"]
    assert numbers(spans.referring(BUILD, "AND spans.name = ?", sc.DEPLOY)) == ["d100"]
    assert spans.referring(reference(refs.BUILD, "build-")) == []
    found = spans.referring_from(reference(refs.BUILD, "build-"), order=ALL)
    assert numbers(found) == ["d100", "d103", "d200", "d203"]
    assert numbers(spans.referring_from(reference(refs.BUILD, "build-2"), ALL)) == ["d200", "d203"]
    assert spans.referring_from(reference(refs.BUILD, "build-3"), ALL) == []


def test_spans_with_any_of_many_references_are_found_in_parts(
    store: SpanStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, however many one query can ask for."""
    monkeypatch.setattr(recorded, "_CHUNK", 2)
    store.write(records(*(deployment(number, at=number * 10.0) for number in range(1, 7))))
    spans = RecordedSpans(store)
    wanted = [reference(refs.BUILD, f"build-{number}") for number in (1, 2, 3, 5, 9)]
    found = spans.referring_to_any(wanted, ALL)
    assert numbers(found) == [f"d{number}0{step}" for number in (1, 2, 3, 5) for step in (0, 3)]
    assert spans.referring_to_any([], ALL) == []


def test_environments_are_known_by_who_refers_to_something(store: SpanStore) -> None:
    """Only by their ids, and only by the spans that the order asks for."""
    endpoint = reference(refs.ENDPOINT, "gpu0000001")
    staging = deployment(2, at=100, env="staging", env_id="env-stag")
    nameless = without_id(deployment(3, at=200, env="other"))
    store.write(records(deployment(), staging, nameless))
    spans = RecordedSpans(store)
    assert spans.environments_referring(endpoint, ALL) == {"env-prod", "env-stag"}
    assert spans.environments_referring(endpoint, "ORDER BY span LIMIT 1") == {"env-prod"}
    assert spans.environments_referring(endpoint, "ORDER BY span DESC LIMIT 1") == set()
    assert spans.environments_referring("endpoint:none", ALL) == set()


def test_references_are_listed_once_in_alphabetical_order(store: SpanStore) -> None:
    """Those that begin with a prefix, and no others."""
    store.write(records(deployment(2), deployment(10, at=50), deployment(at=100)))
    spans = RecordedSpans(store)
    expected = [reference(refs.BUILD, f"build-{number}") for number in (1, 10, 2)]
    assert list(spans.references(f"{refs.BUILD}:")) == expected
    assert list(spans.references(expected[0])) == expected[:2]
    assert list(spans.references("zzz")) == []
    # The steps of a deployment know no app, other than its root.
    places = [reference(refs.PLACE, "production", app) for app in ("", "shop")]
    assert list(spans.references(f"{refs.PLACE}:")) == places


# --- what is looked up but once -------------------------------------------------------------------


@pytest.fixture
def asked(store: SpanStore) -> Iterator[list[str]]:
    """Return a list that receives every query on the store."""
    queries: list[str] = []
    store.connection.set_trace_callback(queries.append)
    yield queries
    store.connection.set_trace_callback(None)


def test_a_repeated_query_is_not_asked_again(
    store: SpanStore, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until too many rows are remembered; then all are forgotten."""
    monkeypatch.setattr(recorded, "_MOST_FOUND", 4)
    spans = RecordedSpans(store)

    def times(value: int, rows: int = 1) -> int:
        before = len(asked)
        query = " UNION ALL ".join(["SELECT ?1"] * rows) or "SELECT ?1 WHERE 0"
        assert spans.rows(query, value) == [(value,)] * rows
        return len(asked) - before

    assert [times(1), times(1), times(2), times(1), times(2)] == [1, 0, 1, 0, 0]
    # Four are remembered, with each query counted as one of them: that is not yet too many.
    assert [times(3), times(1), times(3)] == [1, 0, 0]
    assert [times(4), times(4), times(1)] == [1, 0, 1]
    # A query without rows counts as well.
    assert [times(5, 0), times(4), times(1), times(5, 0)] == [1, 0, 0, 0]
    assert [times(6, 2), times(4), times(6, 2)] == [1, 1, 0]


def test_a_span_is_read_once_until_too_many_are_known(
    store: SpanStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is turned into the source's own record when it is read."""
    made = records(deployment())
    store.write(made)
    for most, reads in ((len(made) - 1, 2 * len(made)), (len(made), len(made))):
        monkeypatch.setattr(recorded, "_MOST_KNOWN", most)
        restored: list[SpanRecord] = []

        def restore(record: SpanRecord, into: list[SpanRecord] = restored) -> SpanRecord:
            into.append(record)
            return replace(record, origin="here")

        spans = RecordedSpans(store, restore)
        for order in (spans.first, spans.last, spans.first):
            found = spans.where("1", order=f"{order} 99")
            assert sorted(numbers(found)) == sorted(numbers(made))
            assert {record.origin for record in found} == {"here"}
            if order == spans.last:
                assert len(restored) == reads


# --- environments and apps ------------------------------------------------------------------------


def without_id(steps: Steps) -> Steps:
    """Return a deployment that knows its environment by its name alone."""
    return {name: changed(step, environment_id=None) for name, step in steps.items()}


def without_app(steps: Steps) -> Steps:
    """Return a deployment that knows no app."""
    return {name: changed(step, app_name=None) for name, step in steps.items()}


def without_place(steps: Steps) -> Steps:
    """Return a deployment that knows no environment."""
    lost = {"environment_id": None, "environment_name": None}
    return {name: changed(step, **lost) for name, step in steps.items()}


def named(steps: Steps, app: str | None = None) -> Steps:
    """Return a failed deployment that knows its environment by its name, and perhaps an app."""
    left = stopped(without_id(steps), "artifact", error=("OSError", "no"))
    return {name: changed(step, app_name=app, build_id=None) for name, step in left.items()}


def test_environments_are_those_that_were_deployed_to(store: SpanStore) -> None:
    """Of one that was only asked for, nothing is known but its names."""
    asked = [changed(record, environment_name="asked") for record in read(300, env_id="env-asked")]
    store.write(
        records(
            deployment(2, env_id="env-b"),
            deployment(at=100, env="live", env_id="env-a"),
            deployment(3, at=200, env_id="env-b"),
            asked,
            named(deployment(4, at=400, env="nameless")),
        )
    )
    spans = RecordedSpans(store)
    assert list(spans.environments()) == ["env-a", "env-b"]
    names = ["asked", "live", "nameless", "production"]
    assert list(spans.environment_names()) == ["env-a", "env-asked", "env-b", *names]
    assert spans.deployed_ns("env-b") == nanoseconds(205.0)
    assert spans.deployed_ns("env-a") == nanoseconds(105.0)
    assert spans.deployed_ns("env-asked") is None
    assert spans.deployed_ns("env-c") is None
    later = RecordedSpans(store, since_ns=nanoseconds(150))
    assert list(later.environments()) == ["env-b"]


def test_spans_before_a_time_are_left_out(store: SpanStore) -> None:
    """One that starts at this time is not."""
    store.write(records(deployment(), deployment(2, at=100, env_id="env-2")))
    spans = RecordedSpans(store, since_ns=nanoseconds(100))
    assert numbers(spans.where("1", order=f"{spans.first} 1")) == ["d200"]
    assert len(spans.in_traces(["d1".rjust(32, "0"), "d2".rjust(32, "0")])) == 8
    assert spans.referring(BUILD) == []
    assert numbers(spans.referring_to_any([BUILD, reference(refs.BUILD, "build-2")], ALL)) == [
        "d200",
        "d203",
    ]
    assert numbers(spans.referring_from(f"{refs.BUILD}:", ALL)) == ["d200", "d203"]
    endpoint = reference(refs.ENDPOINT, "gpu0000001")
    assert spans.environments_referring(endpoint, ALL) == {"env-2"}
    assert spans.deployed_ns("env-prod") is None
    assert RecordedSpans(store, since_ns=nanoseconds(100.1)).where("start_ns < ?", EPOCH_NS) == []


def test_the_names_of_an_environment_are_the_last_ones(store: SpanStore) -> None:
    """Name and app may be known by different spans."""
    old = deployment(env="old", app="first")
    new = without_app(deployment(2, at=100, env="new"))
    bare = {name: changed(step, environment_name=None) for name, step in new.items()}
    later = {name: replace(step, trace_id="e" * 32) for name, step in bare.items()}
    store.write(records(new, old, later))
    spans = RecordedSpans(store)
    assert spans.names_of("env-prod") == ("new", "first")
    assert spans.names_of("env-9") == (None, None)


def test_the_environments_of_a_build_are_told_with_their_names(store: SpanStore) -> None:
    """As each of its spans knows them."""
    again = {
        name: changed(step, build_id="build-1")
        for name, step in deployment(2, at=100, env="staging", env_id="env-stag").items()
    }
    store.write(records(deployment(), without_app(again), deployment(3, at=200, env="other")))
    found = RecordedSpans(store).environments_of("build-1")
    assert sorted(found, key=str) == [
        ("env-prod", "production", "shop"),
        ("env-prod", "production", None),
        ("env-stag", "staging", None),
    ]
    assert RecordedSpans(store).environments_of("build-9") == []


def test_apps_are_named_by_deployments_and_by_calls(store: SpanStore) -> None:
    """With an environment or without; a call without an app names none."""
    store.write(
        records(
            deployment(app="shop"),
            without_place(deployment(2, at=100, app="blog")),
            call(200, app="wiki", env="production"),
            call(210, number="2", env="production"),
            named(deployment(3, at=300, env="odd/name"), app="docs"),
        )
    )
    assert set(RecordedSpans(store).apps()) == {"shop", "blog", "wiki", "docs"}


@pytest.mark.parametrize(
    ("recordings", "expected"),
    [
        ([named(deployment())], [("production", "")]),
        ([named(deployment(), "shop")], [("production", "shop")]),
        ([named(deployment(env="a/b:c"), "shop")], [("a/b:c", "shop")]),
        ([named(deployment(2)), named(deployment(), "shop")], [("production", "shop")]),
        (
            [named(deployment(), "shop"), named(deployment(2), "blog")],
            [("production", "blog"), ("production", "shop")],
        ),
        (
            [named(deployment(), "shop"), named(deployment(2), "blog"), named(deployment(3))],
            [("production", "blog"), ("production", "shop")],
        ),
        (
            [
                named(deployment(env="env-1")),
                deployment(2, env="x", env_id="env-1"),
                named(deployment(3, env="other")),
            ],
            [("other", "")],
        ),
        ([named(deployment(), "shop"), deployment(2)], []),
        ([named(deployment()), deployment(2)], []),
        (
            [named(deployment(), "blog"), deployment(2)],
            [("production", "blog")],
        ),
        (
            [named(deployment(), "blog"), named(deployment(3)), deployment(2)],
            [("production", "blog")],
        ),
        (
            [
                without_app(without_id(deployment())),
                {"activate": changed(deployment(2)["activate"], build_id="build-1")},
            ],
            [],
        ),
        (
            [
                named(deployment()),
                {
                    name: changed(step, environment_name=None, app_name=None)
                    for name, step in deployment(2).items()
                },
                [changed(span, environment_name="production") for span in read(10, held=TWO)],
            ],
            [],
        ),
        (
            [
                named(deployment()),
                [changed(span, environment_name="production") for span in read(10, held=TWO)],
            ],
            [("production", "")],
        ),
        ([deployment()], []),
        ([], []),
    ],
    ids=[
        "a name",
        "a name and an app",
        "a name with separators",
        "both",
        "two apps",
        "two apps and none",
        "an id in place of the name",
        "the id is known",
        "the id is known of an app",
        "the id is known of another app",
        "the id is known of one of two apps",
        "the id is known of the build",
        "a read knows the name",
        "a read knows the name of an undeployed one",
        "all is known",
        "nothing",
    ],
)
def test_environments_whose_id_nobody_knows(
    store: SpanStore, recordings: list[Any], expected: list[tuple[str, str]]
) -> None:
    """By their name, with the app if only one has it, or with each of several."""
    store.write(records(*recordings))
    assert sorted(RecordedSpans(store).nameless()) == expected


# --- the local store and temporary ones -----------------------------------------------------------


def test_spans_of_the_local_store_have_the_host_of_its_machine(store: SpanStore) -> None:
    """Unless they name another one, or a worker's pod."""
    bare = [replace(step, resource={}) for step in records(deployment())]
    workers = read(10, held=TWO)
    store.write([*bare, *workers])
    spans = local_spans(store)
    hosted = [replace(step, resource={"host.id": f"store {store.path}"}) for step in bare]
    found = {record.key: record for record in spans.where("1")}
    assert found == {record.key: record for record in (*hosted, *workers)}
    later = local_spans(store, nanoseconds(5))
    assert numbers(later.where("1", order=f"{later.first} 9")) == ["d105", "a10", "a11"]


PLACES: Final = (
    ("", ""),
    ("a.log", "a.log"),
    ("a.log:3", "a.log:3"),
    ("a.log:007", "a.log:7"),
    ("C:\\a.log:123456789012", "C:\\a.log:123456789012"),
    ("a.log:1234567890123", "a.log:1234567890123"),
    ("2026:x", "2026:x"),
    ("twelve chars", "twelve chars"),
    ("a.log:0", "a.log"),
)


@pytest.mark.usefixtures("laid")
@pytest.mark.parametrize(("place", "kept"), PLACES)
def test_a_temporary_store_keeps_the_place_of_a_record(place: str, kept: str) -> None:
    """A file, and a line in it; the attributes come back as they were."""
    made = replace(deployment()["deploy"], origin=place)
    with laid_out([made]) as spans:
        assert spans.where("1") == [replace(made, origin=kept)]


@pytest.mark.usefixtures("laid")
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_a_temporary_store_keeps_the_fullest_record_of_each_span(
    store: SpanStore, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """However many are written at once, and whichever came first."""
    monkeypatch.setattr(recorded, "_BATCH", batch)
    whole = records(deployment())[:3]
    started = [replace(record, end_ns=None) for record in whole]
    for order in ([*started, *whole], [*whole, *started], [started[0], *whole, *started[1:]]):
        store.replace([])
        with laid_out(iter(order)) as spans:
            found = spans.where("1", order=f"{spans.first} 99")
        assert found == whole
    store.replace([])
    with laid_out([]) as spans:
        assert spans.where("1") == []
