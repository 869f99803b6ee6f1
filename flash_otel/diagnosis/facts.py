"""Read one span record as one fact, by a table of the attributes of each kind of span."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flash_otel import failures, manifest, semconv
from flash_otel.diagnosis import evidence
from flash_otel.flash_versions import release, writes_manifests
from flash_otel.records import (
    LINES_CLOCK,
    LINES_LOOSE_COUNT,
    LINES_SCOPE,
    LOGGED,
    number,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flash_otel.records import SpanRecord

# Names of the conventions that only diagnosis reads.
HOST_ID: Final = "host.id"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"

ZONED: Final = "zoned"

# Containers and CI runners share these names without sharing a clock.
_NO_HOSTS: Final = frozenset({"localhost", "localhost.localdomain"})
_OUTCOMES: Final = frozenset({semconv.RETURNED, semconv.FAILED, semconv.CANCELLED, semconv.UNKNOWN})
_WHOLE_ID: Final = 14  # characters of Runpod's endpoint ids
_PLACE: Final = re.compile(r"(.*):(\d{1,12})", re.DOTALL)

AnySpanFact = TypeVar("AnySpanFact", bound=evidence.SpanFact)


def by_lines(record: SpanRecord) -> bool:
    """Return True if a record was rebuilt from bracketed lines."""
    return record.scope_name == LINES_SCOPE


def origin(record: SpanRecord) -> evidence.Origin:
    """Return the place where a record was read."""
    found = _PLACE.fullmatch(record.origin)
    file, line = (found[1], int(found[2])) if found else (record.origin, 0)
    return evidence.Origin(file, line, record.trace_id, record.span_id, by_lines(record))


def with_host(record: SpanRecord, host: str) -> SpanRecord:
    """Return a record of the local store with a host, unless its process names another one.

    Processes of one machine share its clock. Workers run elsewhere: their spans were put into the
    store by a command.
    """
    known = (HOST_ID, HOST_NAME, semconv.FAAS_INSTANCE, semconv.FAAS_NAME)
    if any(text(record.resource, key) for key in known):
        return record
    return replace(record, resource={**record.resource, HOST_ID: host})


def process_of(record: SpanRecord, instance: str, *, worker: bool) -> evidence.ProcessIdentity:
    """Return the process that made a span, from its resource."""
    resource = record.resource
    host = text(resource, HOST_ID) or text(resource, HOST_NAME) or ""
    version = text(resource, semconv.FLASH_VERSION) or text(resource, semconv.SERVICE_VERSION)
    return evidence.ProcessIdentity(
        instance=instance,
        host="" if host in _NO_HOSTS else host,
        worker=worker,
        resource_name=text(resource, semconv.FAAS_NAME) or "",
        rebuilt=by_lines(record),
        naive=by_lines(record) and text(resource, LINES_CLOCK) != ZONED,
        flash_version=release(version or ""),
        pid=number(resource, PROCESS_PID),
    )


def fact_of(record: SpanRecord, process: evidence.ProcessIdentity) -> evidence.SpanFact:
    """Return the fact of a span record, of the kind that its name stands for."""
    common = _common(record, process, origin(record))
    make = _MAKERS.get(record.name)
    return evidence.Step(name=record.name, **common) if make is None else make(record, common)


def step_of(record: SpanRecord, fact: evidence.SpanFact) -> evidence.Step:
    """Return a fact as the bare step of a deployment."""
    return evidence.Step(name=record.name, **_common(record, fact.process, fact.origin))


def of_kind(kind: type[AnySpanFact], facts: Iterable[evidence.SpanFact]) -> tuple[AnySpanFact, ...]:
    """Return the facts of one kind."""
    return tuple(fact for fact in facts if isinstance(fact, kind))


def _common(
    record: SpanRecord, process: evidence.ProcessIdentity, place: evidence.Origin
) -> dict[str, Any]:
    outcome = _outcome(record)
    # Zero is the start of bracketed lines without a time.
    start_ns = record.start_ns if record.start_ns > 0 else None
    end_ns = record.end_ns if start_ns is not None and record.end_ns else None
    ended_well = outcome in (semconv.RETURNED, evidence.UNFINISHED) or by_lines(record)
    return {
        "origin": place,
        "process": process,
        "parent_id": record.parent_span_id,
        "start_ns": start_ns,
        "end_ns": None if end_ns is None else max(end_ns, start_ns or 0),
        "outcome": outcome,
        "failure": None if ended_well else failure_of(record),
        "fault": text(record.attributes, semconv.FAULT),
    }


def failure_of(record: SpanRecord) -> evidence.Failure:
    """Classify the failure of a span by its last recorded exception, else by its status."""
    raised = [event for event in record.events if event.name == semconv.EXCEPTION]
    exception = raised[-1].attributes if raised else {}
    # The exception first: a span that shows a fault by itself has its code as `error.type`.
    error_type = text(exception, semconv.EXCEPTION_TYPE)
    error_type = error_type or text(record.attributes, semconv.ERROR_TYPE) or ""
    message = text(exception, semconv.EXCEPTION_MESSAGE) if raised else record.status_message
    message = message or ""
    status = number(record.attributes, semconv.HTTP_STATUS_CODE)
    return evidence.Failure(
        failures.kind_of(error_type, message, status), error_type, message.strip()
    )


def _outcome(record: SpanRecord) -> str:
    outcome = record.attributes.get(semconv.OUTCOME)
    if record.end_ns is None:
        return evidence.UNFINISHED
    if isinstance(outcome, str) and outcome in _OUTCOMES:
        return outcome
    if by_lines(record):
        return semconv.UNKNOWN  # the line of its success is missing
    return semconv.FAILED if record.status == "error" else semconv.RETURNED


def endpoints_of(record: SpanRecord) -> evidence.EndpointSet:
    """Return the endpoint mapping that a span describes."""
    attributes = record.attributes
    names = texts(attributes, semconv.ENDPOINT_NAMES)
    count = number(attributes, semconv.ENDPOINT_COUNT)
    urls = texts(attributes, semconv.ENDPOINT_URLS)
    return evidence.EndpointSet(
        count=len(names) if count is None and names is not None else count,
        names=names,
        urls=urls,
        digest=text(attributes, semconv.ENDPOINTS_DIGEST),
        are_urls_whole=by_lines(record) or not _may_be_cut(urls or (), attributes),
    )


def _may_be_cut(urls: Sequence[str], attributes: Mapping[str, Any]) -> bool:
    """Return True if a limit may have cut URLs: no text of the span is longer than they are."""
    lists = [
        value if isinstance(value, (list, tuple)) else [value] for value in attributes.values()
    ]
    longest = max(
        (len(text) for texts in lists for text in texts if isinstance(text, str)), default=0
    )
    return any(len(url) == longest and len(manifest.endpoint_id(url)) < _WHOLE_ID for url in urls)


def _activation(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    attributes = record.attributes
    return evidence.Activation(
        build_id=text(attributes, semconv.BUILD_ID),
        environment_id=text(attributes, semconv.ENVIRONMENT_ID),
        environment_name=text(attributes, semconv.ENVIRONMENT_NAME),
        object_key=text(attributes, semconv.ARTIFACT_OBJECT_KEY),
        active_object_key=text(attributes, semconv.ACTIVE_OBJECT_KEY),
        previous_build_id=text(attributes, semconv.PREVIOUS_BUILD_ID),
        **common,
    )


def _upload(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    attributes = record.attributes
    return evidence.ManifestUpload(
        build_id=text(attributes, semconv.BUILD_ID),
        environment_id=text(attributes, semconv.ENVIRONMENT_ID),
        endpoints=endpoints_of(record),
        persisted_count=number(attributes, semconv.PERSISTED_ENDPOINT_COUNT),
        persisted_digest=text(attributes, semconv.PERSISTED_DIGEST),
        **_provenance(attributes),
        **common,
    )


def _active(attributes: Mapping[str, Any]) -> evidence.ActiveManifest:
    return evidence.ActiveManifest(
        text(attributes, semconv.ACTIVE_DEPLOYMENT_ID),
        text(attributes, semconv.ACTIVE_PHASE),
        number(attributes, semconv.ACTIVE_ENDPOINT_COUNT),
    )


def _provenance(attributes: Mapping[str, Any]) -> dict[str, Any]:
    # The carrier's stand in only where a server has dropped the manifest's own.
    generated_at = text(attributes, semconv.MANIFEST_GENERATED_AT)
    fingerprint = text(attributes, semconv.MANIFEST_SOURCE_FINGERPRINT)
    return {
        "generated_at_ns": manifest.generated_ns(
            generated_at or text(attributes, semconv.ACTIVE_GENERATED_AT)
        ),
        "source_fingerprint": fingerprint or text(attributes, semconv.ACTIVE_SOURCE_FINGERPRINT),
    }


def _provisioning(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    return evidence.Provisioning(endpoints=endpoints_of(record), **common)


def _endpoint(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    attributes = record.attributes
    return evidence.EndpointFact(
        resource_name=text(attributes, semconv.RESOURCE_NAME),
        endpoint_id=text(attributes, semconv.ENDPOINT_ID),
        environment_id=text(attributes, semconv.ENVIRONMENT_ID),
        action=text(attributes, semconv.PROVISION_ACTION),
        **common,
    )


def _answer(record: SpanRecord) -> dict[str, Any]:
    attributes = record.attributes
    return {
        "environment_id": text(attributes, semconv.ENVIRONMENT_ID),
        "environment_name": text(attributes, semconv.ENVIRONMENT_NAME),
        "environment_state": text(attributes, semconv.ENVIRONMENT_STATE),
        "build_id": text(attributes, semconv.BUILD_ID),
        "manifest_state": text(attributes, semconv.MANIFEST_STATE),
        "endpoints": endpoints_of(record),
        "active": _active(attributes),
        **_provenance(attributes),
        "in_log": by_lines(record) or bool(record.resource.get(LOGGED)),
        "loose_count": number(attributes, LINES_LOOSE_COUNT),
    }


def _manifest_fetch(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    return evidence.ManifestFetch(**_answer(record), **common)


def _runtime_fetch(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    attributes = record.attributes
    return evidence.RuntimeFetch(
        worker_environment_id=text(attributes, semconv.WORKER_ENVIRONMENT_ID),
        worker_endpoint_id=text(attributes, semconv.WORKER_ENDPOINT_ID),
        code_deployment_id=text(attributes, semconv.CODE_DEPLOYMENT_ID),
        asked_ns=common["start_ns"],
        **_answer(record),
        **common,
    )


def _call(record: SpanRecord, common: dict[str, Any]) -> evidence.SpanFact:
    attributes = record.attributes
    # Of runpod-flash, it is the active build of the read that came before.
    is_own = not writes_manifests(common["process"].flash_version)
    return evidence.RemoteCall(
        function_name=text(attributes, semconv.FUNCTION_NAME),
        resource_name=text(attributes, semconv.RESOURCE_NAME),
        route=text(attributes, semconv.CALL_ROUTE),
        endpoint_url=text(attributes, semconv.ENDPOINT_URL),
        app_name=text(attributes, semconv.APP_NAME),
        environment_name=text(attributes, semconv.ENVIRONMENT_NAME),
        environment_id=text(attributes, semconv.ENVIRONMENT_ID),
        code_deployment_id=text(attributes, semconv.CODE_DEPLOYMENT_ID),
        own_build_id=text(attributes, semconv.BUILD_ID) if is_own else None,
        job_id=text(attributes, semconv.FAAS_INVOCATION_ID),
        **common,
    )


def served(record: SpanRecord, process: evidence.ProcessIdentity) -> evidence.Served:
    """Return the fact of a job or a request, whose span is named after what it serves."""
    return evidence.Served(
        code_deployment_id=text(record.attributes, semconv.CODE_DEPLOYMENT_ID),
        job_id=text(record.attributes, semconv.FAAS_INVOCATION_ID),
        **_common(record, process, origin(record)),
    )


_MAKERS: Final[dict[str, Callable[[SpanRecord, dict[str, Any]], evidence.SpanFact]]] = {
    semconv.ACTIVATE: _activation,
    semconv.MANIFEST_UPLOAD: _upload,
    semconv.PROVISION: _provisioning,
    semconv.PROVISION_ENDPOINT: _endpoint,
    semconv.RUNTIME_FETCH: _runtime_fetch,
    semconv.MANIFEST_FETCH: _manifest_fetch,
    semconv.CALL: _call,
}
