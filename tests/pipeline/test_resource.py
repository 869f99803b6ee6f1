"""The resource: command line or worker, with OTEL_* variables taking precedence."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource
from support.interpreter import run_python

from flash_otel import semconv
from flash_otel._version import __version__
from flash_otel.pipeline import resource

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = (
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "RUNPOD_ENDPOINT_ID",
    "RUNPOD_POD_ID",
    "FLASH_RESOURCE_NAME",
    "_FLASH_SOURCE_FINGERPRINT",
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any variable and without Flash."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(metadata, "version", _not_installed)
    monkeypatch.delitem(sys.modules, "runpod_flash", raising=False)


def _not_installed(name: str) -> str:
    raise metadata.PackageNotFoundError(name)


def test_the_command_line() -> None:
    """Outside a worker the service is flash-cli, with a random instance id of this process."""
    found = dict(resource.create().attributes)
    assert found["service.name"] == "flash-cli"
    assert found["service.instance.id"] == resource._instance_id.value
    assert found["telemetry.distro.name"] == "flash-otel"
    assert found["telemetry.distro.version"] == __version__
    assert found["telemetry.sdk.name"] == "opentelemetry"
    assert "service.version" not in found
    assert not [name for name in found if name.startswith("faas.")]


def test_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is named after its resource; faas.* hold resource, code and pod."""
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "ep1")
    assert resource.create().attributes["service.name"] == "flash-worker"
    monkeypatch.setenv("RUNPOD_POD_ID", "pod1")
    monkeypatch.setenv("FLASH_RESOURCE_NAME", "gpu_info")
    monkeypatch.setenv("_FLASH_SOURCE_FINGERPRINT", "0123456789abcdef" * 4)
    found = resource.create().attributes
    assert found["service.name"] == found["faas.name"] == "gpu_info"
    assert (found["faas.version"], found["faas.instance"]) == ("0123456789ab", "pod1")


def test_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_RESOURCE_ATTRIBUTES overrides detected values, and OTEL_SERVICE_NAME overrides both."""
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES",
        "service.name=theirs,service.version=9,service.instance.id=i,team=flash",
    )
    found = resource.create().attributes
    assert (found["service.name"], found["service.version"]) == ("theirs", "9")
    assert (found["service.instance.id"], found["team"]) == ("i", "flash")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    assert resource.create().attributes["service.name"] == "named"


def test_the_version_of_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from package metadata, else from the imported module."""
    module = ModuleType("runpod_flash")
    monkeypatch.setitem(sys.modules, "runpod_flash", module)
    assert resource.flash_version() is None
    module.__dict__["__version__"] = ("1", "4")
    assert resource.flash_version() is None
    module.__dict__["__version__"] = "1.4.2"
    assert resource.flash_version() == "1.4.2"
    monkeypatch.setattr(metadata, "version", lambda _name: "1.14.0")
    found = resource.create().attributes
    assert found["service.version"] == "1.14.0"
    assert "flash.version" not in found
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9")
    found = resource.create().attributes
    assert (found["service.version"], found["flash.version"]) == ("9", "1.14.0")


def test_a_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreadable metadata count as missing."""

    def broken(_name: str) -> str:
        raise KeyError("Version")

    monkeypatch.setattr(metadata, "version", broken)
    assert resource.flash_version() is None


def test_the_detector() -> None:
    """A detector has no schema URL: the SDK drops the attributes of a differing one."""
    found = resource.FlashResourceDetector().detect()
    assert found.schema_url == ""
    assert found.attributes["service.name"] == "flash-cli"
    merged = Resource({"a": 1}, "https://opentelemetry.io/schemas/1.0.0").merge(found)
    assert merged.attributes["service.name"] == "flash-cli"


def test_detected_by_name(tmp_path: Path) -> None:
    """OTEL_EXPERIMENTAL_RESOURCE_DETECTORS loads the detector by its entry point."""
    code = """
        from opentelemetry.sdk.resources import Resource
        assert Resource.create().attributes["service.name"] == "flash-cli"
    """
    run_python(code, tmp_path, {"OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "runpod_flash"})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_is_another_instance(tmp_path: Path) -> None:
    """A forked child has an instance id of its own."""
    code = """
        import os
        from flash_otel.pipeline import resource

        before = resource._instance_id.value
        child = os.fork()
        if child == 0:
            os._exit(0 if resource._instance_id.value != before else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert resource._instance_id.value == before
    """
    run_python(code, tmp_path)


def test_the_namespace_is_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's resource has its app as namespace; without `FLASH_APP` there is none."""
    assert semconv.SERVICE_NAMESPACE not in resource.create().attributes
    monkeypatch.setenv("FLASH_APP", "shop")
    assert resource.create().attributes[semconv.SERVICE_NAMESPACE] == "shop"
