"""Which reads and calls have to do with a deployment, and which are about another one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flash_otel.diagnosis.deployments import order as age

if TYPE_CHECKING:
    from collections.abc import Callable

    from flash_otel.diagnosis.evidence import Call, Deployment, Evidence, Fact, RuntimeFetch
    from flash_otel.diagnosis.order import Offset


def endpoint_ids(deployment: Deployment) -> frozenset[str]:
    """Return Runpod's ids of a deployment's endpoints, from its steps and from its URLs."""
    told = {one.endpoint_id for one in deployment.endpoints if one.endpoint_id}
    return frozenset(told | {one for url in endpoint_urls(deployment) if (one := id_in(url))})


def endpoint_urls(deployment: Deployment) -> tuple[str, ...]:
    """Return the URLs of a deployment's endpoints."""
    for known in (deployment.upload, deployment.provisioning):
        if known and known.endpoints.urls:
            return known.endpoints.urls
    return ()


def id_in(url: str) -> str:
    """Read the endpoint id in a URL: `https://api/v2/ID`, or `https://ID.api` if balanced."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    last = parts.path.rstrip("/").rpartition("/")[2]
    return last or (host.split(".")[0] if "." in host and not host[:1].isdigit() else "")


def looks_like_id(label: str, asked: str) -> bool:
    """Tell whether an environment's label in an old log is its id rather than its name.

    The guide prints an id where Flash prints the name, or leaves a placeholder there.
    """
    if label.startswith("{") and label.endswith("}"):
        return True
    both = any(one.isdigit() for one in label) and any(one.isdigit() for one in asked)
    return both and len(label) == len(asked)


class Known:
    """What was recorded: deployments by what workers know of them, reads by their process."""

    def __init__(self, evidence: Evidence) -> None:
        self._by_code: dict[str | None, list[Deployment]] = {}
        self._by_build: dict[str | None, list[Deployment]] = {}
        self._reads: dict[str, list[RuntimeFetch]] = {}
        for read in evidence.reads:
            self._reads.setdefault(read.process.instance, []).append(read)
        for one in evidence.deployments:
            for alias in one.aliases:
                self._by_code.setdefault(alias, []).append(one)
            if one.build_id is not None:
                self._by_build.setdefault(one.build_id, []).append(one)

    def of_code(self, code: str | None) -> list[Deployment]:
        """Return the deployments that a carrier calls so, oldest first."""
        return self._by_code.get(code, [])

    def of_build(self, build_id: str | None) -> list[Deployment]:
        """Return the deployments of a build, oldest first."""
        return self._by_build.get(build_id, [])

    def reads_by(self, instance: str) -> list[RuntimeFetch]:
        """Return the reads of a process, oldest first."""
        return self._reads.get(instance, [])


class Belonging:
    """Tells what belongs to one deployment.

    Args:
        deployment: The deployment.
        evidence: Everything that was recorded.
        known: The same, to be looked up.
        offset: How the clock of a fact relates to the deployment's.
    """

    def __init__(
        self,
        deployment: Deployment,
        evidence: Evidence,
        known: Known,
        offset: Callable[[Fact], Offset],
    ) -> None:
        self._deployment = deployment
        self._offset = offset
        self._known = known
        self._endpoint_ids = endpoint_ids(deployment)
        others = [one for one in evidence.deployments if one.id != deployment.id]
        mine = age(deployment)
        self._newer = [one for one in others if age(one) > mine and not self._is_elsewhere(one)]
        self._newer_builds = {one.build_id for one in self._newer if one.build_id}
        self._newer_codes = {alias for one in self._newer for alias in one.aliases}
        self._places = {(one.app_name, one.environment_name) for one in others}
        self._environments = {one.environment_id for one in evidence.deployments}
        self._is_only_environment = len(self._environments - {None}) <= 1

    def of_read(self, read: RuntimeFetch) -> bool:
        """Tell whether a read has to do with the deployment."""
        deployment = self._deployment
        if read.build_id is not None and read.build_id in self._newer_builds:
            return False
        if read.code_deployment_id in deployment.aliases:
            return True
        if self._is_of_another(read) or self._is_earlier(read):
            return False
        return (
            (read.build_id is not None and read.build_id == deployment.build_id)
            or self.asks_for(read.environment_id)
            or (read.worker_endpoint_id or "") in self._endpoint_ids
            or self._is_presumed(read)
        )

    def of_call(self, call: Call, instances: frozenset[str]) -> bool:
        """Tell whether a call has to do with the deployment, whose workers are `instances`."""
        code = call.code_deployment_id
        if code is not None and code in self._deployment.aliases | self._newer_codes:
            return code in self._deployment.aliases
        if call.process.instance in instances:
            return True
        if call.environment_name is None:
            return bool(call.endpoint_url) and call.endpoint_url in endpoint_urls(self._deployment)
        return self._is_named(call)

    def _is_named(self, call: Call) -> bool:
        """Tell whether a call names the deployment's place, or one that nobody deployed to."""
        named = (call.app_name, call.environment_name)
        if named == (self._deployment.app_name, self._deployment.environment_name):
            return True
        return named not in self._places and self.is_target(call.resource_name)

    def is_target(self, resource_name: str | None) -> bool:
        """Tell whether the deployment has an endpoint of this name."""
        upload = self._deployment.upload
        names = upload.endpoints.names if upload and upload.endpoints.names else ()
        return resource_name is not None and resource_name in names

    def asks_for(self, environment_id: str | None) -> bool:
        """Tell whether an id is that of the deployment's environment, or its label in a log."""
        if environment_id is None:
            return False
        deployment = self._deployment
        if deployment.environment_id is None:
            return environment_id == deployment.environment_name
        return environment_id == deployment.environment_id

    def _is_of_another(self, read: RuntimeFetch) -> bool:
        """Tell whether a read is about a newer deployment, or of another one's environment."""
        code = read.code_deployment_id
        if any(self._is_elsewhere(one) for one in self._known.of_code(code)):
            return True
        return code is not None and code in self._newer_codes

    def _is_elsewhere(self, other: Deployment) -> bool:
        mine = self._deployment.environment_id
        return None not in (mine, other.environment_id) and other.environment_id != mine

    def _is_earlier(self, read: RuntimeFetch) -> bool:
        """Tell whether a read was surely over when the deployment took effect."""
        if read.build_id is not None and read.build_id == self._deployment.build_id:
            return False
        begun = self._deployment.activation or self._deployment.root
        return bool(begun and self._offset(read).before(read.end_ns, begun.start_ns))

    def _is_presumed(self, read: RuntimeFetch) -> bool:
        """Tell whether logs that were given together belong together, for want of other signs."""
        if not (read.by_lines and self._deployment.by_lines and self._is_only_environment):
            return False
        return read.environment_id is None or read.environment_id not in self._environments
