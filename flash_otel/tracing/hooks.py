"""What some kinds of span do beside recording: a table, by the span's name.

Uploads remember the manifest's credentials before anything is recorded, and put the carrier into a
copy of it; fetches read the carrier back; the artifact's upload hides its presigned URL from other
libraries' HTTP instrumentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from opentelemetry import context as context_api
from opentelemetry.instrumentation import utils as instrumentation

from flash_otel import semconv
from flash_otel.redaction import remember_manifest
from flash_otel.tracing import carriers, clock, links
from flash_otel.tracing.extractors import Call, find

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from flash_otel.tracing.attributes import Fact
    from flash_otel.tracing.scope import Scope

Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What happens around a call, beside its span; None where nothing does.

    Attributes:
        prepare: Before anything is recorded.
        surround: The context in which the call runs.
        rewrite: The arguments that the function gets.
        conclude: When the call has ended, before its facts are read.
    """

    prepare: Callable[[Scope], None] | None = None
    surround: Callable[[Context], Context] | None = None
    rewrite: Callable[[Scope, Call], Arguments] | None = None
    conclude: Callable[[Scope, Call], None] | None = None


def _manifest_of(facts: Mapping[str, Fact], call: Call) -> Any:
    """Find the manifest where the decorator's user says that it is."""
    return find(facts["manifest"].sources, call) if "manifest" in facts else None


def _remember_manifest(scope: Scope) -> None:
    remember_manifest(_manifest_of(scope.facts[0], scope.call))


def _hide_http(context: Context) -> Context:
    """Suppress other libraries' HTTP spans: the upload's URL is a credential.

    Versions of opentelemetry-instrumentation differ in where the key lives; without it, the call
    runs as it is.
    """
    key = getattr(instrumentation, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", None)
    return context if key is None else context_api.set_value(key, value=True, context=context)


def _read_carrier(scope: Scope, call: Call) -> None:
    """Read what the State Manager's manifest carries: attributes, and a link to its writer."""
    manifest = _manifest_of(scope.facts[1], call)
    remember_manifest(manifest)
    carrier = carriers.read(manifest)
    if carrier is None:
        return
    scope.set(links.active_attributes(carrier))
    if scope.link(carrier.context) and semconv.DEPLOY_TRACE_ID not in scope.attributes:
        scope.set(links.mirrored(carrier.context))


def carry(parameter: str) -> Callable[[Scope, Call], Arguments]:
    """Make the rewrite that puts the deployment's context into the manifest of an upload.

    Only within a deployment: a worker that writes the manifest (1.0.0-1.2.0) deploys nothing.
    """

    def rewrite(scope: Scope, call: Call) -> Arguments:
        manifest = call.argument(parameter)
        deployment_id = scope.known.get(semconv.DEPLOYMENT_ID)
        context = scope.root.span.get_span_context()
        if not isinstance(manifest, Mapping) or deployment_id is None or not context.is_valid:
            return call.args, call.kwargs
        carried = carriers.write(
            manifest, semconv.PHASE_WRITE, context, deployment_id, clock.now(), scope.attributes
        )
        return call.replaced(parameter, carried)

    return rewrite


NO_HOOKS: Final = Hooks()
HOOKS: Final[Mapping[str, Hooks]] = {
    semconv.ARTIFACT_UPLOAD: Hooks(surround=_hide_http),
    semconv.MANIFEST_UPLOAD: Hooks(prepare=_remember_manifest),
    semconv.RUNTIME_FETCH: Hooks(conclude=_read_carrier),
    semconv.MANIFEST_FETCH: Hooks(conclude=_read_carrier),
}
