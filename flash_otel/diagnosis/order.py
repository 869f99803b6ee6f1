"""Decide which of two events happened first: by causality, and by clocks as far as they agree.

Times of one machine are compared directly. Across machines, a worker's clock may differ from the
deploying machine's by an unknown offset. Causality bounds the offset from above: a worker that
knows a deployment's result read it after the deployment had produced it. If no such measurement
decides, the offset is assumed to be at most the configured skew, and the answer is `LIKELY` rather
than `CERTAIN`. A measurement that contradicts the assumption disables it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flash_otel.diagnosis.evidence import (
        Deployment,
        ProcessIdentity,
        RuntimeFetch,
        SpanFact,
    )

CERTAIN: Final = "certain"
LIKELY: Final = "likely"
POSSIBLE: Final = "possible"
NO: Final = ""
"""Not shown; the opposite need not be true."""

ASSUMED_SKEW_S: Final = 5.0
"""Assumed bound between NTP-synchronized clocks, with a wide margin, in seconds."""

_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Offset:
    """Bounds of worker clock minus deploying clock, in nanoseconds.

    Attributes:
        exact: Both are one clock.
        measured: Upper bound by causality; infinite without a measurement.
        assumed: Assumed bound of the absolute value; infinite if it was refuted.
    """

    exact: bool = False
    measured: float = math.inf
    assumed: float = math.inf

    @property
    def is_unknown(self) -> bool:
        """Nothing relates the two clocks: they may be hours apart."""
        return not self.exact and math.isinf(self.measured) and math.isinf(self.assumed)

    def after(self, start_ns: int | None, moment_ns: int | None) -> str:
        """Return the confidence that a worker's time is at or after a deployment's time."""
        if start_ns is None or moment_ns is None:
            return NO
        gap = start_ns - moment_ns
        if self.exact:
            return CERTAIN if gap >= 0 else NO
        if gap > self.measured:
            return CERTAIN
        return LIKELY if gap > self.assumed else NO

    def before(self, end_ns: int | None, moment_ns: int | None) -> str:
        """Return the confidence that a worker's time is before or at a deployment's time."""
        if end_ns is None or moment_ns is None:
            return NO
        gap = moment_ns - end_ns
        if self.exact:
            return CERTAIN if gap >= 0 else NO
        return LIKELY if gap > self.assumed else NO


def offset(
    process: ProcessIdentity, deployment: Deployment, reads: Iterable[RuntimeFetch], skew_s: float
) -> Offset:
    """Determine how a process's clock relates to that of a deployment.

    Args:
        process: The worker process.
        deployment: The deployment.
        reads: The reads of this process, which serve as measurements.
        skew_s: The assumed bound, in seconds.
    """
    own = list(reads)
    bounds = (bound for read in own for bound in _bounds(read, deployment))
    measured = min(bounds, default=math.inf)
    same = is_same_host(process, deployment.process) and not process.rebuilt
    if same and measured >= 0:
        return Offset(exact=True)
    assumed = skew_s * _NANOSECONDS
    naive = process.naive or deployment.process.naive
    if measured < -assumed or (naive and not _in_one_log(own, deployment)):
        assumed = math.inf
    return Offset(measured=measured, assumed=assumed)


def _in_one_log(reads: Sequence[RuntimeFetch], deployment: Deployment) -> bool:
    """Return True if one log times a deployment and reads: all of its times lack the same zone."""
    activation = deployment.activation
    if activation is None or not activation.origin.file or not reads:
        return False
    timed = all(read.process.naive and read.by_lines for read in reads)
    files = {read.origin.file for read in reads}
    return timed and deployment.process.naive and files == {activation.origin.file}


def is_same_host(process: ProcessIdentity, other: ProcessIdentity) -> bool:
    """Return True if two processes share a clock."""
    if process.instance == other.instance:
        return True
    return bool(process.host and process.host == other.host)


def _bounds(read: RuntimeFetch, deployment: Deployment) -> Iterator[int]:
    """Yield upper bounds of the offset: what a read knew had happened before it ended."""
    upload, activation = deployment.upload, deployment.activation
    wrote = read.active.phase == semconv.PHASE_WRITE
    # An alias may be a build that was made long before the deployment: only the id itself counts.
    if read.code_deployment_id == deployment.id:
        yield from _gap(read.start_ns, deployment.start_ns)
    if activation and read.build_id and read.build_id == deployment.build_id:
        yield from _gap(read.end_ns, activation.start_ns)
    if upload and wrote and read.active.deployment_id in deployment.aliases:
        yield from _gap(read.end_ns, upload.start_ns)


def _gap(later_ns: int | None, earlier_ns: int | None) -> Iterator[int]:
    if later_ns is not None and earlier_ns is not None:
        yield later_ns - earlier_ns


def follows(later: SpanFact, earlier: SpanFact) -> bool:
    """Return True if a fact certainly followed another one: by one clock, or in one log file."""
    if is_same_host(later.process, earlier.process) and later.start_ns and earlier.end_ns:
        return later.start_ns >= earlier.end_ns
    same_file = bool(later.origin.file) and later.origin.file == earlier.origin.file
    untimed = not (later.start_ns and earlier.start_ns)
    in_lines = later.by_lines and earlier.by_lines and untimed
    return in_lines and same_file and later.origin.line > earlier.origin.line
