"""Workers whose code, whose registry or whose calls are not those of the deployment."""

from __future__ import annotations

from typing import Final

from flash_otel import semconv as sc
from flash_otel.demo.cases.case import SENTINEL_VERSION, SILENT, Case, Deploy, Work, changed
from flash_otel.demo.faults import FAULTS
from flash_otel.demo.project import CHANGED, IMAGES, UNSEEN_CALL, UNSEEN_FUNCTION

CALLING: Final = (
    Case(
        "a worker calls by a registry of before the redeployment",
        sc.STALE_CACHE,
        (Deploy(), Work(held=(Deploy(folder="two"),))),
        lines=SILENT,
    ),
    Case(
        "a worker still runs the older code after the roll-out",
        sc.CODE_NOT_ROLLED,
        (Deploy(), Deploy(edition=CHANGED), Work(build=-2, clock_s=1200)),
        lines=SILENT,
    ),
    Case(
        "a function that the build did not find",
        sc.FUNCTION_UNKNOWN,
        (Deploy(edition=UNSEEN_FUNCTION), Work(mode="unlisted")),
        lines=SILENT,
    ),
    Case(
        "a remote call that the build did not find",
        sc.REMOTE_CALLS_UNDETECTED,
        (Deploy(edition=UNSEEN_CALL), Work()),
        lines=SILENT,
    ),
    Case(
        "a project of ready-made images only",
        sc.NOTHING_DEPLOYED,
        (Deploy(edition=IMAGES),),
    ),
    Case(
        "a call to an endpoint that is gone",
        sc.CALL_TARGET_UNKNOWN,
        (Deploy(), Work(FAULTS["call target unknown"], mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
    Case(
        "a call to another environment",
        sc.CALL_TARGET_MISMATCH,
        (Deploy(), Work(variables=changed(FLASH_ENV="elsewhere"), mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
)
