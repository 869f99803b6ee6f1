"""Fetch a snapshot through the installed Flash's own client; the errors of failed queries.

It sends queries only, in this order: app, environment, active build, its manifest, and one
endpoint. Each is a method of Flash's client that workers or `flash` also call.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from difflib import get_close_matches
from importlib import metadata, util
from typing import TYPE_CHECKING, Any, Final

from flash_otel import failures, semconv
from flash_otel import manifest as manifests
from flash_otel.flash_versions import WRITES_UNTIL, release
from flash_otel.redaction import remember, remember_manifest, scrub
from flash_otel.verify.snapshot import (
    EndpointCall,
    FetchedBuild,
    FetchedEnvironment,
    Ref,
    Snapshot,
    environment_of,
    is_of_successor,
    known_text,
    owner_of,
    record,
    refs,
    with_id,
)
from flash_otel.verify.successor import AppsClient

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST_NAMES: Final = 10

_KEY_ORDER: Final = (
    "Run `flash login`, or set RUNPOD_API_KEY. A key in the environment (or in a .env file of this "
    "folder) wins over the login: unset it if it is old."
)
MOST_ENVIRONMENTS: Final = 20
"""How many other environments are searched for an endpoint that this environment lacks."""

_NOT_FOUND: Final = "app not found"  # the error text of `FlashApp` (1.0.0-1.21.0)
ENDPOINT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SENTINEL: Final = "flash"  # `runpod_flash.flash_sentinel.FLASH_SENTINEL_ID` (1.15.0-1.21.0)


def is_installed() -> bool:
    """Return whether this interpreter has runpod-flash or runpod 2, without importing them."""
    return _has_flash() or _has_successor()


def _has_flash() -> bool:
    # `find_spec` raises for a module that was made by hand.
    return "runpod_flash" in sys.modules or util.find_spec("runpod_flash") is not None


def _has_successor() -> bool:
    try:
        return release(metadata.version("runpod")) >= WRITES_UNTIL
    except Exception:  # not installed, or a broken dist-info
        return False


def make_client() -> Any:
    """Make the client that `flash deploy` and workers use, with the API key that they would use.

    Returns:
        A `runpod_flash.core.api.runpod.RunpodGraphQLClient` (1.0.0-1.21.0), which can read more,
        else an `AppsClient`.

    Raises:
        VerifyError: Flash found no API key.
    """
    if not _has_flash():
        return _make_apps_client()
    # Flash may print while it is imported, which would corrupt the JSON output.
    with redirect_stdout(io.StringIO()):
        from runpod_flash.core.api.runpod import RunpodGraphQLClient
    try:
        client = RunpodGraphQLClient()
    except Exception as error:
        if type(error).__name__ == "RunpodAPIKeyError":
            raise missing_key() from None
        raise
    remember(client.api_key)
    return client


def _make_apps_client() -> AppsClient:
    with redirect_stdout(io.StringIO()):
        import runpod
        from runpod.apps.api import AppsApiClient
    if not runpod.api_key:
        raise missing_key()
    remember(runpod.api_key)
    return AppsClient(AppsApiClient(), runpod.api_key)


async def session_of(client: Any) -> Any:
    """Return the authenticated `aiohttp` session of a client that `make_client` made."""
    return await client._get_session()  # noqa: SLF001 - Flash's only authenticated session (1.0.0-1.21.0)


def endpoints_address() -> str:
    """Return the address below which Flash itself calls endpoints by their ids."""
    import runpod

    return str(runpod.endpoint_url_base).rstrip("/")


class Fetcher:
    """Fetches the snapshot of one environment.

    Args:
        client: Flash's GraphQL client.
        app: Name of the app.
        environment: Name or id of the environment; None if the app has only one.

    Attributes:
        step: The pending query, in words.
    """

    def __init__(self, client: Any, app: str, environment: str | None) -> None:
        self._client = client
        self._app = app
        self._environment = environment
        self.step = "the connection"
        self._has_manifests = getattr(client, "has_manifests", True)

    async def fetch(self, *, call: bool, sentinel: bool) -> Snapshot:
        """Fetch the snapshot.

        Args:
            call: Whether to request the health of one endpoint.
            sentinel: Whether calls are resolved by app, environment and name (Flash 1.15+).

        Raises:
            VerifyError: A query failed, or the app or environment does not exist.
        """
        try:
            async with self._client:
                snapshot = await self._fetch()
                if not call:
                    return snapshot
                return replace(snapshot, calls=await self._call(snapshot, sentinel=sentinel))
        except VerifyError:
            raise
        except Exception as error:
            # Without the cause: its text may hold the key, and is scrubbed in the message only.
            raise query_error(error, self.step) from None

    async def _fetch(self) -> Snapshot:
        app = await self._fetch_app()
        environments = tuple(refs(app.get("flashEnvironments")))
        chosen = self._choose(environments)
        start_ns = time.time_ns()
        answer = await self._fetch_environment(chosen)
        environment = environment_of(chosen, answer)
        manifest = await self._fetch_manifest(environment)
        has_mapping = self._has_manifests and not is_of_successor(manifest)
        span = record(
            chosen.id,
            answer,
            manifest,
            start_ns,
            time.time_ns(),
            has_manifest=has_mapping,
        )
        return Snapshot(
            app=Ref(known_text(app.get("id")) or "", self._app),
            environments=environments,
            builds=tuple(
                FetchedBuild(build_id, known_text(build.get("createdAt")) or "")
                for build_id, build in with_id(app.get("flashBuilds"))
            ),
            environment=environment,
            manifest=manifest,
            record=span,
            has_mapping=has_mapping,
            elsewhere=await self._fetch_elsewhere(environment, environments, manifest),
        )

    async def _fetch_app(self) -> Mapping[str, Any]:
        self.step = f"the query for app {self._app!r}"
        try:
            found = await self._client.get_flash_app_by_name(self._app)
        except Exception as error:
            if _NOT_FOUND not in str(error).lower():
                raise
            found = None
        if not isinstance(found, Mapping):
            raise unknown_app(self._app, await self._app_names())
        return found

    async def _app_names(self) -> list[str]:
        try:
            return [app.name for app in refs(await self._client.list_flash_apps())]
        except Exception:  # the error message is useful without them
            return []

    def _choose(self, known: tuple[Ref, ...]) -> Ref:
        names = [environment.name for environment in known]
        if self._environment is None:
            # Never guessed: the verdict on the wrong environment would be trusted.
            if len(known) != 1:
                raise choose_environment(self._app, names)
            return known[0]
        for environment in known:
            if self._environment in (environment.name, environment.id):
                return environment
        raise unknown_environment(self._app, self._environment, names)

    async def _fetch_environment(self, environment: Ref) -> Any:
        self.step = f"the query for environment {environment.name!r}"
        return await self._client.get_flash_environment({"flashEnvironmentId": environment.id})

    async def _fetch_manifest(self, environment: FetchedEnvironment) -> Mapping[str, Any] | None:
        if environment.active_build_id is None or not self._has_manifests:
            return None
        self.step = f"the query for build {environment.active_build_id}"
        build = await self._client.get_flash_build(environment.active_build_id)
        manifest = build.get("manifest") if isinstance(build, Mapping) else None
        remember_manifest(manifest)
        return manifest if isinstance(manifest, Mapping) else None

    async def _fetch_elsewhere(
        self,
        environment: FetchedEnvironment,
        known: tuple[Ref, ...],
        manifest: Mapping[str, Any] | None,
    ) -> dict[str, str]:
        """Search the app's other environments for endpoints that this environment lacks."""
        urls = (manifests.endpoints(manifest) or {}).values()
        listed = environment.endpoints
        if listed is None or all(owner_of(url, listed) for url in urls):
            return {}
        found = {}
        others = [ref for ref in known if ref.id != environment.id]
        # Only a fault leads here: a healthy environment costs no further query.
        for other in others[:MOST_ENVIRONMENTS]:
            fetched = environment_of(other, await self._fetch_environment(other))
            found.update({endpoint.id: other.name for endpoint in fetched.endpoints or ()})
        return found

    async def _call(self, snapshot: Snapshot, *, sentinel: bool) -> tuple[EndpointCall, ...]:
        chosen = _endpoint_to_call(snapshot)
        if chosen is None:
            return ()
        base = endpoints_address()
        name, endpoint = chosen
        calls = []
        if endpoint is not None:
            self.step = f"the health request to endpoint {name!r}"
            url = f"{base}/{endpoint.id}/health"
            calls.append(await self._health(EndpointCall(name, "health", None), url, {}))
        if sentinel:
            self.step = f"the sentinel's health request to endpoint {name!r}"
            headers = {
                "X-Flash-App": snapshot.app.name,
                "X-Flash-Environment": snapshot.environment.name,
                "X-Flash-Endpoint": name,
            }
            url = f"{base}/{_SENTINEL}/health"
            calls.append(await self._health(EndpointCall(name, "sentinel", None), url, headers))
        return tuple(calls)

    async def _health(
        self, call: EndpointCall, url: str, headers: Mapping[str, str]
    ) -> EndpointCall:
        """Request the state of an endpoint's workers and jobs, which starts neither."""
        session = await session_of(self._client)
        try:
            # A redirect would send the API key to another host.
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                return replace(call, status=int(response.status))
        except Exception as error:
            return replace(call, problem=scrub(str(error)) or type(error).__name__)


def _endpoint_to_call(snapshot: Snapshot) -> tuple[str, Ref | None] | None:
    """Choose an endpoint, queue-based before load-balanced.

    The API key must not go to a URL from a manifest: it is only sent under Flash's own base URL,
    to an id that the environment itself lists.
    """
    listed = snapshot.environment.endpoints or ()
    if not snapshot.has_mapping:
        return next(((ref.name, ref) for ref in listed if ENDPOINT_ID.fullmatch(ref.id)), None)
    found = [(name, owner_of(url, listed), url) for name, url in snapshot.endpoints.items()]
    known = [row for row in found if row[1] is not None and ENDPOINT_ID.fullmatch(row[1].id)]
    queued = [row for row in known if "/v2/" in row[2]]
    for name, endpoint, _ in (*queued, *known):
        return name, endpoint
    return next(((name, None) for name, _, _ in found), None)


# --- errors ---------------------------------------------------------------------------------------


class VerifyError(Exception):
    """The read-back failed before anything could be compared.

    Attributes:
        message: What is wrong, in one sentence, without secrets.
        next_step: What to do about it.
        code: The code of the fault, or None.
    """

    def __init__(self, message: str, next_step: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.code = code


class WrongNameError(VerifyError):
    """The app or environment does not exist, or it is ambiguous."""


def missing_key() -> VerifyError:
    """Return the error for a missing API key."""
    return VerifyError("there is no Runpod API key, so nothing can be read back.", _KEY_ORDER)


def unknown_app(name: str, known: Sequence[str]) -> WrongNameError:
    """Return the error for an app that this API key cannot see."""
    listed = f"It knows: {listing(known)}." if known else "It knows none for this API key."
    near = get_close_matches(name, known)
    step = "Flash uses the folder's name unless `--app` is given. Pass another: --app NAME"
    if near:
        step = f"Did you mean {near[0]}? Pass it: --app {near[0]}"
    return WrongNameError(f"Runpod knows no app {name!r}. {listed}", step)


def unknown_environment(app: str, name: str, known: Sequence[str]) -> WrongNameError:
    """Return the error for an environment that the app does not have."""
    listed = f"It has: {listing(known)}." if known else "It has none."
    near = get_close_matches(name, known)
    step = "Run: flash deploy"
    for likeliest in [*near, *known][:1]:
        step = f"Try: flash-otel verify --app {app} --env {likeliest}"
    step = f"Did you mean {near[0]}? {step}" if near else step
    return WrongNameError(f"app {app!r} has no environment {name!r}. {listed}", step)


def choose_environment(app: str, known: Sequence[str]) -> WrongNameError:
    """Return the error for an app that has several environments, or none."""
    if not known:
        return WrongNameError(f"app {app!r} has no environment.", "Run: flash deploy")
    message = f"app {app!r} has {len(known)} environments: {listing(known)}."
    return WrongNameError(message, f"Choose one: flash-otel verify --app {app} --env {known[0]}")


def out_of_time(seconds: float, step: str) -> VerifyError:
    """Return the error for a query that was pending at the deadline."""
    return VerifyError(
        f"no answer within {seconds:g} s: {step} was still pending.",
        "Check the network and Runpod's status, or give it longer: --timeout SECONDS",
    )


def query_error(error: BaseException, step: str) -> VerifyError:
    """Return the error for a failed query.

    Args:
        error: The exception that Flash's client raised.
        step: The query, in words.
    """
    text = " ".join(scrub(str(error)).split())
    kind = failures.kind_of(type(error).__name__, text)
    message = f"{step} failed: {text or type(error).__name__}"
    if kind == failures.UNAUTHORIZED:
        return VerifyError(f"the API key was rejected; {message}", _KEY_ORDER, semconv.UNAUTHORIZED)
    if kind == failures.UNAVAILABLE:
        code = semconv.STATE_MANAGER_UNAVAILABLE if failures.is_server_error(text) else None
        return VerifyError(message, "Check the network and Runpod's status, and try again.", code)
    return VerifyError(message, "Try again; `flash env list` asks Runpod the same way.")


def listing(names: Sequence[str]) -> str:
    """Return the first names as a list in a sentence."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
