"""Match reads and calls to deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import manifest
from flash_otel.diagnosis.deployments import is_newer
from flash_otel.diagnosis.evidence import EndpointSet
from flash_otel.lines.values import may_be_equal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.diagnosis.evidence import Deployment, Evidence, RemoteCall, RuntimeFetch
    from flash_otel.diagnosis.order import Offset


def endpoint_ids(deployment: Deployment, *, are_proven: bool = False) -> frozenset[str]:
    """Return Runpod's ids of a deployment's endpoints, from its steps and from its URLs.

    Args:
        deployment: The deployment.
        are_proven: Leave out the ids in URLs that may have been cut.
    """
    from_steps = {endpoint.endpoint_id for endpoint in deployment.endpoints}
    listed = _endpoints(deployment)
    urls = () if are_proven and not listed.are_urls_whole else listed.urls or ()
    from_urls = {manifest.endpoint_id(url) for url in urls}
    return frozenset(endpoint_id for endpoint_id in from_steps | from_urls if endpoint_id)


def endpoint_urls(deployment: Deployment) -> tuple[str, ...]:
    """Return the URLs of a deployment's endpoints."""
    return _endpoints(deployment).urls or ()


def _endpoints(deployment: Deployment) -> EndpointSet:
    """Return the endpoints of the first step that lists their URLs."""
    for step in (deployment.upload, deployment.provisioning):
        if step and step.endpoints.urls:
            return step.endpoints
    return EndpointSet()


def looks_like_id(label: str, asked: str) -> bool:
    """Return True if the label of an environment in an old log is its id rather than its name.

    The guide prints an id where Flash prints the name, or leaves a placeholder there.
    """
    if label.startswith("{") and label.endswith("}"):
        return True
    both = all(any(char.isdigit() for char in text) for text in (label, asked))
    return both and len(label) == len(asked)


def _labels(deployment: Deployment) -> list[str]:
    """Return the id and the name by which logs know a deployment's environment."""
    known = (deployment.environment_id, deployment.environment_name)
    return [label for label in known if label is not None]


def asks_for_deployed(deployment: Deployment, read: RuntimeFetch) -> bool:
    """Return True if a read asked for the deployment's environment, as far as is known."""
    asked = read.environment_id
    if asked is None:
        return read.build_id is not None
    if deployment.environment_id is None:
        return asked == deployment.environment_name or read.build_id == deployment.build_id
    return asked == deployment.environment_id


def is_given_with(deployment: Deployment, read: RuntimeFetch) -> bool:
    """Return True if logs of a deployment and of a read were given together.

    Without other signs they are taken to belong together. The code that the worker runs is such a
    sign, unless the deployment is known from lines alone, which name no deployment id.
    """
    code = read.code_deployment_id
    is_other = code is not None and not deployment.by_lines and code not in deployment.aliases
    return read.in_log and deployment.in_log and not is_other


class EvidenceIndex:
    """Deployments by the ids that workers know, names of environments, and reads by process."""

    def __init__(self, evidence: Evidence) -> None:
        self._names: dict[str | None, str] = {
            read.environment_id: read.environment_name
            for read in evidence.reads
            if read.environment_id and read.environment_name
        }
        self._names |= {
            known.environment_id: known.environment_name
            for known in evidence.deployments
            if known.environment_id and known.environment_name
        }
        self._apps: dict[str | None, set[str]] = {}
        for known in evidence.deployments:
            for key in (known.environment_id, known.environment_name):
                self._apps.setdefault(key, set()).update({known.app_name or ""} - {""})
        self._by_code: dict[str | None, list[Deployment]] = {}
        self._by_build: dict[str | None, list[Deployment]] = {}
        self._reads: dict[str, list[RuntimeFetch]] = {}
        for read in evidence.reads:
            self._reads.setdefault(read.process.instance, []).append(read)
        for deployment in evidence.deployments:
            for alias in deployment.aliases:
                self._by_code.setdefault(alias, []).append(deployment)
            if deployment.build_id is not None:
                self._by_build.setdefault(deployment.build_id, []).append(deployment)

    def of_code(self, deployment_id: str | None) -> list[Deployment]:
        """Return the deployments that a carrier calls `deployment_id`, oldest first."""
        return self._by_code.get(deployment_id, [])

    def of_build(self, build_id: str | None) -> list[Deployment]:
        """Return the deployments of a build, oldest first."""
        return self._by_build.get(build_id, [])

    def name_of(self, environment_id: str | None) -> str | None:
        """Return the name of an environment by its id, or None."""
        return self._names.get(environment_id)

    def app_of(self, *environments: str | None) -> str | None:
        """Return the only app with an environment of such an id or else name, or None."""
        apps = (self._apps.get(known, set()) for known in environments if known)
        found = next((known for known in apps if known), set())
        return next(iter(found)) if len(found) == 1 else None

    def reads_by(self, instance: str) -> list[RuntimeFetch]:
        """Return the reads of a process, oldest first."""
        return self._reads.get(instance, [])


class DeploymentMatcher:
    """Decides which reads and calls have to do with one deployment.

    Args:
        deployment: The deployment.
        evidence: Everything that was recorded.
        index: The index of `evidence`.
        offsets: Relation of each process's clock to the deployment's, by instance.
    """

    def __init__(
        self,
        deployment: Deployment,
        evidence: Evidence,
        index: EvidenceIndex,
        offsets: Mapping[str, Offset],
    ) -> None:
        self._deployment = deployment
        self._offsets = offsets
        self._index = index
        self._endpoint_ids = endpoint_ids(deployment)
        others = [other for other in evidence.deployments if other.id != deployment.id]
        newer = [
            other
            for other in others
            if is_newer(other, deployment) and not self._is_elsewhere(other)
        ]
        self._newer_builds = {other.build_id for other in newer if other.build_id}
        self._newer_codes = {alias for other in newer for alias in other.aliases}
        self._places = {(other.app_name, other.environment_name) for other in others}
        self._environments = {known.environment_id for known in evidence.deployments}
        self._is_only_environment = not any(map(self._may_be_elsewhere, others))

    def of_read(self, read: RuntimeFetch) -> bool:
        """Return True if a read has to do with the deployment."""
        deployment = self._deployment
        if read.build_id is not None and read.build_id in self._newer_builds:
            return False
        if read.code_deployment_id in deployment.aliases:
            return True
        if self._is_of_another(read) or self._is_earlier(read):
            return False
        return (
            (read.build_id is not None and read.build_id == deployment.build_id)
            or self._asks_for(read.environment_id)
            or (read.worker_endpoint_id or "") in self._endpoint_ids
            or self._is_presumed(read)
        )

    def of_call(self, call: RemoteCall, instances: frozenset[str]) -> bool:
        """Return True if a call has to do with the deployment, whose workers are `instances`."""
        code = call.code_deployment_id
        if code is not None and code in self._deployment.aliases | self._newer_codes:
            return code in self._deployment.aliases
        if call.process.instance in instances:
            return True
        if call.environment_name is None:
            return bool(call.endpoint_url) and call.endpoint_url in endpoint_urls(self._deployment)
        return self._is_named(call)

    def _is_named(self, call: RemoteCall) -> bool:
        """Return True if a call names the deployment's place, or an undeployed place by mistake."""
        named = (call.app_name, call.environment_name)
        if named == (self._deployment.app_name, self._deployment.environment_name):
            return True
        return named not in self._places and self._is_target(call.resource_name)

    def _is_target(self, resource_name: str | None) -> bool:
        upload = self._deployment.upload
        names = upload.endpoints.names if upload and upload.endpoints.names else ()
        return resource_name is not None and resource_name in names

    def _asks_for(self, environment_id: str | None) -> bool:
        """Return True for the id of the deployment's environment, or for its label in a log."""
        if environment_id is None:
            return False
        deployment = self._deployment
        if deployment.environment_id is None:
            return environment_id == deployment.environment_name
        return environment_id == deployment.environment_id

    def _is_of_another(self, read: RuntimeFetch) -> bool:
        """Return True if a worker runs newer code, or code of another environment."""
        code = read.code_deployment_id
        if any(self._is_elsewhere(other) for other in self._index.of_code(code)):
            return True
        return code is not None and code in self._newer_codes

    def _is_elsewhere(self, other: Deployment) -> bool:
        mine = self._deployment.environment_id
        return None not in (mine, other.environment_id) and other.environment_id != mine

    def _may_be_elsewhere(self, other: Deployment) -> bool:
        """Return True unless an id, or else a name, shows the same environment."""
        if None not in (self._deployment.environment_id, other.environment_id):
            return self._is_elsewhere(other)
        mine, others = _labels(self._deployment), _labels(other)
        return not any(may_be_equal(label, known) for label in mine for known in others)

    def _is_earlier(self, read: RuntimeFetch) -> bool:
        """Return True if a read certainly ended before the deployment took effect."""
        if read.build_id is not None and read.build_id == self._deployment.build_id:
            return False
        begun = self._deployment.activation or self._deployment.root
        offset = self._offsets[read.process.instance]
        return bool(begun and offset.before(read.end_ns, begun.start_ns))

    def _is_presumed(self, read: RuntimeFetch) -> bool:
        """Return True for a read in a log that is given with the deployment's log.

        Without other signs, logs that are given together are taken to belong together.
        """
        if not (is_given_with(self._deployment, read) and self._is_only_environment):
            return False
        return read.environment_id is None or read.environment_id not in self._environments
