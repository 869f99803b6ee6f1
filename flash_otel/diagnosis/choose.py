"""Which deployments are judged: those that were asked about, else the ones of now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from flash_otel.diagnosis.deployments import order as age
from flash_otel.diagnosis.evidence import Evidence

if TYPE_CHECKING:
    from flash_otel.diagnosis.evidence import Call, Deployment, RuntimeFetch


@dataclass(frozen=True, slots=True)
class Chosen:
    """The deployments to judge, and how many other environments are recorded."""

    deployments: tuple[Deployment, ...] = ()
    others: int = 0


class Question(NamedTuple):
    """What is asked about: ids, or what they begin with; nothing stands for the present.

    Attributes:
        environment: Id or name of an environment.
        build_id: A build, or its first characters.
        trace_id: A trace, or its first digits.
    """

    environment: str | None = None
    build_id: str | None = None
    trace_id: str | None = None

    def __bool__(self) -> bool:
        """Tell whether something is named."""
        return any(self)


NOW: Final = Question()


def narrowed(evidence: Evidence, asked: Question) -> Evidence:
    """Return the reads and calls that match a question for which no deployment is recorded."""
    environment, build_id, trace_id = asked

    def matches(fact: RuntimeFetch | Call) -> bool:
        build = getattr(fact, "build_id", None) or ""
        return (
            (environment is not None and fact.environment_id == environment)
            or (bool(build_id) and build.startswith(build_id or ""))
            or (bool(trace_id) and fact.origin.trace_id.startswith(trace_id or ""))
        )

    return Evidence(
        reads=tuple(one for one in evidence.reads if matches(one)),
        calls=tuple(one for one in evidence.calls if matches(one)),
    )


def choose(evidence: Evidence, asked: Question = NOW) -> Chosen:
    """Choose the deployments that are judged.

    A trace or a build names its deployment, an environment its current one. With nothing named,
    it is the environment of the newest deployment, and those that the reads in given files are
    about: an old fault of an environment that nobody asks about says nothing on the present.
    """
    environment, build_id, trace_id = asked
    known = evidence.deployments
    if trace_id:
        return Chosen(tuple(_of_trace(evidence, trace_id)))
    if build_id:
        return Chosen(tuple(one for one in known if (one.build_id or "").startswith(build_id)))
    groups = _by_environment(known)
    if environment:
        names = (environment,)
        groups = {
            key: group
            for key, group in groups.items()
            if any({one.environment_id, one.environment_name} & {*names} for one in group)
        }
        return Chosen(tuple(one for group in groups.values() for one in _current(group)))
    chosen = _wanted(evidence, groups)
    picked = tuple(one for key in groups if key in chosen for one in _current(groups[key]))
    return Chosen(picked, len(groups) - len(chosen))


def _of_trace(evidence: Evidence, trace_id: str) -> list[Deployment]:
    """Return the deployments of a trace, or those whose code the trace's workers run."""
    own = [
        one
        for one in evidence.deployments
        if any(each.startswith(trace_id) for each in one.trace_ids)
    ]
    if own:
        return own
    facts: tuple[RuntimeFetch | Call, ...] = (*evidence.reads, *evidence.calls)
    codes = {one.code_deployment_id for one in facts if one.origin.trace_id.startswith(trace_id)}
    return [one for one in evidence.deployments if codes & one.aliases]


def _by_environment(known: tuple[Deployment, ...]) -> dict[str, list[Deployment]]:
    """Group deployments by environment; one that never learned its id goes with its name."""
    ids: dict[tuple[str | None, str | None], str] = {
        (one.app_name, one.environment_name): one.environment_id
        for one in known
        if one.environment_id and one.environment_name
    }
    groups: dict[str, list[Deployment]] = {}
    for one in known:
        named = (one.app_name, one.environment_name)
        key = one.environment_id or ids.get(named) or f"{one.app_name}/{one.environment_name}"
        groups.setdefault(key, []).append(one)
    return groups


def _current(group: list[Deployment]) -> list[Deployment]:
    """Return the deployment in force, and the latest one if that never came into force."""
    ordered = sorted(group, key=age)
    latest = max(ordered, key=lambda one: (one.start_ns or 0, *age(one)))
    active = [one for one in ordered if one.activation or one.upload]
    in_force = active[-1:]
    failed = [latest] if latest.activation is None and latest.upload is None else []
    return list({one.id: one for one in (*in_force, *failed)}.values())


def _wanted(evidence: Evidence, groups: dict[str, list[Deployment]]) -> set[str]:
    """Return the groups of the newest deployment, and of what the reads in files are about."""
    newest = max(evidence.deployments, key=age, default=None)
    in_files = [read for read in evidence.reads if read.origin.file]
    asked = {read.environment_id for read in in_files} - {None}
    builds = {read.build_id for read in in_files} - {None}
    return {
        key
        for key, group in groups.items()
        for one in group
        if one is newest or one.environment_id in asked or one.build_id in builds
    }
