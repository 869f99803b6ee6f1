"""The SDK's names: importing `opentelemetry.sdk.trace` itself raises if a limit is not a number."""

from flash_otel.runtime import environment
from flash_otel.semconv import SCOPE_NAME

environment.load("opentelemetry.sdk.trace")

from opentelemetry.sdk.resources import Resource, ResourceDetector  # noqa: E402
from opentelemetry.sdk.trace import (  # noqa: E402
    ReadableSpan,
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
    "is_ours",
    "sampling",
    "sdk_version",
]


def is_ours(span: ReadableSpan) -> bool:
    """Return whether flash_otel recorded a span; on a joined provider, others come as well."""
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE_NAME
