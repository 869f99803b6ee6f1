"""Variants in which nothing is wrong, whatever they look like at first sight."""

from __future__ import annotations

from typing import Final

from flash_otel import semconv as sc
from flash_otel.demo.cases.case import ELSEWHERE, SENTINEL_VERSION, SILENT, Case, Deploy, Work
from flash_otel.demo.faults import FAULTS
from flash_otel.demo.project import ALONE, CHANGED

_TWO_FOLDERS: Final = (Deploy("production"), Deploy("staging", "two"), Work())

HEALTHY: Final = (
    Case("first deployment", sc.NONE, (Deploy(), Work())),
    Case("redeployed unchanged", sc.NONE, (Deploy(), Deploy(), Work())),
    Case("slow upload", sc.NONE, (Deploy(rules=FAULTS["upload slow"]), Work())),
    Case("retried reads", sc.NONE, (Deploy(), Work(FAULTS["read unavailable once"]))),
    Case("two environments", sc.NONE, _TWO_FOLDERS, ("production", "staging")),
    Case("two apps in one store", sc.NONE, (Deploy(folder="two", app="other"), Deploy(), Work())),
    Case("redeployed while a worker runs", sc.NONE, (Deploy(), Work(held=(Deploy(),)), Work())),
    Case(
        "a worker not yet rolled",
        sc.NONE,
        (Deploy(), Deploy(edition=CHANGED), Work(build=-2)),
    ),
    Case(
        "a worker that calls nobody",
        sc.NONE,
        (Deploy(edition=ALONE), Work(mode="own")),
        lines=SILENT,
    ),
    Case(
        "the answer to the write is lost, the write is not",
        sc.NONE,
        (Deploy(rules=FAULTS["write answer lost"], fails=True), Work()),
    ),
    Case(
        "the worker's clock is 10 minutes ahead",
        sc.NONE,
        (Deploy(), Work((), ELSEWHERE, clock_s=600)),
    ),
    Case(
        "the worker's clock is 10 minutes behind",
        sc.NONE,
        (Deploy(), Work((), ELSEWHERE, clock_s=-600)),
    ),
    Case(
        "Flash 1.21",
        sc.NONE,
        (Deploy(), Work(mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
)
