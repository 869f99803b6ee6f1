"""The exporters that the environment names; none, if it names neither an endpoint nor an exporter.

The SDK's default, OTLP to a port of localhost, does not apply: applications that trace nothing
would send to whatever listens there. flash_otel sends OTLP itself; for every other name it uses
the exporter that is installed under it.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from flash_otel.export import destination as destinations
from flash_otel.runtime.guard import logger, swallowed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from flash_otel.export.destination import Destination

GROUP: Final = "opentelemetry_traces_exporter"


def configured() -> tuple[str, ...]:
    """Return the names of the exporters that the environment names, each once."""
    value = os.environ.get("OTEL_TRACES_EXPORTER", "")
    names = [name for text in value.split(",") if (name := text.strip())]
    if any(name.lower() == "none" for name in names):
        return ()
    if not names and destinations.is_endpoint_named():
        names = ["otlp"]
    return tuple(dict.fromkeys(names))


def forwarded() -> list[Destination]:
    """Return the OTLP destinations that the environment names."""
    names = [name for name in configured() if name in destinations.EXPORTERS]
    return destinations.configured(names)


def create() -> list[SpanExporter]:
    """Create the exporters for other protocols; those that fail are logged and left out."""
    exporters: list[SpanExporter] = []
    for name in configured():
        if name in destinations.EXPORTERS:
            continue
        try:
            (entry_point, *_) = entry_points(group=GROUP, name=name)
            exporters.append(entry_point.load()())
        except ValueError:
            logger.debug("flash_otel: no exporter named %r is installed", name)
        except Exception:
            swallowed(f"exporter {name}")
    return exporters
