"""Diagnosis of very many records: laid out on disk, judged environment by environment."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.choose import Question, choose, narrowed
from flash_otel.diagnosis.deployments import recency_key
from flash_otel.diagnosis.related import SAMPLES, Neighbourhood
from flash_otel.diagnosis.spool import Spool
from flash_otel.diagnosis.spool_error import SpoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.diagnosis.judge import Diagnosis, Judge
    from flash_otel.records import SpanRecord

MOST_ENVIRONMENTS: Final = 1_000
"""Environments that are judged, those that were deployed to last; the others are counted."""

_NEWEST: Final = 20


def diagnose_spooled(
    records: Iterable[SpanRecord],
    asked: Question,
    answer: Judge,
    progress: Callable[[int, int], None] | None,
) -> Diagnosis:
    """Judge what is asked about, or the environments of now.

    Args:
        records: Spans in any order.
        asked: What is asked about.
        answer: Judges.
        progress: Called with the environments that were judged so far, and all there are.

    Raises:
        SpoolError: There is no room on disk.
    """
    try:
        with Spool() as spool:
            spool.write(records)
            return _Diagnosing(spool, answer).all(asked, progress)
    except sqlite3.Error as error:
        raise SpoolError(
            f"the records could not be laid out on disk ({error}); TMPDIR may name another folder"
        ) from error


class _Diagnosing:
    def __init__(self, spool: Spool, answer: Judge) -> None:
        self._spool = spool
        self._answer = answer

    def all(self, asked: Question, progress: Callable[[int, int], None] | None) -> Diagnosis:
        """Judge what is asked about."""
        if asked:
            self._judge_asked(asked)
            return self._answer.diagnosis()
        environments = list(self._wanted())
        known = self._count()
        if not environments:
            self._judge_without()
        for number, environment in enumerate(environments[:MOST_ENVIRONMENTS], 1):
            self._judge_environment(environment)
            if progress is not None:
                progress(number, min(len(environments), MOST_ENVIRONMENTS))
        return self._answer.diagnosis(max(0, known - min(len(environments), MOST_ENVIRONMENTS)))

    def _judge_asked(self, asked: Question) -> None:
        around = self._around()
        if asked.trace_id:
            self._load_prefix(around, "trace", asked.trace_id)
        elif asked.build_id:
            self._load_prefix(around, "build", asked.build_id)
        elif asked.environment:
            around.load_environment(asked.environment)
        around.load_codes()
        around.surround(choose(around.evidence(), asked).deployments)
        evidence = around.evidence()
        chosen = choose(evidence, asked)
        if not chosen.deployments:
            if asked.environment:
                around.load_reads([asked.environment])
            evidence = narrowed(around.evidence(), asked)
        self._answer.judge(evidence, chosen.deployments or (None,))

    def _load_prefix(self, around: Neighbourhood, column: str, prefix: str) -> None:
        """Load what has an id that begins so."""
        within = f"{column} >= ? AND {column} < ?"
        for sample in SAMPLES:
            found = self._spool.where(f"{within} {sample}", prefix, f"{prefix}\U0010ffff")
            around.take_whole(found)

    def _judge_environment(self, environment: str) -> None:
        around = self._around()
        around.load_environment(environment)
        asked = Question(environment=environment)
        around.surround(choose(around.evidence(), asked).deployments)
        evidence = around.evidence()
        self._answer.judge(evidence, choose(evidence, asked).deployments)

    def _judge_without(self) -> None:
        """Judge reads and calls for which no deployment is recorded."""
        around = self._around()
        for sample in SAMPLES:
            around.take_whole(self._spool.where(f"NOT deploying {sample}"))
        self._answer.judge(around.evidence(), (None,))

    def _around(self) -> Neighbourhood:
        return Neighbourhood(self._spool, self._answer.limits.skew_s)

    def _wanted(self) -> Iterator[str]:
        """Yield the environment of the newest deployment, and those that reads in files ask for.

        Each by its id or, where no deployment to it learned that, by its name; the last deployed
        to first.
        """
        newest = self._newest()
        if newest is None:
            return
        found = {newest: None}
        rows = self._spool.rows(
            "SELECT value FROM environments WHERE value IN "
            "(SELECT value FROM asked WHERE kind = 'environment' UNION SELECT environment "
            "FROM asked JOIN made ON build = value WHERE kind = 'build') ORDER BY last DESC, value"
        )
        found.update((value, None) for (value,) in rows)
        rows = self._spool.rows(
            "SELECT label FROM nameless WHERE build IN "
            " (SELECT value FROM asked WHERE kind = 'build') ORDER BY last DESC, label"
        )
        found.update((value, None) for (value,) in rows)
        yield from found

    def _newest(self) -> str | None:
        around = self._around()
        making = f"name IN ('{sc.ACTIVATE}', '{sc.MANIFEST_UPLOAD}', '{sc.DEPLOY}')"
        last = f"deploying AND {making} ORDER BY start DESC, file DESC, line DESC LIMIT {_NEWEST}"
        around.take_whole(self._spool.where(last))
        newest = max(around.evidence().deployments, key=recency_key, default=None)
        return None if newest is None else newest.environment_id or newest.environment_name

    def _count(self) -> int:
        """Count the environments that have deployments."""
        ((with_id,),) = self._spool.rows("SELECT count(*) FROM environments")
        ((without,),) = self._spool.rows(
            "SELECT count(*) FROM (SELECT DISTINCT app, label FROM nameless)"
        )
        return int(with_id) + int(without)
