"""Choose the deployments to judge: those that a question names, or else the current ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from flash_otel import semconv
from flash_otel.diagnosis.deployments import is_order_open, recency_key
from flash_otel.diagnosis.environments import Environment, Environments, is_unplaced
from flash_otel.diagnosis.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flash_otel.diagnosis.evidence import (
        Deployment,
        RemoteCall,
        RuntimeFetch,
        Served,
        SpanFact,
    )

_MOST_NAMES: Final = 1_000
_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Chosen:
    """The deployments to judge, and the number of other environments with deployments."""

    deployments: tuple[Deployment, ...] = ()
    others: int = 0


class Question(NamedTuple):
    """The subject of a diagnosis; without any field, the environments of now.

    Attributes:
        environment: Id or name of an environment.
        build_id: A build, or its first characters.
        trace_id: A trace, or its first digits.
        app: Name of an app.
    """

    environment: str | None = None
    build_id: str | None = None
    trace_id: str | None = None
    app: str | None = None

    def __bool__(self) -> bool:
        """Whether something is named."""
        return any(self)

    @property
    def names_deployment(self) -> bool:
        """Whether a deployment is named itself, by its build or its trace."""
        return bool(self.build_id or self.trace_id)


NOW: Final = Question()


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A part of a question that no recording holds.

    Attributes:
        field: The field of `Question`.
        value: The requested value.
        similar: A similar recorded value.
        recorded: The first values that are recorded.
    """

    field: str
    value: str
    similar: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()


def unmatched(asked: Question, names: Mapping[str, Iterable[str]]) -> tuple[Unmatched, ...]:
    """Return the parts of a question that match nothing.

    Args:
        asked: The question.
        names: By field of the question, all that is recorded.
    """
    parts = ((field, value) for field, value in asked._asdict().items() if value)
    found = (_unmatched(field, value, names.get(field, ())) for field, value in parts)
    return tuple(part for part in found if part is not None)


def _unmatched(field: str, value: str, names: Iterable[str]) -> Unmatched | None:
    """Return a part of a question with what is recorded, or None if something matches it."""
    recorded = set(names)
    is_prefix = field in ("build_id", "trace_id")
    if any(name.startswith(value) if is_prefix else name == value for name in recorded):
        return None
    known = sorted(recorded)[:_MOST_NAMES]
    shown = known if field != "trace_id" else []
    similar = _similar(value, known, is_prefix=is_prefix)
    return Unmatched(field, value, similar, tuple(shown[:_MOST_SHOWN]))


def _similar(value: str, known: Iterable[str], *, is_prefix: bool) -> tuple[str, ...]:
    """Return the names that are spelled like a value; of ids, only as many digits count."""
    spelled = {name[: len(value)] if is_prefix else name: name for name in known}
    return tuple(spelled[close] for close in get_close_matches(value, spelled))


def names_in(evidence: Evidence) -> dict[str, set[str]]:
    """Return what a question can name, by its fields."""
    environments = Environments(evidence)
    deployments, reads, calls = evidence.deployments, evidence.reads, evidence.calls
    facts: tuple[RuntimeFetch | RemoteCall, ...] = (*reads, *calls)
    found: dict[str, list[str | None]] = {
        "environment": [
            *(name for known in environments.groups for name in environments.names(known)),
            *(fact.environment_id for fact in facts),
            *(fact.environment_name for fact in facts),
        ],
        "build_id": [
            *(known.build_id for known in deployments),
            *(read.build_id for read in reads),
        ],
        "trace_id": [
            *(trace_id for known in deployments for trace_id in known.trace_ids),
            *(fact.origin.trace_id for fact in (*facts, *evidence.served)),
        ],
        "app": [
            *(
                known.app_name
                for known in deployments
                if known.environment_name or is_unplaced(known)
            ),
            *(call.app_name for call in calls if call.environment_name),
        ],
    }
    return {field: {name for name in names if name} for field, names in found.items()}


def narrowed(evidence: Evidence, asked: Question) -> Evidence:
    """Return the reads and calls that match a question without a recorded deployment."""

    def matches(fact: RuntimeFetch | RemoteCall) -> bool:
        build = getattr(fact, "build_id", None) or ""
        return (
            asked.environment in (None, fact.environment_id, fact.environment_name)
            and build.startswith(asked.build_id or "")
            and fact.origin.trace_id.startswith(asked.trace_id or "")
            and asked.app in (None, getattr(fact, "app_name", None))
        )

    return Evidence(
        reads=tuple(read for read in evidence.reads if matches(read)),
        calls=tuple(call for call in evidence.calls if matches(call)),
    )


def choose(
    evidence: Evidence, asked: Question = NOW, environments: Environments | None = None
) -> Chosen:
    """Choose the deployments to judge.

    A trace or a build names its deployment, an environment its current one, and an app those of
    all its environments; a deployment must match all that is asked. Without a question, the
    environment of the newest deployment is judged and the environments of the reads in given
    files, because an old fault elsewhere is irrelevant to the present.

    Args:
        evidence: The evidence.
        asked: The question.
        environments: Those of the evidence, if they are known already.
    """
    environments = environments or Environments(evidence)
    if asked.names_deployment:
        return Chosen(tuple(_named(evidence, environments, asked)))
    if asked:
        return Chosen(_current(environments, environments.matching(asked.environment, asked.app)))
    wanted = _wanted(evidence, environments)
    others = {known for known in environments.groups if environments.is_counted(known)} - wanted
    in_order = [known for known in environments.groups if known in wanted]
    return Chosen(_current(environments, in_order), len(others))


def _named(evidence: Evidence, environments: Environments, asked: Question) -> Iterator[Deployment]:
    """Yield the deployments of a trace or a build, to the environment and app in question."""
    for known in _of_trace(evidence, asked.trace_id or ""):
        target = environments.of(known)
        if asked.app and asked.app not in environments.apps(target):
            continue
        if asked.environment and asked.environment not in environments.names(target):
            continue
        if (known.build_id or "").startswith(asked.build_id or ""):
            yield known


def _of_trace(evidence: Evidence, trace_id: str) -> Sequence[Deployment]:
    """Return the deployments of a trace, or else those whose code the trace's workers run."""
    own = [
        deployment
        for deployment in evidence.deployments
        if not trace_id or any(known.startswith(trace_id) for known in deployment.trace_ids)
    ]
    if own:
        return own
    facts: tuple[RuntimeFetch | RemoteCall | Served, ...] = (
        *evidence.reads,
        *evidence.calls,
        *evidence.served,
    )
    joined = _joined(evidence, trace_id)
    codes = {fact.code_deployment_id for fact in facts if fact.origin.trace_id in joined}
    return [deployment for deployment in evidence.deployments if codes & deployment.aliases]


def _joined(evidence: Evidence, trace_id: str) -> set[str]:
    """Return the traces that begin with digits, and those that jobs join with them.

    A call and the job that was made of it have the same id, but not the same trace.
    """
    sides: tuple[RemoteCall | Served, ...] = (*evidence.calls, *evidence.served)
    facts: tuple[SpanFact, ...] = (*evidence.reads, *sides)
    found = {known for fact in facts if (known := fact.origin.trace_id).startswith(trace_id)}
    waiting = list(found)
    traces: dict[str, set[str]] = defaultdict(set)
    jobs: dict[str, set[str]] = defaultdict(set)
    for side in sides:
        if side.job_id:
            traces[side.job_id].add(side.origin.trace_id)
            jobs[side.origin.trace_id].add(side.job_id)
    while waiting:
        for job_id in jobs.get(waiting.pop(), ()):
            waiting += traces[job_id] - found
            found |= traces[job_id]
    return found


def _current(environments: Environments, chosen: Iterable[Environment]) -> tuple[Deployment, ...]:
    return tuple(
        deployment for known in chosen for deployment in current_of(environments.groups[known])
    )


def current_of(group: Sequence[Deployment]) -> list[Deployment]:
    """Return the deployment in force, and the latest one if it never came into force.

    Workers see the deployment in force; the user wants the failed deployment explained. If nothing
    shows which of several deployments is in force, all of them are returned.
    """
    ordered = sorted(group, key=recency_key)
    latest = max(ordered, key=lambda known: (known.start_ns or 0, *recency_key(known)))
    in_force = _last([known for known in ordered if _may_be_in_force(known)])
    failed = [] if _may_be_in_force(latest) else [latest]
    return list({known.id: known for known in (*in_force, *failed)}.values())


def _last(ordered: Sequence[Deployment]) -> list[Deployment]:
    """Return the last deployment, and all deployments that may have come after it."""
    last = ordered[-1:]
    return [known for known in ordered[:-1] if is_order_open(known, ordered[-1])] + [*last]


def _may_be_in_force(deployment: Deployment) -> bool:
    """Return True unless a deployment certainly changed nothing that workers read."""
    activation = deployment.activation
    # An activation without an answer may have taken effect.
    is_activated = activation is not None and activation.outcome != semconv.FAILED
    return is_activated or deployment.upload is not None


def _wanted(evidence: Evidence, environments: Environments) -> set[Environment]:
    """Return the environments of the newest deployment, and those of the reads in files."""
    newest = {known.id for known in _last(sorted(evidence.deployments, key=recency_key))}
    in_files = [read for read in evidence.reads if read.origin.file]
    asked = {read.environment_id for read in in_files} - {None}
    builds = {read.build_id for read in in_files} - {None}
    return {
        target
        for target, group in environments.groups.items()
        for known in group
        if known.id in newest or target.id in asked or known.build_id in builds
    }
