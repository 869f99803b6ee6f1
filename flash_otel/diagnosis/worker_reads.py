"""What the workers got that read a deployment, in a few words for each kind of result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.case import Case, ReadVerdict
    from flash_otel.diagnosis.evidence import RemoteCall, RuntimeFetch

FINE: Final = "fine"
_AT_FIRST: Final = " at first"
_UNANSWERED: Final = {failures.UNAUTHORIZED: "got refused"}


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A kind of result.

    Attributes:
        says: The result in words, such as `fine` or `got no endpoints`.
        count: The number of workers with this result.
    """

    says: str
    count: int

    @property
    def is_fine(self) -> bool:
        """The workers got what the deployment wrote."""
        return self.says == FINE


@dataclass(frozen=True, slots=True)
class WorkerReads:
    """The workers that read a deployment, and their calls.

    Attributes:
        count: The number of workers; of reads, if a log does not separate its workers.
        is_by_worker: Whether workers are counted rather than reads.
        results: What they got: `fine` first, then by their numbers.
        calls: The number of remote calls.
        failed_calls: The number of those that failed.
        reads_manifests: Whether workers of this version of Flash read the State Manager at all;
            None if the version is unknown.
    """

    count: int = 0
    is_by_worker: bool = True
    results: tuple[ReadResult, ...] = ()
    calls: int = 0
    failed_calls: int = 0
    reads_manifests: bool | None = None


def worker_reads(case: Case) -> WorkerReads:
    """Sum up the reads and the calls of a case, whose reads have been judged."""
    is_by_worker = not any(read.process.rebuilt for read, _ in case.read_verdicts)
    results = list(_by_worker(case) if is_by_worker else _by_read(case))
    numbers = Counter(results)
    ordered = sorted(numbers.items(), key=lambda item: (item[0] != FINE, -item[1], item[0]))
    return WorkerReads(
        count=len(results),
        is_by_worker=is_by_worker,
        results=tuple(ReadResult(says, number) for says, number in ordered),
        calls=len(case.calls),
        failed_calls=sum(1 for call in case.calls if _has_failed(call)),
        reads_manifests=case.reads_manifests,
    )


def _has_failed(call: RemoteCall) -> bool:
    return call.outcome not in (sc.RETURNED, UNFINISHED)


def _by_read(case: Case) -> Iterator[str]:
    return (_result(case, read, verdict) for read, verdict in case.read_verdicts)


def _by_worker(case: Case) -> Iterator[str]:
    """Yield the result of each worker: the last one that was not fine, if there is one."""
    last: dict[str, str] = {}
    worst: dict[str, str] = {}
    for read, verdict in case.read_verdicts:
        result = _result(case, read, verdict)
        last[read.process.instance] = result
        if result != FINE:
            worst[read.process.instance] = result
    for instance, result in last.items():
        has_recovered = result == FINE and instance in worst
        yield worst[instance] + _AT_FIRST if has_recovered else result


def _result(case: Case, read: RuntimeFetch, verdict: ReadVerdict) -> str:
    """Describe what a worker got, in the order in which a read can go wrong."""
    if read.outcome == UNFINISHED:
        return "did not finish"
    return _of_request(case, read) or _of_answer(case, read, verdict) or FINE


def _of_request(case: Case, read: RuntimeFetch) -> str:
    mine, asked = case.deployment.environment_id, read.environment_id
    if read.environment_state == sc.ENVIRONMENT_NULL:
        return "asked for an unknown environment"
    if mine is not None and asked is not None and asked != mine:
        return f"asked for {case.index.name_of(asked) or 'another environment'}"
    if read.build_id is None and read.failure is not None:
        return _UNANSWERED.get(read.failure.kind, "got no answer")
    has_nothing = read.build_id is None and read.held is None
    return "asked nothing" if has_nothing and asked is None else ""


def _of_answer(case: Case, read: RuntimeFetch, verdict: ReadVerdict) -> str:
    if read.environment_state == sc.ENVIRONMENT_NO_ACTIVE_BUILD:
        return "got no build"
    if read.build_id is None and read.held is None:
        return "got no answer"
    if read.build_id is not None and case.deployment.build_id not in (None, read.build_id):
        return "got another build" if verdict.codes else "got the build of another deployment"
    return _of_manifest(read.held, case.expected_of(read).count) if verdict.codes else FINE


def _of_manifest(held: int | None, written: int | None) -> str:
    if not held:
        return "got no endpoints"
    is_part = written is not None and held < written
    return f"got {held} of {written} endpoints" if is_part else "got other endpoints"
