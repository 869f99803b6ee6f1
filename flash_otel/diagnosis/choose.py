"""Choose the deployments to judge: those that a question names, or else the current ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.diagnosis.evidence import Deployment, RemoteCall, RuntimeFetch


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
    """

    environment: str | None = None
    build_id: str | None = None
    trace_id: str | None = None

    def __bool__(self) -> bool:
        """Whether something is named."""
        return any(self)


NOW: Final = Question()


def narrowed(evidence: Evidence, asked: Question) -> Evidence:
    """Return the reads and calls that match a question without a recorded deployment."""
    environment, build_id, trace_id = asked

    def matches(fact: RuntimeFetch | RemoteCall) -> bool:
        build = getattr(fact, "build_id", None) or ""
        return (
            (environment is not None and fact.environment_id == environment)
            or (bool(build_id) and build.startswith(build_id or ""))
            or (bool(trace_id) and fact.origin.trace_id.startswith(trace_id or ""))
        )

    return Evidence(
        reads=tuple(read for read in evidence.reads if matches(read)),
        calls=tuple(call for call in evidence.calls if matches(call)),
    )


def choose(evidence: Evidence, asked: Question = NOW) -> Chosen:
    """Choose the deployments to judge.

    A trace or a build names its deployment, an environment its current one. Without a question,
    the environment of the newest deployment is judged and the environments of the reads in given
    files, because an old fault elsewhere is irrelevant to the present.
    """
    environment, build_id, trace_id = asked
    deployments = evidence.deployments
    if trace_id:
        return Chosen(tuple(_of_trace(evidence, trace_id)))
    if build_id:
        return Chosen(
            tuple(known for known in deployments if (known.build_id or "").startswith(build_id))
        )
    groups = _by_environment(deployments)
    if environment:
        wanted = {
            key
            for key, group in groups.items()
            if any(environment in (known.environment_id, known.environment_name) for known in group)
        }
        return Chosen(_picked(groups, wanted))
    wanted = _wanted(evidence, groups)
    return Chosen(_picked(groups, wanted), len(groups) - len(wanted))


def _picked(groups: dict[str, list[Deployment]], wanted: set[str]) -> tuple[Deployment, ...]:
    return tuple(
        deployment for key in groups if key in wanted for deployment in _current(groups[key])
    )


def _of_trace(evidence: Evidence, trace_id: str) -> list[Deployment]:
    """Return the deployments of a trace, or else those whose code the trace's workers run."""
    own = [
        deployment
        for deployment in evidence.deployments
        if any(known.startswith(trace_id) for known in deployment.trace_ids)
    ]
    if own:
        return own
    facts: tuple[RuntimeFetch | RemoteCall, ...] = (*evidence.reads, *evidence.calls)
    codes = {fact.code_deployment_id for fact in facts if fact.origin.trace_id.startswith(trace_id)}
    return [deployment for deployment in evidence.deployments if codes & deployment.aliases]


def _by_environment(deployments: Sequence[Deployment]) -> dict[str, list[Deployment]]:
    """Group deployments by environment; those without its id are grouped by its name."""
    ids: dict[tuple[str | None, str | None], str] = {
        (known.app_name, known.environment_name): known.environment_id
        for known in deployments
        if known.environment_id and known.environment_name
    }
    groups: dict[str, list[Deployment]] = {}
    for known in deployments:
        named = (known.app_name, known.environment_name)
        key = known.environment_id or ids.get(named) or f"{known.app_name}/{known.environment_name}"
        groups.setdefault(key, []).append(known)
    return groups


def _current(group: list[Deployment]) -> list[Deployment]:
    """Return the deployment in force, and the latest one if it never came into force."""
    ordered = sorted(group, key=recency_key)
    latest = max(ordered, key=lambda known: (known.start_ns or 0, *recency_key(known)))
    active = [known for known in ordered if known.activation or known.upload]
    in_force = active[-1:]
    failed = [latest] if latest.activation is None and latest.upload is None else []
    return list({known.id: known for known in (*in_force, *failed)}.values())


def _wanted(evidence: Evidence, groups: dict[str, list[Deployment]]) -> set[str]:
    """Return the groups of the newest deployment, and those of the reads in files."""
    newest = max(evidence.deployments, key=recency_key, default=None)
    in_files = [read for read in evidence.reads if read.origin.file]
    environments = {read.environment_id for read in in_files} - {None}
    builds = {read.build_id for read in in_files} - {None}
    return {
        key
        for key, group in groups.items()
        for known in group
        if known is newest or known.environment_id in environments or known.build_id in builds
    }
