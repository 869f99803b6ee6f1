"""The load generator against the real Collector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from load.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Jaeger, Starter


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_the_collector_accepts_the_load(
    protocol: str,
    starter: Starter,
    loaded_jaeger: Jaeger,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real Collector accepts every copy as well-formed, over HTTP and gRPC."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    is_http = protocol.startswith("http")
    collector = starter.collector(tmp_path, loaded_jaeger.otlp)
    url = collector.http_url if is_http else f"http://{collector.grpc}"
    arguments = ["--endpoint", url, "--deployments", "30", "--workers", "3", "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["acknowledged"] == report["sent"] > 30 * (8 + 3 * 5)
    assert (report["deployments"], report["workers"]) == (30, 90)
    assert (report["refused"], report["unanswered"]) == (0, 0)
