"""The ids by which a span is found from elsewhere, as `kind:value` texts of an indexed table.

A span is found by its own columns, and by its references: a worker's read refers to the trace and
the id of its deployment, an activation to its build, a provisioning to its endpoint. Deployments
and workers have kinds of their own, because a query for one of the two must not walk the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.manifest import endpoint_id
from flash_otel.records import LINES_SCOPE, LINES_STREAM, SpanRecord, text, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


TRACE: Final = "trace"
"""Another trace that the span links to."""

# Of a deployment's spans.
DEPLOYMENT: Final = "deployment"
BUILD: Final = "build"
ENDPOINT: Final = "endpoint"
PLACE: Final = "place"  # name of the environment, name of the app
UNPLACED: Final = "unplaced"  # name of the app of a deployment that knows no environment
LOOSE_LINE: Final = "loose-line"  # a bracketed line without a build

# Of spans that workers and other callers make.
CODE: Final = "code"  # the deployment whose code runs, or which wrote the manifest
READ_BUILD: Final = "read-build"
READ_ENDPOINT: Final = "read-endpoint"
READ_LINE: Final = "read-line"  # a bracketed line
FILE_ENVIRONMENT: Final = "file-environment"  # of reads in files
FILE_BUILD: Final = "file-build"
CALL: Final = "call"  # name of the environment, name of the app
JOB: Final = "job"  # on both sides: of the call, and of the worker that ran it
PROCESS: Final = "process"
BY_WORKER: Final = "by-worker"  # by name: a worker's span of a kind that deployments make, too

WORKER_SERVICE: Final = "flash-worker"


def reference(kind: str, *values: str | None) -> str:
    """Return the text of a reference."""
    # From a list: each stored span pays for a few references, and a generator takes twice as long.
    return f"{kind}:{'/'.join([value or '' for value in values])}"


def references(record: SpanRecord) -> set[str]:
    """Return all references of a span."""
    found = {reference(TRACE, trace_id) for trace_id in _linked_traces(record)}
    if job := text(record.attributes, semconv.FAAS_INVOCATION_ID):
        found.add(reference(JOB, job))
    find = _FINDERS.get(record.name)
    if find is None and semconv.is_evidence(record.name, record.attributes):
        find = _of_caller
    if record.name in semconv.DEPLOY_SIDE:
        if semconv.DEPLOYMENT_ID not in record.attributes and shows_worker(record):
            find = _of_worker_step
        elif record.parent_span_id is None and find is not _of_root:
            find = _of_orphan
    if find is not None:
        found.update(find(record))
    return found


def shows_worker(record: SpanRecord) -> bool:
    """Return True if a span shows that a deployed worker made it."""
    resource = record.resource
    if text(resource, semconv.FAAS_INSTANCE) or text(resource, semconv.FAAS_NAME):
        return True
    if record.name == semconv.RUNTIME_FETCH and text(record.attributes, semconv.WORKER_ENDPOINT_ID):
        return True
    return text(resource, semconv.SERVICE_NAME) == WORKER_SERVICE


def instance_of(record: SpanRecord) -> str:
    """Return the instance id of the process that made a span, or else a substitute for it."""
    instance = text(record.resource, semconv.SERVICE_INSTANCE_ID)
    if instance:
        return instance
    if record.scope_name == LINES_SCOPE:
        stream = text(record.resource, LINES_STREAM) or ""
        return f"file {record.origin.rpartition(':')[0]} {stream}"
    return f"trace {record.trace_id}"


def _linked_traces(record: SpanRecord) -> Iterator[str]:
    for link in record.links:
        if link.trace_id != record.trace_id:
            yield link.trace_id
    mirrored = text(record.attributes, semconv.DEPLOY_TRACE_ID)
    if mirrored and mirrored != record.trace_id:
        yield mirrored


def _of_making(record: SpanRecord) -> Iterator[str]:
    """Yield the references by which a deployment is found; one span of each trace has them all."""
    attributes = record.attributes
    if build := text(attributes, semconv.BUILD_ID):
        yield reference(BUILD, build)
    if name := text(attributes, semconv.ENVIRONMENT_NAME):
        yield reference(PLACE, name, text(attributes, semconv.APP_NAME))
    if deployment := text(attributes, semconv.DEPLOYMENT_ID):
        yield reference(DEPLOYMENT, deployment)


def _of_root(record: SpanRecord) -> Iterator[str]:
    yield from _of_making(record)
    yield reference(DEPLOYMENT, record.span_id)
    attributes = record.attributes
    is_placed = text(attributes, semconv.ENVIRONMENT_NAME) or text(
        attributes, semconv.ENVIRONMENT_ID
    )
    if (app := text(attributes, semconv.APP_NAME)) and not is_placed:
        yield reference(UNPLACED, app)
    # A deployment of Flash 1.0.0 links to the separate span of its build, whose id carriers hold.
    yield from (reference(DEPLOYMENT, link.span_id) for link in record.links)


def _of_endpoint(record: SpanRecord) -> Iterator[str]:
    if found := text(record.attributes, semconv.ENDPOINT_ID):
        yield reference(ENDPOINT, found)


def _of_orphan(record: SpanRecord) -> Iterator[str]:
    """Yield what puts a deployment's span into its group if it has no parent."""
    attributes = record.attributes
    yield from _of_making(record)
    yield from _of_endpoint(record)
    for url in texts(attributes, semconv.ENDPOINT_URLS) or ():
        if found := endpoint_id(url):
            yield reference(ENDPOINT, found)
    if record.scope_name == LINES_SCOPE and not text(attributes, semconv.BUILD_ID):
        yield reference(LOOSE_LINE)


def _of_worker_step(record: SpanRecord) -> Iterator[str]:
    yield reference(BY_WORKER, record.name)
    yield reference(PROCESS, instance_of(record))


def _of_caller(record: SpanRecord) -> Iterator[str]:
    attributes = record.attributes
    yield reference(PROCESS, instance_of(record))
    for name in (semconv.CODE_DEPLOYMENT_ID, semconv.ACTIVE_DEPLOYMENT_ID):
        if deployment := text(attributes, name):
            yield reference(CODE, deployment)


def _of_fetch(record: SpanRecord) -> Iterator[str]:
    attributes = record.attributes
    yield from _of_caller(record)
    build = text(attributes, semconv.BUILD_ID)
    if build:
        yield reference(READ_BUILD, build)
    if endpoint := text(attributes, semconv.WORKER_ENDPOINT_ID):
        yield reference(READ_ENDPOINT, endpoint)
    if record.scope_name == LINES_SCOPE:
        yield reference(READ_LINE)
    if record.origin:
        yield reference(FILE_BUILD, build)
        yield reference(FILE_ENVIRONMENT, text(attributes, semconv.ENVIRONMENT_ID))


def _of_call(record: SpanRecord) -> Iterator[str]:
    attributes = record.attributes
    yield from _of_caller(record)
    if name := text(attributes, semconv.ENVIRONMENT_NAME):
        yield reference(CALL, name, text(attributes, semconv.APP_NAME))


_FINDERS: Final[dict[str, Callable[[SpanRecord], Iterator[str]]]] = {
    semconv.DEPLOY: _of_root,
    semconv.ACTIVATE: _of_making,
    semconv.PROVISION_ENDPOINT: _of_endpoint,
    semconv.RUNTIME_FETCH: _of_fetch,
    semconv.MANIFEST_FETCH: _of_fetch,
    semconv.CALL: _of_call,
}
