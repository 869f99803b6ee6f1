"""Comparisons of the environment: known, with a build, with the expected build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flash_otel import semconv as sc
from flash_otel.diagnosis.order import CERTAIN, LIKELY
from flash_otel.verify.checks.check import PASS, Check, Subject, failed, undecided

if TYPE_CHECKING:
    from collections.abc import Iterator


def environment_known(subject: Subject) -> Iterator[Check]:
    """The State Manager answers the question for the environment's id."""
    if subject.reading.environment.known:
        yield Check("environment_known", PASS, f"the State Manager knows {subject.place}")
        return
    says = f"the State Manager does not know {subject.place}, though the app lists it"
    yield failed("environment_known", sc.ENVIRONMENT_UNKNOWN, says)


def build_active(subject: Subject) -> Iterator[Check]:
    """Some build is active."""
    environment = subject.reading.environment
    if not environment.known:
        return
    if environment.active_build_id:
        yield Check("build_active", PASS, f"build {environment.active_build_id} is active")
        return
    says = (
        f"no build is active in {subject.place}: nothing was activated there, or the activation "
        "did not take effect"
    )
    yield undecided("build_active", (sc.STALE_BUILD,), says)


def build_expected(subject: Subject) -> Iterator[Check]:
    """The active build is the one that was named."""
    wanted, active = subject.expected_build, subject.reading.environment.active_build_id
    if wanted is None or not subject.reading.environment.known:
        return
    if active is not None and active.startswith(wanted):
        yield Check("build_expected", PASS, "the active build is the expected one")
        return
    known = any(one.id.startswith(wanted) for one in subject.reading.builds)
    doubt = "" if known else "; the app lists no such build: is the id right?"
    stands = f"build {active} is active" if active else "no build is active"
    says = f"build {wanted} was expected, but {stands} in {subject.place}{doubt}"
    yield failed("build_expected", sc.STALE_BUILD, says, CERTAIN if known else LIKELY)
