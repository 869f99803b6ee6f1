"""Which exporters the environment asks for: none, unless it names an endpoint or an exporter.

The SDK's default (OTLP to a port of localhost) is never taken: nobody asked for it. OTLP is sent
by flash_otel's own forwarder, everything else by the exporter that is installed for it.
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
    """Name the exporters that the environment asks for, each once."""
    named = [one.strip() for one in os.environ.get("OTEL_TRACES_EXPORTER", "").split(",")]
    asked = [one for one in named if one]
    if any(one.lower() == "none" for one in asked):
        return ()
    if not asked and destinations.is_endpoint_named():
        asked = ["otlp"]
    return tuple(dict.fromkeys(asked))


def forwarded() -> list[Destination]:
    """Return the OTLP destinations among what is configured."""
    return destinations.configured([one for one in configured() if one in destinations.EXPORTERS])


def create() -> list[SpanExporter]:
    """Make the other exporters; one that cannot be made is reported and left out."""
    made: list[SpanExporter] = []
    for name in configured():
        if name in destinations.EXPORTERS:
            continue
        try:
            (found, *_) = entry_points(group=GROUP, name=name)
            made.append(found.load()())
        except ValueError:
            logger.debug("flash_otel: no exporter named %r is installed", name)
        except Exception:
            swallowed(f"exporter {name}")
    return made
