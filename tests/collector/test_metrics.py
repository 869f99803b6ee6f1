"""Metrics, alerts, dashboard: what the real Collector derives from spans, and what asks for it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from load.copies import shapes
from load.generator import FAULTY_EVERY, Load, batches
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support import loopback
from support.real_collector import BUNDLE, Starter, required

from flash_otel import semconv
from flash_otel.export.destination import at
from flash_otel.export.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.real_collector import Collector, Jaeger

ALERTS = BUNDLE / "prometheus/alerts.yaml"
DASHBOARD = BUNDLE / "dashboards/flash.json"
CALLS = "traces_span_metrics_calls_total"
# All that a series may be told apart by: nothing that grows with deployments, workers or processes.
LABELS = {
    "flash_call_route",
    "deployment_environment_name",
    "flash_fault",
    "flash_outcome",
    "job",
    "le",
    "service_name",
    "span_kind",
    "span_name",
    "status_code",
}
LONG_S = 60.0


@dataclass(frozen=True)
class Series:
    """A series as it is exposed."""

    name: str
    labels: dict[str, str]
    value: float


def exposed(url: str) -> list[Series]:
    """Read what Prometheus would read."""
    rows = re.findall(
        r"^(\w+)(?:\{(.*)\})? (\S+)$", loopback.get(url, timeout=60).text, re.MULTILINE
    )
    return [
        Series(name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value))
        for name, labels, value in rows
    ]


@dataclass(frozen=True)
class Measured:
    """The metrics that a Collector exposes after a load, and the number of sent spans."""

    spans: list[Series]
    own: list[Series]
    sent: Counter[tuple[str, str, str]]


def kind_of(span: Any) -> tuple[str, str, str]:
    told = {attribute.key: attribute.value.string_value for attribute in span.attributes}
    keys = (semconv.OUTCOME, semconv.FAULT)
    return (span.name, *(told.get(key, "") for key in keys))


@pytest.fixture(scope="module")
def measured(
    loaded_jaeger: Jaeger, collector_binaries: dict[str, Path], tmp_path_factory: Any
) -> Iterator[Measured]:
    """A Collector of its own that was sent each recorded scenario at least once."""
    starter = Starter(collector_binaries)
    try:
        folder = tmp_path_factory.mktemp("metrics")
        yield _measure(starter.collector(folder, loaded_jaeger.otlp))
    finally:
        starter.end()


def _measure(collector: Collector) -> Measured:
    sent: Counter[tuple[str, str, str]] = Counter()
    transport = HttpTransport(at(collector.http_url))
    for batch in batches(Load(deployments=FAULTY_EVERY * (len(shapes()) - 1), workers=1)):
        assert not transport.send_encoded(batch.body).reason
        for group in ExportTraceServiceRequest.FromString(batch.body).resource_spans:
            sent.update(kind_of(span) for scope in group.scope_spans for span in scope.spans)
    transport.close()
    deadline = time.monotonic() + LONG_S
    while total(spans := exposed(collector.metrics_url)) < sent.total():
        assert time.monotonic() < deadline, f"{total(spans)} of {sent.total()} spans are counted"
        time.sleep(0.2)
    own = exposed(collector.url("OTELCOL_TELEMETRY_PORT", "/metrics"))
    return Measured(spans, own, sent)


def total(series: list[Series]) -> float:
    return sum(sample.value for sample in series if sample.name == CALLS)


def test_every_span_is_counted_by_result_and_fault(measured: Measured) -> None:
    """Each kind of span is counted by its outcome and its fault."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for series in measured.spans:
        if series.name == CALLS:
            keys = ("span_name", "flash_outcome", "flash_fault")
            name, outcome, fault = (series.labels.get(key, "") for key in keys)
            counted[name, outcome, fault] += int(series.value)
    assert counted == measured.sent
    assert counted["flash.runtime.fetch", "returned", "environment_unset"] > 0


def test_reads_and_deployments_have_their_environments_name(measured: Measured) -> None:
    """Alerts can distinguish environments."""
    named = {
        (series.labels["span_name"], series.labels.get("deployment_environment_name"))
        for series in measured.spans
        if series.name == CALLS
    }
    reads = {("flash.runtime.fetch", name) for name in ("production", "staging")}
    assert {("flash.deploy", "production"), ("flash.deploy", "staging"), *reads} <= named


def test_no_label_holds_an_id(measured: Measured) -> None:
    """No label grows with deployments, builds, workers or processes."""
    assert {label for series in measured.spans for label in series.labels} <= LABELS
    values = {value for series in measured.spans for value in series.labels.values()}
    assert not [value for value in values if re.search(r"[0-9a-f]{8}", value)]
    deployments = FAULTY_EVERY * (len(shapes()) - 1)
    assert len([series for series in measured.spans if series.name == CALLS]) < deployments / 2


def expressions() -> list[tuple[str, str]]:
    """Return every expression of rules and dashboard, with its place."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    rules = [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    shown = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
    return [*rules, *shown]


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda value: str(value)[:30])
def test_rules_and_dashboard_use_exposed_metrics(
    where: str, expression: str, measured: Measured
) -> None:
    """Each expression uses exposed metrics, and labels that those have."""
    known: dict[str, set[str]] = {"up": {"job", "instance"}}
    for series in (*measured.spans, *measured.own):
        known.setdefault(series.name, set()).update(series.labels)
    asked = re.findall(r"\b(up|\w+_\w+)\b(?=[\[{ )]|$)(?:\{([^}]*)\})?", outside_labels(expression))
    metrics = [(name, labels) for name, labels in asked if name in known]
    assert metrics, where
    for name, labels in metrics:
        assert {*re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", labels)} <= known[name], where
    grouped = {
        label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")
    }
    assert grouped <= set().union(*(known[name] for name, _ in metrics)), where
    called = {*re.findall(r"\b(?:traces|otelcol)_\w+", expression)}
    assert called == {name for name, _ in metrics} - {"up"}, where


def outside_labels(expression: str) -> str:
    """Remove grouping clauses, because their labels look like metrics."""
    return re.sub(r"by \([^)]*\)", "", expression)


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool; skips without it, fails in CI."""
    return str(required("promtool", "Debian and Ubuntu: apt install prometheus"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "prometheus/alerts.yaml"],
        ["test", "rules", "prometheus/alerts.test.yaml"],
        ["check", "config", "prometheus.yml"],
    ],
    ids=" ".join,
)
def test_promtool_agrees(arguments: list[str], promtool: str) -> None:
    """Prometheus's own tool accepts the rules, their unit tests and its configuration."""
    told = subprocess.run(
        [promtool, *arguments], cwd=BUNDLE, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "SUCCESS" in told.stdout


def test_every_alert_has_a_test() -> None:
    """Unit tests show that each alert fires, and that it stays silent."""
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    tests = yaml.safe_load((ALERTS.parent / "alerts.test.yaml").read_text("utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == alerts
