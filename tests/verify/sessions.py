"""Clients whose sessions give scripted answers: of workers, and of their logs."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from flash_otel.verify.log_fetcher import LogSource
from flash_otel.verify.successor import AppsClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import pytest
    from typing_extensions import Self

ADDRESS: Final = "https://hapi.example"
API_ADDRESS: Final = "https://api.example/v2"
ENDPOINT: Final = "ep1"
API_KEY: Final = "canary-key-of-a-client"


class Answer:
    """An answer over HTTP: a status, and a body that is read in pieces."""

    def __init__(self, body: object = None, status: int = 200) -> None:
        self.status = status
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    @property
    def content(self) -> Self:
        """The body, as aiohttp names it."""
        return self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield the body in pieces."""
        for start in range(0, len(self._body), size):
            yield self._body[start : start + size]


class Session:
    """Answers requests by their URLs, and keeps the URLs."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def get(self, url: str, *, allow_redirects: bool) -> Answer:
        """Return the answer for a URL, whose redirects are not followed."""
        assert not allow_redirects
        self.asked.append(url)
        return self._answers[url]


class Client:
    """Flash's client, as far as logs are fetched through it."""

    def __init__(self, session: Session) -> None:
        self.api_key = API_KEY
        self.is_open = False
        self._session = session

    async def __aenter__(self) -> Self:
        self.is_open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False

    async def _get_session(self) -> Session:
        assert self.is_open
        return self._session


class _Api:
    """The queries of runpod 2's own client."""

    def __init__(self, session: Session, workers: object) -> None:
        self._session = session
        self._workers = workers

    async def endpoint_workers(self, endpoint_id: str) -> Any:
        """Return or raise what is known of the workers."""
        self._session.asked.append(f"workers of {endpoint_id}")
        if isinstance(self._workers, Exception):
            raise self._workers
        return self._workers


class Successor(AppsClient):
    """The client of runpod 2, with a scripted session."""

    def __init__(self, session: Session, workers: object) -> None:
        super().__init__(_Api(session, workers), API_KEY)
        self._scripted = session

    async def _get_session(self) -> Any:
        return self._scripted


def log_url(worker: str) -> str:
    """Return the URL of a worker's log."""
    return f"{ADDRESS}/v1/pod/{worker}/logs"


def metrics_url(endpoint: str = ENDPOINT) -> str:
    """Return the URL of what runpod-flash's client knows of an endpoint's workers."""
    return f"{API_ADDRESS}/{endpoint}/metrics"


def answers(logs: Mapping[str, Answer]) -> dict[str, Answer]:
    """Return the answers for the logs of workers, by their URLs."""
    return {log_url(worker): answer for worker, answer in logs.items()}


def know_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runpod be installed, with the address of its endpoints."""
    module = ModuleType("runpod")
    vars(module)["endpoint_url_base"] = f"{API_ADDRESS}/"
    monkeypatch.setitem(sys.modules, "runpod", module)


def source(
    workers: object, logs: Mapping[str, Answer], *, is_successor: bool = False
) -> tuple[LogSource, Session]:
    """Return a source whose server has workers and logs, and the session that asks it.

    Args:
        workers: The answer on the workers: an `Answer` to be given as it is, an exception of
            runpod 2's client, or what an answer holds.
        logs: The answers on logs, by the ids of the workers.
        is_successor: Whether runpod 2 is installed.
    """
    found = answers(logs)
    if is_successor:
        session = Session(found)
        return LogSource(Successor(session, workers), ADDRESS), session
    metrics = workers if isinstance(workers, Answer) else Answer(workers)
    session = Session({metrics_url(): metrics, **found})
    return LogSource(Client(session), ADDRESS), session
