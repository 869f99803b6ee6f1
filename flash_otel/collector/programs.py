"""The two programs as data: what they are called, what they read, where they listen."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.collector.errors import CollectorError
from flash_otel.collector.files import bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

BINARIES_VARIABLE: Final = "FLASH_OTEL_COLLECTOR_BIN"
"""A folder that holds the programs, instead of PATH."""

_BUILT: Final = ".cache/collector/bin"  # where `make collector` puts them in a checkout
_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Program:
    """One program.

    Attributes:
        name: What it is called here, and in docker-compose.yml.
        title: What it is called to a person.
        binaries: Names of its executable, the preferred one first.
        config: Its configuration file.
        ports: Its port variables and their defaults, as in the configuration.
        published: Those of them that docker-compose.yml binds on this machine.
        health: The variable of its health port.
        health_path: Path of its health check.
        folder_variable: The variable of the folder that it keeps its data in.
        source: Where the program is to be had.
    """

    name: str
    title: str
    binaries: tuple[str, ...]
    config: str
    ports: Mapping[str, int]
    published: frozenset[str]
    health: str
    health_path: str
    folder_variable: str
    source: str

    def chosen_ports(self, remembered: Mapping[str, int] | None = None) -> dict[str, int]:
        """Return its ports: as the environment says, as they were, or the defaults.

        Args:
            remembered: Those of its last run.

        Raises:
            CollectorError: A variable holds no port.
        """
        known = {**self.ports, **(remembered or {})}
        return {name: _port(name, default) for name, default in known.items()}

    def binary(self) -> Path | None:
        """Find its executable: in the named folder, or else on PATH, or as built in a checkout."""
        named = os.environ.get(BINARIES_VARIABLE)
        places = [named] if named else [None, str(bundle() / _BUILT)]
        candidates = ((name, place) for place in places for name in self.binaries)
        found = (shutil.which(name, path=place) for name, place in candidates)
        return next((Path(one) for one in found if one), None)


JAEGER: Final = Program(
    name="jaeger",
    title="Jaeger",
    binaries=("jaeger",),
    config="jaeger.yaml",
    ports={
        "JAEGER_UI_PORT": 16686,
        "JAEGER_QUERY_PORT": 16685,
        "JAEGER_OTLP_PORT": 14317,
        "JAEGER_HEALTH_PORT": 14133,
        "JAEGER_TELEMETRY_PORT": 18888,
    },
    published=frozenset({"JAEGER_UI_PORT", "JAEGER_HEALTH_PORT"}),
    health="JAEGER_HEALTH_PORT",
    health_path="/status",
    folder_variable="JAEGER_DATA_DIR",
    source="https://www.jaegertracing.io/download (version 2)",
)
OTELCOL: Final = Program(
    name="otelcol",
    title="Collector",
    binaries=("otelcol-contrib", "otelcol"),
    config="otelcol.yaml",
    ports={
        "OTELCOL_GRPC_PORT": 4317,
        "OTELCOL_HTTP_PORT": 4318,
        "OTELCOL_HEALTH_PORT": 13133,
        "OTELCOL_METRICS_PORT": 8889,
        "OTELCOL_TELEMETRY_PORT": 8888,
    },
    published=frozenset(
        {"OTELCOL_GRPC_PORT", "OTELCOL_HTTP_PORT", "OTELCOL_HEALTH_PORT", "OTELCOL_METRICS_PORT"}
    ),
    health="OTELCOL_HEALTH_PORT",
    health_path="/",
    folder_variable="OTELCOL_QUEUE_DIR",
    source="https://opentelemetry.io/docs/collector/install (the contrib distribution)",
)
PROGRAMS: Final = (JAEGER, OTELCOL)
"""In the order of their start; they are stopped the other way round."""


def _port(variable: str, default: int) -> int:
    named = os.environ.get(variable, "").strip()
    if not named:
        return default
    if not (named.isdecimal() and named.isascii() and 0 < int(named) <= _HIGHEST_PORT):
        raise CollectorError(
            f"{variable}={named!r} is no port.", f"Name one: {variable}={default + 10000}"
        )
    return int(named)
