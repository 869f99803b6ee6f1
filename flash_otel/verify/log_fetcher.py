"""Fetch the logs of an endpoint's workers through Flash's own client.

It sends two kinds of queries: which workers are ready, and the log of each. Flash itself shows
these logs while a job runs: runpod-flash from 1.12.0 on (`core/resources/request_logs.py`), and
runpod 2 (`apps/monitor.py`, `apps/logs.py`). Their functions drop the reason of a failed request,
or read an answer of any size, so only their client, addresses and answers are used here.
"""

from __future__ import annotations

import importlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flash_otel.pipeline import resource
from flash_otel.verify import client as clients
from flash_otel.verify.client import ENDPOINT_ID, VerifyError
from flash_otel.verify.successor import AppsClient

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_WORKERS: Final = 20
MOST_BYTES: Final = 64 * 1024 * 1024
"""Size of all logs of an endpoint together."""

_LIMIT: Final = f"{MOST_BYTES // 2**20} MiB"
_PIECE: Final = 64 * 1024
_OK: Final = 200
_NOT_FOUND: Final = 404
# Of runpod 2's states; a worker that is initializing or throttled has no container yet.
_WITH_LOGS: Final = frozenset({"running", "idle", "unhealthy"})
_HIDDEN: Final = "[redacted]"


@dataclass(frozen=True, slots=True)
class LogSource:
    """A client, and where it finds workers and their logs.

    Attributes:
        client: A client that `make_client` made.
        logs: Address of the service that has the logs.
    """

    client: Any
    logs: str


def log_source() -> LogSource:
    """Return the client and the address of the installed Flash.

    Raises:
        VerifyError: There is no API key, or this version cannot fetch logs.
    """
    client = clients.make_client()
    is_successor = isinstance(client, AppsClient)
    module = "runpod.apps.logs" if is_successor else "runpod_flash.core.resources.request_logs"
    try:
        # Flash may print while it is imported, which would corrupt the JSON output.
        with redirect_stdout(io.StringIO()):
            found = importlib.import_module(module)
        return LogSource(client, _address_of_logs(found).rstrip("/"))
    except (ImportError, AttributeError):
        package = "runpod" if is_successor else "runpod-flash"
        raise VerifyError(
            f"{package} {resource.flash_version() or '(unknown version)'} cannot fetch the logs of "
            "workers",
            "Upgrade it: runpod-flash 1.12 and later can, and so can runpod 2.",
        ) from None


def _address_of_logs(module: Any) -> str:
    for name in ("RUNPOD_HAPI_URL", "HAPI_BASE"):  # runpod-flash 1.16.0-1.21.0, runpod 2.0.0rc2
        if hasattr(module, name):
            return str(getattr(module, name))
    # 1.12.0-1.15.0 know no such variable, but two addresses.
    return os.environ.get("RUNPOD_HAPI_URL") or str(module._resolve_hapi_base_url())  # noqa: SLF001 - Flash's only source of the address (1.12.0-1.15.0)


class NoEndpointError(Exception):
    """The server does not know the endpoint."""


class _OversizedError(Exception):
    """An answer is larger than what is left of `MOST_BYTES`."""


class _RefusedError(Exception):
    """The server answered with an error."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status


class LogFetcher:
    """Fetches the logs of an endpoint's workers.

    Attributes:
        step: The pending request, in words.
    """

    def __init__(
        self, source: LogSource, endpoint: str, name: str, on_note: Callable[[str], None]
    ) -> None:
        self._source = source
        self._client = source.client
        self._endpoint = endpoint
        self._name = name
        self._on_note = on_note
        self._bytes_left = MOST_BYTES
        self._left_out: list[str] = []
        self.step = "the connection"

    async def fetch(self) -> dict[str, bytes]:
        """Return the logs that are not empty, by the ids of the workers.

        Raises:
            VerifyError: A request failed, no worker is ready, or none has a log yet.
        """
        try:
            async with self._client:
                return await self._fetch()
        except (VerifyError, NoEndpointError):
            raise
        except Exception as error:
            # Without the cause: its text may hold the key, and is scrubbed in the message only.
            raise clients.query_error(error, self.step) from None

    async def _fetch(self) -> dict[str, bytes]:
        workers = await self._workers()
        if len(workers) > MOST_WORKERS:
            self._on_note(
                f"{self._name} has {len(workers)} workers; the logs of {MOST_WORKERS} are read"
            )
        logs = {worker: await self._log(worker) for worker in workers[:MOST_WORKERS]}
        written = {worker: log for worker, log in logs.items() if log}
        if not written:
            silent = f"no worker of {self._name} has logs yet ({clients.listing(list(logs))})"
            raise VerifyError("; ".join(self._left_out) or silent, "Try again in a minute.")
        for problem in self._left_out:
            self._on_note(problem)
        return written

    async def _workers(self) -> list[str]:
        self.step = f"the query for the workers of {self._name}"
        try:
            if isinstance(self._client, AppsClient):
                answer = await self._client.endpoint_workers(self._endpoint)
            else:
                url = f"{clients.endpoints_address()}/{self._endpoint}/metrics"
                answer = await self._json(url)
        except Exception as error:
            if getattr(error, "status_code", None) == _NOT_FOUND:
                raise NoEndpointError from None
            raise
        workers = [worker for worker in _ready(answer) if ENDPOINT_ID.fullmatch(worker)]
        if not workers:
            raise VerifyError(
                f"no worker of {self._name} is ready{_counted(answer)}, so there is no log",
                "Send it a request, which starts a worker, and repeat this command.",
            )
        return workers

    async def _log(self, worker: str) -> bytes:
        self.step = f"the query for the log of worker {worker}"
        try:
            answer = await self._json(f"{self._source.logs}/v1/pod/{worker}/logs")
        except _OversizedError:
            left_out = f"was left out: with those before, it is larger than {_LIMIT}"
        except _RefusedError as error:
            if error.status_code != _NOT_FOUND:
                raise
            left_out = "is gone"
        else:
            return self._text(answer)
        self._left_out.append(f"the log of worker {worker} of {self._name} {left_out}")
        return b""

    def _text(self, answer: object) -> bytes:
        lines = answer.get("container") if isinstance(answer, Mapping) else None
        kept = (line for line in (lines if isinstance(lines, list) else ()) if line)
        text = "\n".join(str(line).rstrip("\n") for line in kept)
        # A program may have printed the key; no report may quote it.
        return text.replace(str(self._client.api_key), _HIDDEN).encode("utf-8", "replace")

    async def _json(self, url: str) -> object:
        session = await clients.session_of(self._client)
        # A redirect would send the API key to another host.
        async with session.get(url, allow_redirects=False) as response:
            if response.status != _OK:
                raise _RefusedError(int(response.status))
            body = bytearray()
            async for piece in response.content.iter_chunked(_PIECE):
                body += piece
                if len(body) > self._bytes_left:
                    raise _OversizedError
        self._bytes_left -= len(body)
        return json.loads(body)


def _ready(answer: object) -> list[str]:
    """Return the ids of the workers that have a log, of either generation's answer."""
    if not isinstance(answer, Mapping):
        return []
    ready = answer.get("readyWorkers")
    if isinstance(ready, list):
        return [str(worker) for worker in ready if worker]
    listed = answer.get("workers")
    return [
        str(worker.get("id"))
        for worker in (listed if isinstance(listed, list) else ())
        if isinstance(worker, Mapping) and str(worker.get("status")).lower() in _WITH_LOGS
    ]


def _counted(answer: object) -> str:
    """Return the number of workers in each state, in brackets; empty if unknown."""
    counts = answer.get("summary", answer.get("workers")) if isinstance(answer, Mapping) else None
    if not isinstance(counts, Mapping):
        return ""
    parts = [f"{count} {state}" for state, count in counts.items() if count and state != "total"]
    return f" ({', '.join(map(str, parts))})" if parts else ""
