"""FLASH_OTEL_* and OTEL_* as they are understood: unknown names, values that say nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.doctor.checks import NOTE, OK, PROBLEM, Check
from flash_otel.export.destination import EXPORTERS
from flash_otel.redaction import REDACTED, scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

Rule = Callable[[str], str]
"""Says what is wrong with a value; an empty string if nothing is."""

OURS: Final = "FLASH_OTEL_"
_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_SIGNALS: Final = ("METRICS_", "LOGS_", "PROFILES_")
_SWITCH: Final = frozenset({"1", "true", "yes", "on", "0", "false", "no", "off"})
_MINUTE: Final = 60.0


def _anything(_value: str) -> str:
    return ""


def _one_of(*allowed: str) -> Rule:
    def judge(value: str) -> str:
        return "" if value.lower() in allowed else f"it takes {', '.join(allowed)}"

    return judge


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
    return "" if Path(value).is_file() else "there is no such file"


def _exporters(value: str) -> str:
    from importlib.metadata import entry_points

    named = [one.strip() for one in value.split(",") if one.strip()]
    known = {"none", *EXPORTERS, *entry_points(group="opentelemetry_traces_exporter").names}
    unknown = [one for one in named if one not in known]
    return f"no exporter is installed for {', '.join(unknown)}" if unknown else ""


def _pairs(value: str) -> str:
    wrong = [one for one in value.split(",") if one.strip() and "=" not in one]
    return "it takes name=value,name=value" if wrong else ""


_OF_OTLP: Final[dict[str, Rule]] = {
    "ENDPOINT": _anything,
    "PROTOCOL": _one_of("http/protobuf", "http/json", "grpc"),
    "HEADERS": _pairs,
    "COMPRESSION": _one_of("gzip", "deflate", "none"),
    "TIMEOUT": _number,
    "CERTIFICATE": _file,
    "CLIENT_CERTIFICATE": _file,
    "CLIENT_KEY": _file,
    "INSECURE": _one_of("true", "false"),
}
RULES: Final[dict[str, Rule]] = {
    "FLASH_OTEL_CACHE": _anything,
    "FLASH_OTEL_COLLECTOR_BIN": _anything,
    "FLASH_OTEL_DISABLED": _switch,
    "FLASH_OTEL_EXIT_BUDGET": _seconds,
    "FLASH_OTEL_JAEGER_HEADERS": _pairs,
    "FLASH_OTEL_LEGACY_LOGS": _anything,
    "FLASH_OTEL_PROPAGATION": _one_of("auto", "link", "parent"),
    "FLASH_OTEL_RAISE": _anything,
    "FLASH_OTEL_REQUEST_BUDGET": _seconds,
    "FLASH_OTEL_STORE": _anything,
    "OTEL_PYTHON_TRACER_PROVIDER": _anything,
    "OTEL_RESOURCE_ATTRIBUTES": _pairs,
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_SERVICE_NAME": _anything,
    "OTEL_TRACES_EXPORTER": _exporters,
    "OTEL_TRACES_SAMPLER": _one_of(
        *("always_on", "always_off", "traceidratio"),
        *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
    ),
    "OTEL_TRACES_SAMPLER_ARG": _anything,
    **{f"{_OTLP}{name}": rule for name, rule in _OF_OTLP.items()},
    **{f"{_OTLP}TRACES_{name}": rule for name, rule in _OF_OTLP.items()},
}
# The stand-in control plane of `flash-otel demo` sets these for its own processes.
_INTERNAL: Final = "FLASH_OTEL_DEMO_"
_SECRET: Final = ("HEADERS", "CLIENT_KEY")


def variables() -> Iterator[Check]:
    """Judge every variable of ours and of OpenTelemetry that is set."""
    for name, value in sorted(os.environ.items()):
        if name.startswith(OURS) and not name.startswith(_INTERNAL):
            yield _ours(name, value.strip())
        elif name in RULES:
            yield _judged(name, value.strip())
        elif name.startswith("OTEL_") and not name.startswith(_of_other_signals()):
            yield _unused(name)


def _ours(name: str, value: str) -> Check:
    if name in RULES:
        return _judged(name, value)
    near = get_close_matches(name, [one for one in RULES if one.startswith(OURS)], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Unset it: nothing reads it."
    return Check(f"variable {name}", PROBLEM, f"{name} is no variable of flash_otel", hint)


def _judged(name: str, value: str) -> Check:
    shown = f"{name}={_shown(name, value)}"
    wrong = RULES[name](value) if value else ""
    if not wrong:
        return Check(f"variable {name}", OK, shown)
    said = f"{shown} is not understood, its default is used: {wrong}"
    return Check(f"variable {name}", PROBLEM, said, f"Correct or unset {name}.")


def _unused(name: str) -> Check:
    near = get_close_matches(name, RULES, n=1, cutoff=0.9)
    hint = f"Did you mean {near[0]}?" if near else ""
    said = f"{name} is set; flash_otel's own provider does not read it"
    return Check(f"variable {name}", NOTE, said, hint)


def _of_other_signals() -> tuple[str, ...]:
    return tuple(f"{_OTLP}{signal}" for signal in _SIGNALS)


def _shown(name: str, value: str) -> str:
    return REDACTED if name.endswith(_SECRET) and value else scrub(value)
