"""The SDK's names: importing `opentelemetry.sdk.trace` itself raises if a limit is not a number."""

from flash_otel.runtime import environment

environment.load("opentelemetry.sdk.trace")

from opentelemetry.sdk.resources import Resource, ResourceDetector  # noqa: E402
from opentelemetry.sdk.trace import (  # noqa: E402
    SpanLimits,
    SpanProcessor,
    TracerProvider,
    sampling,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter  # noqa: E402
from opentelemetry.sdk.trace.id_generator import IdGenerator  # noqa: E402
from opentelemetry.sdk.version import __version__ as sdk_version  # noqa: E402

__all__ = [
    "BatchSpanProcessor",
    "IdGenerator",
    "Resource",
    "ResourceDetector",
    "SpanExporter",
    "SpanLimits",
    "SpanProcessor",
    "TracerProvider",
    "sampling",
    "sdk_version",
]
