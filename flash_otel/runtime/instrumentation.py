"""Names of opentelemetry-instrumentation, whose import raises if a propagator is missing."""

from flash_otel.runtime import environment

environment.load("opentelemetry.instrumentation.instrumentor")

from opentelemetry.instrumentation import utils  # noqa: E402
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # noqa: E402

__all__ = ["BaseInstrumentor", "utils"]
