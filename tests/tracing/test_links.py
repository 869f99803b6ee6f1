"""Parent or link: how reads, calls and deployments relate to earlier spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import flash_otel
from flash_otel.testing import EPOCH_NS, Recorded, recording

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

MINUTE_MS = 60_000
NOW_MS = EPOCH_NS // 1_000_000
TRACE, SPAN = "a" * 32, "b" * 16
OTHER_TRACE, OTHER_SPAN = "c" * 32, "d" * 16


def carried(
    trace: str = TRACE, span: str = SPAN, *, age_ms: int = 0, sampled: bool = True, **more: Any
) -> dict[str, Any]:
    """Make a manifest with a carrier."""
    return {
        "_flash_otel": {
            "v": 1,
            "phase": "build",
            "traceparent": f"00-{trace}-{span}-{int(sampled):02x}",
            "deployment_id": span,
            "time_ms": NOW_MS - age_ms,
            **more,
        }
    }


def this_code(**how: Any) -> None:
    """Write the artifact's manifest to where a worker finds it."""
    Path("flash_manifest.json").write_text(json.dumps(carried(**how)))


@flash_otel.trace_runtime_fetch
def fetch(answer: Any = None) -> Any:
    """Read, as a worker."""
    return answer


@flash_otel.trace_call
def call() -> None:
    """Call another endpoint."""


# Each row: the age of the deployment in milliseconds, whether it was sampled, whether it is the
# process's first fetch, and whether `auto` makes the fetch its child.
AUTO = [
    (-1_000, True, True, False),
    (0, True, True, True),
    (15 * MINUTE_MS - 1, True, True, True),
    (15 * MINUTE_MS, True, True, False),
    (0, False, True, False),
    (0, True, False, False),
    (15 * MINUTE_MS, True, False, False),
    (0, False, False, False),
]


@pytest.mark.parametrize("mode", ["auto", "link", "parent", None])
@pytest.mark.parametrize(("age_ms", "sampled", "first", "continues"), AUTO)
def test_the_rule(
    mode: str | None, age_ms: int, continues: bool, *, sampled: bool, first: bool
) -> None:
    """`auto` continues a fresh, sampled deployment once; `link` and `parent` force a relation."""
    this_code(age_ms=age_ms, sampled=sampled)
    is_child = {"link": False, "parent": True}.get(mode or "auto", continues)
    with recording(propagation=mode) as spans:
        if not first:
            fetch()
        fetch()
    span = spans.records[-1]
    assert (span.trace_id == TRACE, span.parent_span_id) == (is_child, SPAN if is_child else None)
    assert [(link.trace_id, link.span_id) for link in span.links] == (
        [] if is_child else [(TRACE, SPAN)]
    )
    # In every mode the link is mirrored, for stores that drop links.
    assert span.attributes["flash.code.deployment_id"] == SPAN
    assert span.attributes["flash.deploy.trace_id"] == TRACE
    assert span.attributes["flash.deploy.span_id"] == SPAN


@pytest.mark.parametrize("mode", ["auto", "link", "parent"])
@pytest.mark.parametrize("has_carrier", [True, False])
def test_only_a_first_fetch_says_so(mode: str, *, has_carrier: bool) -> None:
    """The first fetch of a process is marked, with or without a carrier; other spans are not."""
    if has_carrier:
        this_code()
    with recording(propagation=mode) as spans:
        call()
        fetch()
        fetch()
    assert [span.attributes.get("faas.coldstart") for span in spans.records] == [None, True, None]


@pytest.mark.parametrize("mode", ["auto", "link", "parent"])
def test_calls_are_traces_of_their_own(mode: str) -> None:
    """A call links to the deployment's trace, never continues it, and does not count as a fetch."""
    this_code()
    with recording(propagation=mode) as spans:
        call()
        fetch()
    called, fetched = spans.records
    assert called.parent_span_id is None
    assert called.trace_id != TRACE
    assert [(link.trace_id, link.span_id) for link in called.links] == [(TRACE, SPAN)]
    assert called.attributes["flash.code.deployment_id"] == SPAN
    assert (fetched.trace_id == TRACE) == (mode != "link")


def test_a_fetch_inside_a_call() -> None:
    """A first fetch continues the deployment and links to the call; a later fetch is its child."""
    this_code()

    @flash_otel.trace_call
    def ask() -> None:
        fetch()

    with recording() as spans:
        ask()
        ask()
    first_call, first, second_call, second = spans.records
    assert first.trace_id == TRACE
    assert [(link.trace_id, link.span_id) for link in first.links] == [
        (first_call.trace_id, first_call.span_id)
    ]
    assert second.parent_span_id == second_call.span_id
    assert [(link.trace_id, link.span_id) for link in second.links] == [(TRACE, SPAN)]


def test_no_carrier_no_relation() -> None:
    """Without a manifest on disk, a fetch is a plain root."""
    with recording() as spans:
        fetch()
    (span,) = spans.records
    assert (span.parent_span_id, span.links) == (None, ())
    assert "flash.deploy.trace_id" not in span.attributes


def test_the_active_manifest_becomes_a_link() -> None:
    """The State Manager's carrier is linked and recorded when the read ends."""
    this_code()
    answer = carried(OTHER_TRACE, OTHER_SPAN, phase="write", endpoint_count=3)
    with recording(propagation="link") as spans:
        fetch(answer)
    (span,) = spans.records
    assert [(link.trace_id, link.span_id) for link in span.links] == [
        (TRACE, SPAN),
        (OTHER_TRACE, OTHER_SPAN),
    ]
    assert span.attributes["flash.code.deployment_id"] == SPAN
    assert span.attributes["flash.active.deployment_id"] == OTHER_SPAN
    assert span.attributes["flash.active.phase"] == "write"
    assert span.attributes["flash.active.endpoint_count"] == 3
    assert span.attributes["flash.deploy.trace_id"] == TRACE


def test_an_active_manifest_alone() -> None:
    """Without a carrier of the code, the link to the active deployment is mirrored."""
    with recording() as spans:
        fetch(carried(OTHER_TRACE, OTHER_SPAN))
    (span,) = spans.records
    assert [(link.trace_id, link.span_id) for link in span.links] == [(OTHER_TRACE, OTHER_SPAN)]
    assert span.attributes["flash.deploy.trace_id"] == OTHER_TRACE
    assert span.attributes["flash.deploy.span_id"] == OTHER_SPAN
    assert "flash.code.deployment_id" not in span.attributes


@pytest.mark.parametrize("mode", ["link", "parent"])
def test_no_link_twice(mode: str) -> None:
    """Code and active manifest of one deployment make one link, and none within a trace."""
    this_code()
    with recording(propagation=mode) as spans:
        fetch(carried(phase="write"))
    (span,) = spans.records
    assert len(span.links) == (1 if mode == "link" else 0)
    assert span.attributes["flash.active.deployment_id"] == SPAN


def test_a_malformed_active_manifest() -> None:
    """An invalid carrier does not change the read."""
    with recording() as spans:
        fetch({"_flash_otel": {"traceparent": 1}, "resources_endpoints": {}})
    (span,) = spans.records
    assert span.links == ()
    assert span.attributes["flash.manifest.state"] == "incomplete"
    assert "flash.active.deployment_id" not in span.attributes


def test_the_pipeline_that_started_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRACEPARENT and TRACESTATE are the parent of a deployment, but not of a read."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{SPAN}-01")
    monkeypatch.setenv("TRACESTATE", "ci=42")
    with recording() as spans:
        flash_otel.trace_deploy(call)()
        fetch()
    deployed, called, fetched = spans.records
    assert (deployed.trace_id, deployed.parent_span_id) == (TRACE, SPAN)
    assert deployed.trace_state == "ci=42"
    assert called.parent_span_id == deployed.span_id
    assert fetched.parent_span_id is None


@pytest.mark.parametrize(
    "state", ["a=" + "b" * 9999, "no state", "a=\x1b[2J", ",".join(["a=b"] * 99)]
)
def test_a_state_that_is_no_good(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """A malformed or oversized TRACESTATE is dropped; the parent stays."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{SPAN}-01")
    monkeypatch.setenv("TRACESTATE", state)
    with recording() as spans:
        flash_otel.trace_deploy(lambda: None)()
    assert spans.records[0].parent_span_id == SPAN
    assert spans.records[0].trace_state in ("", "a=b")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        "x" * 9999,
    ],
)
def test_a_broken_traceparent(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """An invalid TRACEPARENT is ignored."""
    monkeypatch.setenv("TRACEPARENT", broken)
    with recording() as spans:
        flash_otel.trace_deploy(lambda: None)()
    assert spans.records[0].parent_span_id is None


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRACEPARENT is read once, when tracing begins."""
    with recording() as spans:
        monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{SPAN}-01")
        flash_otel.trace_deploy(lambda: None)()
    assert spans.records[0].parent_span_id is None


def test_a_current_span_wins_over_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An open span of the application is the parent."""
    from flash_otel import pipeline

    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{SPAN}-01")
    with recording() as spans:
        tracer = pipeline.tracer()
        assert tracer is not None
        with tracer.start_as_current_span("application"):
            flash_otel.trace_deploy(lambda: None)()
    (application,), (deployed,) = spans.named("application"), spans.named("flash.deploy")
    assert deployed.parent_span_id == application.span_id


def test_a_fresh_process_each_time(spans: Recorded) -> None:
    """A recording begins like a process: its first fetch is a first fetch again."""
    this_code()
    fetch()
    assert spans.records[0].trace_id == TRACE


def deploys(action: str) -> SpanRecord:
    """Let this process deploy an endpoint; return the span of it."""

    @flash_otel.trace_provision_endpoint(action="action")
    def deploy(_name: str, action: str) -> str:
        return action

    with recording() as spans:
        fetch({**carried(phase="write"), "build_id": "b-1"})
        deploy("gpu", action)
    return spans.records[-1]


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_worker_that_deploys(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a fault at once, linked to the deployment whose code the worker runs.

    The span names the environment that the worker is set up for, and the build that it has read.
    """
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "ep-1")
    monkeypatch.setenv("FLASH_ENVIRONMENT_ID", "env-1")
    this_code()
    span = deploys(action)
    assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE, SPAN)]
    assert span.trace_id != TRACE
    assert span.status == "error"
    assert span.status_message == (
        "worker_provisions: A worker did not find an endpoint, and deployed one itself."
    )
    expected = {
        "flash.fault": "worker_provisions",
        "flash.deploy.trace_id": TRACE,
        "flash.code.deployment_id": SPAN,
        "flash.environment_id": "env-1",
        "flash.build_id": "b-1",
        "flash.outcome": "returned",
    }
    assert expected.items() <= dict(span.attributes).items()


@pytest.mark.parametrize(
    ("variable", "action", "version"),
    [
        ("RUNPOD_ENDPOINT_ID", "reuse", "1.14.0"),
        ("RUNPOD_ENDPOINT_ID", "create", "1.2.0"),
        ("RUNPOD_POD_ID", "create", "1.14.0"),
    ],
    ids=["nothing new", "a worker that reconciles at its start", "a developer's pod"],
)
def test_a_process_that_may_deploy(
    variable: str, action: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What costs nothing, and what Flash means to do, is no fault."""
    monkeypatch.setenv(variable, "id-1")
    monkeypatch.setattr("flash_otel.pipeline.resource.flash_version", lambda: version)
    span = deploys(action)
    assert (span.status, span.attributes.get("flash.fault")) == ("unset", None)
