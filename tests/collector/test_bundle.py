"""The shipped configurations, in the real binaries."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support import loopback
from support.otlp import pairs, request, span, spans_of, trace_id, wait_for_spans
from support.real_collector import BUNDLE

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Collector, Jaeger, Starter

# Each row: the binary, its configuration files, variables, and what it says of a bad one.
VALID = {
    "collector": ("otelcol", ["otelcol.yaml"], {}),
    "second backend, gRPC": (
        "otelcol",
        ["otelcol.yaml"],
        {"SECOND_BACKEND": "otlp/second", "SECOND_OTLP_HEADERS": "{x-team: a, x-key: b}"},
    ),
    "second backend, HTTP": ("otelcol", ["otelcol.yaml"], {"SECOND_BACKEND": "otlphttp/second"}),
    "reachable": ("otelcol", ["otelcol.yaml", "reachable.yaml"], {}),
    "mutual TLS": ("otelcol", ["otelcol.yaml", "reachable.yaml", "mutual-tls.yaml"], {}),
    "jaeger": ("jaeger", ["jaeger.yaml"], {}),
}


def _validate(
    binary: Path, configs: list[str], tmp_path: Path, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "token").write_text("a token")
    files = [f"--config={BUNDLE / config}" for config in configs]
    environ = {
        "OTELCOL_QUEUE_DIR": str(tmp_path / "queue"),
        "OTELCOL_TOKEN_FILE": str(tmp_path / "token"),
        **variables,
    }
    command = [str(binary), "validate", *files]
    return subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("case", VALID)
def test_every_configuration_is_valid(
    case: str, collector_binaries: dict[str, Path], tmp_path: Path
) -> None:
    """The real binaries accept each configuration, with its variables set and unset."""
    name, configs, variables = VALID[case]
    ran = _validate(collector_binaries[name], configs, tmp_path, variables)
    assert ran.returncode == 0, ran.stderr


def test_every_configuration_is_validated() -> None:
    """The table above has every configuration file."""
    named = {config for _, configs, _ in VALID.values() for config in configs}
    assert named == {path.name for path in BUNDLE.glob("*.yaml")}


def test_validation_can_fail(collector_binaries: dict[str, Path], tmp_path: Path) -> None:
    """An unknown second backend is rejected by name."""
    binary, variables = collector_binaries["otelcol"], {"SECOND_BACKEND": "otlp/third"}
    ran = _validate(binary, ["otelcol.yaml"], tmp_path, variables)
    assert ran.returncode != 0
    assert "otlp/third" in ran.stderr


def test_jaeger_starts_from_its_file(running_jaeger: Jaeger) -> None:
    """Jaeger serves its API from collector/jaeger.yaml, with Badger on disk."""
    answer = loopback.get(f"{running_jaeger.query_url}/api/services", timeout=30)
    assert answer.status_code == 200
    assert '"SyncWrites":true' in running_jaeger.log.replace(" ", "")


def test_jaeger_loads_the_configuration_of_its_ui(starter: Starter, tmp_path: Path) -> None:
    """A broken jaeger-ui.json keeps Jaeger from starting, so it does read the file."""
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(AssertionError, match="ended at its start"):
        starter.jaeger(tmp_path / "jaeger", JAEGER_UI_CONFIG=str(broken))
    assert "broken.json" in starter.started[-1].log


def _send(collector: Collector, spans: list[dict[str, Any]], **resource: str) -> None:
    body = request(spans, **resource)
    answer = loopback.post(f"{collector.http_url}/v1/traces", json=body, timeout=30)
    assert answer.status_code == 200, answer.text


def test_secrets_of_other_libraries_are_masked(
    running_collector: Collector, running_jaeger: Jaeger
) -> None:
    """The Collector masks canaries in every part of a span."""
    trace = trace_id()
    canaries = {
        "text": "key rpa_CANARY0001 and eyJCANARY0002.CANARY0003.CANARY0004 here",
        "http.url": "https://user:CANARY0005@host/path?X-Amz-Signature=CANARY0006&part=1",
        "http.request.header.authorization": "CANARY0007",
        "aws_secret_access_key": "CANARY0008",
        "aiKey": "CANARY0009",
        "session.token": "CANARY0010",
        "curl": "-H 'Authorization: Bearer CANARY0011'",
    }
    sent = span(
        trace,
        attributes=canaries,
        status={
            "code": 2,
            "message": "Bearer CANARY0012 at https://u:CANARY0013@host token=CANARY0014",
        },
        events=[{"name": "exception", "timeUnixNano": "1", "attributes": pairs(canaries)}],
    )
    _send(running_collector, [sent], **canaries)
    groups = wait_for_spans(running_jaeger, trace, [sent["spanId"]])
    assert "CANARY" not in str(groups)
    assert "part=1" in str(groups)
    [stored] = spans_of(groups)
    assert {"key": "redaction.masked.count", "value": {"intValue": "7"}} in stored["attributes"]


def test_emitted_names_are_not_masked(running_collector: Collector, running_jaeger: Jaeger) -> None:
    """Our names that only look like secrets pass unchanged."""
    trace = trace_id()
    kept = {
        "flash.artifact.object_key": "flash/app/artifact.tar.gz",
        "flash.manifest_keys": "version, resources_endpoints",
        "flash.endpoint_url": "https://abc123.api.runpod.ai",
        "flash.build_id": "build-0123456789abcdef",
    }
    sent = span(trace, attributes=kept)
    _send(running_collector, [sent])
    [stored] = spans_of(wait_for_spans(running_jaeger, trace, [sent["spanId"]]))
    found = {item["key"]: item["value"]["stringValue"] for item in stored["attributes"]}
    assert kept.items() <= found.items()
    assert "redaction.masked.count" not in found


def test_a_second_backend_gets_the_same(
    running_jaeger: Jaeger, starter: Starter, tmp_path: Path
) -> None:
    """Variables alone make the Collector send to a second OTLP backend, with headers."""
    second = starter.collector(tmp_path / "second", running_jaeger.otlp)
    first = starter.collector(
        tmp_path / "first",
        "127.0.0.1:1",  # a Jaeger that is down does not hold up the other one
        SECOND_BACKEND="otlphttp/second",
        SECOND_OTLP_ENDPOINT=second.http_url,
        SECOND_OTLP_HEADERS="{x-team: flash, x-key: 'a: b'}",
    )
    trace = trace_id()
    sent = span(trace)
    _send(first, [sent])
    wait_for_spans(running_jaeger, trace, [sent["spanId"]])
