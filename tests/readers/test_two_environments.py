"""Logs of two environments, given together: what one has lost does not accuse the other."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers.exports import EXPORTS
from readers.scenes import (
    BEGIN_NS,
    BUILD,
    ENVIRONMENT,
    LATER_NS,
    OTHER_BUILD,
    OTHER_ENVIRONMENT,
    bare,
    deployment,
    judged,
    read,
    timed,
)

from flash_otel import semconv as sc

if TYPE_CHECKING:
    from collections.abc import Callable

    from readers.scenes import Entry


def renamed(text: str) -> str:
    """Return a text of production's deployment with the names of staging."""
    for name, other in RENAMED.items():
        text = text.replace(name, other)
    return text


RENAMED: Final = {"production": "staging", "/v2/abc": "/v2/ghi", "/v2/def": "/v2/jkl"}
PRODUCTION: Final = deployment()
STAGING: Final = [renamed(text) for text in deployment(OTHER_BUILD, OTHER_ENVIRONMENT)]
WORKERS: Final = {
    "production": [read()],
    "staging": [read(OTHER_BUILD, OTHER_ENVIRONMENT)],
    "both": [read(), read(OTHER_BUILD, OTHER_ENVIRONMENT)],
}
FORMS: Final = {"bare": bare, "timed": EXPORTS["plain"]}
SECRETS: Final = [BUILD, OTHER_BUILD, ENVIRONMENT, OTHER_ENVIRONMENT]


def entries_of(workers: str) -> list[list[Entry]]:
    """Return the logs of both deployments and of the workers of one environment or of both."""
    texts = [PRODUCTION, STAGING, *WORKERS[workers]]
    return [timed(text, BEGIN_NS + at * LATER_NS) for at, text in enumerate(texts)]


def verdict(logs: list[list[Entry]], form: Callable[[list[Entry]], bytes]) -> str:
    """Diagnose logs together."""
    with tempfile.TemporaryDirectory() as folder:
        return judged(Path(folder), *map(form, logs))[0]


def cut(log: list[Entry], width: int) -> list[Entry]:
    """Return a log whose lines a limit has cut."""
    return [(at, text[:width]) for at, text in log]


def cut_line(log: list[Entry], number: int, width: int) -> list[Entry]:
    """Return a log of which one line is cut."""
    return [(at, text[:width] if place == number else text) for place, (at, text) in enumerate(log)]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("form", FORMS)
def test_whole_logs_are_healthy(workers: str, form: str) -> None:
    """Each read belongs to the deployment that it names."""
    expected = {sc.NONE} if workers == "both" else {sc.NONE, sc.INCONCLUSIVE}
    assert verdict(entries_of(workers), FORMS[form]) in expected


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("form", FORMS)
@given(
    sides=st.sets(st.integers(0, 3), min_size=1),
    width=st.integers(60, 160),
    number=st.none() | st.integers(0, 20),
)
@settings(max_examples=60)
def test_logs_cut_at_a_width_accuse_nobody(
    workers: str, form: str, sides: set[int], width: int, number: int | None
) -> None:
    """Whichever logs have lost the ends of their lines, or of one, all deployments are healthy."""
    logs = [
        log
        if side not in sides
        else cut(log, width)
        if number is None
        else cut_line(log, number % len(log), width)
        for side, log in enumerate(entries_of(workers))
    ]
    assert verdict(logs, FORMS[form]) in (sc.NONE, sc.INCONCLUSIVE)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("form", FORMS)
@given(
    sides=st.sets(st.integers(0, 3), min_size=1),
    secrets=st.sets(st.sampled_from(SECRETS), min_size=1),
    mask=st.sampled_from(["***", "<redacted>", "[FILTERED]", "…"]),
)
@settings(max_examples=30)
def test_masked_ids_accuse_nobody(
    workers: str, form: str, sides: set[int], secrets: set[str], mask: str
) -> None:
    """Whichever ids are masked in whichever logs, all deployments are healthy."""
    logs = entries_of(workers)
    for side, log in enumerate(logs):
        for secret in secrets if side in sides else ():
            log[:] = [(at, text.replace(secret, mask)) for at, text in log]
    assert verdict(logs, FORMS[form]) in (sc.NONE, sc.INCONCLUSIVE)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("form", FORMS)
@given(lost=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=6))
@settings(max_examples=60)
def test_lost_lines_accuse_nobody(workers: str, form: str, lost: list[tuple[int, int]]) -> None:
    """Whichever lines are gone, all deployments are healthy."""
    logs = [
        [entry for number, entry in enumerate(log) if (side, number) not in lost]
        for side, log in enumerate(entries_of(workers))
    ]
    assert verdict(logs, FORMS[form]) in (sc.NONE, sc.INCONCLUSIVE)
