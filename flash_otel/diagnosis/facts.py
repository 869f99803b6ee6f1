"""One span record as one fact: a table of what each kind of span says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flash_otel import semconv
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    Active,
    Call,
    Endpoint,
    Endpoints,
    Fact,
    ManifestFetch,
    ManifestUpload,
    Origin,
    Process,
    Provisioning,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.failures import failure_of
from flash_otel.diagnosis.values import number, text, texts
from flash_otel.records import LINES_CLOCK, LINES_SCOPE, LINES_STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flash_otel.records import SpanRecord

WORKER_SERVICE: Final = "flash-worker"

# Names of the conventions that only diagnosis reads.
HOST_ID: Final = "host.id"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"

ZONED: Final = "zoned"

_NO_HOSTS: Final = frozenset({"localhost", "localhost.localdomain"})
_OUTCOMES: Final = frozenset({semconv.RETURNED, semconv.FAILED, semconv.CANCELLED, semconv.UNKNOWN})
_DIGITS: Final = re.compile(r"\d{1,6}")

AnyFact = TypeVar("AnyFact", bound=Fact)


def by_lines(record: SpanRecord) -> bool:
    """Tell whether a record was rebuilt from bracketed lines."""
    return record.scope_name == LINES_SCOPE


def instance_of(record: SpanRecord) -> str:
    """Name the process that made a span: by its instance id, else by where it was read."""
    instance = text(record.resource, semconv.SERVICE_INSTANCE_ID)
    if instance:
        return instance
    if by_lines(record):
        stream = text(record.resource, LINES_STREAM) or ""
        return f"file {record.origin.rpartition(':')[0]} {stream}"
    return f"trace {record.trace_id}"


def process_of(record: SpanRecord, instance: str, *, worker: bool) -> Process:
    """Describe the process that made a span, from its resource."""
    resource = record.resource
    host = text(resource, HOST_ID) or text(resource, HOST_NAME) or ""
    return Process(
        instance=instance,
        host="" if host in _NO_HOSTS else host,
        worker=worker,
        resource_name=text(resource, semconv.FAAS_NAME) or "",
        rebuilt=by_lines(record),
        naive=by_lines(record) and text(resource, LINES_CLOCK) != ZONED,
        flash_version=_version(record),
        pid=number(resource, PROCESS_PID),
    )


def _version(record: SpanRecord) -> tuple[int, ...]:
    resource = record.resource
    said = text(resource, semconv.FLASH_VERSION) or text(resource, semconv.SERVICE_VERSION) or ""
    parts = [_DIGITS.match(part) for part in said.split(".")[:3]]
    return tuple(int(part[0]) for part in parts if part)


def fact_of(record: SpanRecord, process: Process, origin: Origin) -> Fact:
    """Read a span record as the fact that its name stands for."""
    common = _common(record, process, origin)
    make = _MAKERS.get(record.name)
    return Step(name=record.name, **common) if make is None else make(record, common)


def step_of(record: SpanRecord, fact: Fact) -> Step:
    """Return a fact as the bare step of a deployment."""
    return Step(name=record.name, **_common(record, fact.process, fact.origin))


def only(kind: type[AnyFact], found: Iterable[Fact]) -> tuple[AnyFact, ...]:
    """Return those facts that are of one kind."""
    return tuple(one for one in found if isinstance(one, kind))


def _common(record: SpanRecord, process: Process, origin: Origin) -> dict[str, Any]:
    outcome = _outcome(record)
    # Zero stands for an unknown clock (bracketed lines without time).
    start_ns = record.start_ns if record.start_ns > 0 else None
    end_ns = record.end_ns if start_ns is not None and record.end_ns else None
    ended_well = outcome in (semconv.RETURNED, UNFINISHED) or by_lines(record)
    return {
        "origin": origin,
        "process": process,
        "parent_id": record.parent_span_id,
        "start_ns": start_ns,
        "end_ns": None if end_ns is None else max(end_ns, start_ns or 0),
        "outcome": outcome,
        "failure": None if ended_well else failure_of(record),
        "fault": text(record.attributes, semconv.FAULT),
    }


def _outcome(record: SpanRecord) -> str:
    said = record.attributes.get(semconv.OUTCOME)
    if record.end_ns is None:
        return UNFINISHED
    if isinstance(said, str) and said in _OUTCOMES:
        return said
    if by_lines(record):
        return semconv.UNKNOWN  # the line of its success is not there
    return semconv.FAILED if record.status == "error" else semconv.RETURNED


def endpoints_of(record: SpanRecord) -> Endpoints:
    """Read what a span says of an endpoint mapping."""
    attributes = record.attributes
    names = texts(attributes, semconv.ENDPOINT_NAMES)
    count = number(attributes, semconv.ENDPOINT_COUNT)
    return Endpoints(
        count=len(names) if count is None and names is not None else count,
        names=names,
        urls=texts(attributes, semconv.ENDPOINT_URLS),
        digest=text(attributes, semconv.ENDPOINTS_DIGEST),
    )


def _activation(record: SpanRecord, common: dict[str, Any]) -> Fact:
    said = record.attributes
    return Activation(
        build_id=text(said, semconv.BUILD_ID),
        environment_id=text(said, semconv.ENVIRONMENT_ID),
        environment_name=text(said, semconv.ENVIRONMENT_NAME),
        object_key=text(said, semconv.ARTIFACT_OBJECT_KEY),
        active_object_key=text(said, semconv.ACTIVE_OBJECT_KEY),
        **common,
    )


def _upload(record: SpanRecord, common: dict[str, Any]) -> Fact:
    said = record.attributes
    return ManifestUpload(
        build_id=text(said, semconv.BUILD_ID),
        environment_id=text(said, semconv.ENVIRONMENT_ID),
        endpoints=endpoints_of(record),
        persisted_count=number(said, semconv.PERSISTED_ENDPOINT_COUNT),
        persisted_digest=text(said, semconv.PERSISTED_DIGEST),
        **common,
    )


def _provisioning(record: SpanRecord, common: dict[str, Any]) -> Fact:
    return Provisioning(endpoints=endpoints_of(record), **common)


def _endpoint(record: SpanRecord, common: dict[str, Any]) -> Fact:
    said = record.attributes
    return Endpoint(
        resource_name=text(said, semconv.RESOURCE_NAME),
        endpoint_id=text(said, semconv.ENDPOINT_ID),
        environment_id=text(said, semconv.ENVIRONMENT_ID),
        action=text(said, semconv.PROVISION_ACTION),
        **common,
    )


def _answer(record: SpanRecord) -> dict[str, Any]:
    said = record.attributes
    return {
        "environment_id": text(said, semconv.ENVIRONMENT_ID),
        "environment_state": text(said, semconv.ENVIRONMENT_STATE),
        "build_id": text(said, semconv.BUILD_ID),
        "manifest_state": text(said, semconv.MANIFEST_STATE),
        "endpoints": endpoints_of(record),
        "active": Active(
            text(said, semconv.ACTIVE_DEPLOYMENT_ID),
            text(said, semconv.ACTIVE_PHASE),
            number(said, semconv.ACTIVE_ENDPOINT_COUNT),
        ),
    }


def _manifest_fetch(record: SpanRecord, common: dict[str, Any]) -> Fact:
    return ManifestFetch(**_answer(record), **common)


def _runtime_fetch(record: SpanRecord, common: dict[str, Any]) -> Fact:
    said = record.attributes
    return RuntimeFetch(
        worker_environment_id=text(said, semconv.WORKER_ENVIRONMENT_ID),
        worker_endpoint_id=text(said, semconv.WORKER_ENDPOINT_ID),
        code_deployment_id=text(said, semconv.CODE_DEPLOYMENT_ID),
        asked_ns=common["start_ns"],
        **_answer(record),
        **common,
    )


def _call(record: SpanRecord, common: dict[str, Any]) -> Fact:
    said = record.attributes
    return Call(
        function_name=text(said, semconv.FUNCTION_NAME),
        resource_name=text(said, semconv.RESOURCE_NAME),
        route=text(said, semconv.CALL_ROUTE),
        endpoint_url=text(said, semconv.ENDPOINT_URL),
        app_name=text(said, semconv.APP_NAME),
        environment_name=text(said, semconv.ENVIRONMENT_NAME),
        environment_id=text(said, semconv.ENVIRONMENT_ID),
        code_deployment_id=text(said, semconv.CODE_DEPLOYMENT_ID),
        **common,
    )


_MAKERS: Final[dict[str, Callable[[SpanRecord, dict[str, Any]], Fact]]] = {
    semconv.ACTIVATE: _activation,
    semconv.MANIFEST_UPLOAD: _upload,
    semconv.PROVISION: _provisioning,
    semconv.PROVISION_ENDPOINT: _endpoint,
    semconv.RUNTIME_FETCH: _runtime_fetch,
    semconv.MANIFEST_FETCH: _manifest_fetch,
    semconv.CALL: _call,
}
