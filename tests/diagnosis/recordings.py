"""Small recordings of deployments, reads and calls, as plain records with literal ids and times."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Final

from flash_otel import manifest
from flash_otel import semconv as sc
from flash_otel.records import LINES_SCOPE, Event, Link, SpanRecord

EPOCH_NS: Final = 1_760_000_000_000_000_000
NOW_NS: Final = EPOCH_NS + 86_400_000_000_000

GPU: Final = "https://api.runpod.ai/v2/gpu0000001"
WEB: Final = "https://web0000001.api.runpod.ai"
TWO: Final = {"gpu": GPU, "web": WEB}

Steps = dict[str, SpanRecord]


def nanoseconds(seconds: float | None) -> int | None:
    """Return a time of the recording, in nanoseconds since the epoch."""
    return None if seconds is None else EPOCH_NS + round(seconds * 1e9)


def written(seconds: float | None) -> str | None:
    """Return a time of the recording as Flash writes it into a manifest."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(EPOCH_NS / 1e9 + seconds, timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


def span(
    name: str,
    begin: float,
    end: float | None,
    attributes: dict[str, Any],
    *,
    trace: str,
    number: str,
    parent: str | None = None,
    resource: dict[str, Any] | None = None,
    outcome: str = sc.RETURNED,
) -> SpanRecord:
    """Make one span from seconds; `trace` and `number` are the last digits of its ids."""
    said = {name: value for name, value in attributes.items() if value is not None}
    if end is not None:
        said[sc.OUTCOME] = outcome
    return SpanRecord(
        trace_id=trace.rjust(32, "0"),
        span_id=number.rjust(16, "0"),
        parent_span_id=None if parent is None else parent.rjust(16, "0"),
        name=name,
        kind="client",
        start_ns=nanoseconds(begin) or 0,
        end_ns=nanoseconds(end),
        attributes=said,
        resource=resource or {},
        scope_name=sc.SCOPE_NAME,
    )


def attribute(name: str) -> str:
    """Return the name of the attribute that a keyword stands for, `__` for a dot in it."""
    is_standard = name == "environment_name"
    return sc.ENVIRONMENT_NAME if is_standard else f"flash.{name.replace('__', '.')}"


def changed(record: SpanRecord, **attributes: Any) -> SpanRecord:
    """Return a record with other attributes; `a__b` stands for `a.b`, None takes one away."""
    named = {attribute(name): value for name, value in attributes.items()}
    said = {**record.attributes, **named}
    return replace(record, attributes={k: v for k, v in said.items() if v is not None})


def line(name: str, at: int, file: str = "deploy.log", **said: Any) -> SpanRecord:
    """Make a record as it is rebuilt from bracketed lines without a clock."""
    return SpanRecord(
        trace_id=f"{at:032x}",
        span_id=f"{at:016x}",
        parent_span_id=None,
        name=name,
        kind="client",
        start_ns=0,
        end_ns=0,
        attributes={attribute(key): value for key, value in said.items()},
        scope_name=LINES_SCOPE,
        origin=f"{file}:{at}",
    )


def moved(record: SpanRecord, seconds: float) -> SpanRecord:
    """Return a record as another clock would have timed it."""
    shift = round(seconds * 1e9)
    end_ns = None if record.end_ns is None else record.end_ns + shift
    return replace(record, start_ns=record.start_ns + shift, end_ns=end_ns)


def unsound(record: SpanRecord, kind: str, message: str, outcome: str = sc.FAILED) -> SpanRecord:
    """Return a record that ended with an exception, as the tracing writes it."""
    name = kind.rpartition(".")[2]
    said = {sc.EXCEPTION_TYPE: kind, sc.EXCEPTION_MESSAGE: message}
    return replace(
        record,
        status="error",
        status_message=f"{name}: {message}",
        attributes={**record.attributes, sc.OUTCOME: outcome, sc.ERROR_TYPE: kind},
        events=(*record.events, Event(sc.EXCEPTION, record.end_ns or 0, said)),
    )


def endpoints(held: dict[str, str] | None, *, urls: bool = False) -> dict[str, Any]:
    """Return what a span says of an endpoint mapping."""
    if held is None:
        return {}
    said: dict[str, Any] = {
        sc.ENDPOINT_COUNT: len(held),
        sc.ENDPOINT_NAMES: tuple(held),
        sc.ENDPOINTS_DIGEST: manifest.digest(held),
    }
    return {**said, sc.ENDPOINT_URLS: tuple(held.values())} if urls else said


def deployment(
    number: int = 1,
    *,
    at: float = 0.0,
    app: str = "shop",
    env: str = "production",
    env_id: str = "env-prod",
    held: dict[str, str] | None = None,
    version: str = "1.14.0",
    host: str = "laptop",
    action: str = sc.ACTION_CREATE,
    size: int = 40_000,
    previous: int | None = None,
    generated: float | None = None,
) -> Steps:
    """Record a deployment that went well: 6.2 seconds, its window open from 3.2 to 5.8."""
    held = TWO if held is None else held
    trace, root = f"d{number}", f"d{number}00"
    identity = {sc.DEPLOYMENT_ID: root.rjust(16, "0"), sc.ENVIRONMENT_NAME: env}
    target = {**identity, sc.BUILD_ID: f"build-{number}", sc.ENVIRONMENT_ID: env_id}
    resource = {
        sc.SERVICE_NAME: "flash-cli",
        sc.SERVICE_INSTANCE_ID: f"cli-{number}",
        sc.FLASH_VERSION: version,
        **({"host.name": host} if host else {}),
    }

    def step(
        name: str, begin: float, end: float, said: dict[str, Any], own: str, parent: str = root
    ) -> SpanRecord:
        above = None if own == root else parent
        return span(
            name,
            at + begin,
            at + end,
            said,
            trace=trace,
            number=own,
            parent=above,
            resource=resource,
        )

    key = f"artifacts/{number}.tar.gz"
    count = {sc.ENDPOINT_COUNT: len(held)}
    made = {
        "deploy": step(sc.DEPLOY, 0, 6.2, {**target, sc.APP_NAME: app, **count}, root),
        "build": step(sc.BUILD, 0.1, 2.0, identity, f"d{number}01"),
        "artifact": step(
            sc.ARTIFACT_UPLOAD,
            2.0,
            3.0,
            {**identity, sc.ARTIFACT_SIZE: size, sc.ARTIFACT_OBJECT_KEY: key},
            f"d{number}02",
        ),
        "activate": step(
            sc.ACTIVATE,
            3.0,
            3.2,
            {
                **target,
                sc.ARTIFACT_OBJECT_KEY: key,
                sc.ACTIVE_OBJECT_KEY: key,
                sc.PREVIOUS_BUILD_ID: None if previous is None else f"build-{previous}",
            },
            f"d{number}03",
        ),
        "provision": step(
            sc.PROVISION, 3.2, 6.0, {**target, **endpoints(held, urls=True)}, f"d{number}04"
        ),
        "upload": step(
            sc.MANIFEST_UPLOAD,
            5.0,
            5.8,
            {
                **target,
                **endpoints(held, urls=True),
                sc.MANIFEST_GENERATED_AT: written(None if generated is None else at + generated),
                sc.PERSISTED_ENDPOINT_COUNT: len(held),
                sc.PERSISTED_DIGEST: manifest.digest(held),
            },
            f"d{number}05",
            f"d{number}04",
        ),
    }
    for index, (name, url) in enumerate(held.items()):
        said = {
            **target,
            sc.RESOURCE_NAME: name,
            sc.ENDPOINT_ID: url.rpartition("/v2/")[2].removeprefix("https://").split(".")[0],
            sc.PROVISION_ACTION: action,
        }
        own = f"d{number}1{index}"
        made[name] = step(sc.PROVISION_ENDPOINT, 3.3, 4.8, said, own, f"d{number}04")
    return made


def stopped(steps: Steps, *names: str, error: tuple[str, str], outcome: str = sc.FAILED) -> Steps:
    """Return a deployment that failed in the first named step, and with it in the others.

    What would have come after is left out.
    """
    first = steps[names[0]]
    end_ns = first.end_ns or 0
    left = {key: step for key, step in steps.items() if step.start_ns < end_ns or key in names}
    for name in (*names, "deploy"):
        left[name] = unsound(left[name], *error, outcome=outcome if name == names[0] else sc.FAILED)
    return left


def worker(instance: str, *, host: str = "", resource: str = "web") -> dict[str, Any]:
    """Return the resource of a worker process."""
    return {
        sc.SERVICE_NAME: resource,
        sc.SERVICE_INSTANCE_ID: instance,
        sc.FAAS_NAME: resource,
        sc.FLASH_VERSION: "1.14.0",
        **({"host.name": host} if host else {}),
    }


def read(
    at: float,
    *,
    number: str = "1",
    code: int | None = 1,
    env_id: str | None = "env-prod",
    build: int | None = 1,
    held: dict[str, str] | None = None,
    state: str | None = None,
    phase: str | None = sc.PHASE_WRITE,
    sent: int | None = None,
    instance: str = "worker-1",
    host: str = "pod",
    endpoint: str | None = "web0000001",
    environment: str = sc.ENVIRONMENT_ACTIVE,
    lasting: float = 0.3,
    generated: float | None = None,
) -> list[SpanRecord]:
    """Record a worker's read with one attempt; without `held`, the manifest has no endpoints."""
    active: dict[str, Any] = {}
    sent = len(held or TWO) if sent is None else sent
    if phase is not None and build is not None and state != sc.MANIFEST_NULL:
        active = {
            sc.ACTIVE_DEPLOYMENT_ID: f"d{build}00".rjust(16, "0"),
            sc.ACTIVE_PHASE: phase,
            sc.ACTIVE_ENDPOINT_COUNT: sent if phase == sc.PHASE_WRITE else None,
        }
    whole = sc.MANIFEST_COMPLETE if held else sc.MANIFEST_INCOMPLETE
    said = {
        sc.ENVIRONMENT_ID: env_id,
        sc.ENVIRONMENT_STATE: environment if env_id else None,
        sc.BUILD_ID: None if build is None else f"build-{build}",
        sc.MANIFEST_STATE: (state or whole) if build is not None else None,
        sc.MANIFEST_GENERATED_AT: written(generated),
        **active,
        **endpoints(held),
    }
    own = {
        sc.WORKER_ENVIRONMENT_ID: env_id,
        sc.WORKER_ENDPOINT_ID: endpoint,
        sc.CODE_DEPLOYMENT_ID: None if code is None else f"d{code}00".rjust(16, "0"),
    }
    resource = worker(instance, host=host)
    trace, parent = f"a{number}", f"a{number}0"
    return [
        span(
            sc.RUNTIME_FETCH,
            at,
            at + lasting,
            {**said, **own},
            trace=trace,
            number=parent,
            resource=resource,
        ),
        span(
            sc.MANIFEST_FETCH,
            at + 0.05,
            at + lasting - 0.05,
            said,
            trace=trace,
            number=f"a{number}1",
            parent=parent,
            resource=resource,
        ),
    ]


def failed_read(at: float, kind: str, message: str, **more: Any) -> list[SpanRecord]:
    """Record a read that got no answer."""
    silent = read(at, build=None, phase=None, **more)
    return [
        unsound(changed(read, environment__state=None, manifest__state=None), kind, message)
        for read in silent
    ]


def call(
    at: float,
    *,
    number: str = "1",
    instance: str = "worker-1",
    host: str = "pod",
    code: int | None = 1,
    function: str = "gpu_info",
    resource: str | None = "gpu",
    route: str = sc.ROUTE_REMOTE,
    url: str | None = GPU,
    app: str | None = None,
    env: str | None = None,
) -> SpanRecord:
    """Record a call that was answered."""
    said = {
        sc.FUNCTION_NAME: function,
        sc.RESOURCE_NAME: resource,
        sc.CALL_ROUTE: route,
        sc.ENDPOINT_URL: url,
        sc.APP_NAME: app,
        sc.ENVIRONMENT_NAME: env,
        sc.CODE_DEPLOYMENT_ID: None if code is None else f"d{code}00".rjust(16, "0"),
    }
    return span(
        sc.CALL,
        at,
        at + 0.5,
        said,
        trace=f"c{number}",
        number=f"c{number}0",
        resource=worker(instance, host=host),
    )


def records(*parts: Steps | SpanRecord | list[SpanRecord]) -> list[SpanRecord]:
    """Return the records of several recordings."""
    found: list[SpanRecord] = []
    for part in parts:
        if isinstance(part, SpanRecord):
            found.append(part)
        else:
            found += part.values() if isinstance(part, dict) else part
    return found


def linked(record: SpanRecord, trace: str, number: str) -> SpanRecord:
    """Return a record with a link."""
    link = Link(trace.rjust(32, "0"), number.rjust(16, "0"))
    return replace(record, links=(*record.links, link))
