"""Deploy-side spans put together as deployments: by deployment id, by parents, by build id."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from flash_otel import semconv
from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    Endpoint,
    ManifestUpload,
    Origin,
    Process,
    Provisioning,
    Step,
)
from flash_otel.diagnosis.facts import only, step_of
from flash_otel.diagnosis.values import number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flash_otel.diagnosis.evidence import Fact
    from flash_otel.records import SpanRecord

Pair = tuple["SpanRecord", "Fact"]
_AnyFact = TypeVar("_AnyFact", bound="Fact")

_LINES: Final = "lines "
_MAKING: Final = (semconv.DEPLOY, semconv.ACTIVATE, semconv.MANIFEST_UPLOAD)
_CREATES_ENVIRONMENT: Final = frozenset({"createFlashEnvironment", "CreateFlashEnvironment"})
_CREATES_APP: Final = frozenset({"createFlashApp", "CreateFlashApp"})


def deployments_of(pairs: Sequence[Pair]) -> tuple[tuple[Deployment, ...], list[Fact]]:
    """Return the deployments, oldest first, and the facts that workers made."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    rest: list[Fact] = []
    known = {record.key: record for record, _ in pairs}
    lines = _LineGroups(pairs)
    for record, fact in pairs:
        name = _told(record, known) or lines.group(record, fact)
        if name is None and fact.process.worker:
            rest.append(fact)
        else:
            groups[name or f"trace {record.trace_id}"].append((record, fact))
    made = [
        _deployment(name, members)
        for name, members in groups.items()
        if any(record.name in _MAKING for record, _ in members)
    ]
    return tuple(sorted(_merged(made), key=order)), rest


def order(deployment: Deployment) -> tuple[int, int, Origin, str]:
    """Order deployments by when they took effect; those without a clock by their place."""
    activation = deployment.activation
    started = deployment.start_ns or 0
    effective = activation.start_ns if activation and activation.start_ns else started
    first = min((step.origin for step in deployment.steps), default=Origin())
    return (effective, started, first, deployment.id)


def _told(record: SpanRecord, known: Mapping[tuple[str, str], SpanRecord]) -> str | None:
    """Name the deployment that a span or one of its parents says it belongs to."""
    current: SpanRecord | None = record
    seen: set[str] = set()
    while current is not None and current.span_id not in seen:
        seen.add(current.span_id)
        said = text(current.attributes, semconv.DEPLOYMENT_ID)
        if said or current.name == semconv.DEPLOY:
            return said or current.span_id
        current = known.get((current.trace_id, current.parent_span_id or ""))
    return None


class _LineGroups:
    """Groups bracketed lines by build id; one without goes with its neighbour in the file."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._named: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for record, fact in pairs:
            build_id = text(record.attributes, semconv.BUILD_ID)
            if fact.by_lines and build_id:
                self._named[fact.origin.file].append((fact.origin.line, build_id))

    def group(self, record: SpanRecord, fact: Fact) -> str | None:
        """Name the group of a rebuilt span; None for any other."""
        if not fact.by_lines:
            return None
        return f"{_LINES}{text(record.attributes, semconv.BUILD_ID) or self._near(fact.origin)}"

    def _near(self, origin: Origin) -> str:
        named = sorted(self._named.get(origin.file, ()))
        before = [build_id for line, build_id in named if line <= origin.line]
        after = [build_id for line, build_id in named if line > origin.line]
        return before[-1] if before else after[0] if after else f"of {origin.file}"


def _deployment(name: str, members: Sequence[Pair]) -> Deployment:
    found = [fact for _, fact in members]
    steps = tuple(sorted((step_of(*pair) for pair in members), key=_when))
    root = next((one for one in steps if one.name == semconv.DEPLOY), None)
    activation = _last(only(Activation, found))
    upload = _last(only(ManifestUpload, found))
    provisioning = _last(only(Provisioning, found))
    last = max(steps, key=_when)
    return Deployment(
        id=name,
        aliases=_aliases(name, members, root),
        trace_ids=frozenset(record.trace_id for record, fact in members if not fact.by_lines),
        app_name=_said(members, semconv.APP_NAME),
        environment_id=_said(members, semconv.ENVIRONMENT_ID),
        environment_name=_said(members, semconv.ENVIRONMENT_NAME),
        build_id=_said(members, semconv.BUILD_ID),
        artifact_size=_size(members),
        root=root,
        activation=activation,
        upload=upload,
        provisioning=provisioning,
        endpoints=only(Endpoint, found),
        steps=steps,
        created_environment=_created(members),
        process=_process(root, steps),
        start_ns=min((one.start_ns for one in steps if one.start_ns), default=None),
        end_ns=root.end_ns if root else last.end_ns,
        outcome=_outcome(root, upload),
        by_lines=all(fact.by_lines for fact in found),
    )


def _when(fact: Fact) -> tuple[int, Origin]:
    return (fact.start_ns or 0, fact.origin)


def _last(found: Sequence[_AnyFact]) -> _AnyFact | None:
    """Return the last of several facts, one that returned before one that did not."""
    return max(found, key=lambda one: (one.returned, _when(one)), default=None)


def _aliases(name: str, members: Sequence[Pair], root: Step | None) -> frozenset[str]:
    """Collect what a carrier may call the deployment: its own span or, in 1.0.0, its build's."""
    linked = (
        link.span_id
        for record, _ in members
        if record.name == semconv.DEPLOY
        for link in record.links
    )
    own = {root.origin.span_id} if root else set()
    return frozenset({name, *own, *linked})


def _said(members: Sequence[Pair], attribute: str) -> str | None:
    """Return what most of the spans say, the first in the alphabet of equally many."""
    counts: dict[str, int] = defaultdict(int)
    for record, _ in members:
        value = text(record.attributes, attribute)
        if value:
            counts[value] += 1
    return min(counts, key=lambda value: (-counts[value], value), default=None)


def _size(members: Sequence[Pair]) -> int | None:
    sizes = (number(record.attributes, semconv.ARTIFACT_SIZE) for record, _ in members)
    return max((size for size in sizes if size is not None), default=None)


def _created(members: Sequence[Pair]) -> tuple[Origin, ...]:
    """Find what tells that the deployment made its environment, in an app that it did not make."""
    operations = [
        (text(record.attributes, semconv.GRAPHQL_OPERATION_NAME), fact.origin)
        for record, fact in members
        if fact.returned
    ]
    told = [
        fact.origin
        for record, fact in members
        if record.attributes.get(semconv.CREATED_ENVIRONMENT) is True
    ]
    if not any(operation in _CREATES_APP for operation, _ in operations):
        told += [origin for operation, origin in operations if operation in _CREATES_ENVIRONMENT]
    return tuple(sorted(set(told)))


def _process(root: Step | None, steps: Sequence[Step]) -> Process:
    return root.process if root else steps[0].process


def _outcome(root: Step | None, upload: ManifestUpload | None) -> str:
    if root is not None:
        return root.outcome
    return upload.outcome if upload else semconv.UNKNOWN


def _merged(made: Sequence[Deployment]) -> list[Deployment]:
    """Let what lines tell of a deployment fill the gaps of its spans, instead of standing twice."""
    whole = [one for one in made if not one.by_lines]
    told = [one for one in made if one.by_lines]
    merged = {one.id: one for one in whole}
    alone = []
    for lines in told:
        same = next((one for one in merged.values() if _is_same(one, lines)), None)
        if same is None:
            alone.append(lines)
        else:
            merged[same.id] = _filled(same, lines)
    return [*merged.values(), *alone]


def _is_same(deployment: Deployment, lines: Deployment) -> bool:
    if lines.build_id is None or deployment.build_id != lines.build_id:
        return False
    return lines.environment_id in (None, deployment.environment_id)


def _filled(deployment: Deployment, lines: Deployment) -> Deployment:
    return replace(
        deployment,
        activation=deployment.activation or lines.activation,
        upload=deployment.upload or lines.upload,
        environment_id=deployment.environment_id or lines.environment_id,
        environment_name=deployment.environment_name or lines.environment_name,
    )
