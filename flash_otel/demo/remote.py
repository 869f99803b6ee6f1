"""A demo looked at in Jaeger: deployment and worker share an OTLP endpoint, and no store."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

ENDPOINT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_ARRIVAL_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 0.5
# The demo is in no hurry: its few spans go out however busy the machine is.
_EXIT_BUDGET: Final = "30"


def names_an_endpoint() -> bool:
    """Tell whether the environment says where to send."""
    return any(os.environ.get(name) for name in ENDPOINT_VARIABLES)


def worker_variables() -> dict[str, str | None]:
    """Return what a user sets on the resource, so that its workers send there, too."""
    sending = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}
    return {**sending, "FLASH_OTEL_EXIT_BUDGET": _EXIT_BUDGET}


def arrived(url: str, trace_id: str) -> list[SpanRecord]:
    """Wait until Jaeger has the worker's call, and return the trace and what points to it.

    Args:
        url: Jaeger's address.
        trace_id: Trace of the deployment.

    Raises:
        flash_otel.diagnosis.readers.ReaderError: Jaeger cannot be read.
        TimeoutError: The spans did not arrive within a minute.
    """
    from flash_otel.diagnosis.readers import NothingFoundError
    from flash_otel.diagnosis.readers.jaeger import JaegerReader

    deadline = time.monotonic() + _ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        try:
            found = list(JaegerReader(url, trace_id=trace_id).records())
        except NothingFoundError:
            found = []
        mine = [one for one in found if trace_id in (one.trace_id, _deployment_of(one))]
        if {semconv.DEPLOY, semconv.CALL} <= {one.name for one in mine}:
            traces = {one.trace_id for one in mine}
            return [one for one in found if one.trace_id in traces]
        time.sleep(_AGAIN_SECONDS)
    raise TimeoutError(f"The spans did not arrive at {url} within {_ARRIVAL_SECONDS:.0f} seconds.")


def _deployment_of(record: SpanRecord) -> object:
    return record.attributes.get(semconv.DEPLOY_TRACE_ID)
