"""Spans and lines put together as deployments: who belongs to whom, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.recordings import (
    EPOCH_NS,
    TWO,
    changed,
    deployment,
    line,
    linked,
    nanoseconds,
    records,
    unsound,
)
from diagnosis.scenes import graphql, killed, stray, without_answer

from flash_otel import semconv as sc
from flash_otel.diagnosis.deployments import (
    deployments_of,
    failed_step,
    is_newer,
    is_of_provisioning,
    is_order_open,
    is_unauthorized,
    recency_key,
)
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    Deployment,
    EndpointFact,
    EndpointSet,
    Failure,
    ManifestUpload,
    Origin,
    Provisioning,
    Step,
)
from flash_otel.diagnosis.facts import fact_of, process_of
from flash_otel.failures import OTHER, UNAUTHORIZED, UNAVAILABLE
from flash_otel.records import LINES_BUILD
from flash_otel.store.references import instance_of, shows_worker

if TYPE_CHECKING:
    from flash_otel.diagnosis.deployments import Pair
    from flash_otel.records import SpanRecord

ROOT: Final = "d100".rjust(16, "0")


def paired(record: SpanRecord) -> Pair:
    """Return a record with its fact."""
    process = process_of(record, instance_of(record), worker=shows_worker(record))
    return record, fact_of(record, process)


def made(*recorded: SpanRecord) -> tuple[Deployment, ...]:
    """Put deployments together."""
    return deployments_of([paired(record) for record in recorded])[0]


def only(*recorded: SpanRecord) -> Deployment:
    """Put one deployment together."""
    (found,) = made(*recorded)
    return found


def fact(record: SpanRecord) -> Any:
    """Return the fact of a record."""
    return paired(record)[1]


# --- the spans of a deployment --------------------------------------------------------------------


def test_a_deployment_knows_all_that_its_spans_tell() -> None:
    """Its ids, its steps in order, its last activation and upload, and when it began and ended."""
    steps = deployment(previous=7, generated=0.5)
    created = replace(
        steps["deploy"], attributes={**steps["deploy"].attributes, sc.CREATED_ENVIRONMENT: True}
    )
    mine = {**steps, "deploy": linked(created, "b1", "b100")}
    build = linked(mine["build"], "b2", "b200")
    found = only(*records({**mine, "build": build}))
    in_order = ("deploy", "build", "artifact", "activate", "provision", "gpu", "web", "upload")
    assert found == Deployment(
        id=ROOT,
        aliases=frozenset({ROOT, "b100".rjust(16, "0")}),
        trace_ids=frozenset({"d1".rjust(32, "0")}),
        app_name="shop",
        environment_id="env-prod",
        environment_name="production",
        build_id="build-1",
        artifact_size=40_000,
        root=_step(created),
        activation=fact(steps["activate"]),
        upload=fact(steps["upload"]),
        provisioning=fact(steps["provision"]),
        endpoints=(fact(steps["gpu"]), fact(steps["web"])),
        steps=tuple(_step(steps[name]) for name in in_order),
        created_environment=(fact(created).origin,),
        process=fact(created).process,
        start_ns=EPOCH_NS,
        end_ns=nanoseconds(6.2),
        outcome=sc.RETURNED,
    )
    assert isinstance(found.activation, Activation)
    assert isinstance(found.upload, ManifestUpload)
    assert isinstance(found.provisioning, Provisioning)
    assert all(isinstance(endpoint, EndpointFact) for endpoint in found.endpoints)


def _step(record: SpanRecord) -> Step:
    known = fact(record)
    return Step(
        name=record.name,
        origin=known.origin,
        process=known.process,
        parent_id=known.parent_id,
        start_ns=known.start_ns,
        end_ns=known.end_ns,
        outcome=known.outcome,
    )


def test_lines_of_a_deployment_know_what_lines_tell() -> None:
    """They have no trace and no clock; without a root, the upload tells how it went."""
    activation = line(sc.ACTIVATE, 1, build_id="b1", environment_name="production")
    upload = line(sc.MANIFEST_UPLOAD, 2, build_id="b1", environment_id="e1", outcome="returned")
    assert only(activation, upload) == Deployment(
        id="lines b1",
        aliases=frozenset({"lines b1"}),
        environment_id="e1",
        environment_name="production",
        build_id="b1",
        activation=fact(activation),
        upload=fact(upload),
        steps=(replace(_step(activation), outcome=sc.UNKNOWN), _step(upload)),
        process=fact(activation).process,
        outcome=sc.RETURNED,
        by_lines=True,
        in_log=True,
    )
    alone = only(activation)
    assert (alone.outcome, alone.end_ns, alone.activated) == (sc.UNKNOWN, None, False)


def test_without_a_root_the_first_step_has_the_process_and_the_last_the_end() -> None:
    """A trace that lost its root is one deployment, from its first step to its last."""
    steps = deployment()
    others = [changed(steps[name], deployment_id=None) for name in ("activate", "upload")]
    other = replace(others[1], resource={sc.SERVICE_INSTANCE_ID: "another"})
    found = only(other, others[0])
    assert found.process.instance == "cli-1"
    assert (found.start_ns, found.end_ns) == (nanoseconds(3.0), nanoseconds(5.8))
    assert (found.outcome, found.root) == (sc.RETURNED, None)
    assert found.aliases == {f"trace {'d1'.rjust(32, '0')}"}
    late = only(changed(steps["activate"], deployment_id=None))
    assert late.outcome == sc.UNKNOWN


def test_a_span_is_of_the_nearest_deployment_above_it() -> None:
    """Its own id counts first, then that of its parent, up to a root, which may have none."""
    root = changed(deployment()["deploy"], deployment_id=None)
    provision = changed(deployment()["provision"], deployment_id=None)
    upload = changed(deployment()["upload"], deployment_id=None)
    found = only(root, provision, upload)
    assert (found.id, len(found.steps)) == (ROOT, 3)
    other = changed(provision, deployment_id="other")
    first, second = sorted(made(root, other, upload), key=lambda known: known.id)
    assert (first.id, [step.name for step in first.steps]) == (ROOT, [sc.DEPLOY])
    assert second.id == "other"
    assert [step.name for step in second.steps] == [sc.PROVISION, sc.MANIFEST_UPLOAD]
    far = replace(upload, trace_id="e" * 32)
    assert {known.id for known in made(root, provision, far)} == {ROOT, f"trace {'e' * 32}"}


def test_spans_of_a_worker_without_a_deployment_are_its_own() -> None:
    """They are told apart from the deployments, in their order."""
    mine = [stray(), replace(stray("worker-2"), span_id="9" * 16)]
    found, rest = deployments_of([paired(record) for record in (*records(deployment()), *mine)])
    assert len(found) == 1
    assert rest == [fact(record) for record in mine]
    owned = [changed(record, deployment_id=ROOT) for record in mine]
    found, rest = deployments_of([paired(record) for record in (*records(deployment()), *owned)])
    assert (len(found[0].endpoints), rest) == (4, [])


@pytest.mark.parametrize("name", ["deploy", "activate", "upload"])
def test_a_root_an_activation_or_an_upload_makes_a_deployment(name: str) -> None:
    """Any other step alone deploys nothing."""
    steps = deployment()
    assert len(made(steps[name])) == 1
    rest = [step for key, step in steps.items() if key not in ("deploy", "activate", "upload")]
    assert made(*rest) == ()


@pytest.mark.parametrize(
    ("apps", "expected"),
    [
        (("b", "c", "c"), "c"),
        (("c", "c", "b"), "c"),
        (("c", "b"), "b"),
        (("b", "c", "b", "c", ""), "b"),
        (("",), None),
        ((), None),
    ],
    ids=str,
)
def test_what_spans_disagree_on_is_what_most_of_them_say(
    apps: tuple[str, ...], expected: str | None
) -> None:
    """Of equally many, the alphabetically first."""
    steps = [changed(step, app_name=None) for step in records(deployment())]
    named = [changed(step, app_name=app) for step, app in zip(steps, apps, strict=False)]
    assert only(*named, *steps[len(apps) :]).app_name == expected


@pytest.mark.parametrize(
    ("sizes", "largest"), [((), None), ((0,), 0), ((5, 7, 6), 7), ((None, 5), 5)], ids=str
)
def test_the_largest_size_is_that_of_the_artifact(
    sizes: tuple[int | None, ...], largest: int | None
) -> None:
    """As far as any span tells one."""
    steps = [changed(step, artifact__size=None) for step in records(deployment())]
    sized = [changed(step, artifact__size=size) for step, size in zip(steps, sizes, strict=False)]
    assert only(*sized, *steps[len(sizes) :]).artifact_size == largest


def test_what_returned_goes_before_what_came_later() -> None:
    """Of several activations, the last that returned, or else the last."""
    first = deployment()["activate"]
    later = replace(first, span_id="e" * 16, start_ns=first.start_ns + 1)
    last = replace(first, span_id="f" * 16, start_ns=first.start_ns + 2)
    assert only(later, first, last).activation == fact(last)
    refused = ("RuntimeError", "no")
    assert only(later, first, unsound(last, *refused)).activation == fact(later)
    all_failed = [unsound(each, *refused) for each in (last, first, later)]
    assert only(*all_failed).activation == fact(all_failed[0])
    # At the same time, the place decides.
    at_once = replace(last, start_ns=first.start_ns)
    assert only(at_once, first).activation == fact(at_once)


# --- environments that a deployment created -------------------------------------------------------


@pytest.mark.parametrize("operation", ["createFlashEnvironment", "CreateFlashEnvironment"])
@pytest.mark.parametrize("app", [None, "createFlashApp", "CreateFlashApp"])
def test_a_created_environment_is_known_by_its_request(operation: str, app: str | None) -> None:
    """Unless the app was created with it: its first environment is no surprise."""
    request = graphql(operation, "d120")
    others = [graphql(app, "d121")] if app else [graphql("getFlashApp", "d121")]
    found = only(*records(deployment()), request, *others)
    assert found.created_environment == (() if app else (fact(request).origin,))
    refused = replace(request, attributes={**request.attributes, sc.OUTCOME: sc.FAILED})
    assert only(*records(deployment()), refused, *others).created_environment == ()


def test_all_signs_of_a_created_environment_are_kept_in_order() -> None:
    """What a span says of it counts whatever else was created; a refused app was not."""
    first, second = graphql("createFlashEnvironment", "d122"), graphql("getFlashApp", "d121")
    marked = replace(second, attributes={**second.attributes, sc.CREATED_ENVIRONMENT: True})
    odd = graphql("listFlashApps", "d123")
    vague = replace(odd, attributes={**odd.attributes, sc.CREATED_ENVIRONMENT: "yes"})
    app = graphql("createFlashApp", "d124")
    refused = replace(app, attributes={**app.attributes, sc.OUTCOME: sc.FAILED})
    steps = records(deployment())
    both = (fact(marked).origin, fact(first).origin)
    assert only(*steps, first, marked, vague, refused).created_environment == both
    assert only(*steps, first, marked, app).created_environment == both[:1]


# --- lines ----------------------------------------------------------------------------------------


def of_builds(*recorded: SpanRecord) -> dict[str, list[int]]:
    """Return by the id of each deployment the numbers of its lines."""
    return {known.id: [step.origin.line for step in known.steps] for known in made(*recorded)}


def test_a_line_without_a_build_is_of_the_build_before_it() -> None:
    """Or, at the beginning of a log, of the first one; each log has builds of its own."""
    builds = [line(sc.ACTIVATE, at, build_id=build) for at, build in ((20, "b2"), (10, "b1"))]
    lines = [line(sc.MANIFEST_UPLOAD, at) for at in (5, 15, 19, 25)]
    other = line(sc.MANIFEST_UPLOAD, 12, "other.log")
    equal = line(sc.MANIFEST_UPLOAD, 20)
    assert of_builds(*builds, *lines, equal, other) == {
        "lines b1": [5, 10, 15, 19],
        "lines b2": [20, 20, 25],
        "lines of other.log": [12],
    }


def test_spans_name_no_builds_for_lines() -> None:
    """A span with a place in the same file, before a line, is no neighbour of it."""
    span = replace(deployment()["activate"], origin="deploy.log:1")
    later = line(sc.MANIFEST_UPLOAD, 2)
    assert of_builds(span, later) == {ROOT: [1], "lines of deploy.log": [2]}


def test_lines_that_know_parts_of_one_build_are_of_one_deployment() -> None:
    """A part of an id tells builds apart; a whole one is never taken for another's part."""

    def partial(at: int, build: str, file: str = "deploy.log") -> SpanRecord:
        return replace(line(sc.ACTIVATE, at, file), attributes={LINES_BUILD: build})

    parts = [partial(at, build) for at, build in enumerate(("abc*", "xyz*", "a*", "x*"), 1)]
    assert of_builds(*parts) == {"lines abc*": [1, 3], "lines xyz*": [2, 4]}
    assert of_builds(partial(1, "abc*"), partial(2, "q*")) == {"lines abc*": [1], "lines q*": [2]}
    whole = line(sc.ACTIVATE, 1, build_id="abcdef")
    assert of_builds(whole, partial(2, "abc*")) == {"lines abcdef": [1], "lines abc*": [2]}
    assert of_builds(partial(1, "abc*"), partial(2, "abc*", "other.log")) == {"lines abc*": [1, 2]}
    named = line(sc.ACTIVATE, 1, build_id="b1")
    both = replace(named, attributes={**named.attributes, LINES_BUILD: "x*"})
    assert of_builds(both, line(sc.MANIFEST_UPLOAD, 2)) == {"lines b1": [1, 2]}


def _upload(at: int, file: str = "deploy.log", **said: Any) -> SpanRecord:
    return line(sc.MANIFEST_UPLOAD, at, file, build_id="b1", **said)


NAMES: Final = ("gpu", "web")
URLS: Final = ("https://g", "https://w")


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (
            ({"endpoint_count": 2}, {"endpoint_names": NAMES, "outcome": sc.RETURNED}),
            (sc.RETURNED, EndpointSet(2, NAMES)),
        ),
        (
            ({"endpoint_names": NAMES, "outcome": sc.RETURNED}, {"endpoint_urls": URLS}),
            (sc.RETURNED, EndpointSet(2, NAMES, URLS)),
        ),
        (
            ({"endpoints_digest": "d"}, {"endpoint_names": NAMES, "endpoint_urls": URLS}),
            (sc.UNKNOWN, EndpointSet(2, NAMES, URLS, "d")),
        ),
        (
            (
                {"endpoint_names": NAMES, "endpoint_urls": URLS, "endpoints_digest": "d"},
                {"endpoint_names": NAMES[::-1], "endpoint_urls": URLS[::-1]},
            ),
            (sc.UNKNOWN, EndpointSet(2, NAMES[::-1], URLS[::-1], "d")),
        ),
        (
            ({"endpoint_names": NAMES}, {"endpoint_count": 1, "endpoints_digest": "e"}),
            (sc.UNKNOWN, EndpointSet(2, NAMES)),
        ),
        (
            ({"endpoint_count": 1, "endpoints_digest": "e"}, {"endpoint_names": NAMES}),
            (sc.UNKNOWN, EndpointSet(2, NAMES)),
        ),
        (
            ({"endpoint_count": 0, "outcome": sc.RETURNED}, {"endpoint_count": 1}),
            (sc.RETURNED, EndpointSet(1)),
        ),
        (({"outcome": sc.RETURNED}, {}), (sc.RETURNED, EndpointSet())),
        (({"outcome": sc.FAILED}, {}), (sc.UNKNOWN, EndpointSet())),
    ],
    ids=[
        "a number, then names",
        "names, then URLs",
        "a digest, then a mapping",
        "two mappings",
        "fewer later",
        "more later",
        "some after none",
        "only the first returned",
        "only the first failed",
    ],
)
def test_pieces_of_an_upload_are_put_together(
    pieces: tuple[dict[str, Any], dict[str, Any]], expected: tuple[str, EndpointSet]
) -> None:
    """A mapping may have lost entries in a log, but nothing adds any; the later piece goes first.

    Only a piece that returned goes before a later one.
    """
    first, second = pieces
    for recorded in (
        (_upload(1, **first), _upload(2, **second)),
        (_upload(2, **second), _upload(1, **first)),
    ):
        upload = only(*recorded).upload
        assert upload is not None
        assert (upload.outcome, upload.endpoints) == expected
        assert (upload.build_id, upload.environment_id) == ("b1", None)


def test_a_piece_of_an_upload_may_know_the_environment() -> None:
    """Each piece fills what the last one lacks, and no more."""
    upload = only(_upload(1, environment_id="e1"), _upload(2)).upload
    assert upload is not None
    assert (upload.environment_id, upload.origin.line) == ("e1", 2)
    upload = only(_upload(1, environment_id="e1"), _upload(2, environment_id="e2")).upload
    assert upload is not None
    assert upload.environment_id == "e2"
    builds = [line(sc.MANIFEST_UPLOAD, 2), _upload(1)]
    found = only(*builds).upload
    assert found is not None
    assert (found.build_id, found.origin.line) == ("b1", 2)


# --- lines beside spans ---------------------------------------------------------------------------


def told(name: str, at: int, **said: Any) -> SpanRecord:
    """Make a line of the first deployment's build."""
    return line(name, at, **{"build_id": "build-1", **said})


def test_lines_fill_what_spans_of_the_same_build_lack() -> None:
    """Activation, upload and environment; what the spans know stays."""
    lost = killed()["deploy"]
    root = changed(lost, environment_id=None, environment_name=None)
    activation = told(sc.ACTIVATE, 1, environment_name="production", outcome=sc.RETURNED)
    upload = told(sc.MANIFEST_UPLOAD, 2, endpoint_count=2)
    found = only(root, activation, upload)
    assert found == replace(
        only(root),
        activation=fact(activation),
        upload=fact(upload),
        environment_name="production",
        in_log=True,
    )
    placed = told(sc.MANIFEST_UPLOAD, 2, environment_id="env-prod", environment_name="production")
    whole = only(lost, placed)
    assert whole == replace(only(lost), upload=fact(placed), in_log=True)
    mine = records(deployment())
    other = told(sc.MANIFEST_UPLOAD, 2, environment_id="env-prod", environment_name="other")
    again = told(sc.ACTIVATE, 1, environment_id="env-prod")
    assert only(*mine, again, other) == replace(only(*mine), in_log=True)


@pytest.mark.parametrize(
    ("said", "is_same"),
    [
        ({}, True),
        ({"environment_id": "env-prod"}, True),
        ({"environment_id": "env-stag"}, False),
        ({"build_id": "build-2"}, False),
    ],
    ids=["build", "build and environment", "another environment", "another build"],
)
def test_lines_are_of_a_deployment_with_the_same_build(said: dict[str, Any], is_same: bool) -> None:
    """Unless they name another environment: a build may be deployed to several."""
    found = made(*records(deployment()), told(sc.ACTIVATE, 1, **said))
    assert [known.in_log for known in found if not known.by_lines] == [is_same]
    assert len(found) == 2 - is_same


def test_lines_without_a_build_are_of_no_build_that_is_unknown() -> None:
    """Two deployments that both lack a build are not one for that."""
    root = changed(killed()["deploy"], build_id=None)
    nameless = line(sc.ACTIVATE, 1, environment_name="production")
    assert len(made(root, nameless)) == 2


def _rest(**said: Any) -> SpanRecord:
    return line(sc.MANIFEST_UPLOAD, 1, "rest.log", outcome=sc.RETURNED, **said)


@pytest.mark.parametrize(
    ("recorded", "said", "expected"),
    [
        ((told(sc.MANIFEST_UPLOAD, 9),), {}, [sc.RETURNED]),
        ((told(sc.MANIFEST_UPLOAD, 9, endpoint_count=2),), {"endpoint_count": 2}, [sc.RETURNED]),
        ((told(sc.MANIFEST_UPLOAD, 9, endpoint_count=2),), {}, [sc.RETURNED]),
        ((told(sc.MANIFEST_UPLOAD, 9),), {"endpoint_count": 2}, [sc.RETURNED]),
        (
            (told(sc.MANIFEST_UPLOAD, 9, endpoint_count=2),),
            {"endpoint_count": 1},
            [sc.RETURNED, sc.UNKNOWN],
        ),
        ((told(sc.ACTIVATE, 9),), {}, [None, sc.RETURNED]),
        (
            (told(sc.MANIFEST_UPLOAD, 9), told(sc.MANIFEST_UPLOAD, 10, build_id="build-2")),
            {},
            [sc.RETURNED, sc.UNKNOWN, sc.UNKNOWN],
        ),
        (tuple(records(deployment())), {}, [sc.RETURNED, sc.RETURNED]),
        (tuple(records(deployment(), told(sc.ACTIVATE, 9))), {}, [sc.RETURNED]),
        (tuple(records(without_answer())), {}, [sc.UNKNOWN]),
        (tuple(records(without_answer())), {"endpoint_count": 1}, [sc.RETURNED, sc.UNKNOWN]),
        ((), {}, [sc.RETURNED]),
    ],
    ids=[
        "the first lines",
        "as many endpoints",
        "endpoints in the first lines",
        "endpoints in the last lines",
        "other endpoints",
        "no upload",
        "one of two",
        "spans with an answer",
        "spans with an answer, and a log",
        "spans without an answer",
        "spans of other endpoints",
        "nothing else",
    ],
)
def test_the_last_lines_of_an_upload_are_of_the_only_deployment_that_they_fit(
    recorded: tuple[SpanRecord, ...], said: dict[str, Any], expected: list[str | None]
) -> None:
    """They name neither a build nor an environment; spans that tell all need no such lines."""
    found = made(*recorded, _rest(**said))
    outcomes = [known.upload and known.upload.outcome for known in found]
    assert sorted(outcomes, key=str) == sorted(expected, key=str)
    assert sum(known.in_log for known in found) >= 1


@pytest.mark.parametrize(
    "said",
    [{"environment_id": "e1"}, {"environment_name": "production"}],
    ids=str,
)
def test_lines_that_name_their_environment_are_no_rest(said: dict[str, Any]) -> None:
    """Nor are those of an activation: they are of a deployment of their own."""
    first = told(sc.MANIFEST_UPLOAD, 9)
    assert len(made(first, _rest())) == 1
    assert len(made(first, _rest(**said))) == 2
    activation = line(sc.ACTIVATE, 2, "rest.log")
    assert len(made(first, _rest(), activation)) == 2


def test_deployments_are_listed_oldest_first() -> None:
    """By when they took effect, whatever order their records have."""
    recorded = records(deployment(2, at=100), deployment(3, at=-100), deployment())
    assert [known.build_id for known in made(*recorded)] == ["build-3", "build-1", "build-2"]


# --- order ----------------------------------------------------------------------------------------


def known(
    name: str = "d",
    *,
    start: int | None = None,
    effective: int | None = None,
    is_activated: bool = False,
    place: str = "",
    number: int = 0,
    by_lines: bool = False,
) -> Deployment:
    """Make a deployment with these times, and with a step at this place."""
    active = Activation(start_ns=effective) if effective or is_activated else None
    steps = [Step(name=sc.DEPLOY, origin=Origin(place, at)) for at in (number + 1, number)]
    return Deployment(
        id=name,
        start_ns=start,
        activation=active,
        steps=tuple(steps) if place else (),
        by_lines=by_lines,
    )


def test_a_deployment_is_as_recent_as_its_activation() -> None:
    """Then by its start, by its first place, and by its id."""
    in_order = [
        known("z"),
        known("a", place="a.log", number=3),
        known("b", place="a.log", number=3),
        known("0", place="a.log", number=7),
        known("0", place="b.log", number=1),
        known("9", effective=5),
        known("8", start=5),
        known("7", start=10, is_activated=True),
        known("6", start=10, effective=11),
        known("5", start=1, effective=20),
        known("4", start=2, effective=20),
        known("3", start=30, effective=21, place="a.log"),
    ]
    keys = [recency_key(each) for each in in_order]
    assert keys == sorted(set(keys))
    assert recency_key(in_order[-1]) == (21, 30, Origin("a.log", 0), "3")
    assert recency_key(known()) == (0, 0, Origin(), "d")


HERE: Final = known("1", place="a.log", number=1, by_lines=True)
FURTHER: Final = known("2", place="a.log", number=5, by_lines=True)
THERE: Final = known("3", place="b.log", number=1, by_lines=True)
TIMED: Final = known("4", start=5, place="c.log", by_lines=True)
LATER: Final = known("5", start=9, place="d.log", by_lines=True)
SPANS: Final = known("6", start=3)
UNTIMED: Final = known("7", place="e.log")


@pytest.mark.parametrize(
    ("older", "newer", "is_open"),
    [
        (HERE, FURTHER, False),
        (HERE, THERE, True),
        (HERE, TIMED, True),
        (TIMED, LATER, False),
        (HERE, SPANS, False),
        (SPANS, TIMED, False),
        (THERE, UNTIMED, False),
    ],
    ids=[
        "one log",
        "two logs",
        "one has times",
        "both have times",
        "spans after lines",
        "lines after spans",
        "spans without times",
    ],
)
def test_nothing_orders_lines_of_two_logs_without_times(
    older: Deployment, newer: Deployment, is_open: bool
) -> None:
    """What has no order is not newer, from either side; nor is anything newer than itself."""
    assert is_order_open(older, newer) is is_open
    assert is_order_open(newer, older) is is_open
    assert is_newer(newer, older) is not is_open
    assert not is_newer(older, newer)
    assert not is_newer(older, older)


# --- the step that failed -------------------------------------------------------------------------


def step(
    name: str,
    number: str,
    outcome: str = sc.FAILED,
    *,
    parent: str | None = None,
    start: int | None = 1,
    end: int | None = 10,
    failure: Failure | None = None,
) -> Step:
    """Make a step whose span has this id."""
    return Step(
        name=name,
        origin=Origin(span_id=number),
        parent_id=parent,
        start_ns=start,
        end_ns=end,
        outcome=outcome,
        failure=failure,
    )


STOPPED: Final = Failure(OTHER, "asyncio.exceptions.CancelledError", "")
ENDPOINT: Final = sc.PROVISION_ENDPOINT


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ([], None),
        ([step(sc.BUILD, "1", sc.RETURNED), step(sc.ACTIVATE, "2", UNFINISHED)], None),
        ([step(sc.GRAPHQL, "1")], None),
        ([step(sc.GRAPHQL, "1", end=1), step(sc.BUILD, "2")], "2"),
        ([step(sc.BUILD, "1")], "1"),
        ([step(sc.BUILD, "1", sc.UNKNOWN)], "1"),
        ([step(sc.BUILD, "1", sc.CANCELLED)], "1"),
        ([step(ENDPOINT, "1", sc.CANCELLED, end=1), step(ENDPOINT, "2")], "2"),
        ([step(ENDPOINT, "1", failure=STOPPED, end=1), step(ENDPOINT, "2")], "2"),
        ([step(ENDPOINT, "1", failure=STOPPED), step(sc.DEPLOY, "2", failure=STOPPED)], "1"),
        ([step(sc.BUILD, "1", end=1), step("flash.other", "2", parent="1")], "2"),
        ([step(sc.DEPLOY, "1", end=1), step(sc.BUILD, "2")], "2"),
        ([step(sc.DEPLOY, "1", end=1), step(sc.ARTIFACT_UPLOAD, "2")], "2"),
        ([step(sc.DEPLOY, "1", end=1), step(sc.ACTIVATE, "2")], "2"),
        ([step(sc.DEPLOY, "1", end=1), step(sc.PROVISION, "2")], "2"),
        ([step(sc.PROVISION, "1", end=1), step(ENDPOINT, "2")], "2"),
        ([step(sc.PROVISION, "1", end=1), step(sc.MANIFEST_UPLOAD, "2")], "2"),
        ([step(sc.DEPLOY, "1", end=1), step(sc.MANIFEST_UPLOAD, "2")], "2"),
        ([step(sc.BUILD, "1", parent="2"), step(sc.BUILD, "2", parent="1", end=9)], "2"),
        ([step(ENDPOINT, "1", end=9), step(ENDPOINT, "2", end=8)], "2"),
        ([step(ENDPOINT, "1", end=9), step(ENDPOINT, "2", end=None)], "2"),
        ([step(ENDPOINT, "1", sc.UNKNOWN, end=1), step(ENDPOINT, "2")], "2"),
        ([step(ENDPOINT, "1", start=2), step(ENDPOINT, "2", start=1)], "2"),
        ([step(ENDPOINT, "1", start=1), step(ENDPOINT, "2", start=None)], "2"),
        ([step(ENDPOINT, "2"), step(ENDPOINT, "1")], "1"),
    ],
    ids=[
        "nothing",
        "nothing unsound",
        "only a request",
        "a request beside a step",
        "failed",
        "unknown",
        "cancelled",
        "a cancelled sibling",
        "an interrupted sibling",
        "all interrupted",
        "a parent",
        "around the build",
        "around the artifact's upload",
        "around the activation",
        "around the provisioning",
        "around an endpoint",
        "around the upload",
        "far around the upload",
        "parents in a circle",
        "the first to end",
        "no end",
        "an unknown sibling",
        "the first to start",
        "no start",
        "the first id",
    ],
)
def test_the_cause_of_a_failure_is_the_innermost_step_that_ended_first(
    steps: list[Step], cause: str | None
) -> None:
    """A deployment that returned has recovered from any failure inside it."""
    found = failed_step(Deployment(id="d", outcome=sc.FAILED, steps=tuple(steps)))
    assert (found and found.origin.span_id) == cause
    assert failed_step(Deployment(id="d", outcome=sc.RETURNED, steps=tuple(steps))) is None
    for outcome in (UNFINISHED, sc.UNKNOWN, sc.CANCELLED):
        assert failed_step(Deployment(id="d", outcome=outcome, steps=tuple(steps))) == found


@pytest.mark.parametrize(
    ("failure", "is_about_key"),
    [
        (None, False),
        (Failure(UNAVAILABLE, "x.HTTPError", "401"), False),
        (Failure(UNAUTHORIZED, "x.HTTPError", ""), True),
        (Failure(UNAUTHORIZED, "x.HTTPError", "401 Client Error: Unauthorized"), True),
        (Failure(UNAUTHORIZED, "x.HTTPError", "403 Client Error"), False),
        (Failure(UNAUTHORIZED, "x.HTTPError", "Forbidden"), False),
        (Failure(UNAUTHORIZED, "x.HTTPError", "GraphQL request failed: 403 - Forbidden"), True),
        (Failure(UNAUTHORIZED, "x.HTTPError", "GRAPHQL: FORBIDDEN"), True),
    ],
    ids=repr,
)
def test_a_refusal_outside_of_graphql_is_not_about_the_key(
    failure: Failure | None, is_about_key: bool
) -> None:
    """The artifact goes to a signed URL, which answers 403 without knowing any key."""
    assert is_unauthorized(step(sc.BUILD, "1", failure=failure)) is is_about_key


@pytest.mark.parametrize(
    ("failure", "is_own"),
    [
        (None, False),
        (Failure(OTHER, "x.E", "no capacity"), False),
        (Failure(OTHER, "x.E", "Failed to PROVISION gpu"), True),
    ],
    ids=repr,
)
def test_an_error_of_the_provisioning_says_so(failure: Failure | None, is_own: bool) -> None:
    """Other errors of the step may be those of the manifest upload in it."""
    assert is_of_provisioning(step(sc.PROVISION, "1", failure=failure)) is is_own


def test_the_mapping_of_a_whole_deployment() -> None:
    """Endpoints of the upload and of the provisioning are those that were deployed."""
    found = only(*records(deployment()))
    assert found.upload is not None
    assert found.provisioning is not None
    assert found.upload.endpoints.by_name == found.provisioning.endpoints.by_name == TWO
