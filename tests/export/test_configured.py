"""Exporters are made where the environment asks for them, and nowhere else."""

from __future__ import annotations

import importlib.metadata
import logging
from importlib.metadata import entry_points

import pytest
from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from flash_otel.export import destination as destinations
from flash_otel.pipeline.provider import recording
from flash_otel.runtime import environment, process
from flash_otel.runtime.options import Options

VARIABLES = (
    "OTEL_TRACES_EXPORTER",
    *(
        f"OTEL_EXPORTER_OTLP_{signal}{name}"
        for signal in ("", "TRACES_")
        for name in ("ENDPOINT", "PROTOCOL")
    ),
)
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No exporter is configured."""
    process.reset()
    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ()),
        ({"OTEL_TRACES_EXPORTER": ""}, ()),
        ({"OTEL_TRACES_EXPORTER": " , "}, ()),
        ({"OTEL_TRACES_EXPORTER": "none"}, ()),
        ({"OTEL_TRACES_EXPORTER": "None", **ENDPOINT}, ()),
        ({"OTEL_TRACES_EXPORTER": "otlp,none"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": "console", **ENDPOINT}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp, otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
        ({"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"}, ("otlp_proto_grpc",)),
        (ENDPOINT, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "  "}, ()),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h/v1/traces"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ()),
    ],
)
def test_what_is_configured(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: tuple[str, ...]
) -> None:
    """An exporter's name or an endpoint configures an exporter; a protocol alone does not."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert destinations.named_exporters() == expected


def test_what_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporters are created from their entry points; OTLP is forwarded."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console,otlp")
    (made,) = destinations.create_exporters()
    assert isinstance(made, ConsoleSpanExporter)
    assert [destination.name for destination in destinations.forwarded()] == [
        "http/protobuf http://localhost:4318/v1/traces"
    ]


def test_an_exporter_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A name without an installed exporter is remembered, logged and left out."""
    caplog.set_level(logging.DEBUG, logger="flash_otel")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nowhere,console")
    (made,) = destinations.create_exporters()
    assert isinstance(made, ConsoleSpanExporter)
    assert "OTEL_TRACES_EXPORTER is ignored: nothing is installed for nowhere" in caplog.text
    assert [(each.name, each.loses) for each in environment.ignored()] == [
        ("OTEL_TRACES_EXPORTER", "nowhere gets no spans")
    ]


def test_an_exporter_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that fails does not stop the others."""

    class Broken:
        """An entry point whose import fails."""

        name = "broken"

        def load(self) -> object:
            raise ImportError

    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda *, group: [Broken(), *entry_points(group=group)],
    )
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "broken,console")
    (made,) = destinations.create_exporters()
    assert isinstance(made, ConsoleSpanExporter)


@pytest.mark.parametrize(
    ("names", "exports", "searches"),
    [("", False, 0), ("none", False, 0), ("otlp", True, 0), ("console", True, 1)],
)
def test_packages_are_searched_only_for_other_exporters(
    monkeypatch: pytest.MonkeyPatch, names: str, searches: int, *, exports: bool
) -> None:
    """The first span of a process does not wait for a search of all installed packages."""
    groups: list[str] = []

    def search(*, group: str) -> object:
        groups.append(group)
        return entry_points(group=group)

    monkeypatch.setattr(importlib.metadata, "entry_points", search)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", names)
    assert destinations.exports() is exports
    assert len(groups) == searches


@pytest.mark.parametrize(
    ("names", "is_kept"),
    [("", True), ("none", True), ("missing", True), ("console", False), ("missing,otlp", False)],
)
def test_a_worker_whose_exporter_is_missing_writes_its_log(
    monkeypatch: pytest.MonkeyPatch, names: str, *, is_kept: bool
) -> None:
    """A worker's log has the spans, unless an exporter that is installed gets them."""
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "endpoint")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", names)
    kept = [type(processor).__name__ for processor in recording(Options())]
    assert kept == (["WorkerLogSpanProcessor"] if is_kept else [])
