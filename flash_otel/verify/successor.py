"""The client of runpod 2, with the queries of runpod-flash's client that the read-back sends.

`runpod.apps.api.AppsApiClient` (2.0.0rc2) has no query for a build's manifest, and its workers read
none: what it shows is the active build, and the environment's endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class AppsClient:
    """Reads through an `AppsApiClient`: a context manager.

    Args:
        api: The client.
        api_key: The key that it uses.

    Attributes:
        has_manifests: Whether it can fetch the manifest of a build.
    """

    has_manifests = False

    def __init__(self, api: Any, api_key: str) -> None:
        self.api_key = api_key
        self._api = api
        self._environments: dict[str, Any] = {}
        self._session: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get_flash_app_by_name(self, name: str) -> Any:
        """Return an app with its environments, and with its builds from the list of all apps."""
        app = await self._api.get_app_by_name(name)
        if not isinstance(app, Mapping):
            return app
        listed = app.get("flashEnvironments")
        self._environments = {
            str(environment.get("id")): environment
            for environment in (listed if isinstance(listed, list) else ())
            if isinstance(environment, Mapping)
        }
        apps = await self._api.list_apps()
        builds = (found.get("flashBuilds") for found in apps if found.get("id") == app.get("id"))
        return {**app, "flashBuilds": next(builds, None)}

    async def list_flash_apps(self) -> Any:
        """Return all apps."""
        return await self._api.list_apps()

    async def get_flash_environment(self, given: Mapping[str, Any]) -> Any:
        """Return an environment of the app that was fetched: the answer lists its endpoints."""
        return self._environments.get(given["flashEnvironmentId"])

    async def endpoint_workers(self, endpoint_id: str) -> Any:
        """Return an endpoint's active workers, each with its id and status, and their counts."""
        return await self._api.endpoint_workers(endpoint_id)

    async def _get_session(self) -> Any:
        import aiohttp

        if self._session is None:
            headers = {"Authorization": f"Bearer {self.api_key}"}
            self._session = aiohttp.ClientSession(headers=headers)
        return self._session
