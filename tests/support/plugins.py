"""A package with an entry point of every kind that a variable of OpenTelemetry can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# By itself: the API loads it while it is being imported.
_CONTEXT: Final = """
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext


class Context(ContextVarsRuntimeContext):
    pass
"""
# At its import, where a package with a core in Rust may panic.
_PANIC: Final = """
class Panic(BaseException):
    pass


raise Panic("canary7f3a91c2")
"""
_MODULE: Final = """
import sys

from opentelemetry.sdk.resources import Resource, ResourceDetector
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler


class Ids(RandomIdGenerator):
    pass


class RaisingIds(RandomIdGenerator):
    def generate_span_id(self):
        sys.exit("canary7f3a91c2")


class SameIds(RandomIdGenerator):
    def generate_span_id(self):
        return 1


class NoIds(RandomIdGenerator):
    def generate_trace_id(self):
        return None


class Exporter(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS


class Detector(ResourceDetector):
    def detect(self):
        return Resource({"plugin": "detected"}, "https://example.com/schema/1")


def sampler(argument):
    return ALWAYS_ON


class RaisingSampler(Sampler):
    def __init__(self, argument):
        pass

    def should_sample(self, *arguments, **more):
        raise LookupError("canary7f3a91c2")

    def get_description(self):
        return "raising"


class NoSampler(RaisingSampler):
    def should_sample(self, *arguments, **more):
        return None


class ExitingSampler(RaisingSampler):
    def should_sample(self, *arguments, **more):
        sys.exit("canary7f3a91c2")


class ExitingDetector(ResourceDetector):
    def detect(self):
        sys.exit("canary7f3a91c2")


class RaisingDetector(ResourceDetector):
    def detect(self):
        raise LookupError("canary7f3a91c2")


def raising(*arguments):
    raise LookupError("canary7f3a91c2")


def exiting(*arguments):
    sys.exit("canary7f3a91c2")


def nothing(*arguments):
    return None
"""
_GROUPS: Final = {
    "opentelemetry_context": "context_of_a_test:Context",
    "opentelemetry_id_generator": "Ids",
    "opentelemetry_traces_exporter": "Exporter",
    "opentelemetry_traces_sampler": "sampler",
    "opentelemetry_resource_detector": "Detector",
    "opentelemetry_tracer_provider": "raising",
    "opentelemetry_propagator": "raising",
}
_BROKEN: Final = {
    "raising": "raising",
    "nothing": "nothing",
    "absent": "no_such_name",
    "exiting": "exiting",
    "panicking": "panic_of_a_test:Anything",
}
_MORE: Final = {
    "opentelemetry_traces_sampler": {
        "raising_later": "RaisingSampler",
        "exiting_later": "ExitingSampler",
        "nothing_later": "NoSampler",
    },
    "opentelemetry_id_generator": {
        "raising_later": "RaisingIds",
        "repeating": "SameIds",
        "nothing_later": "NoIds",
    },
    "opentelemetry_resource_detector": {
        "raising_later": "RaisingDetector",
        "exiting_later": "ExitingDetector",
    },
}


def install(folder: Path) -> Path:
    """Write the package into a folder, which then belongs on the path; return the folder."""
    metadata = folder / "plugins_of_a_test-1.dist-info"
    metadata.mkdir(parents=True)
    (folder / "plugins_of_a_test.py").write_text(_MODULE, encoding="utf-8")
    (folder / "context_of_a_test.py").write_text(_CONTEXT, encoding="utf-8")
    (folder / "panic_of_a_test.py").write_text(_PANIC, encoding="utf-8")
    (metadata / "METADATA").write_text("Name: plugins-of-a-test\nVersion: 1\n", encoding="utf-8")
    lines = []
    for group, plugin in _GROUPS.items():
        names = {"plugin": plugin, **_BROKEN, **_MORE.get(group, {})}
        lines.append(f"[{group}]")
        lines += [
            f"{name} = {target if ':' in target else 'plugins_of_a_test:' + target}"
            for name, target in names.items()
        ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
