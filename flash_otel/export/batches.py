"""Sending what a source holds, batch after batch, until nothing waits or the server must be left.

A batch that is too large is tried again with half of its spans; a single span that is too large is
set aside like any other that the server refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.export.outcome import Answer, Transport, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flash_otel.export.source import Placed, Source

MOST: Final = 512


@dataclass(slots=True)
class Tally:
    """What one run through a source came to.

    Attributes:
        delivered: How many spans the server took.
        rejected: How many it refused for good.
        rejection: Why it refused the last of them.
        trouble: Why the rest waits; None where nothing does.
        is_elsewhere: Whether another process is sending, and the rest is its business.
    """

    delivered: int = 0
    rejected: int = 0
    rejection: str = ""
    trouble: Answer | None = None
    is_elsewhere: bool = False


def send_all(
    source: Source, transport: Transport, progress: Callable[[Tally], None] | None = None
) -> Tally:
    """Send everything that waits.

    Args:
        source: Where the spans are.
        transport: What carries them.
        progress: Called after each batch that the server has answered for.
    """
    tally, most = Tally(), MOST
    with source.alone() as is_alone:
        tally.is_elsewhere = not is_alone
        while is_alone and (batch := source.take(most)):
            answer = transport.send([record for _, record in batch])
            if answer.verdict is Verdict.TOO_LARGE and len(batch) > 1:
                most = len(batch) // 2
                continue
            if answer.verdict is Verdict.WAIT:
                source.fail(answer.reason, answer.wait_s)
                tally.trouble = answer
                break
            _settle(source, batch, answer, tally)
            if progress is not None:
                progress(tally)
    return tally


def _settle(source: Source, batch: Sequence[Placed], answer: Answer, tally: Tally) -> None:
    taken = answer.verdict is Verdict.DELIVERED
    rejected = min(answer.rejected, len(batch)) if taken else len(batch)
    source.settle([place for place, _ in batch], rejected=rejected, reason=answer.reason)
    tally.delivered += len(batch) - rejected
    tally.rejected += rejected
    tally.rejection = answer.reason if rejected else tally.rejection
