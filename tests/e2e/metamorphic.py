"""A row of the matrix in other forms: what must not change its verdict, and what does.

`python -m e2e.matrix` (`make matrix`) checks every form of every row; the suite checks a choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from diagnosis.variants import (
    FORMS,
    LOG_VARIANTS,
    LOSS_VARIANTS,
    NOTHING,
    SAME,
    SPAN_LOSSES,
    SPAN_VARIANTS,
    UNREAD,
    UNTIMED,
    Evidence,
    Outcome,
    Recorded,
    Variant,
    as_file,
    as_jaeger,
    packed,
)
from e2e.matrix_cases import SILENT

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits
from flash_otel.diagnosis.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from e2e.matrix_cases import MatrixCase

_LATER_NS: Final = 60_000_000_000
_OPEN: Final = (sc.INCONCLUSIVE, NOTHING)
_SEEN_BY_URLS: Final = (sc.ENVIRONMENT_TAKEOVER, sc.ENDPOINTS_DIFFER)
"""Faults of which nothing is left in a log that has lost the URLs."""


Choose = Callable[[list[str]], list[str]]
"""Chooses some of the names of forms."""


@dataclass(frozen=True)
class OtherForms:
    """A row of the matrix: its case, its recording, and a folder for the files of a form.

    Attributes:
        case: The case.
        recorded: The recording.
        folder: A folder of its own.
    """

    case: MatrixCase
    recorded: Recorded
    folder: Path

    @property
    def limits(self) -> Limits:
        """The assumptions of the case, a minute after the recording."""
        now_ns = max(span.end_ns or span.start_ns for span in self.recorded.spans) + _LATER_NS
        if self.case.skew_s is None:
            return Limits(now_ns=now_ns)
        return Limits(now_ns=now_ns, skew_s=self.case.skew_s)

    def judged(self, evidence: Evidence) -> Outcome:
        """Diagnose evidence of the row."""
        return evidence.judged(self.limits, self.folder)

    @property
    def store(self) -> Evidence:
        """The deployments' store, and the workers' logs."""
        logs = packed(self.recorded.worker_logs, FORMS[UNTIMED])
        return Evidence(self.recorded.deployed, logs.files)

    def wrong(self, choose: Choose = lambda forms: forms) -> Iterator[str]:
        """Yield what is wrong in the forms that are chosen of each table; by default, of all."""
        spans = self.recorded.spans
        by_spans = self.judged(as_file(spans))
        yield from self._checked("store", self.store, by_spans, SAME)
        for name in choose([*SPAN_VARIANTS, *SPAN_LOSSES]):
            variant = (SPAN_VARIANTS | SPAN_LOSSES)[name]
            made = variant.make(spans, self._chance(name))
            yield from self._checked(f"spans, {name}", made, by_spans, variant.relation)
        for source, logs in (("lines", self.recorded.logs), ("logs", self.recorded.whole_logs)):
            if logs:
                yield from self._wrong_logs(source, logs, by_spans, choose)

    def _wrong_logs(
        self,
        source: str,
        logs: Mapping[str, list[tuple[int, str]]],
        by_spans: Outcome,
        choose: Choose,
    ) -> Iterator[str]:
        by_form = {form: self.judged(packed(logs, make)) for form, make in FORMS.items()}
        for name in choose([*LOG_VARIANTS, *LOSS_VARIANTS]):
            variant: Variant = (LOG_VARIANTS | LOSS_VARIANTS)[name]
            made = variant.make(dict(logs), self._chance(name))
            base = by_form[variant.base]
            yield from self._checked(f"{source}, {name}", made, base, variant.relation)
        beside = {
            "store": self.store,
            "file": as_file(self.recorded.spans),
            "jaeger": as_jaeger(self.recorded.spans),
        }
        pairs = [f"{other} beside {form} {source}" for other in beside for form in FORMS]
        for name in choose(pairs):
            other, _, form, _ = name.split()
            found = self.judged(beside[other] + packed(logs, FORMS[form]))
            yield from self._weaker(name, found, by_spans, by_form[form])

    def _chance(self, name: str) -> random.Random:
        return random.Random(f"{self.case.name}: {name}")  # noqa: S311 - the same in every run

    def _checked(
        self, name: str, evidence: Evidence, base: Outcome, relation: str
    ) -> Iterator[str]:
        found = self.judged(evidence)
        if not self._holds(found, base, relation):
            yield f"{name}: {found} instead of {base}"

    def _holds(self, found: Outcome, base: Outcome, relation: str) -> bool:
        if relation == SAME:
            return found == base
        # Without the evidence of a fault, its consequences are what remains.
        right = {base.verdict, *_OPEN, *FAULTS[self.case.code].hides}
        right |= {code for code, _ in base.codes} | {
            self.case.code,
            self.case.beside,
            self.case.likeliest,
        }
        is_unseen = self.case.lines == SILENT or self.case.code in _SEEN_BY_URLS
        right |= {sc.NONE} if is_unseen or relation == UNREAD else set()
        # A likely fault in the same place may be named instead, and one of several candidates.
        right |= {code for _, candidates in base.codes for code in candidates}
        is_beside = any(self.case.code in candidates for _, candidates in found.codes)
        return found.verdict in right or is_beside

    @staticmethod
    def _weaker(name: str, found: Outcome, by_spans: Outcome, by_logs: Outcome) -> Iterator[str]:
        base = by_spans if by_spans.certainty else by_logs
        is_other = base.certainty and found.verdict != base.verdict
        if is_other or found.certainty < base.certainty:
            yield f"{name}: {found} is weaker than {base}"
