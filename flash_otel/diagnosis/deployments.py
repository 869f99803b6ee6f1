"""Put deploy-side spans together as deployments: by deployment id, by parents, by build id."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import filterfalse
from typing import TYPE_CHECKING, Final, TypeVar

from flash_otel import failures, semconv
from flash_otel.diagnosis.evidence import (
    Activation,
    Deployment,
    EndpointFact,
    EndpointSet,
    ManifestUpload,
    Origin,
    Provisioning,
    Step,
)
from flash_otel.diagnosis.facts import of_kind, step_of
from flash_otel.lines.values import may_be_equal
from flash_otel.records import ANY, LINES_BUILD, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flash_otel.diagnosis.evidence import SpanFact
    from flash_otel.records import SpanRecord

Pair = tuple["SpanRecord", "SpanFact"]
_AnySpanFact = TypeVar("_AnySpanFact", bound="SpanFact")

# The spans that make a group of spans a deployment.
MAKING: Final = (semconv.DEPLOY, semconv.ACTIVATE, semconv.MANIFEST_UPLOAD)

_CREATES_ENVIRONMENT: Final = frozenset({"createFlashEnvironment", "CreateFlashEnvironment"})
_CREATES_APP: Final = frozenset({"createFlashApp", "CreateFlashApp"})

# Steps that surround each step. A GraphQL request is part of the step around it.
_AROUND: Final[dict[str, tuple[str, ...]]] = {
    semconv.BUILD: (semconv.DEPLOY,),
    semconv.ARTIFACT_UPLOAD: (semconv.DEPLOY,),
    semconv.ACTIVATE: (semconv.DEPLOY,),
    semconv.PROVISION: (semconv.DEPLOY,),
    semconv.PROVISION_ENDPOINT: (semconv.DEPLOY, semconv.PROVISION),
    semconv.MANIFEST_UPLOAD: (semconv.DEPLOY, semconv.PROVISION),
}
_UNSOUND: Final = (semconv.FAILED, semconv.UNKNOWN, semconv.CANCELLED)


def deployments_of(pairs: Sequence[Pair]) -> tuple[tuple[Deployment, ...], list[SpanFact]]:
    """Return the deployments, oldest first, and the facts that workers made."""
    groups, rest = _grouped(pairs)
    made = [
        _deployment(name, members)
        for name, members in groups.items()
        if any(record.name in MAKING for record, _ in members)
    ]
    return tuple(sorted(_merged(made), key=recency_key)), rest


def _grouped(pairs: Sequence[Pair]) -> tuple[dict[str, list[Pair]], list[SpanFact]]:
    """Return the members of each deployment by its id, and the facts that workers made."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    rest: list[SpanFact] = []
    by_key = {record.key: record for record, _ in pairs}
    lines = _LineGroups(pairs)
    for record, fact in pairs:
        name = _deployment_id(record, by_key) or lines.group(record, fact)
        if name is None and fact.process.worker:
            rest.append(fact)
        else:
            groups[name or f"trace {record.trace_id}"].append((record, fact))
    return groups, rest


def recency_key(deployment: Deployment) -> tuple[int, int, Origin, str]:
    """Order deployments by when they took effect; without a clock, by their place."""
    activation = deployment.activation
    started = deployment.start_ns or 0
    effective = activation.start_ns if activation and activation.start_ns else started
    first = min((step.origin for step in deployment.steps), default=Origin())
    return (effective, started, first, deployment.id)


def is_order_open(deployment: Deployment, other: Deployment) -> bool:
    """Return True if nothing shows which of two deployments came first.

    Lines without times are in order within a file; file names prove nothing. Times order two
    deployments only if both have them: a mask may hide those of one log.
    """
    is_timed = deployment.start_ns and other.start_ns
    if not (deployment.by_lines and other.by_lines) or is_timed:
        return False
    files = {step.origin.file for step in deployment.steps}
    return files.isdisjoint(step.origin.file for step in other.steps)


def is_newer(deployment: Deployment, other: Deployment) -> bool:
    """Return True if the evidence shows that a deployment took effect after another."""
    is_after = recency_key(deployment) > recency_key(other)
    return is_after and not is_order_open(deployment, other)


def _deployment_id(record: SpanRecord, by_key: Mapping[tuple[str, str], SpanRecord]) -> str | None:
    """Return the deployment id of a span or of its nearest ancestor that has one."""
    current: SpanRecord | None = record
    seen: set[str] = set()
    while current is not None and current.span_id not in seen:
        seen.add(current.span_id)
        deployment_id = text(current.attributes, semconv.DEPLOYMENT_ID)
        if deployment_id or current.name == semconv.DEPLOY:
            return deployment_id or current.span_id
        current = by_key.get((current.trace_id, current.parent_span_id or ""))
    return None


class _LineGroups:
    """Groups bracketed lines by build id; lines without one join their neighbours in the file.

    A part of an id tells builds apart, too: lines whose parts fit together are of one build.
    """

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._builds: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for record, fact in pairs:
            build_id = _build_in(record)
            if fact.by_lines and build_id:
                self._builds[fact.origin.file].append((fact.origin.line, build_id))

    def group(self, record: SpanRecord, fact: SpanFact) -> str | None:
        """Return the group of a rebuilt span; None for any other."""
        if not fact.by_lines:
            return None
        builds = sorted(self._builds.get(fact.origin.file, ()))
        build_id = _build_in(record) or _nearest(builds, fact.origin)
        if ANY in build_id:
            parts = (part for _, part in builds if ANY in part)
            build_id = next((part for part in parts if may_be_equal(part, build_id)), build_id)
        return f"lines {build_id}"


def _nearest(builds: Sequence[tuple[int, str]], origin: Origin) -> str:
    before = [build_id for line, build_id in builds if line <= origin.line]
    if before:
        return before[-1]
    return builds[0][1] if builds else f"of {origin.file}"


def _build_in(record: SpanRecord) -> str | None:
    """Return a record's build id, or what is known of it."""
    return text(record.attributes, semconv.BUILD_ID) or text(record.attributes, LINES_BUILD)


def _deployment(name: str, members: Sequence[Pair]) -> Deployment:
    facts = [fact for _, fact in members]
    steps = tuple(sorted((step_of(*pair) for pair in members), key=_when))
    root = next((step for step in steps if step.name == semconv.DEPLOY), None)
    upload = _upload_of(of_kind(ManifestUpload, facts))
    return Deployment(
        id=name,
        aliases=_aliases(name, members, root),
        trace_ids=frozenset(record.trace_id for record, fact in members if not fact.by_lines),
        app_name=_most_common(members, semconv.APP_NAME),
        environment_id=_most_common(members, semconv.ENVIRONMENT_ID),
        environment_name=_most_common(members, semconv.ENVIRONMENT_NAME),
        build_id=_most_common(members, semconv.BUILD_ID),
        artifact_size=_artifact_size(members),
        root=root,
        activation=_last(of_kind(Activation, facts)),
        upload=upload,
        provisioning=_last(of_kind(Provisioning, facts)),
        endpoints=of_kind(EndpointFact, facts),
        steps=steps,
        created_environment=_creations(members),
        process=root.process if root else steps[0].process,
        start_ns=min((step.start_ns for step in steps if step.start_ns), default=None),
        end_ns=root.end_ns if root else steps[-1].end_ns,
        outcome=root.outcome if root else upload.outcome if upload else semconv.UNKNOWN,
        by_lines=all(fact.by_lines for fact in facts),
        in_log=any(fact.by_lines for fact in facts),
    )


def _when(fact: SpanFact) -> tuple[int, Origin]:
    return (fact.start_ns or 0, fact.origin)


def _last(facts: Sequence[_AnySpanFact]) -> _AnySpanFact | None:
    """Return the last of several facts, preferring those that returned."""
    return max(facts, key=lambda fact: (fact.returned, _when(fact)), default=None)


def _upload_of(uploads: Sequence[ManifestUpload]) -> ManifestUpload | None:
    """Return the last upload; one in lines knows what all pieces of a divided log hold."""
    last = _last(uploads)
    if last is None or not last.by_lines:
        return last
    for other in sorted(uploads, key=_when, reverse=True):
        last = _completed(last, other)
    return last


def _completed(upload: ManifestUpload, other: ManifestUpload) -> ManifestUpload:
    """Fill the gaps of an upload from another piece of it."""
    mine, theirs = upload.endpoints, other.endpoints
    if None not in (mine.count, theirs.count) and mine.count != theirs.count:
        # A mapping may have lost entries, but nothing adds any.
        whole = max(mine, theirs, key=lambda known: known.count or 0)
        return replace(upload, endpoints=whole) if other.by_lines else upload
    return replace(
        upload,
        build_id=upload.build_id or other.build_id,
        environment_id=upload.environment_id or other.environment_id,
        endpoints=_filled_set(mine, theirs),
        outcome=other.outcome if other.returned else upload.outcome,
    )


def _filled_set(mine: EndpointSet, theirs: EndpointSet) -> EndpointSet:
    return EndpointSet(
        count=theirs.count if mine.count is None else mine.count,
        names=theirs.names if mine.names is None else mine.names,
        urls=theirs.urls if mine.urls is None else mine.urls,
        digest=mine.digest or theirs.digest,
        are_urls_whole=(theirs if mine.urls is None else mine).are_urls_whole,
    )


def _aliases(name: str, members: Sequence[Pair], root: Step | None) -> frozenset[str]:
    """Collect the ids that a carrier may hold: the deployment's or, in 1.0.0, its build's."""
    linked = (
        link.span_id
        for record, _ in members
        if record.name == semconv.DEPLOY
        for link in record.links
    )
    own = {root.origin.span_id} if root else set()
    return frozenset({name, *own, *linked})


def _most_common(members: Sequence[Pair], attribute: str) -> str | None:
    """Return the most common value; of equally common ones, the alphabetically first."""
    values = (text(record.attributes, attribute) for record, _ in members)
    counts = Counter(value for value in values if value)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


def _artifact_size(members: Sequence[Pair]) -> int | None:
    sizes = (number(record.attributes, semconv.ARTIFACT_SIZE) for record, _ in members)
    return max((size for size in sizes if size is not None), default=None)


def _creations(members: Sequence[Pair]) -> tuple[Origin, ...]:
    """Return the spans that created the environment, unless the app was new as well."""
    operations = [
        (text(record.attributes, semconv.GRAPHQL_OPERATION_NAME), fact.origin)
        for record, fact in members
        if fact.returned
    ]
    found = {
        fact.origin
        for record, fact in members
        if record.attributes.get(semconv.CREATED_ENVIRONMENT) is True
    }
    if not any(operation in _CREATES_APP for operation, _ in operations):
        found |= {origin for operation, origin in operations if operation in _CREATES_ENVIRONMENT}
    return tuple(sorted(found))


def _merged(made: Sequence[Deployment]) -> list[Deployment]:
    """Fill the gaps of a deployment's spans from its lines, rather than list it twice."""
    merged = {deployment.id: deployment for deployment in made if not deployment.by_lines}
    rest = [deployment for deployment in made if deployment.by_lines]
    for lines in filterfalse(_is_rest, rest):
        same = next((known for known in merged.values() if _is_same(known, lines)), None)
        if same is None:
            merged[lines.id] = lines
        else:
            merged[same.id] = _filled(same, lines)
    return _with_rests(merged, filter(_is_rest, rest))


def _with_rests(merged: dict[str, Deployment], rests: Iterable[Deployment]) -> list[Deployment]:
    """Add each rest of a deployment to the only one that it fits, or leave it alone."""
    alone = []
    for piece in rests:
        fitting = [known for known in merged.values() if _fits(known, piece)]
        if len(fitting) == 1:
            merged[fitting[0].id] = _filled(fitting[0], piece)
        else:
            alone.append(piece)
    return [*merged.values(), *alone]


def _is_rest(deployment: Deployment) -> bool:
    """Return True for the last lines of an upload alone, if another file has the first lines."""
    is_nameless = deployment.build_id is None and deployment.environment_id is None
    return is_nameless and deployment.activation is None and deployment.environment_name is None


def _fits(deployment: Deployment, piece: Deployment) -> bool:
    upload, other = deployment.upload, piece.upload
    if upload is None or other is None or (not deployment.in_log and upload.returned):
        return False
    mine, theirs = upload.endpoints, other.endpoints
    return None in (mine.count, theirs.count) or mine.count == theirs.count


def _is_same(deployment: Deployment, lines: Deployment) -> bool:
    if lines.build_id is None or deployment.build_id != lines.build_id:
        return False
    return lines.environment_id in (None, deployment.environment_id)


def _filled(deployment: Deployment, lines: Deployment) -> Deployment:
    return replace(
        deployment,
        activation=deployment.activation or lines.activation,
        upload=_both(deployment.upload, lines.upload),
        environment_id=deployment.environment_id or lines.environment_id,
        environment_name=deployment.environment_name or lines.environment_name,
        in_log=True,
    )


def _both(upload: ManifestUpload | None, other: ManifestUpload | None) -> ManifestUpload | None:
    if upload is None or other is None:
        return upload or other
    return _completed(upload, other) if upload.by_lines else upload


def failed_step(deployment: Deployment) -> Step | None:
    """Return the innermost unsound step, preferring a failure over an interruption.

    Neither its parents nor its cancelled siblings are the cause. A deployment that returned has
    recovered from any failure inside it.
    """
    if deployment.outcome == semconv.RETURNED:
        return None
    steps = [step for step in deployment.steps if step.name != semconv.GRAPHQL]
    unsound = [step for step in steps if step.outcome in _UNSOUND]
    failed = [step for step in unsound if not step.is_interrupted]
    return min(_innermost(failed or unsound), key=_ended, default=None)


def _innermost(steps: Sequence[Step]) -> list[Step]:
    """Leave out steps that surround another one, even if a span between them was lost."""
    parents = {step.parent_id for step in steps}
    around = {outer for step in steps for outer in _AROUND.get(step.name, ())}
    inner = [
        step for step in steps if step.origin.span_id not in parents and step.name not in around
    ]
    return inner or list(steps)


def _ended(step: Step) -> tuple[bool, int, int, str]:
    unknown = step.outcome == semconv.UNKNOWN
    return (unknown, step.end_ns or 0, step.start_ns or 0, step.origin.span_id)


def is_unauthorized(step: Step) -> bool:
    """Return True if a step failed because the API key is missing or invalid."""
    if step.failure is None or step.failure.kind != failures.UNAUTHORIZED:
        return False
    # A 403 outside of GraphQL is about the artifact's presigned URL, not about the key.
    message = step.failure.message.lower()
    return "graphql" in message or not ("403" in message or "forbidden" in message)


def is_of_provisioning(step: Step) -> bool:
    """Return True if the error of a step is about provisioning, not about the manifest upload.

    The step contains both. `reconcile_and_provision_resources` (1.0.0-1.21.0) has the word
    "provision" in each of its own errors.
    """
    return step.failure is not None and "provision" in step.failure.message.lower()
