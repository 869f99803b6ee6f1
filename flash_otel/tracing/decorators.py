"""The public decorators: one span around one function of your own.

Each takes keyword arguments that say where its facts are found, by name or by an extractor:

    @trace_upload(build_id="build.id", manifest="payload")
    async def push(build, payload): ...


    @trace_activate(environment_id=lambda call: call.instance.environment)
    def promote(self, build_id): ...

A source is the name of a parameter, a dotted path that begins with one (or with `self`, `return` or
`answer`), or a callable that gets the `Call`. Facts that are not named are looked for under
their usual names. A fact that is found nowhere is left out; nothing here raises when a call runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from flash_otel.tracing import specs
from flash_otel.tracing.extractors import Source, compile_source
from flash_otel.tracing.hooks import HOOKS, NO_HOOKS, Hooks, carry
from flash_otel.tracing.proxy import wrap
from flash_otel.tracing.wrapper import Facts, Traced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flash_otel.tracing.attributes import Fact
    from flash_otel.tracing.specs import SpanSpec

F = TypeVar("F", bound="Callable[..., Any]")

# Not callable by themselves, yet functions once they are looked up.
_METHODS: Final = (classmethod, staticmethod)

# A mapping of endpoints that is named stands for the manifest that is not.
_STANDS_FOR: Final = {"endpoints": "manifest"}


class SpanDecorator:
    """Puts one kind of span around a function, with or without arguments.

    It decorates functions, coroutine functions, methods, classmethods and staticmethods; the
    signature, the return value and the raised exception stay the function's own. Without
    `instrument()` the spans go to the provider that the application has set; without one, the
    function is just called.
    """

    def __init__(self, name: str, spec: SpanSpec, doc: str) -> None:
        self.spec = spec
        self.__name__ = self.__qualname__ = name
        self.__module__ = "flash_otel"
        facts = ", ".join(sorted(spec.facts))
        self.__doc__ = f"{doc}\n\nSpan: `{spec.name}`. Facts that it takes a source for: {facts}."

    @overload
    def __call__(self, function: F, /) -> F: ...

    @overload
    def __call__(
        self, function: None = None, /, *, carrier: bool | str = False, **where: Source
    ) -> Callable[[F], F]: ...

    def __call__(
        self, function: Any = None, /, *, carrier: bool | str = False, **where: Source
    ) -> Any:
        """Decorate a function, or return the decorator that does.

        Args:
            function: What to decorate, when used without arguments.
            carrier: For `trace_upload` within a `trace_deploy`: put the deployment's context
                into a copy of the manifest, under the key `_flash_otel`. A string names the
                parameter that holds the manifest (True: `manifest`).
            **where: Fact -> source.

        Raises:
            TypeError: A fact is not one of this span's, a source is neither path nor callable, or
                what is decorated is no function.
            ValueError: A path has an empty segment.
        """
        decorate = self.with_sources(where, carrier=carrier)
        return decorate if function is None else decorate(function)

    def with_sources(
        self, where: Mapping[str, Source], *, carrier: bool | str = False
    ) -> Callable[[Any], Any]:
        """Return the decorator with these sources (raises as a call of this one does)."""
        facts = self._facts(where)
        hooks = self._hooks(carrier)

        def decorate(target: Any) -> Any:
            if not (callable(target) or isinstance(target, _METHODS)):
                raise TypeError(
                    f"{self.__name__}() decorates a function, not {type(target).__name__}; name "
                    "where its facts are found by keyword: fact=source"
                )
            return wrap(target, Traced(target, self.spec, facts, hooks))

        return decorate

    def __repr__(self) -> str:
        return f"<flash_otel.{self.__name__}: {self.spec.name}>"

    def _facts(self, where: Mapping[str, Source]) -> Facts:
        unknown = sorted(where.keys() - self.spec.facts.keys())
        if unknown:
            known = ", ".join(sorted(self.spec.facts))
            raise TypeError(f"{self.__name__}() knows no fact {unknown[0]!r}; it takes {known}")
        dropped = {
            other for name, other in _STANDS_FOR.items() if name in where and other not in where
        }
        return (
            _with_sources(self.spec.start, where, dropped),
            _with_sources(self.spec.end, where, dropped),
        )

    def _hooks(self, carrier: bool | str) -> Hooks:
        hooks = HOOKS.get(self.spec.name, NO_HOOKS)
        if not carrier:
            return hooks
        if self.spec is not specs.MANIFEST_UPLOAD:
            raise TypeError(f"{self.__name__}() uploads no manifest: it takes no carrier")
        return replace(hooks, rewrite=carry("manifest" if carrier is True else carrier))


def _with_sources(
    facts: Mapping[str, Fact], where: Mapping[str, Source], dropped: set[str]
) -> dict[str, Fact]:
    return {
        name: replace(fact, sources=compile_source(where[name])) if name in where else fact
        for name, fact in facts.items()
        if name not in dropped
    }


trace_deploy = SpanDecorator(
    "trace_deploy",
    specs.DEPLOY,
    "Trace a whole deployment: the root of the write path.\n\nWithin an open deployment no second "
    "one is made; the facts go to the open one.",
)
trace_build = SpanDecorator("trace_build", specs.BUILD, "Trace the packaging of a project.")
trace_artifact_upload = SpanDecorator(
    "trace_artifact_upload",
    specs.ARTIFACT_UPLOAD,
    "Trace the upload of an artifact and its finalization.\n\nOther libraries' HTTP "
    "instrumentation is suppressed inside: the presigned URL is a credential.",
)
trace_activate = SpanDecorator(
    "trace_activate", specs.ACTIVATE, "Trace the activation of a build on an environment."
)
trace_provision = SpanDecorator(
    "trace_provision", specs.PROVISION, "Trace the provisioning of a deployment's endpoints."
)
trace_provision_endpoint = SpanDecorator(
    "trace_provision_endpoint", specs.PROVISION_ENDPOINT, "Trace the provisioning of one endpoint."
)
trace_upload = SpanDecorator(
    "trace_upload", specs.MANIFEST_UPLOAD, "Trace the upload of a manifest to the State Manager."
)
trace_runtime_fetch = SpanDecorator(
    "trace_runtime_fetch",
    specs.RUNTIME_FETCH,
    "Trace a worker's refresh of its endpoint registry: the root of the read path.\n\nA process's "
    "first fetch may continue the deployment's trace; every other one links to it.",
)
trace_manifest_fetch = SpanDecorator(
    "trace_manifest_fetch",
    specs.MANIFEST_FETCH,
    "Trace one attempt to read environment and manifest from the State Manager.",
)
trace_call = SpanDecorator(
    "trace_call", specs.CALL, "Trace the routing of a function call and the remote call itself."
)
