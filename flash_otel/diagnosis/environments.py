"""The recorded environments, and which deployments went to which."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from flash_otel.diagnosis.deployments import failed_step, is_newer, recency_key
from flash_otel.diagnosis.evidence import UNFINISHED
from flash_otel.diagnosis.findings import what_failed

if TYPE_CHECKING:
    from flash_otel.diagnosis.evidence import Deployment, Evidence

MOST_ATTEMPTS: Final = 5
"""Failed attempts before a deployment that are looked at."""


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
        self._of_app: dict[str, set[Environment]] = defaultdict(set)
        for deployment in sorted(evidence.deployments, key=is_unplaced):
            environment = self.of(deployment)
            self.groups[environment].append(deployment)
            if not is_unplaced(deployment):
                for app in self.apps(environment):
                    self._of_app[app].add(environment)

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
        if not name:
            own = self._of_app.get(app, set())
            return next(iter(own)) if len(own) == 1 else Environment("", "", app)
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
        """Return False for an environment that may be a known one, by its name or its app."""
        if environment.id:
            return True
        if not environment.name:
            return bool(environment.app) and not self._of_app.get(environment.app)
        return bool(environment.app) or environment.name not in self._apps_of_name

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

    def matching(self, asked: str | None, app: str | None) -> list[Environment]:
        """Return the environments with this id or name, and of this app, as far as given."""
        found = [
            known
            for known in self.groups
            if (not app or app in self.apps(known)) and (not asked or asked in self.names(known))
        ]
        # An environment that was deleted and created again has another id.
        latest: dict[tuple[str, ...], Environment] = {}
        for known in sorted(found, key=lambda each: max(map(recency_key, self.groups[each]))):
            is_by_name = asked and asked != known.id
            own_app = min(self.apps(known), default="")
            latest[(own_app,) if is_by_name and own_app else tuple(known)] = known
        return [known for known in found if known in latest.values()]

    def failed_before(self, deployment: Deployment) -> list[Deployment]:
        """Return the attempts that failed directly before a deployment, oldest first."""
        group = self.groups.get(self.of(deployment), [])
        # A deployment that names no environment may have had any.
        if not any(self.of(deployment)[:2]):
            return []
        earlier = [known for known in group if is_newer(deployment, known)]
        earlier = sorted(earlier, key=recency_key)[-MOST_ATTEMPTS:]
        failed: list[Deployment] = []
        for known in reversed(earlier):
            if failure_of(known) is None:
                break
            failed.insert(0, known)
        return failed


def is_unplaced(deployment: Deployment) -> bool:
    """Return True if a deployment knows neither the id nor the name of its environment."""
    return not (deployment.environment_id or deployment.environment_name)


def failure_of(deployment: Deployment) -> str | None:
    """Describe why a deployment failed or did not end; None if neither is recorded."""
    step = failed_step(deployment)
    if step is not None:
        return what_failed(step)
    return "it did not end" if deployment.outcome == UNFINISHED else None
