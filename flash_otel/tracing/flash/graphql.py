"""Flash's GraphQL client: notes answers, requests and retries on the enclosing span.

Flash's methods drop what a span needs (`update_build_manifest` does not return the server's answer)
and retry internally (`_execute_graphql`, 1.6.1 and later). With `capture_graphql` each request
becomes a span of its own, without its variables and with a redacted answer.

Redaction uses an allow-list instead of a search for secrets: the shape of an answer is kept, but
values only of the fields listed here, and those are scrubbed like every other attribute.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from typing import Any, Final

from flash_otel import manifest as manifests
from flash_otel import semconv
from flash_otel.redaction import REDACTED, remember, scrub
from flash_otel.runtime.process import swallowed
from flash_otel.tracing import outcome
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.attributes import Fields, Text, attribute, number, server_address
from flash_otel.tracing.extractors import ENDED, Call, Extractor, compile_source, find
from flash_otel.tracing.specs import GRAPHQL
from flash_otel.tracing.wrapper import Traced

_OPERATION: Final = re.compile(r"\s*(query|mutation|subscription)\s+(\w+)")

SHOWN: Final = frozenset(
    {
        *("id", "name", "state", "version", "type"),
        *("activeBuildId", "objectKey", "createdAt", "updatedAt", "expiresAt"),
        *("flashAppId", "flashBuildId", "flashEnvironmentId", "templateId"),
        # of a manifest
        *("generated_at", "project_name", "python_version", "resource_type", "module"),
        # of its carrier
        *("deployment_id", "build_id", "environment_id", "phase", "time"),
    }
)
"""Fields whose strings and numbers are kept: those that the diagnostic guide compares."""

MAPPINGS: Final = frozenset({manifests.ENDPOINTS_KEY, "function_registry"})
"""Fields of a manifest whose strings are all kept: mappings that a reader compares."""

FIRST: Final = SHOWN | MAPPINGS | {semconv.CARRIER_KEY}
"""Fields that are kept first when an answer is cut."""

CLOSED: Final = re.compile(
    r"keys?$|token|secret|passw|credential|signature|auth|^env$", re.IGNORECASE
)
"""Fields of which nothing is kept; an `objectKey` is matched, too, but listed above."""

MAX_LENGTH: Final = 6000
MAX_TEXT: Final = 200
MAX_DEPTH: Final = 12
_LIMITS: Final = (400, 100, 25)
"""Numbers of values to keep, tried in order until the text is short enough."""

_ASKS_API: Final = frozenset(
    {
        semconv.ACTIVATE,
        semconv.PROVISION_ENDPOINT,
        semconv.MANIFEST_UPLOAD,
        semconv.MANIFEST_FETCH,
    }
)
"""Spans whose peer is reached through the GraphQL API."""

_ACTIVE_BUILD: Final = "activeBuildId"

Method = Callable[..., Awaitable[Any]]


async def note_answer(
    wrapped: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Keep a request's variables and its answer for the fields of the enclosing span."""
    scope = _listening()
    if scope is None:
        return await wrapped(*args, **kwargs)
    call = scope.call
    try:
        _note_request(scope, instance, args, kwargs)
    except Exception:
        swallowed("a GraphQL request")
    answer = await wrapped(*args, **kwargs)
    if isinstance(answer, Mapping):
        for field, value in answer.items():
            # In order of arrival: of two answers about an environment, the last one counts.
            call.answers.pop(field, None)
            call.answers[field] = value
    return answer


def _listening() -> scopes.Scope | None:
    """Return the enclosing scope, unless its call has ended: a task may outlive it."""
    scope = scopes.current()
    return None if scope is None or scope.call is ENDED else scope


def _note_request(scope: scopes.Scope, instance: Any, args: tuple[Any, ...], kwargs: Any) -> None:
    for owner, name in ((instance, "api_key"), (instance, "_api_key"), (_runpod(), "api_key")):
        remember(getattr(owner, name, None))
    if scope.spec.name in _ASKS_API and semconv.SERVER_ADDRESS not in scope.attributes:
        scope.set(server_address(_url_of(instance)))
    scope.attempt, scope.retry_reason = 0, ""
    query = args[0] if args else kwargs.get("query", "")
    variables = args[1] if len(args) > 1 else kwargs.get("variables")
    match = _OPERATION.match(query)
    if match is not None:
        scope.call.requests[match[2]] = variables


def _runpod() -> Any:
    """Return the module that holds the key of clients that have none, if it is imported."""
    return sys.modules.get("runpod")


def _url_of(client: Any) -> Any:
    """Return the URL of the API: an attribute of the client's class, or (1.15+) of its module."""
    module = sys.modules.get(type(client).__module__)
    return getattr(client, "GRAPHQL_URL", None) or getattr(module, "GRAPHQL_URL", None)


def previous_build(environment_id: str) -> Extractor:
    """Make the source of the build that an activation replaces: the answers that came before it.

    Every version (1.0.0-1.21.0, runpod 2) asks for the environment by name before it activates a
    build, or lists the environments of an app that exists already. The source finds the active
    build as the last answer that has this field gave it; None before a first activation, or without
    such an answer.

    Args:
        environment_id: The source of the environment's id in the call that activates.
    """
    sources = compile_source(environment_id)
    return lambda call: _active_before(find(sources, call))


def _active_before(environment_id: Any) -> Any:
    scope = scopes.current()
    if scope is None:
        return None
    name = scope.attributes.shared.get(semconv.ENVIRONMENT_NAME)
    for environment in _environments_answered(scope):
        known_id = environment.get("id")
        has_name = name is not None and environment.get("name") == name
        if known_id == environment_id or (not known_id and has_name):
            return environment[_ACTIVE_BUILD]
    return None


def _environments_answered(scope: scopes.Scope | None) -> Iterator[Mapping[str, Any]]:
    """Yield the environments in the answers to a call and to those around it, the last first."""
    while scope is not None:
        for answer in reversed(scope.call.answers.values()):
            listed = answer.get("flashEnvironments") if isinstance(answer, Mapping) else None
            for found in (answer, *(listed if isinstance(listed, list) else ())):
                # `getFlashApp` selects environments without the field, which is not a null build.
                if isinstance(found, Mapping) and _ACTIVE_BUILD in found:
                    yield found
        scope = scope.parent


async def note_attempt(
    wrapped: Method, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record a retried request as an event of the enclosing span."""
    scope = _listening()
    if scope is None:
        return await wrapped(*args, **kwargs)
    scope.attempt += 1
    if scope.attempt > 1:
        scope.add_event(
            semconv.RETRY,
            {
                semconv.HTTP_RESEND_COUNT: scope.attempt - 1,
                semconv.RETRY_REASON: scope.retry_reason,
            },
        )
    try:
        return await wrapped(*args, **kwargs)
    except Exception as error:
        scope.retry_reason = outcome.describe(error)
        raise


def captured(function: Any) -> Traced:
    """Make the wrapper that turns each request into a span (for `capture_graphql`)."""
    start = {
        "name": attribute(Text(semconv.GRAPHQL_OPERATION_NAME), _operation_name),
        "type": attribute(Text(semconv.GRAPHQL_OPERATION_TYPE), _operation_type),
        "request": attribute(number(semconv.HTTP_REQUEST_BODY_SIZE), _request_size),
    }
    end = {
        "answer": attribute(number(semconv.HTTP_RESPONSE_BODY_SIZE), _answer_size),
        "status": attribute(number(semconv.HTTP_STATUS_CODE), _status),
        "redacted": attribute(Text(semconv.GRAPHQL_ANSWER), _redacted_answer),
    }
    return Traced(function, GRAPHQL, Fields(start, end))


def _operation_type(call: Call) -> str | None:
    match = _OPERATION.match(call.argument("query"))
    return match[1] if match else None


def _operation_name(call: Call) -> str | None:
    match = _OPERATION.match(call.argument("query"))
    return match[2] if match else None


def _request_size(call: Call) -> int:
    return _json_size(
        {"query": call.argument("query"), "variables": call.argument("variables") or {}}
    )


def _answer_size(call: Call) -> int:
    return _json_size({"data": _data(call)})


def _data(call: Call) -> Any:
    """Return the data of an answer; the function of runpod 2 returns the object around it."""
    result = call.result
    is_whole = isinstance(result, Mapping) and result.keys() == {"data"}
    return result["data"] if is_whole else result


def _json_size(value: object) -> int:
    return len(json.dumps(value).encode())


def _redacted_answer(call: Call) -> str | None:
    return redacted(_data(call)) if call.returned else None


def _status(call: Call) -> int | None:
    """Return the HTTP status of a response; None without a response.

    `_execute_graphql_once` (1.6.1+) raises with the status for 400 and above, and with the
    answer's `errors` below.
    """
    if call.returned or hasattr(call.error, "errors"):
        return 200
    return getattr(call.error, "status_code", None)


def redacted(answer: object) -> str | None:
    """Return the shape of an answer and its listed values as JSON.

    Args:
        answer: The `data` of a GraphQL answer.

    Returns:
        At most `MAX_LENGTH` characters; None if the answer is not a JSON object.
    """
    if not isinstance(answer, Mapping):
        return None
    text = ""
    for limit in _LIMITS:
        text = json.dumps(_Redactor(limit).redact(answer, shown=False), ensure_ascii=False)
        if len(text) <= MAX_LENGTH:
            return text
    return text[: MAX_LENGTH - 1] + "…"


class _Redactor:
    """Walks an answer until a number of values is kept: a server's answer may be huge."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def redact(self, value: object, *, shown: bool, depth: int = 0) -> Any:
        """Return the kept part of a value; `shown` applies to the entries of a mapping."""
        self._left -= 1
        if isinstance(value, Mapping):
            return self._mapping(value, shown=shown, depth=depth + 1)
        if isinstance(value, (list, tuple)):
            return self._sequence(value, depth=depth + 1)
        return _scalar(value, shown=shown)

    def _mapping(self, value: Mapping[Any, Any], *, shown: bool, depth: int) -> Any:
        kept: dict[str, Any] = {}
        # Before the limit is reached, or the reader's screen is full.
        items = sorted(value.items(), key=lambda item: str(item[0]) not in FIRST)
        for key, inner in islice(items, None if depth <= MAX_DEPTH else 0):
            if self._left <= 0:
                break
            name = str(key)
            kept[_text(name)] = self._field(name, inner, shown=shown, depth=depth)
        return kept if len(kept) == len(value) else {**kept, "…": _more(value, kept)}

    def _field(self, name: str, value: object, *, shown: bool, depth: int) -> Any:
        is_scalar = not isinstance(value, (Mapping, list, tuple))
        if is_scalar and (shown or name in SHOWN):
            return self.redact(value, shown=True, depth=depth)
        if CLOSED.search(name[: MAX_TEXT + 1]) and value:
            return REDACTED
        return self.redact(value, shown=name in MAPPINGS and not is_scalar, depth=depth)

    def _sequence(self, value: Sequence[Any], *, depth: int) -> Any:
        kept: list[Any] = []
        for inner in islice(value, None if depth <= MAX_DEPTH else 0):
            if self._left <= 0:
                break
            kept.append(self.redact(inner, shown=False, depth=depth))
        return kept if len(kept) == len(value) else [*kept, f"… {_more(value, kept)}"]


def _more(value: Sized, kept: Sized) -> str:
    return f"{len(value) - len(kept)} more"


def _scalar(value: object, *, shown: bool) -> Any:
    if value is None or value == "" or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value) if shown else "<string>"
    if isinstance(value, (int, float)):
        return value if shown else "<number>"
    return f"<{type(value).__name__}>"


def _text(value: str) -> str:
    kept = scrub(value[: 4 * MAX_TEXT])
    return kept if len(kept) <= MAX_TEXT else kept[: MAX_TEXT - 1] + "…"
