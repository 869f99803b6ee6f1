"""Workers that read the wrong thing, or nothing at all."""

from __future__ import annotations

from typing import Final

from flash_otel import semconv as sc
from flash_otel.demo.cases.case import DOUBTED, SILENT, Case, Deploy, Work, changed, environment_of
from flash_otel.demo.faults import FAULTS
from flash_otel.demo.project import ALONE

READING: Final = (
    Case(
        "a worker of production asks for staging",
        sc.ENVIRONMENT_MISMATCH,
        (
            Deploy("staging", "two", edition=ALONE),
            Deploy("production"),
            Work(variables=environment_of("staging")),
        ),
        ("production", "staging"),
    ),
    Case(
        "a worker asks for an environment that does not exist",
        sc.ENVIRONMENT_MISMATCH,
        (
            Deploy(),
            Work(variables=changed(FLASH_ENVIRONMENT_ID="00000000-0000-4000-8000-000000000000")),
        ),
    ),
    Case(
        "a worker asks for another app's environment",
        sc.ENVIRONMENT_MISMATCH,
        (
            Deploy(folder="two", app="other"),
            Deploy(),
            Work(variables=environment_of("production", "other")),
        ),
    ),
    Case(
        "a worker without FLASH_ENVIRONMENT_ID",
        sc.ENVIRONMENT_UNSET,
        (Deploy(), Work(variables=changed(FLASH_ENVIRONMENT_ID=None))),
    ),
    Case(
        "the environment was deleted",
        sc.ENVIRONMENT_UNKNOWN,
        (Deploy(), Work(FAULTS["environment null"])),
        lines=DOUBTED,
    ),
    Case(
        "one answer lacks what another one holds",
        sc.READ_INCOMPLETE,
        (Deploy(), Work(FAULTS["read stripped"]), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the State Manager throttles a worker",
        sc.STATE_MANAGER_UNAVAILABLE,
        (Deploy(), Work(FAULTS["read throttled"])),
        lines=SILENT,
    ),
    Case(
        "the State Manager rejects a worker's key",
        sc.UNAUTHORIZED,
        (Deploy(), Work(FAULTS["read unauthorized"])),
        lines=SILENT,
    ),
    Case(
        "a worker without a valid key deploys an endpoint itself",
        sc.WORKER_PROVISIONS,
        (Deploy(), Work(FAULTS["read unauthorized"], mode="function")),
        lines=SILENT,
        beside=sc.UNAUTHORIZED,
    ),
)
