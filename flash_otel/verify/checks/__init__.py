"""What must agree for remote calls to work: one small function per comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.verify.checks.active import build_active, build_expected, environment_known
from flash_otel.verify.checks.check import FAIL, PASS, UNKNOWN, Check, Subject
from flash_otel.verify.checks.endpoints import call_answered, endpoints_exist, local_agrees
from flash_otel.verify.checks.manifest import (
    endpoints_complete,
    endpoints_held,
    endpoints_written,
    manifest_stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FAIL", "PASS", "UNKNOWN", "Check", "Subject", "compare"]

CHECKS: Final[tuple[Callable[[Subject], Iterator[Check]], ...]] = (
    environment_known,
    build_active,
    build_expected,
    manifest_stored,
    endpoints_held,
    endpoints_complete,
    endpoints_written,
    endpoints_exist,
    local_agrees,
    call_answered,
)


def compare(subject: Subject) -> tuple[Check, ...]:
    """Make every comparison that what was read allows."""
    return tuple(check for make in CHECKS for check in make(subject))
