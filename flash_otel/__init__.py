"""OpenTelemetry tracing for Runpod Flash: from `flash deploy` to the worker's read.

One line traces the installed Flash:

    import flash_otel

    flash_otel.instrument()
"""

from flash_otel._version import __version__
from flash_otel.api import flush, instrument, uninstrument
from flash_otel.tracing.decorators import (
    trace_activate,
    trace_artifact_upload,
    trace_build,
    trace_call,
    trace_deploy,
    trace_manifest_fetch,
    trace_provision,
    trace_provision_endpoint,
    trace_runtime_fetch,
    trace_upload,
)
from flash_otel.tracing.instrumentor import FlashInstrumentor
from flash_otel.tracing.sources import Call

__all__ = [
    "Call",
    "FlashInstrumentor",
    "__version__",
    "flush",
    "instrument",
    "trace_activate",
    "trace_artifact_upload",
    "trace_build",
    "trace_call",
    "trace_deploy",
    "trace_manifest_fetch",
    "trace_provision",
    "trace_provision_endpoint",
    "trace_runtime_fetch",
    "trace_upload",
    "uninstrument",
]

for _public in (Call, FlashInstrumentor, flush, instrument, uninstrument):
    _public.__module__ = __name__
del _public
