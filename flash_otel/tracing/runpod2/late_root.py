"""The root of a deployment whose command has bound `deploy_app` before tracing began.

`rp flash deploy` imports the function first, and then the user's modules, of which one calls
`instrument()`: the function that runs is not the wrapped one. The root opens when it starts to
build, with the arguments in its frame, and ends with its task, which is the deployment's own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as context_api

from flash_otel import pipeline
from flash_otel.runtime.process import guarded, swallowed
from flash_otel.tracing import builds, decorators
from flash_otel.tracing import scope as scopes
from flash_otel.tracing.extractors import Call, Parameters
from flash_otel.tracing.running import Running
from flash_otel.tracing.wrapper import open_scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_FIELDS: Final = decorators.trace_deploy.fields({"environment_name": ("env_name", "app.env")})
_BY_NAME: Final = Parameters(lambda: None, bound=False)


def opening(
    wrapped: Callable[..., Any], _instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Open the root before `build_environment`, the first step, unless it is open already."""
    try:
        if not pipeline.is_off() and scopes.current() is None:
            frame = builds.caller("deploy_app", "runpod.apps.deploy")
            if frame is not None:
                _open(frame)
    except Exception:
        swallowed("a late root")
    return wrapped(*args, **kwargs)


def _open(frame: FrameType) -> None:
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    arguments = {name: frame.f_locals[name] for name in names if name in frame.f_locals}
    call = Call(_BY_NAME, None, (), arguments)
    opened = open_scope(decorators.trace_deploy.spec, call, _FIELDS)
    if opened is None:
        return
    # Left attached: the context belongs to the task, and ends with it.
    context_api.attach(opened[1])
    scopes.hold_root(*opened)
    task = asyncio.current_task()
    if task is not None and getattr(task.get_coro(), "cr_code", None) is code:
        task.add_done_callback(lambda done: _end(done, call))


def _end(task: asyncio.Task[Any], call: Call) -> None:
    with guarded("the end of a late root"):
        root = scopes.claim_root(decorators.trace_deploy.spec.name)
        if root is None or root[0].call is not call:
            return
        running = Running(root[0], call, _FIELDS, root[1], None)
        if task.cancelled():
            running.end(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            running.end(error)
        else:
            running.returned(task.result())
