"""Which of two things happened first: by causality before clocks, by clocks as far as they go.

Times of one machine are compared as they are. Across machines, a worker's clock may differ from
the deploying machine's by an unknown offset. Its upper bound is measured: a worker that knows
something of a deployment read it after the deployment had made it. Only where no measurement
decides, the offset is taken to be at most the assumed skew; such an answer is `LIKELY`, not
`CERTAIN`. A measurement that contradicts the assumption puts an end to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.diagnosis.evidence import Deployment, Fact, Process, RuntimeFetch

CERTAIN: Final = "certain"
LIKELY: Final = "likely"
POSSIBLE: Final = "possible"
NO: Final = ""
"""Not shown; the opposite need not be true."""

ASSUMED_SKEW_S: Final = 5.0
"""How far clocks that are kept by NTP may differ, with a wide margin, in seconds."""

_NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Offset:
    """What is known of worker clock minus deploying clock, in nanoseconds.

    Attributes:
        exact: Both are one clock.
        measured: Upper bound by causality; infinite where nothing was measured.
        assumed: Bound of its absolute value by assumption; infinite where that was refuted.
    """

    exact: bool = False
    measured: float = math.inf
    assumed: float = math.inf

    def after(self, start_ns: int | None, moment_ns: int | None) -> str:
        """Tell whether a worker's time is surely at or after a deployment's time."""
        if start_ns is None or moment_ns is None:
            return NO
        gap = start_ns - moment_ns
        if self.exact:
            return CERTAIN if gap >= 0 else NO
        if gap > self.measured:
            return CERTAIN
        return LIKELY if gap > self.assumed else NO

    def before(self, end_ns: int | None, moment_ns: int | None) -> str:
        """Tell whether a worker's time is surely before or at a deployment's time."""
        if end_ns is None or moment_ns is None:
            return NO
        gap = moment_ns - end_ns
        if self.exact:
            return CERTAIN if gap >= 0 else NO
        return LIKELY if gap > self.assumed else NO


def offset(
    process: Process, deployment: Deployment, reads: Iterable[RuntimeFetch], skew_s: float
) -> Offset:
    """Find out how a process's clock relates to that of a deployment.

    Args:
        process: The worker process.
        deployment: The deployment.
        reads: The reads of this process, which measure.
        skew_s: The assumed bound, in seconds.
    """
    measured = min((one for read in reads for one in _bounds(read, deployment)), default=math.inf)
    same = is_same_host(process, deployment.process) and not process.rebuilt
    if same and measured >= 0:
        return Offset(exact=True)
    assumed = skew_s * _NANOSECONDS
    if measured < -assumed or process.naive or deployment.process.naive:
        assumed = math.inf
    return Offset(measured=measured, assumed=assumed)


def is_same_host(one: Process, other: Process) -> bool:
    """Tell whether two processes shared a clock."""
    return one.instance == other.instance or bool(one.host and one.host == other.host)


def _bounds(read: RuntimeFetch, deployment: Deployment) -> Iterator[int]:
    """Yield upper bounds of the offset: what a read knew had happened before it ended."""
    upload, activation = deployment.upload, deployment.activation
    wrote = read.active.phase == semconv.PHASE_WRITE
    if read.code_deployment_id == deployment.id:  # not of a build that was made beforehand
        yield from _gap(read.start_ns, deployment.start_ns)
    if activation and read.build_id and read.build_id == deployment.build_id:
        yield from _gap(read.end_ns, activation.start_ns)
    if upload and wrote and read.active.deployment_id in deployment.aliases:
        yield from _gap(read.end_ns, upload.start_ns)


def _gap(later_ns: int | None, earlier_ns: int | None) -> Iterator[int]:
    if later_ns is not None and earlier_ns is not None:
        yield later_ns - earlier_ns


def follows(later: Fact, earlier: Fact) -> bool:
    """Tell whether a fact surely followed another one: one clock, or one file of lines."""
    if is_same_host(later.process, earlier.process) and later.start_ns and earlier.end_ns:
        return later.start_ns >= earlier.end_ns
    same_file = bool(later.origin.file) and later.origin.file == earlier.origin.file
    told = later.by_lines and earlier.by_lines and not (later.start_ns and earlier.start_ns)
    return told and same_file and later.origin.line > earlier.origin.line
