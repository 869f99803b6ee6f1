"""A real `flash deploy` and a worker, through the real Collector, into the real Jaeger.

Deployment and worker share nothing but the Collector: the worker has no store, and nobody reads its
log. What Jaeger's API returns is held against what the deployment's own store has.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import loopback
from support.commands import flash_otel
from support.flash import CACHE
from support.otlp import groups_of, spans_of, wait_for_spans

from flash_otel import semconv
from flash_otel.demo.runner import run_scenario
from flash_otel.demo.scenarios import DEFAULT_VERSION, SCENARIOS
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Access, Collector, Jaeger
    from support.warm import WarmEnvironments

    from flash_otel.demo.runner import RunArtifacts

pytestmark = pytest.mark.flash

VERSION: Final = "1.14.0"
# A busy machine may take longer than the half second that a process grants its last spans.
PATIENT: Final = {"FLASH_OTEL_EXIT_BUDGET": "60"}
ARRIVAL_SECONDS: Final = 60.0


def _run(
    scenario: str, sending: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunArtifacts:
    """Run a scenario whose deployment and worker both export, then push the waiting spans."""
    for name, value in sending.items():
        monkeypatch.setenv(name, value)
    result = run_scenario(
        SCENARIOS[scenario],
        workdir=tmp_path,
        version=VERSION,
        worker_changes={**sending, **PATIENT},
        cache=CACHE,
    )
    assert result.deploy_exits == [0] * len(result.deploy_exits)
    push = [sys.executable, "-m", "flash_otel", "push", "--store", str(result.store)]
    pushed = subprocess.run(push, capture_output=True, text=True, check=False, timeout=120)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    return result


def _plain(span: dict[str, Any]) -> dict[str, Any]:
    """Return a span's attributes as plain data; Jaeger may return a list as its JSON text."""
    return {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}


def _services(groups: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return the names of the spans of each service."""
    found: dict[str, set[str]] = {}
    for group in groups:
        service = _plain(group["resource"])["service.name"]
        found.setdefault(service, set()).update(span["name"] for span in spans_of([group]))
    return found


def _calls(jaeger: Jaeger, deployment: str) -> list[dict[str, Any]]:
    """Wait for the worker's calls that name a deployment; found by search."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        query = {
            "query.service_name": "api",
            "query.operation_name": semconv.CALL,
            "query.start_time_min": "2020-01-01T00:00:00Z",
            "query.start_time_max": "2100-01-01T00:00:00Z",
            "query.num_traces": "500",
        }
        answer = loopback.get(f"{jaeger.query_url}/api/v3/traces", params=query, timeout=30)
        groups = answer.json()["result"]["resourceSpans"] if answer.status_code == 200 else []
        found = [
            span
            for span in spans_of(groups)
            if _plain(span).get(semconv.DEPLOY_TRACE_ID) == deployment
            and span["name"] == semconv.CALL
        ]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("no call of this deployment arrived")


def _arrived(jaeger: Jaeger, result: RunArtifacts) -> list[dict[str, Any]]:
    """Return the joined trace, once it has all stored spans and the worker's read."""
    assert result.trace_id
    with SpanStore(result.store) as store:
        stored = {record.span_id: record for record in store.trace(result.trace_id)}
    assert len(stored) >= 8
    wait_for_spans(jaeger, result.trace_id, stored)
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        groups = groups_of(jaeger, result.trace_id)
        if semconv.RUNTIME_FETCH in {span["name"] for span in spans_of(groups)}:
            return groups
        time.sleep(0.05)
    raise AssertionError("the worker's read did not arrive")


def _diagnosed(jaeger: Jaeger, result: RunArtifacts) -> set[str]:
    """Return the codes that a diagnosis of Jaeger alone names."""
    source = ["--from", f"jaeger={jaeger.query_url}", "--trace", str(result.trace_id)]
    command = [sys.executable, "-m", "flash_otel", "diagnose", "--json", *source]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode in (0, 1), ran.stderr
    return {finding["code"] for finding in json.loads(ran.stdout)["findings"]}


def test_over_http(
    running_collector: Collector,
    running_jaeger: Jaeger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OTLP over HTTP: one joined trace with the contract's attributes, and the call's link."""
    sending = {"OTEL_EXPORTER_OTLP_ENDPOINT": running_collector.http_url}
    result = _run("healthy", sending, tmp_path, monkeypatch)
    groups = _arrived(running_jaeger, result)
    services = _services(groups)
    assert {semconv.DEPLOY, semconv.ACTIVATE, semconv.MANIFEST_UPLOAD} <= services["flash-cli"]
    assert services["api"] == {semconv.RUNTIME_FETCH, semconv.MANIFEST_FETCH}

    spans = {span["name"]: span for span in spans_of(groups)}
    root, fetch = spans[semconv.DEPLOY], spans[semconv.RUNTIME_FETCH]
    assert fetch["parentSpanId"] == root["spanId"]
    for name in (semconv.DEPLOY, semconv.MANIFEST_UPLOAD, semconv.RUNTIME_FETCH):
        told = _plain(spans[name])
        assert told[semconv.ENVIRONMENT_ID] == result.environment_id
        assert told[semconv.BUILD_ID] == result.build_id
        assert told[semconv.ENDPOINT_COUNT] == "2"
    assert _plain(spans[semconv.MANIFEST_UPLOAD])[semconv.PERSISTED_ENDPOINT_COUNT] == "2"
    assert not [span for span in spans_of(groups) if span.get("status", {}).get("code")]

    # The same values as in the store, under the same ids, for every attribute of every span.
    with SpanStore(result.store) as store:
        stored = {record.span_id: record for record in store.trace(str(result.trace_id))}
    arrived = {span["spanId"]: span for span in spans_of(groups)}
    for span_id, record in stored.items():
        assert set(record.attributes) <= set(_plain(arrived[span_id]))
        assert arrived[span_id]["name"] == record.name
        assert arrived[span_id].get("parentSpanId", "") == (record.parent_span_id or "")

    [call] = _calls(running_jaeger, str(result.trace_id))
    assert call["traceId"] != result.trace_id
    assert [(link["traceId"], link["spanId"]) for link in call["links"]] == [
        (result.trace_id, root["spanId"])
    ]


def test_over_grpc_with_tls_and_token(
    reachable_collector: Collector,
    access: Access,
    running_jaeger: Jaeger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OTLP over gRPC, TLS and a bearer token, as from the cloud: Jaeger has the failure."""
    sending = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{reachable_collector.grpc}",
        **access.of_the_sender,
    }
    result = _run("manifest_not_persisted", sending, tmp_path, monkeypatch)
    groups = _arrived(running_jaeger, result)
    told = {span["name"]: _plain(span) for span in spans_of(groups)}
    assert told[semconv.MANIFEST_UPLOAD][semconv.ENDPOINT_COUNT] == "2"
    assert told[semconv.RUNTIME_FETCH][semconv.MANIFEST_STATE] == "incomplete"
    assert semconv.RUNTIME_FETCH in _services(groups)["api"]
    [call] = _calls(running_jaeger, str(result.trace_id))
    assert call["status"]["code"] == 2
    assert "gpu_info" in call["status"]["message"]
    assert _plain(call)[semconv.ERROR_TYPE].endswith("RemoteExecutionError")
    assert _diagnosed(running_jaeger, result) == {"manifest_not_persisted"}
    assert access.token not in str([*groups, call])
    logs = [*(deploy.log for deploy in result.deploys), result.worker_log]
    assert access.token not in "".join(log.read_text("utf-8") for log in logs)


def test_the_demo_without_a_shared_store(
    reachable_collector: Collector,
    access: Access,
    running_jaeger: Jaeger,
    warm_env: WarmEnvironments,
    tmp_path: Path,
) -> None:
    """`demo --jaeger` shows and judges the spans that came through the Collector."""
    url = f"https://{reachable_collector.http_url.removeprefix('http://')}"
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        **access.of_the_sender,
        "FLASH_OTEL_CACHE": str(warm_env.cache(DEFAULT_VERSION)),
    }
    asked = ("demo", "stale_build", "--json", "--jaeger", running_jaeger.query_url)
    nowhere = flash_otel(tmp_path, *asked)
    assert nowhere.returncode == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=" in nowhere.stderr
    ran = flash_otel(tmp_path, *asked, env=env)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert [finding["code"] for finding in answer["diagnosis"]["findings"]] == ["stale_build"]
    assert {semconv.DEPLOY, semconv.RUNTIME_FETCH, semconv.CALL} <= set(
        re.findall(r'"name": "(flash[.a-z]+)"', ran.stdout)
    )
    assert access.token not in ran.stdout + ran.stderr
