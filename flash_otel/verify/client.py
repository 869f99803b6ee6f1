"""Fetch a snapshot through the installed Flash's own client, within a deadline.

Queries only, in this order: app, environment, active build, its manifest, and one endpoint. Each
is a method of Flash's client that workers or `flash` call too.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib import util
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flash_otel import manifest as manifests
from flash_otel.redaction import remember, remember_manifest, scrub
from flash_otel.verify import errors
from flash_otel.verify.snapshot import (
    EndpointCall,
    FetchedBuild,
    FetchedEnvironment,
    Ref,
    Snapshot,
    owner_of,
    record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

MOST_ENVIRONMENTS: Final = 20
"""How many other environments are searched for an endpoint that this environment lacks."""

_NOT_FOUND: Final = "app not found"  # the error text of `FlashApp` (1.0.0-1.21.0)
_ENDPOINT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SENTINEL: Final = "flash"  # `runpod_flash.flash_sentinel.FLASH_SENTINEL_ID` (1.15.0-1.21.0)


def is_installed() -> bool:
    """Return whether this interpreter has runpod-flash, without importing it."""
    return util.find_spec("runpod_flash") is not None


@contextmanager
def silenced() -> Iterator[None]:
    """Keep Flash's log off the terminal and out of the working folder.

    On import, Flash configures the root logger (standard output, and a file in the working
    folder), unless it already has a handler (`runpod_flash.logger.setup_logging`).
    """
    root = logging.getLogger()
    handler = None if root.handlers else logging.NullHandler()
    if handler is not None:
        root.addHandler(handler)
    before = root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
        if handler is not None:
            root.removeHandler(handler)


def make_client() -> Any:
    """Make the client that `flash deploy` and workers use, with the API key that they would use.

    Returns:
        A `runpod_flash.core.api.runpod.RunpodGraphQLClient` (1.0.0-1.21.0).

    Raises:
        VerifyError: Flash found no API key.
    """
    # Flash may print while it is imported, which would corrupt the JSON output.
    with redirect_stdout(io.StringIO()):
        from runpod_flash.core.api.runpod import RunpodGraphQLClient
    try:
        client = RunpodGraphQLClient()
    except Exception as error:
        if type(error).__name__ == "RunpodAPIKeyError":
            raise errors.missing_key() from None
        raise
    remember(client.api_key)
    return client


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
        except errors.VerifyError:
            raise
        except Exception as error:
            # Without the cause: its text may hold the key, and is scrubbed in the message only.
            raise errors.of(error, self.step) from None

    async def _fetch(self) -> Snapshot:
        app = await self._fetch_app()
        environments = tuple(_refs(app.get("flashEnvironments")))
        chosen = self._choose(environments)
        start_ns = time.time_ns()
        answer = await self._fetch_environment(chosen)
        environment = _environment(chosen, answer)
        manifest = await self._fetch_manifest(environment)
        span = record(chosen.id, answer, manifest, start_ns, time.time_ns())
        return Snapshot(
            app=Ref(_text(app.get("id")) or "", self._app),
            environments=environments,
            builds=tuple(
                FetchedBuild(build_id, _text(build.get("createdAt")) or "")
                for build_id, build in _with_id(app.get("flashBuilds"))
            ),
            environment=environment,
            manifest=manifest,
            record=span,
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
            raise errors.unknown_app(self._app, await self._app_names())
        return found

    async def _app_names(self) -> list[str]:
        try:
            return [app.name for app in _refs(await self._client.list_flash_apps())]
        except Exception:  # the error message is useful without them
            return []

    def _choose(self, known: tuple[Ref, ...]) -> Ref:
        names = [environment.name for environment in known]
        if self._environment is None:
            # Never guessed: the verdict on the wrong environment would be trusted.
            if len(known) != 1:
                raise errors.choose_environment(self._app, names)
            return known[0]
        for environment in known:
            if self._environment in (environment.name, environment.id):
                return environment
        raise errors.unknown_environment(self._app, self._environment, names)

    async def _fetch_environment(self, environment: Ref) -> Any:
        self.step = f"the query for environment {environment.name!r}"
        return await self._client.get_flash_environment({"flashEnvironmentId": environment.id})

    async def _fetch_manifest(self, environment: FetchedEnvironment) -> Mapping[str, Any] | None:
        if environment.active_build_id is None:
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
            fetched = _environment(other, await self._fetch_environment(other))
            found.update({endpoint.id: other.name for endpoint in fetched.endpoints or ()})
        return found

    async def _call(self, snapshot: Snapshot, *, sentinel: bool) -> tuple[EndpointCall, ...]:
        chosen = _endpoint_to_call(snapshot)
        if chosen is None:
            return ()
        import runpod

        base = str(runpod.endpoint_url_base).rstrip("/")  # where Flash itself calls endpoints
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
        session = await self._client._get_session()  # noqa: SLF001 - Flash's only authenticated session (1.0.0-1.21.0)
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
    found = [(name, owner_of(url, listed), url) for name, url in snapshot.endpoints.items()]
    known = [row for row in found if row[1] is not None and _ENDPOINT_ID.fullmatch(row[1].id)]
    queued = [row for row in known if "/v2/" in row[2]]
    for name, endpoint, _ in (*queued, *known):
        return name, endpoint
    return next(((name, None) for name, _, _ in found), None)


def _environment(ref: Ref, answer: object) -> FetchedEnvironment:
    if not isinstance(answer, Mapping):
        return FetchedEnvironment(ref.id, ref.name, is_known=False)
    listed = answer.get("endpoints")
    return FetchedEnvironment(
        ref.id,
        ref.name,
        active_build_id=_text(answer.get("activeBuildId")),
        endpoints=tuple(_refs(listed)) if isinstance(listed, list) else None,
    )


def _refs(listed: object) -> Iterator[Ref]:
    for known, item in _with_id(listed):
        yield Ref(known, _text(item.get("name")) or known)


def _with_id(listed: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the well-formed items of a list in an answer, which may have any shape."""
    for item in listed if isinstance(listed, list) else ():
        known = _text(item.get("id")) if isinstance(item, Mapping) else None
        if known:
            yield known, item


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


class _DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread.

    The loop resolves host names in its executor, where they cannot be cancelled, and the process
    waits for the threads of the standard executor when it exits.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, name="flash_otel-lookup", daemon=True).start()
        return future


def run_within(seconds: float, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine that `make` returns on a new loop, and cancel it after `seconds`.

    Raises:
        asyncio.TimeoutError: The time is over.
    """
    loop = asyncio.new_event_loop()
    loop.set_default_executor(_DaemonExecutor())
    try:
        return loop.run_until_complete(asyncio.wait_for(make(), seconds))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
