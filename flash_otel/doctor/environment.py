"""Checks of the process's environment: worker or not, tracer provider, and variables."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.doctor import NOTE, OK, PROBLEM, DoctorCheck
from flash_otel.doctor.flash import version_of
from flash_otel.export.destination import EXPORTERS
from flash_otel.redaction import REDACTED, scrub
from flash_otel.runtime.options import in_worker, is_disabled

if TYPE_CHECKING:
    from collections.abc import Iterator

Rule = Callable[[str], str]
"""Returns what is wrong with a value; an empty string for a valid one."""

# --- place and provider --------------------------------------------------------------------------

# opentelemetry-instrument puts this folder on PYTHONPATH.
_AUTO: Final = Path("opentelemetry", "instrumentation", "auto_instrumentation").parts
_APPLICATIONS: Final = (
    "The application's exporters send the spans then, and flash_otel controls neither what they "
    "lose nor how long they take at exit; it only adds the lines and the store."
)
# Distributions that set a provider when they are used.
_SETTERS: Final = ("logfire", "ddtrace", "azure-monitor-opentelemetry", "opentelemetry-distro")


def place() -> Iterator[DoctorCheck]:
    """Report whether this is a worker, which has no store by default."""
    if in_worker():
        text = "a deployed worker (RUNPOD_ENDPOINT_ID is set): no store, unless one is named"
    elif os.environ.get("RUNPOD_POD_ID"):
        text = "a pod, but not a worker (RUNPOD_ENDPOINT_ID is not set): spans are stored"
    else:
        text = "not a worker (RUNPOD_ENDPOINT_ID is not set): spans are stored"
    yield DoctorCheck("place", OK, text)


def providers() -> Iterator[DoctorCheck]:
    """Report which tracer provider a deployment started from here would use."""
    if is_disabled():
        text = "tracing is switched off by FLASH_OTEL_DISABLED or OTEL_SDK_DISABLED"
        yield DoctorCheck("disabled", PROBLEM, text, "Unset it, and deploy again.")
    named = os.environ.get("OTEL_PYTHON_TRACER_PROVIDER", "").strip()
    if named:
        text = f"OTEL_PYTHON_TRACER_PROVIDER names {named}. {_APPLICATIONS}"
        yield DoctorCheck("provider", NOTE, text)
    elif _is_auto_instrumented():
        text = f"opentelemetry-instrument starts Python here, and sets a provider. {_APPLICATIONS}"
        yield DoctorCheck("provider", NOTE, text)
    else:
        text = "flash_otel's own provider, unless the application sets one before its first span"
        yield DoctorCheck("provider", OK, text)
    installed = [name for name in _SETTERS if version_of(name)]
    if installed:
        text = f"installed, and may set a provider: {', '.join(installed)}. {_APPLICATIONS}"
        yield DoctorCheck("provider_setters", NOTE, text)
    yield from _other_instrumentation()


def _is_auto_instrumented() -> bool:
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return any(Path(path).parts[-len(_AUTO) :] == _AUTO for path in paths)


def _other_instrumentation() -> Iterator[DoctorCheck]:
    found = entry_points(group="opentelemetry_instrumentor", name="runpod_flash")
    others = sorted({point.value for point in found if not point.value.startswith("flash_otel")})
    if others:
        text = f"another package instruments Flash, too: {', '.join(others)}"
        yield DoctorCheck("instrumented_twice", PROBLEM, text, "Uninstall one of them.")
    skipped = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if "runpod_flash" in [name.strip() for name in skipped.split(",")]:
        text = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS excludes Flash from opentelemetry-instrument"
        yield DoctorCheck("instrumentation_disabled", NOTE, text)


# --- variables -----------------------------------------------------------------------------------

OURS: Final = "FLASH_OTEL_"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_SIGNALS: Final = ("METRICS_", "LOGS_", "PROFILES_")
_SWITCH: Final = frozenset({"1", "true", "yes", "on", "0", "false", "no", "off"})
_MINUTE: Final = 60.0


def _anything(_value: str) -> str:
    return ""


def _choice(*allowed: str) -> Rule:
    def rule(value: str) -> str:
        return "" if value.lower() in allowed else f"it takes {', '.join(allowed)}"

    return rule


def _switch(value: str) -> str:
    return "" if value.lower() in _SWITCH else "it takes 1 or 0"


def _seconds(value: str) -> str:
    try:
        return "" if 0 <= float(value) <= _MINUTE else "it takes seconds, from 0 to 60"
    except ValueError:
        return "it takes seconds, from 0 to 60"


def _number(value: str) -> str:
    try:
        return "" if float(value) > 0 else "it takes a number above 0"
    except ValueError:
        return "it takes a number"


def _file(value: str) -> str:
    return "" if Path(value).is_file() else "the file does not exist"


def _exporters(value: str) -> str:
    named = [name.strip() for name in value.split(",") if name.strip()]
    known = {"none", *EXPORTERS, *entry_points(group="opentelemetry_traces_exporter").names}
    unknown = [name for name in named if name not in known]
    return f"no exporter is installed for {', '.join(unknown)}" if unknown else ""


def _pairs(value: str) -> str:
    wrong = [pair for pair in value.split(",") if pair.strip() and "=" not in pair]
    return "it takes name=value,name=value" if wrong else ""


_OTLP_RULES: Final[dict[str, Rule]] = {
    "ENDPOINT": _anything,
    "PROTOCOL": _choice("http/protobuf", "http/json", "grpc"),
    "HEADERS": _pairs,
    "COMPRESSION": _choice("gzip", "deflate", "none"),
    "TIMEOUT": _number,
    "CERTIFICATE": _file,
    "CLIENT_CERTIFICATE": _file,
    "CLIENT_KEY": _file,
    "INSECURE": _choice("true", "false"),
}
RULES: Final[dict[str, Rule]] = {
    "FLASH_OTEL_CACHE": _anything,
    "FLASH_OTEL_COLLECTOR_BIN": _anything,
    "FLASH_OTEL_DISABLED": _switch,
    "FLASH_OTEL_EXIT_BUDGET": _seconds,
    "FLASH_OTEL_JAEGER_HEADERS": _pairs,
    "FLASH_OTEL_LEGACY_LOGS": _anything,
    "FLASH_OTEL_PROPAGATION": _choice("auto", "link", "parent"),
    "FLASH_OTEL_RAISE": _anything,
    "FLASH_OTEL_REQUEST_BUDGET": _seconds,
    "FLASH_OTEL_STORE": _anything,
    "OTEL_PYTHON_TRACER_PROVIDER": _anything,
    "OTEL_RESOURCE_ATTRIBUTES": _pairs,
    "OTEL_SDK_DISABLED": _choice("true", "false"),
    "OTEL_SERVICE_NAME": _anything,
    "OTEL_TRACES_EXPORTER": _exporters,
    "OTEL_TRACES_SAMPLER": _choice(
        *("always_on", "always_off", "traceidratio"),
        *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
    ),
    "OTEL_TRACES_SAMPLER_ARG": _anything,
    **{f"{_OTLP}{name}": rule for name, rule in _OTLP_RULES.items()},
    **{f"{_OTLP}TRACES_{name}": rule for name, rule in _OTLP_RULES.items()},
}
# `flash-otel demo` sets these for its own processes.
_INTERNAL: Final = "FLASH_OTEL_DEMO_"
_SECRET: Final = ("HEADERS", "CLIENT_KEY")


def variables() -> Iterator[DoctorCheck]:
    """Check every FLASH_OTEL_* and OTEL_* variable that is set."""
    other_signals = tuple(f"{_OTLP}{signal}" for signal in _SIGNALS)
    for name, value in sorted(os.environ.items()):
        if name in RULES:
            yield _known(name, value.strip())
        elif name.startswith(OURS) and not name.startswith(_INTERNAL):
            near = get_close_matches(name, [rule for rule in RULES if rule.startswith(OURS)], n=1)
            hint = f"Did you mean {near[0]}?" if near else "Unset it: nothing reads it."
            text = f"{name} is not a variable of flash_otel"
            yield DoctorCheck(f"variable {name}", PROBLEM, text, hint)
        elif name.startswith("OTEL_") and not name.startswith(other_signals):
            near = get_close_matches(name, RULES, n=1, cutoff=0.9)
            hint = f"Did you mean {near[0]}?" if near else ""
            text = f"{name} is set, but flash_otel's own provider does not read it"
            yield DoctorCheck(f"variable {name}", NOTE, text, hint)


def _known(name: str, value: str) -> DoctorCheck:
    is_secret = bool(value) and name.endswith(_SECRET)
    text = f"{name}={REDACTED if is_secret else scrub(value)}"
    problem = RULES[name](value) if value else ""
    if not problem:
        return DoctorCheck(f"variable {name}", OK, text)
    text = f"{text} is invalid, so the default is used: {problem}"
    return DoctorCheck(f"variable {name}", PROBLEM, text, f"Correct or unset {name}.")
