"""Every variable of flash_otel and OpenTelemetry: effect, valid values, and whether it is read.

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

from flash_otel.doctor import NOTE, OK, PROBLEM, DoctorCheck, export, unset
from flash_otel.export.destination import EXPORTERS, GROUP, unsent_headers
from flash_otel.lines.processor import LOGGER_PREFIX, parse_mode
from flash_otel.pipeline.provider import rehearse
from flash_otel.redaction import REDACTED
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
    from collections.abc import Iterable, Iterator, Mapping

    from flash_otel.runtime.environment import Ignored

Rule = Callable[[str], Any]
"""Raises ValueError with the reason for an invalid value."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable.

    Attributes:
        about: Its effect, or why flash_otel's own provider does not read it.
        rule: Which values are valid.
        is_read: Whether it has an effect on the spans of flash_otel's own provider.
        result: The result of the check if the value is invalid.
    """

    about: str
    rule: Rule = str
    is_read: bool = True
    result: str = PROBLEM


# --- rules ---------------------------------------------------------------------------------------


def _file(value: str) -> None:
    path = Path(value)
    try:
        exists, is_file = path.exists(), path.is_file()
    except OSError:  # a name that no file can have
        exists = is_file = False
    if not exists:
        raise ValueError("the file does not exist")
    if not is_file or not os.access(path, os.R_OK):
        raise ValueError("it is not a file that can be read")


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


def _headers(value: str) -> None:
    if problem := unsent_headers(value):
        raise ValueError(problem)


def _lines(value: str) -> None:
    # `parse_mode` takes every other word for a logger's name.
    if not value.startswith(LOGGER_PREFIX) and parse_mode(value) == LOGGER_PREFIX + value:
        raise ValueError("it takes auto, 1, 0, or logger:NAME")


def _registered(group: str, *more: str) -> Rule:
    def rule(value: str) -> None:
        known = installed(group)
        missing = [name for name in names(value) if name not in known and name not in more]
        if missing or not names(value):
            raise ValueError(f"nothing is installed for {shown('', ', '.join(missing) or value)}")

    return rule


_count: Final = whole(0)
_positive: Final = whole(1)


def _unread(about: str, rule: Rule = str, *, result: str = NOTE) -> Variable:
    return Variable(about, rule, is_read=False, result=result)


# --- the table -----------------------------------------------------------------------------------

OURS: Final = "FLASH_OTEL_"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"

_FLASH_OTEL: Final[Mapping[str, Variable]] = {
    "FLASH_OTEL_CACHE": Variable("folder of a checkout's shared environments"),
    "FLASH_OTEL_COLLECTOR_BIN": Variable("folder of the Collector and Jaeger executables"),
    "FLASH_OTEL_DISABLED": Variable("turns tracing off", SWITCH),
    "FLASH_OTEL_EXIT_BUDGET": Variable("longest delay of the exit, in seconds", BUDGET),
    "FLASH_OTEL_JAEGER_HEADERS": Variable("headers for `--from jaeger`", _headers),
    "FLASH_OTEL_LEGACY_LOGS": Variable("destination of the bracketed lines", _lines),
    "FLASH_OTEL_PROPAGATION": Variable("how a worker's read joins its deployment", PROPAGATION),
    "FLASH_OTEL_RAISE": Variable("raises internal errors, for tests"),
    "FLASH_OTEL_REQUEST_BUDGET": Variable("longest delay of a response, in seconds", BUDGET),
    "FLASH_OTEL_STORE": Variable("the store's path, or `off`"),
    "FLASH_OTEL_SUMMARY": Variable("a summary at the end of a deployment", SWITCH),
}

_DESTINATION: Final[Mapping[str, tuple[str, Rule]]] = {
    "ENDPOINT": ("address", str),
    "PROTOCOL": ("transport", choice("http/protobuf", "http/json", "grpc")),
    "HEADERS": ("request headers", _headers),
    "COMPRESSION": ("compression of requests", choice("gzip", "deflate", "none")),
    "TIMEOUT": ("timeout of a request", _timeout),
    "CERTIFICATE": ("trusted authorities", _file),
    "CLIENT_CERTIFICATE": ("client certificate", _file),
    "CLIENT_KEY": ("key of the client certificate", _file),
    "INSECURE": ("gRPC without TLS, unless the address begins with `https://`", boolean),
}

_READ: Final[Mapping[str, Variable]] = {
    "OTEL_SDK_DISABLED": Variable("turns tracing off, with `true` only", boolean),
    "OTEL_RESOURCE_ATTRIBUTES": Variable("attributes of the resource", _pairs),
    "OTEL_SERVICE_NAME": Variable("`service.name` of the resource"),
    "OTEL_TRACES_SAMPLER": Variable(
        "sampler of exported spans; the store keeps unsampled spans, too"
    ),
    "OTEL_TRACES_SAMPLER_ARG": Variable("argument of `OTEL_TRACES_SAMPLER`"),
    "OTEL_TRACES_EXPORTER": Variable("exporters; flash_otel has its own for OTLP"),
    "OTEL_BSP_SCHEDULE_DELAY": Variable("batches for exporters other than OTLP", _count),
    "OTEL_BSP_EXPORT_TIMEOUT": Variable("batches for exporters other than OTLP", _count),
    "OTEL_BSP_MAX_QUEUE_SIZE": Variable("batches for exporters other than OTLP", _positive),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": Variable("batches for exporters other than OTLP", _positive),
    **{
        f"{_OTLP}{signal}{name}": Variable(f"{about}{of}", rule)
        for signal, of in (("", ""), ("TRACES_", "; overrides the variable for all signals"))
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

# OpenTelemetry raises for an invalid value of these, but only in the application: flash_otel hides
# them when it imports the SDK.
_LIMIT: Final = _unread(
    "for an application's provider; the limits of flash_otel's own are fixed",
    _count,
    result=PROBLEM,
)
_METRICS: Final = "flash_otel emits no metrics"
_LOGS: Final = "flash_otel emits no log records"
_ZIPKIN: Final = (
    "read by the Zipkin exporter, if it is installed and `OTEL_TRACES_EXPORTER` names it"
)
_UNREAD: Final[Mapping[str, Variable]] = {
    "OTEL_ENTITIES": _unread("in development: OpenTelemetry for Python does not read it"),
    "OTEL_LOG_LEVEL": _unread(
        "OpenTelemetry for Python does not read it; flash_otel logs to the logger `flash_otel`",
    ),
    "OTEL_PROPAGATORS": _unread(
        "for the application: flash_otel propagates only W3C Trace Context, in the manifest",
        _registered("opentelemetry_propagator", "none"),
        result=PROBLEM,
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
        "obsolete name of `OTEL_EXPORTER_OTLP_TRACES_INSECURE`", boolean
    ),
    "OTEL_EXPORTER_OTLP_METRIC_INSECURE": _unread(_METRICS, boolean),
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": _unread(_ZIPKIN),
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": _unread(_ZIPKIN, _count),
    "OTEL_EXPORTER_ZIPKIN_PROTOCOL": _unread("reserved: nothing reads it"),
    "OTEL_CONFIG_FILE": _unread("configures the provider of opentelemetry-instrument"),
    "OTEL_EXPERIMENTAL_CONFIG_FILE": _unread("former name of `OTEL_CONFIG_FILE`"),
    # Of OpenTelemetry for Python alone:
    "OTEL_PYTHON_METER_PROVIDER": _unread(
        _METRICS, _registered("opentelemetry_meter_provider"), result=PROBLEM
    ),
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": _unread(_METRICS, boolean),
}
SPECIFIED: Final[Mapping[str, Variable]] = {**_READ, **_UNREAD}
"""The variables of OpenTelemetry."""
VARIABLES: Final[Mapping[str, Variable]] = {**_FLASH_OTEL, **SPECIFIED}
"""All variables."""

# `flash-otel demo` sets these for its own processes.
_INTERNAL: Final = "FLASH_OTEL_DEMO_"


# Variables that list entry points: the group, and names that need no entry point.
_LISTS: Final[Mapping[str, tuple[str, Iterable[str]]]] = {
    "OTEL_PROPAGATORS": ("opentelemetry_propagator", ("none",)),
    "OTEL_TRACES_EXPORTER": (GROUP, (*EXPORTERS, "none")),
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": ("opentelemetry_resource_detector", ("*",)),
}


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
            yield _unknown(name, near, PROBLEM, "is not a variable of flash_otel")
        elif name.startswith("OTEL_"):
            near = get_close_matches(name, VARIABLES, n=1, cutoff=0.9)
            yield _unknown(
                name, near, NOTE, "is set, but flash_otel's own provider does not read it"
            )


def _unknown(name: str, near: list[str], result: str, why: str) -> DoctorCheck:
    # The value of an unknown variable may be a secret.
    value = f"{name}={shown(near[0], shown(name)) if near else REDACTED}"
    if not near:
        # It may belong to another language's SDK.
        command = unset(name) if result == PROBLEM else ""
        return DoctorCheck(f"variable {name}", result, f"{value} {why}", command=command)
    hint = f"Did you mean {near[0]}?"
    is_safe = near[0] not in os.environ and unset(name).startswith("unset")
    # The shell copies the value, which may be a secret.
    command = f'export {near[0]}="${name}"; {unset(name)}' if is_safe else unset(name)
    return DoctorCheck(f"variable {name}", result, f"{value} {why}", hint, command)


# What an invalid value does, where it is not the same as none. The specification takes every text
# but `true` for false, which for some variables is not what being unset means.
_EFFECTS: Final[dict[Rule, str]] = {
    _file: "spans wait",
    boolean: "it means false",
    _headers: "not all of it is sent",
    _lines: "the lines go to a logger of this name",
}


def _known(name: str, variable: Variable, ignored: list[Ignored]) -> DoctorCheck:
    value = f"{name}={shown(name)}"
    reason = _broken(variable, text(name))
    result, step = (variable.result, _correction(name)) if reason or ignored else (OK, "")
    if not variable.is_read and reason:
        says = f"{value} is not understood: {reason} ({variable.about})"
    elif not variable.is_read and not _is_quoted(name):
        result, step, says = NOTE, "", f"{value}: {variable.about}"
    elif ignored:
        says = "; ".join(f"{each.reason} (in its place: {each.default})" for each in ignored)
        says = f"{value} is ignored: {says}"
    elif reason:
        effect = _EFFECTS.get(variable.rule, "the default is used")
        says = f"{value} is invalid, so {effect}: {reason}"
    elif _is_quoted(name):
        result, step = NOTE, _correction(name)
        says = f"{value} has quotes around it, which other programs do not remove"
    else:
        says = value
    return DoctorCheck(f"variable {name}", result, says, command=step)


def _is_quoted(name: str) -> bool:
    return text(name) != os.environ.get(name, "").strip()


def _correction(name: str) -> str:
    """Return the command that keeps the valid part of a value, or else unsets the variable."""
    value = text(name)
    if name in _LISTS:
        group, more = _LISTS[name]
        value = ",".join(part for part in names(value) if part in {*installed(group), *more})
    is_kept = value not in ("", os.environ[name]) and not _broken(VARIABLES[name], value)
    # A value that is shown differently holds a secret or an unprintable character.
    return export(name, value) if is_kept and shown(name, value) == value else unset(name)


def _broken(variable: Variable, value: str) -> str:
    """Return why a value is invalid, or an empty string."""
    try:
        if value:
            variable.rule(value)
    except ValueError as error:
        return str(error)
    return ""
