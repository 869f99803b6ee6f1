"""The questions, in order: app, environment, active build, its manifest, and one endpoint.

Queries only, each through a method of Flash's own client that workers or `flash` call too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flash_otel import manifest as manifests
from flash_otel.redaction import remember_manifest, scrub
from flash_otel.verify import errors
from flash_otel.verify.flash import endpoint_base
from flash_otel.verify.snapshot import Answer, Build, Environment, Named, Reading, owner_of, record

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ENVIRONMENTS: Final = 20
"""Of how many other environments the endpoints are listed, to find one that is missing here."""

_NOT_FOUND: Final = "app not found"  # as `FlashApp` tells it (1.0.0-1.21.0)
_ENDPOINT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SENTINEL: Final = "flash"  # `runpod_flash.flash_sentinel.FLASH_SENTINEL_ID` (1.15.0-1.21.0)


class Questions:
    """Asks for one environment of one app.

    Args:
        client: Flash's GraphQL client.
        app: Name of the app.
        environment: Name or id of the environment; None if the app has only one.

    Attributes:
        step: The question that is open, in words.
    """

    def __init__(self, client: Any, app: str, environment: str | None) -> None:
        self._client = client
        self._app = app
        self._environment = environment
        self.step = "the connection"

    async def everything(self, *, call: bool, sentinel: bool) -> Reading:
        """Ask for everything.

        Args:
            call: Whether to ask one endpoint as well.
            sentinel: Whether calls are resolved by app, environment and name (Flash 1.15+).

        Raises:
            VerifyError: A question was not answered, or there is no such app or environment.
        """
        try:
            async with self._client:
                reading = await self._read()
                answers = await self._call(reading, sentinel=sentinel) if call else ()
        except errors.VerifyError:
            raise
        except Exception as error:
            raise errors.of(error, self.step) from None
        return _with_answers(reading, answers)

    async def _read(self) -> Reading:
        app = await self._ask_app()
        environments = tuple(_named(app.get("flashEnvironments")))
        chosen = self._choose(environments)
        start_ns = time.time_ns()
        answer = await self._ask_environment(chosen)
        environment = _environment(chosen, answer)
        manifest = await self._ask_manifest(environment)
        made = record(chosen.id, answer, manifest, start_ns, time.time_ns())
        return Reading(
            app=Named(_text(app.get("id")) or "", self._app),
            environments=environments,
            builds=tuple(_builds(app.get("flashBuilds"))),
            environment=environment,
            manifest=manifest,
            record=made,
            elsewhere=await self._ask_elsewhere(environment, environments, manifest),
        )

    async def _ask_app(self) -> Mapping[str, Any]:
        self.step = f"the question for app {self._app!r}"
        try:
            found = await self._client.get_flash_app_by_name(self._app)
        except Exception as error:
            if _NOT_FOUND not in str(error).lower():
                raise
            found = None
        if not isinstance(found, Mapping):
            raise errors.unknown_app(self._app, await self._known_apps())
        return found

    async def _known_apps(self) -> list[str]:
        """List the apps for the message; it is as good without them."""
        try:
            return [one.name for one in _named(await self._client.list_flash_apps())]
        except Exception:
            return []

    def _choose(self, known: tuple[Named, ...]) -> Named:
        names = [one.name for one in known]
        if self._environment is None:
            if len(known) != 1:
                raise errors.choose_environment(self._app, names)
            return known[0]
        wanted = (one for one in known if self._environment in (one.name, one.id))
        found = next(wanted, None)
        if found is None:
            raise errors.unknown_environment(self._app, self._environment, names)
        return found

    async def _ask_environment(self, environment: Named) -> Any:
        self.step = f"the question for environment {environment.name!r}"
        return await self._client.get_flash_environment({"flashEnvironmentId": environment.id})

    async def _ask_manifest(self, environment: Environment) -> Mapping[str, Any] | None:
        if environment.active_build_id is None:
            return None
        self.step = f"the question for build {environment.active_build_id}"
        build = await self._client.get_flash_build(environment.active_build_id)
        manifest = build.get("manifest") if isinstance(build, Mapping) else None
        remember_manifest(manifest)
        return manifest if isinstance(manifest, Mapping) else None

    async def _ask_elsewhere(
        self, mine: Environment, known: tuple[Named, ...], manifest: Mapping[str, Any] | None
    ) -> dict[str, str]:
        """Look for endpoints that this environment lacks in the app's other ones."""
        urls = (manifests.endpoints(manifest) or {}).values()
        listed = mine.endpoints
        if listed is None or all(owner_of(url, listed) for url in urls):
            return {}
        found = {}
        others = [one for one in known if one.id != mine.id]
        for other in others[:MOST_ENVIRONMENTS]:
            answer = _environment(other, await self._ask_environment(other))
            found.update({one.id: other.name for one in answer.endpoints or ()})
        return found

    async def _call(self, reading: Reading, *, sentinel: bool) -> tuple[Answer, ...]:
        chosen = _endpoint_to_call(reading)
        if chosen is None:
            return ()
        name, endpoint = chosen
        base = endpoint_base()
        answers = []
        if endpoint is not None:
            self.step = f"the health of endpoint {name!r}"
            url = f"{base}/{endpoint.id}/health"
            answers.append(await self._health(Answer(name, "health", None), url, {}))
        if sentinel:
            self.step = f"the sentinel's health of endpoint {name!r}"
            headers = {
                "X-Flash-App": reading.app.name,
                "X-Flash-Environment": reading.environment.name,
                "X-Flash-Endpoint": name,
            }
            url = f"{base}/{_SENTINEL}/health"
            answers.append(await self._health(Answer(name, "sentinel", None), url, headers))
        return tuple(answers)

    async def _health(self, answer: Answer, url: str, headers: Mapping[str, str]) -> Answer:
        """Ask for the state of an endpoint's workers and jobs: it starts neither."""
        session = await self._client._get_session()  # noqa: SLF001 - Flash's only authenticated session (1.0.0-1.21.0)
        try:
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                return Answer(answer.name, answer.by, int(response.status))
        except Exception as error:
            problem = scrub(str(error)) or type(error).__name__
            return Answer(answer.name, answer.by, None, problem)


def _endpoint_to_call(reading: Reading) -> tuple[str, Named | None] | None:
    """Choose an endpoint, queue-based before load-balanced.

    The key never goes to a URL that a manifest names: only to an id of the environment's own
    list, under Flash's own base URL.
    """
    listed = reading.environment.endpoints or ()
    found = [(name, owner_of(url, listed), url) for name, url in reading.held.items()]
    known = [one for one in found if one[1] is not None and _ENDPOINT_ID.fullmatch(one[1].id)]
    queued = [one for one in known if "/v2/" in one[2]]
    for name, endpoint, _ in (*queued, *known):
        return name, endpoint
    return next(((name, None) for name, _, _ in found), None)


def _with_answers(reading: Reading, answers: tuple[Answer, ...]) -> Reading:
    from dataclasses import replace

    return replace(reading, answers=answers) if answers else reading


def _environment(asked: Named, answer: object) -> Environment:
    if not isinstance(answer, Mapping):
        return Environment(asked.id, asked.name, known=False)
    listed = answer.get("endpoints")
    return Environment(
        asked.id,
        asked.name,
        active_build_id=_text(answer.get("activeBuildId")),
        endpoints=tuple(_named(listed)) if isinstance(listed, list) else None,
    )


def _named(listed: object) -> Iterable[Named]:
    for one in listed if isinstance(listed, list) else ():
        known = _text(one.get("id")) if isinstance(one, Mapping) else None
        if known:
            yield Named(known, _text(one.get("name")) or known)


def _builds(listed: object) -> Iterable[Build]:
    for one in listed if isinstance(listed, list) else ():
        known = _text(one.get("id")) if isinstance(one, Mapping) else None
        if known:
            yield Build(known, _text(one.get("createdAt")) or "")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
