"""docker-compose.yml against the files that it mounts and the versions that the tests run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support.real_collector import BUNDLE, ROOT

from flash_otel import semconv
from flash_otel.diagnosis import verdict_span
from flash_otel.pipeline.resource import SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = ("docker-compose.yml", "collector/docker-compose.reachable.yml")
CONFIGS = sorted(path for path in BUNDLE.glob("*.yaml"))
# Read by the program itself, not by its configuration.
RUNTIME = {"GOMEMLIMIT"}
VARIABLE = re.compile(r"\$\{env:(\w+):-((?:[^{}]|\{\})*)\}")


def compose(*files: str) -> Any:
    """Return the files as Docker Compose parses them, with the monitor profile and no variables."""
    if not shutil.which("docker-compose"):
        if os.environ.get("FLASH_OTEL_REQUIRE_COLLECTOR"):
            pytest.fail("docker-compose is required here (apt install docker-compose)")
        pytest.skip("docker-compose is not installed")
    named = [part for file in files for part in ("-f", file)]
    command = ["docker-compose", "-p", "flash-otel", *named, "--profile", "monitor", "config"]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr
    return yaml.safe_load(ran.stdout)


def defaults(*configs: Path) -> dict[str, str]:
    """Return the variables of configuration files with their defaults."""
    found: dict[str, str] = {}
    for config in configs:
        found |= dict(VARIABLE.findall(config.read_text("utf-8")))
    return found


def mounts(service: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the local file and the path in the container, for each bind mount."""
    for volume in service.get("volumes", ()):
        source, target, mode = volume.rsplit(":", 2)
        if source.startswith("/"):
            assert mode == "ro"
            yield ROOT / source, target


@pytest.fixture(scope="module")
def whole() -> Any:
    """Both files together."""
    return compose(*FILES)


def test_the_base_file_stands_alone() -> None:
    """Without the file on top, every port is bound to loopback only."""
    base = compose(FILES[0])
    ports = [port for service in base["services"].values() for port in service.get("ports", ())]
    assert len(ports) >= 6
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_pinned_to_what_is_tested(whole: Any) -> None:
    """The image tags are exact, and equal the versions of the tested binaries."""
    tags = {name: service["image"].split(":")[1] for name, service in whole["services"].items()}
    manifest = yaml.safe_load((BUNDLE / "tools/otelcol/manifest.yaml").read_text("utf-8"))
    assert tags["otelcol"] == manifest["dist"]["version"]
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", tag) for tag in tags.values())
    # 2.13.0 is tagged v1.76.0 as a Go module; build.py puts the first into the binary's answer.
    assert tags["jaeger"] == "2.13.0"
    assert "latestVersion=v2.13.0" in (BUNDLE / "tools/build.py").read_text("utf-8")
    assert "jaegertracing/jaeger v1.76.0" in (BUNDLE / "tools/jaeger/go.mod").read_text("utf-8")


def test_the_modules_are_the_manifests() -> None:
    """go.mod pins each component, and the builder, at the manifest's version."""
    manifest = yaml.safe_load((BUNDLE / "tools/otelcol/manifest.yaml").read_text("utf-8"))
    pinned = (BUNDLE / "tools/otelcol/go.mod").read_text("utf-8")
    version = manifest["dist"]["version"]
    kinds = ("receivers", "processors", "connectors", "exporters", "extensions")
    for kind in kinds:
        for component in manifest[kind]:
            assert f"\t{component['gomod']}\n" in pinned
            assert component["gomod"].endswith(f" v{version}")
    assert all(f"\t{module['gomod']}\n" in pinned for module in manifest["providers"])
    assert all(f"replace {replacement}\n" in pinned for replacement in manifest["replaces"])
    builder = (BUNDLE / "tools/builder/go.mod").read_text("utf-8")
    assert f"go.opentelemetry.io/collector/cmd/builder v{version} " in builder


def test_mounts_are_the_files_that_the_commands_name(whole: Any) -> None:
    """Mounts are read-only and exist, and every named file is mounted."""
    for name, service in whole["services"].items():
        found = dict(mounts(service))
        assert all(source.exists() for source in found)
        for argument in service.get("command") or ():
            if "config" in argument and name != "volumes-init":
                assert argument.partition("=")[2] in found.values()
    interface = defaults(BUNDLE / "jaeger.yaml")["JAEGER_UI_CONFIG"]
    assert (BUNDLE / "jaeger-ui.json", interface) in mounts(whole["services"]["jaeger"])


def test_volumes_are_the_folders_of_the_configurations(whole: Any) -> None:
    """The programs write to volumes, which the init service gives to their user."""
    folders = {
        "otelcol": defaults(BUNDLE / "otelcol.yaml")["OTELCOL_QUEUE_DIR"],
        "jaeger": defaults(BUNDLE / "jaeger.yaml")["JAEGER_DATA_DIR"],
    }
    given = whole["services"]["volumes-init"]
    assert given["command"][:3] == ["chown", "-R", "10001:10001"]
    for name, folder in folders.items():
        service = whole["services"][name]
        writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
        assert [volume for volume in writable if folder.startswith(volume.split(":")[1])]
        assert set(writable) <= set(given["volumes"])
        assert service["user"] == given["command"][2]
        assert "volumes-init" in service["depends_on"]
        assert [volume.split(":")[1] for volume in writable] == [
            path for path in given["command"][3:] if folder.startswith(path)
        ]


def test_ports_are_those_of_the_configurations(whole: Any) -> None:
    """Each published port leads to one that the configuration listens on by default."""
    listening = {
        "otelcol": defaults(BUNDLE / "otelcol.yaml"),
        "jaeger": defaults(BUNDLE / "jaeger.yaml"),
    }
    for name, variables in listening.items():
        own = {value for key, value in variables.items() if key.endswith("_PORT")}
        for port in whole["services"][name]["ports"]:
            target = str(port["target"]) if isinstance(port, dict) else port.split(":")[2]
            assert target.removesuffix("/tcp") in own
    jaeger = whole["services"]["otelcol"]["environment"]["JAEGER_OTLP_ENDPOINT"]
    assert jaeger == f"jaeger:{listening['jaeger']['JAEGER_OTLP_PORT']}"
    assert listening["otelcol"]["JAEGER_OTLP_ENDPOINT"].split(":")[1] == jaeger.split(":")[1]


def test_nothing_listens_beyond_the_loopback_interface() -> None:
    """Ports are published there, and the programs listen there by themselves."""
    services = yaml.safe_load((ROOT / FILES[0]).read_text("utf-8"))["services"]
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert len(published) >= 7
    assert all(port.startswith("127.0.0.1:") for port in published)
    for config in (BUNDLE / "otelcol.yaml", BUNDLE / "jaeger.yaml"):
        found = defaults(config)
        assert {found[name] for name in found if name.endswith("_HOST")} == {"127.0.0.1"}
        listening = re.findall(
            r"^ *(?:endpoint|host): (.*)$", config.read_text("utf-8"), re.MULTILINE
        )
        assert len(listening) >= 5
        assert all(re.search(r"127\.0\.0\.1|localhost", address) for address in listening)


def test_prometheus_reads_ports_of_the_configurations() -> None:
    """Each target of prometheus.yml is a metrics port of the Collector or of Jaeger."""
    scraped = yaml.safe_load((BUNDLE / "prometheus.yml").read_text("utf-8"))
    targets = {
        target
        for job in scraped["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    }
    otelcol, jaeger = defaults(BUNDLE / "otelcol.yaml"), defaults(BUNDLE / "jaeger.yaml")
    assert targets == {
        f"otelcol:{otelcol['OTELCOL_METRICS_PORT']}",
        f"otelcol:{otelcol['OTELCOL_TELEMETRY_PORT']}",
        f"jaeger:{jaeger['JAEGER_TELEMETRY_PORT']}",
    }


def test_variables_are_those_of_the_configurations(whole: Any) -> None:
    """A container gets only variables that its configuration reads."""
    known = {
        "otelcol": defaults(BUNDLE / "otelcol.yaml", BUNDLE / "reachable.yaml"),
        "jaeger": defaults(BUNDLE / "jaeger.yaml"),
    }
    for name, variables in known.items():
        assert set(whole["services"][name]["environment"]) <= set(variables) | RUNTIME
    # Those that compose passes on have the default that the file itself has.
    for name in ("OTELCOL_MEMORY_MIB", "OTELCOL_QUEUE_SPANS", "SECOND_BACKEND"):
        given = whole["services"]["otelcol"]["environment"][name]
        assert given == known["otelcol"][name]
    memory = int(known["otelcol"]["OTELCOL_MEMORY_MIB"])
    assert whole["services"]["otelcol"]["mem_limit"] == "512m"
    assert memory < 512


def test_long_running_services_are_kept_small_and_up(whole: Any) -> None:
    """Each has a restart policy, limits, no privileges and a bounded log."""
    for name, service in whole["services"].items():
        if name == "volumes-init":
            continue
        assert service["restart"] == "unless-stopped"
        assert service["mem_limit"]
        assert service["cpus"]
        assert service["cap_drop"] == ["ALL"]
        assert service["logging"]["options"]["max-size"]


def test_components_are_in_the_manifest() -> None:
    """The tested Collector has every component that a configuration names."""
    manifest = yaml.safe_load((BUNDLE / "tools/otelcol/manifest.yaml").read_text("utf-8"))
    for config in CONFIGS:
        if config.name == "jaeger.yaml":
            continue
        parsed = yaml.safe_load(config.read_text("utf-8"))
        for kind in ("receivers", "processors", "connectors", "exporters", "extensions"):
            modules = " ".join(module["gomod"].split(" ")[0] for module in manifest[kind])
            for name in parsed.get(kind, {}):
                plain = name.split("/")[0].replace("_", "")
                assert re.search(rf"/{plain}(extension|{kind[:-1]})?( |$)", modules), name


def test_the_collector_acknowledges_nothing_that_is_not_on_disk() -> None:
    """No batch processor; every exporter has a queue on disk and retries forever."""
    parsed = yaml.safe_load((BUNDLE / "otelcol.yaml").read_text("utf-8"))
    assert not [name for name in parsed["processors"] if name.startswith("batch")]
    assert parsed["extensions"]["file_storage/queue"]["fsync"] is True
    sending = {
        name: exporter for name, exporter in parsed["exporters"].items() if name.startswith("otlp")
    }
    assert set(sending) == {"otlp/jaeger", "otlp/second", "otlphttp/second"}
    for exporter in sending.values():
        assert exporter["sending_queue"]["storage"] == "file_storage/queue"
        assert exporter["sending_queue"]["batch"]["max_size"]
        assert exporter["sending_queue"]["num_consumers"] >= 16
        assert exporter["retry_on_failure"]["max_elapsed_time"] == 0
    jaeger = yaml.safe_load((BUNDLE / "jaeger.yaml").read_text("utf-8"))
    assert "processors" not in jaeger
    # On a disk that needs 50 ms for each sync, a batch still ends before it would be sent again.
    seconds = int(sending["otlp/jaeger"]["timeout"].removesuffix("s"))
    assert sending["otlp/jaeger"]["sending_queue"]["batch"]["max_size"] * 0.05 < seconds
    assert "queue" not in jaeger["exporters"]["jaeger_storage_exporter"]
    assert defaults(BUNDLE / "jaeger.yaml")["JAEGER_SYNC_WRITES"] == "true"


def test_links_name_attributes_that_are_emitted() -> None:
    """Every key and placeholder of jaeger-ui.json is an attribute of ours."""
    interface = json.loads((BUNDLE / "jaeger-ui.json").read_text("utf-8"))
    known = {*semconv.ATTRIBUTES, semconv.FAAS_NAME, semconv.FAAS_INSTANCE}
    for link in interface["linkPatterns"]:
        named = {link["key"], *re.findall(r"#\{([\w.]+)\}", link["url"] + link["text"])}
        assert named <= known
    urls = [item["url"] for menu in interface["menu"] for item in menu["items"]]
    operations = {match for url in urls for match in re.findall(r"operation=([\w.]+)", url)}
    assert operations <= set(semconv.SPANS)
    services = {match for url in urls for match in re.findall(r"service=([\w-]+)", url)}
    assert services == {SERVICE, verdict_span.SERVICE}
