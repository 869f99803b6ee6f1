"""The logs of an endpoint's workers as a source of records."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from flash_otel.diagnosis.readers.input import CHUNK, Input, NothingFoundError, ReaderError
from flash_otel.diagnosis.readers.log_spans import LogReader
from flash_otel.redaction import remember_environment
from flash_otel.verify import client, run_within, silenced
from flash_otel.verify.client import ENDPOINT_ID, VerifyError
from flash_otel.verify.log_fetcher import LogFetcher, NoEndpointError, log_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flash_otel.diagnosis.readers.input import Progress
    from flash_otel.records import SpanRecord

SECONDS: Final = 30.0

HOW_TO_COPY: Final = (
    "Or copy the worker's log from Runpod's console (Serverless, the endpoint, Workers, the "
    "worker's logs) into a file, and run: flash-otel diagnose --from store worker.log"
)


class WorkerReader:
    """Reads the spans in the logs of an endpoint's workers.

    Args:
        endpoint: Id of the endpoint, or the name of a recorded one.
        recorded: Ids of the endpoints that a deployment recorded, by their resources' names.
        on_note: Called with a sentence if not every log could be read.
        seconds: Time for all requests together.
    """

    def __init__(
        self,
        endpoint: str,
        recorded: Mapping[str, str],
        *,
        on_note: Callable[[str], None] = lambda _: None,
        seconds: float = SECONDS,
    ) -> None:
        self.name = f"worker:{endpoint}"
        self._endpoint = endpoint
        self._recorded = recorded
        self._on_note = on_note
        self._seconds = seconds

    def records(self, progress: Progress | None = None) -> Iterator[SpanRecord]:
        """Yield the records of all logs.

        Raises:
            ReaderError: No log can be fetched; with the cause and the next step.
            NothingFoundError: The logs hold no record.
        """
        logs = self._fetched()
        found = False
        for number, (worker, log) in enumerate(logs.items(), 1):
            opened = cast("Callable[[], BinaryIO]", partial(io.BytesIO, log))
            reader = LogReader(Input(f"{self.name}/{worker}", CHUNK, opened))
            try:
                for record in reader.records():
                    found = True
                    yield record
            except NothingFoundError:
                pass  # its message would quote the log of a program that is not known
            if progress is not None:
                progress(number, len(logs))
        if not found:
            raise NothingFoundError(
                f"no log of {self.name} ({client.listing(list(logs))}) holds a bracketed line or "
                "a span of flash_otel"
            )

    def _fetched(self) -> dict[str, bytes]:
        remember_environment()
        try:
            with silenced():
                endpoint = self._id()
                return self._within_time(
                    LogFetcher(log_source(), endpoint, self.name, self._on_note)
                )
        except VerifyError as error:
            steps = [step for step in (error.next_step, HOW_TO_COPY) if step]
            raise ReaderError(error.message.removesuffix("."), "\n".join(steps)) from None

    def _within_time(self, fetcher: LogFetcher) -> dict[str, bytes]:
        try:
            return run_within(self._seconds, fetcher.fetch)
        except asyncio.TimeoutError:
            message = f"no answer within {self._seconds:g} s: {fetcher.step} was still pending"
            step = "Check the network and Runpod's status, and try again."
            raise VerifyError(message, step) from None
        except NoEndpointError:
            raise self._unknown() from None

    def _id(self) -> str:
        found = self._recorded.get(self._endpoint, self._endpoint)
        if ENDPOINT_ID.fullmatch(found) is None:
            raise self._unknown()
        return found

    def _unknown(self) -> VerifyError:
        known = list(self._recorded)
        step = "Give the endpoint's id, which its URL holds: --from worker:ID"
        if known:
            step = (
                f"The last recorded deployment has: {client.listing(known)}. "
                f"Try: flash-otel diagnose --from store --from worker:{known[0]}"
            )
        return VerifyError(f"Runpod knows no endpoint {self._endpoint!r}", step)
