"""`verify`: read back, compare, judge."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from flash_otel.pipeline import resource
from flash_otel.redaction import remember_environment
from flash_otel.verify import errors, flash, local
from flash_otel.verify.checks import Subject
from flash_otel.verify.client import Questions
from flash_otel.verify.deadline import within
from flash_otel.verify.verdict import judge, reads_manifests

if TYPE_CHECKING:
    from flash_otel.store.store import SpanStore
    from flash_otel.verify.snapshot import Reading
    from flash_otel.verify.verdict import Verification


def verify(
    app: str,
    environment: str | None = None,
    *,
    expected_build: str | None = None,
    call: bool = False,
    seconds: float = 30.0,
    folder: Path | None = None,
    store: SpanStore | None = None,
) -> Verification:
    """Read back what a worker would read, and judge it.

    Nothing is written, on Runpod or here; the API key goes nowhere but to Flash's own URLs.

    Args:
        app: Name of the app.
        environment: Name or id of the environment; None if the app has only one.
        expected_build: The build that should be active, or its first characters.
        call: Whether to ask one endpoint for its health.
        seconds: How long all questions together may take.
        folder: The project's folder; by default the working folder.
        store: The store that may hold the recorded deployment.

    Raises:
        VerifyError: Nothing could be compared.
    """
    remember_environment()
    with flash.quiet():
        client = flash.make_client()
        version = resource.flash_version() or ""
        questions = Questions(client, app, environment)
        sentinel = reads_manifests(version) is False
        reading = _asked(questions, seconds, call=call, sentinel=sentinel)
    subject = Subject(reading, expected_build, local.read(folder or Path.cwd()))
    recorded = local.recorded(store, reading.environment.id) if store is not None else ()
    return judge(subject, recorded, version)


def _asked(questions: Questions, seconds: float, *, call: bool, sentinel: bool) -> Reading:
    try:
        return within(seconds, lambda: questions.everything(call=call, sentinel=sentinel))
    except asyncio.TimeoutError:
        raise errors.out_of_time(seconds, questions.step) from None
