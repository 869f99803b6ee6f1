"""Choose the deployments to judge: those that a question names, or else the current ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from flash_otel import semconv
from flash_otel.diagnosis.deployments import failed_step, recency_key
from flash_otel.diagnosis.evidence import UNFINISHED, Evidence
from flash_otel.diagnosis.findings import what_failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flash_otel.diagnosis.evidence import Deployment, RemoteCall, RuntimeFetch

MOST_ATTEMPTS: Final = 5
"""Failed attempts before a deployment that are looked at."""

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
        value: What was asked for.
        similar: What is recorded and looks like it.
        recorded: The first values that are recorded.
    """

    field: str
    value: str
    similar: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()


class Environment(NamedTuple):
    """An environment: by id, or else by name and app, either of which may be unknown as well."""

    id: str
    name: str = ""
    app: str = ""


class Environments:
    """The recorded environments, and which deployment went to which.

    A deployment learns the id of its environment late, so that an attempt that fails early knows
    only the name; bracketed lines hold either, and no app. Deployments and reads that know both
    connect names and ids.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._names: dict[str, set[str]] = defaultdict(set)  # by id
        self._apps: dict[str, set[str]] = defaultdict(set)  # by id
        self._ids: dict[str, dict[str, None]] = defaultdict(dict)  # by name, the latest id last
        self._apps_of_name: dict[str, set[str]] = defaultdict(set)
        for deployment in evidence.deployments:
            self._add_deployment(deployment)
        deployed = set(self._apps)
        for read in evidence.reads:
            if read.environment_name and read.environment_id in deployed:
                self._connect(read.environment_id or "", read.environment_name)
        self.groups: dict[Environment, list[Deployment]] = defaultdict(list)
        for deployment in evidence.deployments:
            self.groups[self.of(deployment)].append(deployment)

    def _add_deployment(self, deployment: Deployment) -> None:
        environment_id, name = deployment.environment_id, deployment.environment_name
        if environment_id:
            self._apps[environment_id].update({deployment.app_name or ""} - {""})
            if name:
                self._connect(environment_id, name)
        if name and deployment.app_name:
            self._apps_of_name[name].add(deployment.app_name)

    def _connect(self, environment_id: str, name: str) -> None:
        self._names[environment_id].add(name)
        self._ids[name].pop(environment_id, None)
        self._ids[name][environment_id] = None

    def of(self, deployment: Deployment) -> Environment:
        """Return the environment of a deployment."""
        if deployment.environment_id:
            return Environment(deployment.environment_id)
        name, app = deployment.environment_name or "", deployment.app_name or ""
        if name in self._apps:  # old logs print the id in place of the name
            return Environment(name)
        apps = self._apps_of_name.get(name, set())
        if not app and len(apps) == 1:
            (app,) = apps
        ids = [known for known in self._ids.get(name, ()) if app in self._apps[known]]
        if not ids and len(apps) <= 1:
            ids = [known for known in self._ids.get(name, ()) if not self._apps[known]]
        return Environment(ids[-1]) if ids else Environment("", name, app)

    def is_counted(self, environment: Environment) -> bool:
        """Return False for a name that may be one of several others, and for no name at all."""
        if environment.id:
            return True
        is_ambiguous = not environment.app and environment.name in self._apps_of_name
        return bool(environment.name) and not is_ambiguous

    def apps(self, environment: Environment) -> set[str]:
        """Return the names of an environment's app; none if it is unknown."""
        members = self.groups.get(environment, ())
        apps = {known.app_name for known in members if known.app_name}
        return apps | self._apps.get(environment.id, set())

    def names(self, environment: Environment) -> set[str]:
        """Return the id and the names of an environment."""
        members = self.groups.get(environment, ())
        names = {environment.id, environment.name, *self._names.get(environment.id, ())}
        return (names | {known.environment_name or "" for known in members}) - {""}

    def matching(self, asked: Question) -> list[Environment]:
        """Return the environments that a question names by their own id or name, and by app."""
        found = [
            known
            for known in self.groups
            if (not asked.app or asked.app in self.apps(known))
            and (not asked.environment or asked.environment in self.names(known))
        ]
        # An environment that was deleted and created again has another id.
        latest: dict[tuple[str, ...], Environment] = {}
        for known in sorted(found, key=lambda each: recency_key(self.groups[each][-1])):
            is_by_name = asked.environment and asked.environment != known.id
            app = next(iter(sorted(self.apps(known))), "")
            latest[(app,) if is_by_name and app else tuple(known)] = known
        return [known for known in found if known in latest.values()]

    def failed_before(self, deployment: Deployment) -> list[Deployment]:
        """Return the attempts that failed directly before a deployment, oldest first."""
        group = self.groups.get(self.of(deployment), [])
        # A deployment that names no environment may have had any.
        if not any(self.of(deployment)[:2]):
            return []
        mine = recency_key(deployment)
        earlier = sorted((known for known in group if recency_key(known) < mine), key=recency_key)[
            -MOST_ATTEMPTS:
        ]
        failed: list[Deployment] = []
        for known in reversed(earlier):
            if failure_of(known) is None:
                break
            failed.insert(0, known)
        return failed


def failure_of(deployment: Deployment) -> str | None:
    """Describe why a deployment failed or did not end; None if neither is recorded."""
    step = failed_step(deployment)
    if step is not None:
        return what_failed(step)
    return "it did not end" if deployment.outcome == UNFINISHED else None


def unmatched(asked: Question, names: Mapping[str, Iterable[str]]) -> tuple[Unmatched, ...]:
    """Return the parts of a question that match nothing.

    Args:
        asked: The question.
        names: By field of the question, all that is recorded.
    """
    found = []
    for field, value in asked._asdict().items():
        known = sorted(set(names.get(field, ())))[:_MOST_NAMES] if value else []
        is_prefix = field in ("build_id", "trace_id")
        if value and not any(
            name.startswith(value) if is_prefix else name == value for name in known
        ):
            shown = known if field != "trace_id" else []
            similar = tuple(get_close_matches(value, shown))
            found.append(Unmatched(field, value, similar, tuple(shown[:_MOST_SHOWN])))
    return tuple(found)


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
            *(fact.origin.trace_id for fact in facts),
        ],
        "app": [
            *(known.app_name for known in deployments if known.environment_name),
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


def choose(evidence: Evidence, asked: Question = NOW) -> Chosen:
    """Choose the deployments to judge.

    A trace or a build names its deployment, an environment its current one, and an app those of
    all its environments; a deployment must match all that is asked. Without a question, the
    environment of the newest deployment is judged and the environments of the reads in given
    files, because an old fault elsewhere is irrelevant to the present.
    """
    environments = Environments(evidence)
    if asked.names_deployment:
        return Chosen(tuple(_named(evidence, environments, asked)))
    if asked:
        return Chosen(_current(environments, environments.matching(asked)))
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
    facts: tuple[RuntimeFetch | RemoteCall, ...] = (*evidence.reads, *evidence.calls)
    codes = {fact.code_deployment_id for fact in facts if fact.origin.trace_id.startswith(trace_id)}
    return [deployment for deployment in evidence.deployments if codes & deployment.aliases]


def _current(environments: Environments, chosen: Iterable[Environment]) -> tuple[Deployment, ...]:
    return tuple(
        deployment for known in chosen for deployment in current_of(environments.groups[known])
    )


def current_of(group: Sequence[Deployment]) -> list[Deployment]:
    """Return the deployment in force, and the latest one if it never came into force.

    Workers see the one in force; the one that failed is what its author wants explained.
    """
    ordered = sorted(group, key=recency_key)
    latest = max(ordered, key=lambda known: (known.start_ns or 0, *recency_key(known)))
    in_force = [known for known in ordered if _may_be_in_force(known)][-1:]
    failed = [] if _may_be_in_force(latest) else [latest]
    return list({known.id: known for known in (*in_force, *failed)}.values())


def _may_be_in_force(deployment: Deployment) -> bool:
    """Return True unless a deployment certainly changed nothing that workers read."""
    activation = deployment.activation
    # An activation without an answer may have taken effect.
    is_activated = activation is not None and activation.outcome != semconv.FAILED
    return is_activated or deployment.upload is not None


def _wanted(evidence: Evidence, environments: Environments) -> set[Environment]:
    """Return the environments of the newest deployment, and those of the reads in files."""
    newest = max(evidence.deployments, key=recency_key, default=None)
    in_files = [read for read in evidence.reads if read.origin.file]
    asked = {read.environment_id for read in in_files} - {None}
    builds = {read.build_id for read in in_files} - {None}
    return {
        target
        for target, group in environments.groups.items()
        for known in group
        if known is newest or target.id in asked or known.build_id in builds
    }
