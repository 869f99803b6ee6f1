"""A component that a variable names, of whatever package, is used; if it fails, the default is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import plugins
from support.environments import SPANS, ForkServer
from support.hostile import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = (
    "OTEL_PYTHON_CONTEXT",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "OTEL_PYTHON_TRACER_PROVIDER",
    "OTEL_PROPAGATORS",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """A fork server whose path has the plugins."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "homes").mkdir()
    path = plugins.install(folder / "path")
    with ForkServer(folder / "homes", path=path) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    [
        *("raising", "nothing", "absent", "exiting", "panicking"),
        *("raising_later", "exiting_later", "nothing_later", "repeating"),
    ],
)
def test_a_component_that_fails(server: ForkServer, name: str, value: str) -> None:
    """One that raises, exits or panics, is nothing, or is absent costs itself alone.

    It shows no message of its, and `doctor` names it, also if it fails only when it is used.
    Without an exporter that was named, there is a line at exit; all else changes no span.
    """
    if (name, value) == ("OTEL_PYTHON_CONTEXT", "panicking"):
        pytest.skip("no program that imports OpenTelemetry's API survives it")
    observed = server.run({name: value})
    assert observed.raised == ""
    assert observed.spans == SPANS
    is_lost = name == "OTEL_TRACES_EXPORTER"
    assert len(observed.errors) == is_lost, observed.errors
    assert CANARY not in observed.output + repr(observed.errors) + repr(observed.doctor)
    result, text = observed.doctor[name]
    assert result != "ok", text


@pytest.mark.parametrize(
    ("variables", "key", "expected"),
    [
        ({"OTEL_PYTHON_ID_GENERATOR": "plugin"}, "ids", "Ids"),
        ({"OTEL_TRACES_SAMPLER": "plugin"}, "sampler", "AlwaysOnSampler"),
        ({"OTEL_PYTHON_CONTEXT": "plugin"}, "context", "Context"),
        ({"OTEL_TRACES_EXPORTER": "plugin,raising,console"}, "exporters", None),
    ],
)
def test_a_component_that_works(
    server: ForkServer, variables: dict[str, str], key: str, expected: str | None
) -> None:
    """The component of another package is used, whatever stands beside it in the list."""
    found = server.describe(variables)
    assert found[key] == (expected or ["Exporter", "ConsoleSpanExporter"])


def test_detectors_are_merged(server: ForkServer) -> None:
    """A detector that works adds its attributes beside those that fail; flash_otel's own win."""
    detectors = "raising,plugin,absent,raising_later,missing"
    resource = server.describe({"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": detectors})["resource"]
    assert resource["plugin"] == "detected"
    assert resource["service.name"] == "flash-cli"
    assert CANARY not in repr(resource)
