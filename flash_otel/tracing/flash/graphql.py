"""What Flash's GraphQL client says inside a traced call: answers, requests, retries.

Flash's methods drop what a span needs (`update_build_manifest` returns nothing of the server's
answer) and retry where nobody sees it (`_execute_graphql`, 1.6.1 and later): both are noted on the
enclosing span. With `capture_graphql` each request becomes a span of its own, without variables,
and with no more of its answer than `flash_otel.tracing.flash.graphql_redaction` lets through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flash_otel import semconv
from flash_otel.pipeline import pipeline
from flash_otel.redaction import remember
from flash_otel.runtime.guard import swallowed
from flash_otel.tracing import outcome
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.attributes import fact
from flash_otel.tracing.extractors import ENDED
from flash_otel.tracing.flash import graphql_redaction
from flash_otel.tracing.specs import GRAPHQL
from flash_otel.tracing.wrapper import Traced

if TYPE_CHECKING:
    from flash_otel.tracing.extractors import Call
    from flash_otel.tracing.scope import Scope

_OPERATION: Final = re.compile(r"\s*(query|mutation|subscription)\s+(\w+)")

Method = Callable[..., Awaitable[Any]]


async def note_answer(
    wrapped: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Keep a request's variables and its answer for the enclosing span's facts."""
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
        call.answers.update(answer)
    return answer


def _listening() -> Scope | None:
    """Return the enclosing scope while its call runs: a task may outlive it."""
    scope = None if pipeline.is_off() else scopes.current()
    return None if scope is None or scope.call is ENDED else scope


def _note_request(scope: Scope, instance: Any, args: tuple[Any, ...], kwargs: Any) -> None:
    remember(getattr(instance, "api_key", None))
    scope.attempt, scope.retry_reason = 0, ""
    query = args[0] if args else kwargs.get("query", "")
    variables = args[1] if len(args) > 1 else kwargs.get("variables")
    match = _OPERATION.match(query)
    if match is not None:
        scope.call.requests[match[2]] = variables


async def note_attempt(
    wrapped: Method, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Record a request that is sent again as an event of the enclosing span."""
    scope = _listening()
    if scope is None:
        return await wrapped(*args, **kwargs)
    scope.attempt += 1
    if scope.attempt > 1:
        scope.event(
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


def _operation(group: int) -> Callable[[Call], str | None]:
    def find(call: Call) -> str | None:
        match = _OPERATION.match(call.argument("query"))
        return match[group] if match else None

    return find


def _size_of(find: Callable[[Call], Any]) -> Callable[[Call], int]:
    def measure(call: Call) -> int:
        return len(json.dumps(find(call)).encode())

    return measure


def _request(call: Call) -> dict[str, Any]:
    return {"query": call.argument("query"), "variables": call.argument("variables") or {}}


def _answer(call: Call) -> dict[str, Any]:
    return {"data": call.result}


def _redacted(call: Call) -> str | None:
    return graphql_redaction.redacted(call.result) if call.returned else None


def _status(call: Call) -> int | None:
    """Tell the status of the answer; None where none came (`_execute_graphql_once`, 1.6.1+).

    Flash raises with the status on 400 and above, and with the answer's `errors` below.
    """
    if call.returned or hasattr(call.error, "errors"):
        return 200
    return getattr(call.error, "status_code", None)


def captured(function: Any) -> Traced:
    """Make the wrapper that turns each request into a span (for `capture_graphql`)."""
    from flash_otel.tracing.attributes import Text, number

    start = {
        "name": fact(Text(semconv.GRAPHQL_OPERATION_NAME), _operation(2)),
        "type": fact(Text(semconv.GRAPHQL_OPERATION_TYPE), _operation(1)),
        "request": fact(number(semconv.HTTP_REQUEST_BODY_SIZE), _size_of(_request)),
    }
    end = {
        "answer": fact(number(semconv.HTTP_RESPONSE_BODY_SIZE), _size_of(_answer)),
        "status": fact(number(semconv.HTTP_STATUS_CODE), _status),
        "redacted": fact(Text(semconv.GRAPHQL_ANSWER), _redacted),
    }
    return Traced(function, GRAPHQL, (start, end))
