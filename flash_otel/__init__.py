"""OpenTelemetry tracing for Runpod Flash: from `flash deploy` to the worker's read.

One line traces the installed Flash:

    import flash_otel

    flash_otel.instrument()

Each name is loaded on first use: the import itself costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

from flash_otel._version import __version__

if TYPE_CHECKING:
    from flash_otel.tracing.control import flush, instrument, uninstrument
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
    from flash_otel.tracing.extractors import Call
    from flash_otel.tracing.instrumentor import FlashInstrumentor

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

_DECORATORS = "flash_otel.tracing.decorators"
_CONTROL = "flash_otel.tracing.control"
_MODULES = {
    "Call": "flash_otel.tracing.extractors",
    "FlashInstrumentor": "flash_otel.tracing.instrumentor",
    **dict.fromkeys(("flush", "instrument", "uninstrument"), _CONTROL),
}


def __getattr__(name: str) -> Any:
    """Load a public name (PEP 562)."""
    module = _DECORATORS if name.startswith("trace_") else _MODULES.get(name)
    if module is None or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from flash_otel.runtime import environment
    from flash_otel.tracing import pending

    with environment.quiet("OTEL_PYTHON_CONTEXT"):
        found = globals()[name] = getattr(import_module(module), name)
    found.__module__ = __name__
    if module != _CONTROL:
        # What is decorated after `instrument()` is traced, with or without Flash.
        pending.complete()
    return found


def __dir__() -> list[str]:
    return __all__
