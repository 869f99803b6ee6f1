"""Which exporters the environment asks for: none, unless it names an endpoint or an exporter.

The SDK's default (OTLP to a port of localhost) is never taken: nobody asked for it, and its
retries would make a command exit late.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from flash_otel._guard import logger, swallowed

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
GROUP: Final = "opentelemetry_traces_exporter"

# The specification's protocol names, and the entry point that serves each.
_OTLP: Final = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}
_DEFAULT_PROTOCOL: Final = "http/protobuf"


def configured() -> tuple[str, ...]:
    """Name the exporters that the environment asks for, as entry points."""
    named = [one.strip() for one in os.environ.get("OTEL_TRACES_EXPORTER", "").split(",")]
    asked = [one for one in named if one]
    if any(one.lower() == "none" for one in asked):
        return ()
    if not asked and any(os.environ.get(name, "").strip() for name in ENDPOINTS):
        asked = ["otlp"]
    # Named twice is exported once.
    return tuple(dict.fromkeys(_otlp() if one == "otlp" else one for one in asked))


def create() -> list[SpanExporter]:
    """Make the configured exporters; one that cannot be made is reported and left out."""
    made: list[SpanExporter] = []
    for name in configured():
        try:
            (found, *_) = entry_points(group=GROUP, name=name)
            made.append(found.load()())
        except ValueError:
            logger.debug("flash_otel: no exporter named %r is installed", name)
        except Exception:
            swallowed(f"exporter {name}")
    return made


def _otlp() -> str:
    found = (os.environ.get(name, "").strip() for name in PROTOCOLS)
    protocol = next((one for one in found if one), _DEFAULT_PROTOCOL)
    return _OTLP.get(protocol, _OTLP[_DEFAULT_PROTOCOL])
