"""The configurations for more than one machine, in the real binaries."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from support.real_collector import BUNDLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRODUCTION = BUNDLE / "production"

# Each row: the binary, and the files that are run together, the first one first.
TOGETHER: list[tuple[str, list[str]]] = [
    ("otelcol", ["production/agent.yaml", "production/gateways-dns.yaml"]),
    ("otelcol", ["production/agent.yaml", "production/gateways-static.yaml"]),
    (
        "otelcol",
        ["production/agent.yaml", "production/gateways-dns.yaml", "reachable.yaml"],
    ),
    ("otelcol", ["otelcol.yaml", "production/gateway.yaml"]),
    ("otelcol", ["otelcol.yaml", "reachable.yaml", "mutual-tls.yaml"]),
    ("jaeger", ["production/jaeger-opensearch.yaml"]),
    ("jaeger", ["production/jaeger-to-kafka.yaml"]),
    ("jaeger", ["production/jaeger-opensearch.yaml", "production/jaeger-from-kafka.yaml"]),
]


def validate(binary: Path, files: list[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary), "validate", *(f"--config={file}" for file in files)],
        env={"GATEWAYS": "[127.0.0.1:4317]"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("program", "names"), TOGETHER, ids=lambda value: str(value)[-60:])
def test_the_files_are_valid_together(
    program: str, names: list[str], collector_binaries: Mapping[str, Path]
) -> None:
    """The real binary accepts the files together."""
    told = validate(collector_binaries[program], [BUNDLE / name for name in names])
    assert told.returncode == 0, told.stderr


def test_every_file_is_validated() -> None:
    """The table above has every configuration file."""
    named = {name for _, names in TOGETHER for name in names}
    files = {f"production/{file.name}" for file in PRODUCTION.glob("*.yaml")}
    assert files - named == set()


@pytest.mark.parametrize(
    ("program", "name", "key"),
    [
        ("otelcol", "production/gateway.yaml", "decision_wait:"),
        ("jaeger", "production/jaeger-opensearch.yaml", "bulk_processing:"),
    ],
)
def test_a_misspelt_key_is_invalid(
    program: str, name: str, key: str, collector_binaries: Mapping[str, Path], tmp_path: Path
) -> None:
    """`validate` reads these parts of the files: it rejects a wrong name in them."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((BUNDLE / name).read_text().replace(key, f"not_{key}"))
    base = BUNDLE / f"{program}.yaml"
    told = validate(collector_binaries[program], [base, wrong])
    assert told.returncode != 0
    assert f"not_{key}".rstrip(":") in told.stderr


def test_both_storages_serve_the_same_jaeger() -> None:
    """jaeger-opensearch.yaml is jaeger.yaml with another storage, and with that alone.

    Jaeger opens every storage of its configuration, and Badger also where it is null.
    """
    single, shared = (
        yaml.safe_load((BUNDLE / name).read_text("utf-8"))
        for name in ("jaeger.yaml", "production/jaeger-opensearch.yaml")
    )
    replaced = {
        configuration["extensions"]["jaeger_storage"]["backends"].pop("flash").popitem()[0]
        for configuration in (single, shared)
    }
    assert replaced == {"badger", "opensearch"}
    assert shared == single
