"""Scenarios that were run and exported to a real Jaeger, with their verdicts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import loopback

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.demo.scenarios import SCENARIOS
from flash_otel.diagnosis.readers import NothingFoundError
from flash_otel.diagnosis.readers.jaeger import JaegerReader
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Collector, Jaeger
    from support.runs import ScenarioRuns

    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.records import SpanRecord

_SECONDS: Final = 60.0
_GRPC: Final = "manifest_not_persisted"  # the scenario that is exported by gRPC, others by HTTP


@dataclass(frozen=True)
class Exported:
    """A scenario that was run and exported.

    Attributes:
        result: What the run left behind.
        url: Address of the Jaeger that holds its spans.
        store: The deployments' own spans, as the store kept them.
    """

    result: RunArtifacts
    url: str
    store: list[SpanRecord]

    def spans(self) -> list[SpanRecord]:
        """Read all spans of the run from Jaeger."""
        assert self.result.trace_id
        found = JaegerReader(self.url, trace_id=self.result.trace_id).records()
        # Other tests use the same Jaeger, at the same time.
        own = {record.trace_id for record in self.store}
        return [
            record
            for record in found
            if record.trace_id in own or record.attributes.get(sc.DEPLOY_TRACE_ID) in own
        ]

    def shown(self) -> list[dict[str, Any]]:
        """Return the spans of the deployment's trace as the UI gets them, in their order."""
        answer = loopback.get(f"{self.url}/api/traces/{self.result.trace_id}", timeout=30)
        (trace,) = answer.json()["data"]
        services = {name: made["serviceName"] for name, made in trace["processes"].items()}
        for span in trace["spans"]:
            span["service"] = services[span["processID"]]
        return sorted(trace["spans"], key=lambda span: (span["startTime"], span["spanID"]))


def export(
    runs: ScenarioRuns, name: str, folder: Path, collector: Collector, jaeger: Jaeger
) -> Exported:
    grpc = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.grpc}",
    }
    http = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_url}
    variables = {**(grpc if name == _GRPC else http), "FLASH_OTEL_EXIT_BUDGET": "20"}
    with pytest.MonkeyPatch.context() as patched:
        for variable, value in variables.items():
            patched.setenv(variable, value)
        result = runs.run(SCENARIOS[name], workdir=folder, worker_changes=dict(variables))
        # What a slow machine did not send within the budget at exit waits in the store.
        assert run(["push", "--store", str(result.store)]) == 0
    with SpanStore(result.store) as store:
        stored = list(store.spans())
    made = Exported(result, jaeger.query_url, stored)
    deadline = time.monotonic() + _SECONDS
    while missing := _missing(made):
        assert time.monotonic() < deadline, f"{missing} never came to Jaeger: {collector.log}"
        time.sleep(0.2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.http_url)
        asked = ["--from", f"jaeger={made.url}", "--trace", str(result.trace_id)]
        assert run(["diagnose", "--json", "--publish", *asked]) in (0, 1)
    while sc.DIAGNOSIS not in {span["operationName"] for span in made.shown()}:
        assert time.monotonic() < deadline, collector.log
        time.sleep(0.2)
    return made


def _missing(made: Exported) -> set[Any]:
    """Return what Jaeger lacks: keys of stored spans, names of the worker's."""
    try:
        found = made.spans()
    except NothingFoundError:
        found = []
    wanted = {record.key for record in made.store}
    keys, names = {record.key for record in found}, {record.name for record in found}
    return (wanted - keys) | ({sc.RUNTIME_FETCH, sc.MANIFEST_FETCH, sc.CALL} - names)
