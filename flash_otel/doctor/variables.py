"""Every variable of flash_otel and of OpenTelemetry's specification: its values, and who reads it.

The names are those of opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables and
of .../protocol/exporter; `docs/variables.md` shows this table with the measured effects.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flash_otel.doctor import NOTE, OK, PROBLEM, DoctorCheck
from flash_otel.pipeline.provider import rehearse
from flash_otel.runtime.environment import (
    boolean,
    choice,
    installed,
    names,
    shown,
    text,
    whole,
)
from flash_otel.runtime.options import BUDGET, PROPAGATION, SWITCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flash_otel.runtime.environment import Ignored

Rule = Callable[[str], Any]
"""Raises ValueError with the reason for an invalid value."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable.

    Attributes:
        about: What it does; for a variable that flash_otel's own provider does not read, why.
        rule: Which values are valid.
        is_read: Whether it has an effect on the spans of flash_otel's own provider.
    """

    about: str
    rule: Rule = str
    is_read: bool = True


# --- rules ---------------------------------------------------------------------------------------


def _file(value: str) -> None:
    try:
        is_file = Path(value).is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if not is_file:
        raise ValueError("the file does not exist")


def _timeout(value: str) -> None:
    try:
        is_valid = 0 < float(value) < float("inf")
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError("it takes a number above 0")


def _pairs(value: str) -> None:
    if any(pair.strip() and "=" not in pair for pair in value.split(",")):
        raise ValueError("it takes name=value,name=value")


def _registered(group: str, *more: str) -> Rule:
    def rule(value: str) -> None:
        known = installed(group)
        missing = [name for name in names(value) if name not in known and name not in more]
        if missing or not names(value):
            raise ValueError(f"nothing is installed for {shown('', ', '.join(missing) or value)}")

    return rule


_count: Final = whole(0)
_positive: Final = whole(1)


def _unread(about: str, rule: Rule = str) -> Variable:
    return Variable(about, rule, is_read=False)


# --- the table -----------------------------------------------------------------------------------

OURS: Final = "FLASH_OTEL_"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"

_FLASH_OTEL: Final[Mapping[str, Variable]] = {
    "FLASH_OTEL_CACHE": Variable("folder of environments that a checkout keeps"),
    "FLASH_OTEL_COLLECTOR_BIN": Variable("folder of the Collector's and Jaeger's programs"),
    "FLASH_OTEL_DISABLED": Variable("turns tracing off", SWITCH),
    "FLASH_OTEL_EXIT_BUDGET": Variable("seconds for the exit", BUDGET),
    "FLASH_OTEL_JAEGER_HEADERS": Variable("headers for `--from jaeger`", _pairs),
    "FLASH_OTEL_LEGACY_LOGS": Variable("destination of the bracketed lines"),
    "FLASH_OTEL_PROPAGATION": Variable("parent or link", PROPAGATION),
    "FLASH_OTEL_RAISE": Variable("raises internal errors, for tests"),
    "FLASH_OTEL_REQUEST_BUDGET": Variable("seconds for a worker's response", BUDGET),
    "FLASH_OTEL_STORE": Variable("the store's path, or `off`"),
}

_DESTINATION: Final[Mapping[str, tuple[str, Rule]]] = {
    "ENDPOINT": ("address", str),
    "PROTOCOL": ("transport", choice("http/protobuf", "http/json", "grpc")),
    "HEADERS": ("request headers", _pairs),
    "COMPRESSION": ("compression of requests", choice("gzip", "deflate", "none")),
    "TIMEOUT": ("timeout of a request", _timeout),
    "CERTIFICATE": ("trusted authorities", _file),
    "CLIENT_CERTIFICATE": ("client certificate", _file),
    "CLIENT_KEY": ("key of the client certificate", _file),
    "INSECURE": ("gRPC without TLS, for an endpoint without a scheme", boolean),
}

_READ: Final[Mapping[str, Variable]] = {
    "OTEL_SDK_DISABLED": Variable("turns tracing off, with `true` only", boolean),
    "OTEL_RESOURCE_ATTRIBUTES": Variable("attributes of the resource", _pairs),
    "OTEL_SERVICE_NAME": Variable("`service.name` of the resource"),
    "OTEL_TRACES_SAMPLER": Variable(
        "sampler of what is exported; unsampled spans are in the store, too"
    ),
    "OTEL_TRACES_SAMPLER_ARG": Variable("argument of `OTEL_TRACES_SAMPLER`"),
    "OTEL_TRACES_EXPORTER": Variable("exporters; OTLP is flash_otel's own"),
    "OTEL_BSP_SCHEDULE_DELAY": Variable("batches for exporters other than OTLP", _count),
    "OTEL_BSP_EXPORT_TIMEOUT": Variable("batches for exporters other than OTLP", _count),
    "OTEL_BSP_MAX_QUEUE_SIZE": Variable("batches for exporters other than OTLP", _positive),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": Variable("batches for exporters other than OTLP", _positive),
    **{
        f"{_OTLP}{signal}{name}": Variable(f"{about}{of}", rule)
        for signal, of in (("", ""), ("TRACES_", ", before the one for all signals"))
        for name, (about, rule) in _DESTINATION.items()
    },
    # Of OpenTelemetry for Python alone:
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": Variable("further detectors of the resource"),
    "OTEL_PYTHON_ID_GENERATOR": Variable("generator of trace and span ids"),
    "OTEL_PYTHON_TRACER_PROVIDER": Variable("a provider that flash_otel joins"),
    "OTEL_PYTHON_CONTEXT": Variable(
        "where OpenTelemetry's API keeps the current span", _registered("opentelemetry_context")
    ),
}

_LIMIT: Final = _unread(
    "for an application's provider: flash_otel's own spans are compared, and never cut", _count
)
_METRICS: Final = "flash_otel makes no metrics"
_LOGS: Final = "flash_otel makes no log records"
_ZIPKIN: Final = (
    "read by the Zipkin exporter, if it is installed and `OTEL_TRACES_EXPORTER` names it"
)
_UNREAD: Final[Mapping[str, Variable]] = {
    "OTEL_ENTITIES": _unread("in development: OpenTelemetry for Python does not read it"),
    "OTEL_LOG_LEVEL": _unread(
        "OpenTelemetry for Python does not read it; flash_otel logs to the logger `flash_otel`",
    ),
    "OTEL_PROPAGATORS": _unread(
        "for the application: flash_otel passes on W3C Trace Context alone, in the manifest",
        _registered("opentelemetry_propagator", "none"),
    ),
    **dict.fromkeys(
        (
            *("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
            *("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
            *("OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT"),
            *("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"),
        ),
        _LIMIT,
    ),
    "OTEL_BLRP_SCHEDULE_DELAY": _unread(_LOGS, _count),
    "OTEL_BLRP_EXPORT_TIMEOUT": _unread(_LOGS, _count),
    "OTEL_BLRP_MAX_QUEUE_SIZE": _unread(_LOGS, _positive),
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": _unread(_LOGS, _positive),
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": _unread(_LOGS, _count),
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": _unread(_LOGS, _count),
    "OTEL_LOGS_EXPORTER": _unread(_LOGS),
    "OTEL_METRICS_EXPORTER": _unread(_METRICS),
    "OTEL_METRICS_EXEMPLAR_FILTER": _unread(
        _METRICS, choice("always_on", "always_off", "trace_based")
    ),
    "OTEL_METRIC_EXPORT_INTERVAL": _unread(_METRICS, _count),
    "OTEL_METRIC_EXPORT_TIMEOUT": _unread(_METRICS, _count),
    "OTEL_EXPORTER_PROMETHEUS_HOST": _unread(_METRICS),
    "OTEL_EXPORTER_PROMETHEUS_PORT": _unread(_METRICS, whole(0, 65_535)),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": _unread(_METRICS),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": _unread(_METRICS),
    **{
        f"{_OTLP}{signal}_{name}": _unread(about, rule)
        for signal, about in (("METRICS", _METRICS), ("LOGS", _LOGS))
        for name, (_, rule) in _DESTINATION.items()
    },
    "OTEL_EXPORTER_OTLP_SPAN_INSECURE": _unread(
        "an old name of `OTEL_EXPORTER_OTLP_TRACES_INSECURE`", boolean
    ),
    "OTEL_EXPORTER_OTLP_METRIC_INSECURE": _unread(_METRICS, boolean),
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": _unread(_ZIPKIN),
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": _unread(_ZIPKIN, _count),
    "OTEL_EXPORTER_ZIPKIN_PROTOCOL": _unread("reserved: nothing reads it"),
    "OTEL_CONFIG_FILE": _unread("configures the provider of opentelemetry-instrument"),
    "OTEL_EXPERIMENTAL_CONFIG_FILE": _unread("an old name of `OTEL_CONFIG_FILE`"),
    # Of OpenTelemetry for Python alone:
    "OTEL_PYTHON_METER_PROVIDER": _unread(_METRICS, _registered("opentelemetry_meter_provider")),
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": _unread(_METRICS, boolean),
}
SPECIFIED: Final[Mapping[str, Variable]] = {**_READ, **_UNREAD}
"""The variables of OpenTelemetry."""
VARIABLES: Final[Mapping[str, Variable]] = {**_FLASH_OTEL, **SPECIFIED}
"""All variables."""

# `flash-otel demo` sets these for its own processes.
_INTERNAL: Final = "FLASH_OTEL_DEMO_"


# --- the checks ----------------------------------------------------------------------------------


def variables() -> Iterator[DoctorCheck]:
    """Check every FLASH_OTEL_* and OTEL_* variable that is set, as a deployment would read it."""
    ignored: dict[str, list[Ignored]] = {}
    for entry in rehearse():
        ignored.setdefault(entry.name, []).append(entry)
    for name in sorted(os.environ):
        if name in VARIABLES:
            yield _known(name, VARIABLES[name], ignored.get(name, []))
        elif name.startswith(OURS) and not name.startswith(_INTERNAL):
            near = get_close_matches(name, _FLASH_OTEL, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Unset it: nothing reads it."
            says = f"{name} is not a variable of flash_otel"
            yield DoctorCheck(f"variable {name}", PROBLEM, says, hint)
        elif name.startswith("OTEL_"):
            near = get_close_matches(name, VARIABLES, n=1, cutoff=0.9)
            hint = f"Did you mean {near[0]}?" if near else ""
            says = f"{name} is set, but flash_otel's own provider does not read it"
            yield DoctorCheck(f"variable {name}", NOTE, says, hint)


def _known(name: str, variable: Variable, ignored: list[Ignored]) -> DoctorCheck:
    value = f"{name}={shown(name)}"
    reason = _broken(name, variable)
    correct = f"Correct or unset {name}."
    if not variable.is_read:
        if reason:
            says = f"{value} is not understood: {reason} ({variable.about})"
            return DoctorCheck(f"variable {name}", NOTE, says, correct)
        return DoctorCheck(f"variable {name}", NOTE, f"{value}: {variable.about}")
    if ignored:
        says = "; ".join(f"{each.reason} (in its place: {each.default})" for each in ignored)
        return DoctorCheck(f"variable {name}", PROBLEM, f"{value} is ignored: {says}", correct)
    if reason:
        says = f"{value} is invalid, so the default is used: {reason}"
        return DoctorCheck(f"variable {name}", PROBLEM, says, correct)
    return DoctorCheck(f"variable {name}", OK, value)


def _broken(name: str, variable: Variable) -> str:
    """Return why a value is invalid; an empty string for a valid or an empty one."""
    value = text(name)
    try:
        if value:
            variable.rule(value)
    except ValueError as error:
        return str(error)
    return ""
