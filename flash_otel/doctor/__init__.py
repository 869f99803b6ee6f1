"""Check an installation: what prevents tracing, and the next step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flash_otel.doctor.checks import UNKNOWN, DoctorCheck
from flash_otel.runtime.process import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def examine(timeout_s: float | None) -> Iterator[tuple[str, list[DoctorCheck]]]:
    """Yield each topic with its checks.

    Args:
        timeout_s: Timeout of each destination, in seconds; None sends nothing.
    """
    # Late: the command shows its help without loading any of them.
    from flash_otel.doctor import destinations, environment, flash, store

    topics: tuple[tuple[str, Callable[[], Iterator[DoctorCheck]]], ...] = (
        ("versions", flash.versions),
        ("targets", flash.targets),
        ("place", environment.place),
        ("provider", environment.providers),
        ("variables", environment.variables),
        ("store", store.store),
        ("destinations", partial(destinations.destinations, timeout_s)),
    )
    for topic, checks in topics:
        yield topic, list(_guarded(topic, checks))


def _guarded(topic: str, checks: Callable[[], Iterator[DoctorCheck]]) -> Iterator[DoctorCheck]:
    try:
        yield from checks()
    except Exception as error:
        swallowed(f"doctor {topic}")
        # Only the type: the message may hold a secret.
        yield DoctorCheck(topic, UNKNOWN, f"this check failed: {type(error).__name__}")
