"""The examination: every check in its order; one that fails by itself is one that cannot tell."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flash_otel.doctor import destinations, environment, flash, providers, store, versions
from flash_otel.doctor.checks import UNKNOWN, Check
from flash_otel.runtime.guard import swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def examine(timeout_s: float | None) -> Iterator[tuple[str, list[Check]]]:
    """Yield each topic with what its checks found.

    Args:
        timeout_s: How long each destination may take, in seconds; None asks none.
    """
    topics: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("versions", versions.versions),
        ("targets", flash.targets),
        ("place", providers.place),
        ("provider", providers.providers),
        ("variables", environment.variables),
        ("store", store.store),
        ("destinations", partial(destinations.destinations, timeout_s)),
    )
    for topic, checks in topics:
        yield topic, list(_guarded(topic, checks))


def _guarded(topic: str, checks: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from checks()
    except Exception as error:
        swallowed(f"doctor {topic}")
        yield Check(topic, UNKNOWN, f"this could not be examined: {type(error).__name__}")
