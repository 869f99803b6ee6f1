"""Spans as plain literals, with names in place of what differs from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.manifest import digest, provenance
from flash_otel.testing import EPOCH_NS, TICK_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flash_otel.demo.state import ControlPlaneState
    from flash_otel.records import SpanRecord

# Archives and ports differ in length from run to run; the ids of jobs depend on all earlier ones.
VARYING: Final = {
    semconv.ARTIFACT_SIZE: "SIZE",
    semconv.MANIFEST_SIZE: "SIZE",
    semconv.FAAS_INVOCATION_ID: "JOB",
}


def names_of(state: ControlPlaneState) -> dict[str, str]:
    """Return what stands for the ids, addresses, digests and times of a control plane's state."""
    names = {state.base_url.removeprefix("http://"): "HOST"}
    for kind, records in (("ENVIRONMENT", state.environments), ("BUILD", state.builds)):
        names |= {key: f"{kind}-{number}" for number, key in enumerate(records, start=1)}
    names |= {
        build.object_key: f"ARTIFACT-{names[build.id][-1]}" for build in state.builds.values()
    }
    names |= {endpoint.id: f"ENDPOINT-{endpoint.name}" for endpoint in state.endpoints.values()}
    for build in state.builds.values():
        built = provenance(build.manifest)
        names |= {text: f"{key.upper()}-{names[build.id][-1]}" for key, text in built.items()}
        held = (build.manifest or {}).get("resources_endpoints")
        if held is not None:
            names[digest(held)] = f"DIGEST-{names[build.id][-1]}"
    return names


def literal(records: Iterable[SpanRecord], names: dict[str, str]) -> list[dict[str, Any]]:
    """Return spans as literals: what is empty is left out, ids and times are small numbers."""
    return [_span(record, names) for record in records]


def _span(record: SpanRecord, names: dict[str, str]) -> dict[str, Any]:
    fields = {
        "name": record.name,
        "kind": record.kind,
        "trace": int(record.trace_id, 16),
        "span": int(record.span_id, 16),
        "parent": record.parent_span_id and int(record.parent_span_id, 16),
        "ticks": (_ticks(record.start_ns), _ticks(record.end_ns or 0)),
        "status": (record.status, _named(record.status_message, names)),
        "attributes": _attributes(record.attributes, names),
        "events": [(event.name, _attributes(event.attributes, names)) for event in record.events],
        "links": [(int(link.trace_id, 16), int(link.span_id, 16)) for link in record.links],
    }
    return {key: value for key, value in fields.items() if value not in ([], ("unset", ""))}


def _attributes(attributes: Any, names: dict[str, str]) -> dict[str, Any]:
    return {
        name: VARYING.get(name, _named(value, names)) for name, value in sorted(attributes.items())
    }


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, (list, tuple)):
        return [_named(item, names) for item in value]
    if not isinstance(value, str):
        return value
    for actual, name in names.items():
        value = value.replace(actual, name)
    return value


def _ticks(time_ns: int) -> int:
    return (time_ns - EPOCH_NS) // TICK_NS
