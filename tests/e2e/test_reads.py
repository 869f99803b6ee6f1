"""A worker's reads: refusals, retries, empty answers, hits, and lookups that ask nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from support.faults import FAULTS, nothing, read
from support.site import DEPLOY

from flash_otel import semconv
from flash_otel.demo.control_plane import CANARY_API_KEY
from flash_otel.demo.scenarios import FaultPlan, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.site import Child, Site

pytestmark = pytest.mark.flash

FETCH: Final = semconv.RUNTIME_FETCH
ATTEMPT: Final = semconv.MANIFEST_FETCH

LOOK_UP: Final = """
    import asyncio
    from child import recorded, report
    from runpod_flash.runtime.service_registry import ServiceRegistry

    async def look_up(registries, lookups):
        found = []
        for registry in [ServiceRegistry() for _ in range(registries)]:
            for _ in range(lookups):
                try:
                    routed = await registry.get_routing_info("gpu_info")
                    found.append(routed and bool(routed["endpoint_url"]))
                except Exception as error:
                    found.append(type(error).__name__)
        return found

    with recorded(after=1000{options}):
        found = asyncio.run(look_up({registries}, {lookups}))
    report(found=found)
"""


def look_up(
    site: Site,
    *rules: Rule,
    registries: int = 1,
    lookups: int = 1,
    options: str = "",
    changes: Mapping[str, str | None] | None = None,
) -> Child:
    """Let a worker look its function up, under these rules; return what it recorded."""
    site.plane.faults = FaultPlan(rules)
    code = LOOK_UP.format(registries=registries, lookups=lookups, options=options)
    run = site.worker(code, changes)
    assert run.exit_code == 0, run.output
    return run


def states(run: Child, name: str) -> list[tuple[object, ...]]:
    """Return the attributes of each span about environment, manifest and endpoints."""
    asked = (semconv.ENVIRONMENT_STATE, semconv.MANIFEST_STATE, semconv.ENDPOINT_COUNT)
    return [tuple(span.attributes.get(key) for key in asked) for span in run.named(name)]


def endings(run: Child, name: str) -> list[tuple[Any, ...]]:
    """Return of each span: its status, `error.type` and outcome."""
    asked = ("error.type", semconv.OUTCOME)
    return [(span.status, *(span.attributes.get(key) for key in asked)) for span in run.named(name)]


def retries(run: Child, name: str) -> list[list[object]]:
    """Return of each span the numbers of its retry events."""
    return [
        [
            event.attributes[semconv.HTTP_RESEND_COUNT]
            for event in span.events
            if event.name == "flash.retry"
        ]
        for span in run.named(name)
    ]


GOOD: Final = ("active", "complete", 2)
RETURNED: Final = ("unset", None, "returned")
UNAVAILABLE: Final = "runpod_flash.runtime.exceptions.ManifestServiceUnavailableError"


def test_hit_makes_no_span(worker_site: Site) -> None:
    """Three lookups of one registry are one read; a second registry makes its own."""
    run = look_up(worker_site, registries=2, lookups=3)
    assert run.seen["found"] == [True] * 6
    assert states(run, FETCH) == states(run, ATTEMPT) == [GOOD, GOOD]


def test_request_that_is_sent_again(worker_site: Site) -> None:
    """A query that fails once is an event on the attempt around it, and no failure."""
    rule = Rule("getFlashEnvironment", status=500, times=1)
    run = look_up(worker_site, rule)
    assert run.seen["found"] == [True]
    assert (retries(run, FETCH), retries(run, ATTEMPT)) == ([[]], [[1]])
    assert endings(run, FETCH) == endings(run, ATTEMPT) == [RETURNED]
    (event,) = run.named(ATTEMPT)[0].events
    assert "GraphQL request failed: 500" in str(event.attributes[semconv.RETRY_REASON])


def test_attempts_are_spans(worker_site: Site) -> None:
    """Flash asks again after a null manifest: each attempt is a span, the read is not marked."""
    run = look_up(worker_site, read(nothing, times=1))
    assert run.seen["found"] == [True]
    assert states(run, ATTEMPT) == [("active", "null", 0), GOOD]
    assert states(run, FETCH) == [GOOD]
    assert [ending[0] for ending in endings(run, ATTEMPT)] == ["error", "unset"]
    assert endings(run, FETCH) == [RETURNED]


def test_null_manifest(worker_site: Site) -> None:
    """Three attempts without a manifest: Flash swallows the failure, the span does not."""
    run = look_up(worker_site, *FAULTS["manifest null"])
    assert run.seen["found"] == [False]
    assert states(run, ATTEMPT) == [("active", "null", 0)] * 3
    assert states(run, FETCH) == [("active", "null", 0)]
    (ending,) = endings(run, FETCH)
    assert (ending[0], ending[2]) == ("error", "failed")
    (fetch,) = run.named(FETCH)
    assert fetch.attributes[semconv.BUILD_ID] == next(iter(worker_site.plane.state.builds))
    assert fetch.attributes[semconv.ERROR_TYPE] == UNAVAILABLE
    assert semconv.READ_INCOMPLETE in tuple(fetch.attributes[semconv.FAULT_CANDIDATES])  # type: ignore[arg-type]  # a list
    assert fetch.status_message.startswith("The active manifest has no endpoints. Manifest")


@pytest.mark.parametrize(
    ("fault", "keys"),
    [("read emptied", "resources_endpoints"), ("read stripped", "source_fingerprint")],
)
def test_incomplete_manifest(worker_site: Site, fault: str, keys: str) -> None:
    """An empty mapping and a missing one are both incomplete: errors, though the call returned."""
    run = look_up(worker_site, *FAULTS[fault])
    assert run.seen["found"] == [False]
    assert states(run, FETCH) == states(run, ATTEMPT) == [("active", "incomplete", 0)]
    bad = ("error", "manifest_incomplete", "returned")
    assert endings(run, FETCH) == endings(run, ATTEMPT) == [bad]
    (fetch,) = run.named(FETCH)
    held = fetch.attributes[semconv.MANIFEST_KEYS]
    assert isinstance(held, (list, tuple))
    assert held[-1] == keys


def test_null_environment(worker_site: Site) -> None:
    """An unknown environment is named as the fault; Flash's own error goes on unchanged."""
    run = look_up(worker_site, *FAULTS["environment null"])
    assert run.seen["found"] == ["AttributeError"]
    assert states(run, FETCH) == states(run, ATTEMPT) == [("null", None, None)]
    fault = semconv.ENVIRONMENT_UNKNOWN
    assert endings(run, FETCH) == endings(run, ATTEMPT) == [("error", fault, "failed")]
    explained = [event.name for span in run.records for event in span.events]
    assert explained.count(semconv.FAULT_EVENT) == 2  # on the attempt, and on the read around it


def test_environment_without_build(worker_site: Site) -> None:
    """Before its first activation an environment is recorded as having no active build."""
    run = look_up(worker_site, *FAULTS["environment without build"])
    assert run.seen["found"] == [False]
    assert states(run, ATTEMPT) == [("no_active_build", None, None)] * 3
    (fetch,) = run.named(FETCH)
    assert fetch.status == "error"
    assert semconv.BUILD_ID not in fetch.attributes


@pytest.mark.parametrize(
    ("fault", "error", "requests"),
    [
        ("read unauthorized", semconv.UNAUTHORIZED, 1),
        ("read throttled", "runpod_flash.core.api.runpod._GraphQLHTTPStatusError", 1),
        ("read rejected", "runpod_flash.core.api.runpod._GraphQLErrorResponse", 1),
        ("read unavailable", semconv.STATE_MANAGER_UNAVAILABLE, 4),
    ],
)
def test_refused(worker_site: Site, fault: str, error: str, requests: int) -> None:
    """What the State Manager refuses is a failed read, named where it can be named."""
    before = len(worker_site.plane.journal.entries)
    run = look_up(worker_site, *FAULTS[fault])
    assert len(worker_site.plane.journal.entries) - before == requests
    assert endings(run, FETCH) == endings(run, ATTEMPT) == [("error", error, "failed")]
    assert retries(run, ATTEMPT) == [list(range(1, requests))]


def test_unset_environment(worker_site: Site) -> None:
    """Without FLASH_ENVIRONMENT_ID nothing is requested; one span per process shows it."""
    before = len(worker_site.plane.journal.entries)
    run = look_up(worker_site, registries=2, lookups=2, changes={"FLASH_ENVIRONMENT_ID": None})
    assert len(worker_site.plane.journal.entries) == before
    assert run.seen["found"] == [False] * 4
    (fetch,) = run.records
    assert fetch.name == FETCH
    assert fetch.attributes["error.type"] == semconv.ENVIRONMENT_UNSET
    assert fetch.attributes[semconv.WORKER_ENDPOINT_ID]
    assert semconv.WORKER_ENVIRONMENT_ID not in fetch.attributes


def test_local_only_worker(worker_site: Site) -> None:
    """A worker that calls no other asks nothing and makes no span."""
    changes = {"FLASH_RESOURCE_NAME": "gpu_info", "FLASH_ENVIRONMENT_ID": None}
    run = look_up(worker_site, lookups=2, changes=changes)
    assert run.seen["found"] == [None, None]
    assert run.records == []


def test_captured_requests(worker_site: Site) -> None:
    """With `capture_graphql` each request is a CLIENT child with its redacted answer.

    A failed request has none, and none has its variables.
    """
    rule = Rule("getFlashBuild", status=500, times=1)
    run = look_up(worker_site, rule, options=", capture_graphql=True")
    assert run.seen["found"] == [True]
    attempt = run.named(ATTEMPT)[0]
    requests = run.named(semconv.GRAPHQL)
    assert {(request.kind, request.parent_span_id) for request in requests} == {
        ("client", attempt.span_id)
    }
    found = [
        (
            request.attributes[semconv.GRAPHQL_OPERATION_NAME],
            request.attributes[semconv.GRAPHQL_OPERATION_TYPE],
            request.attributes.get(semconv.HTTP_STATUS_CODE),
            request.status,
        )
        for request in requests
    ]
    assert found == [
        ("getFlashEnvironment", "query", 200, "unset"),
        ("getFlashBuild", "query", 500, "error"),
        ("getFlashBuild", "query", 200, "unset"),
    ]
    for request in requests:
        sizes = {semconv.HTTP_REQUEST_BODY_SIZE, semconv.HTTP_RESPONSE_BODY_SIZE}
        assert request.attributes.keys() >= sizes or request.status == "error"
        assert (semconv.GRAPHQL_ANSWER in request.attributes) == (request.status == "unset")
        assert CANARY_API_KEY not in str(request)
        assert not [key for key in request.attributes if "variable" in key]
    assert retries(run, ATTEMPT) == [[1]]


def test_retry_in_a_deployment(site: Site) -> None:
    """A query of the deployment that fails once is an event on the step that sent it."""
    site.plane.faults = FaultPlan((Rule("getFlashBuild", status=502, times=1),))
    run = site.python(DEPLOY)
    assert run.exit_code == 0, run.output
    assert {record.name: len(record.events) for record in run.records if record.events} == {
        semconv.PROVISION: 1
    }
    assert retries(run, semconv.PROVISION) == [[1]]
    assert {record.status for record in run.records} == {"unset"}
