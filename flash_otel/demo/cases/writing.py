"""Deployments that go wrong, and what the State Manager keeps of them."""

from __future__ import annotations

from typing import Final

from flash_otel import semconv as sc
from flash_otel.demo.cases.case import DOUBTED, ELSEWHERE, SILENT, Case, Deploy, Work
from flash_otel.demo.faults import FAULTS
from flash_otel.demo.project import ALONE

WRITING: Final = (
    Case(
        "the second activation has no effect",
        sc.STALE_BUILD,
        (Deploy(edition=ALONE), Deploy(rules=FAULTS["activation ignored, echoed"]), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the second activation has no effect, and says so",
        sc.STALE_BUILD,
        (Deploy(), Deploy(rules=FAULTS["activation ignored, told"]), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the write is dropped, and the answer says so",
        sc.MANIFEST_NOT_PERSISTED,
        (Deploy(rules=FAULTS["write dropped, told"]), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the write is dropped, the answer echoes it",
        sc.MANIFEST_NOT_PERSISTED,
        (Deploy(rules=FAULTS["write ignored, echoed"]), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the same, and the worker is on another machine",
        sc.MANIFEST_NOT_PERSISTED,
        (Deploy(rules=FAULTS["write ignored, echoed"]), Work(variables=ELSEWHERE)),
        store=DOUBTED,
        lines=DOUBTED,
        skew_s=600,  # the worker may start late on a slow machine
    ),
    Case(
        "the endpoints alone are dropped, the answer echoes them",
        sc.MANIFEST_NOT_PERSISTED,
        (Deploy(rules=FAULTS["write dropped, echoed"]), Work()),
        store=DOUBTED,
        lines=DOUBTED,
    ),
    Case(
        "a worker reads in the window, another after it",
        sc.READ_BEFORE_WRITE,
        (Deploy(rules=FAULTS["write held back"], held=(Work(),)), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the manifest write is refused",
        sc.MANIFEST_NEVER_WRITTEN,
        (Deploy(rules=FAULTS["write refused"], fails=True), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the write is stored in part",
        sc.ENDPOINTS_MISSING,
        (Deploy(rules=FAULTS["write partial, echoed"]), Work()),
    ),
    Case(
        "the write is stored with other URLs",
        sc.ENDPOINTS_DIFFER,
        (Deploy(rules=FAULTS["write with other urls, echoed"]), Work()),
        lines=SILENT,
    ),
    Case(
        "the artifact cannot be uploaded",
        sc.UPLOAD_FAILED,
        (Deploy(rules=FAULTS["upload refused"], fails=True),),
        lines=SILENT,
    ),
    Case(
        "one endpoint cannot be provisioned",
        sc.PROVISIONING_FAILED,
        (Deploy(rules=FAULTS["one endpoint refused"], fails=True),),
        lines=SILENT,
    ),
    Case(
        "two deployments overlap",
        sc.OVERLAPPING_DEPLOYS,
        (Deploy(), Deploy(rules=FAULTS["write held back"], held=(Deploy(folder="two"),)), Work()),
        lines=SILENT,
    ),
    Case(
        "staging is deployed from production's folder",
        sc.ENVIRONMENT_TAKEOVER,
        (Deploy("production"), Deploy("staging"), Work()),
        ("production", "staging"),
        lines=DOUBTED,
    ),
    Case(
        "a new environment beside another one",
        sc.ENVIRONMENT_CREATED,
        (Deploy("staging"), Work()),
        ("production",),
        lines=SILENT,
        beside=sc.NONE,
    ),
)
