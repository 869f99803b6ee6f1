"""The cases of the matrix: injected faults, and the codes that a diagnosis must name.

A case may contain what no scenario of the guide does: several workers, two checkouts, two apps,
clocks that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from support.editions import CHANGED, IMAGES, UNSEEN_CALL, UNSEEN_FUNCTION
from support.faults import FAULTS

from flash_otel import semconv as sc
from flash_otel.demo.project import ALONE
from flash_otel.demo.scenarios import (
    DEFAULT_VERSION,
    SCENARIOS,
    SUCCESSOR_VERSION,
    SUCCESSORS,
    DeployStep,
    Scenario,
    WorkerStep,
    id_of_environment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.demo.scenarios import Step, Variables
    from flash_otel.demo.state import ControlPlaneState

SENTINEL_VERSION: Final = "1.21.0"
"""A version whose workers call through the sentinel."""

STORE, FILE, LINES = SOURCES = ("store", "otlp file", "lines")
"""Sources of a diagnosis: the store with the workers' logs, one OTLP file, bare bracketed lines."""

NAMED: Final = "named"
"""The source shows the code."""
DOUBTED: Final = "doubted"
"""The source shows `inconclusive`, with the code among the candidates."""
SILENT: Final = "silent"
"""The source holds too little: nothing, or no code but the right one."""


@dataclass(frozen=True, slots=True)
class MatrixCase:
    """A row of the matrix.

    Attributes:
        name: Name of the row.
        scenario: What happens, with the code that a diagnosis must name; `none` if healthy.
        store: What the store and the worker's log show.
        lines: What bare lines show.
        beside: The verdict of which the code is a further finding; empty if the code is the
            verdict.
        likeliest: The verdict in place of the code, with the code among its candidates, where a
            likelier fault in the same place shows the same; empty if the code itself is named.
        skew_s: Maximum difference of clocks in seconds, passed to the diagnosis; None for its
            default.
    """

    name: str
    scenario: Scenario
    store: str = NAMED
    lines: str = NAMED
    beside: str = ""
    likeliest: str = ""
    skew_s: int | None = None

    @property
    def code(self) -> str:
        """The code that a diagnosis must name."""
        return self.scenario.fault

    def expected(self, source: str) -> str:
        """Return what a source shows."""
        return self.lines if source == LINES else self.store


def _case(
    name: str,
    code: str,
    steps: tuple[Step, ...],
    environments: tuple[str, ...] = (),
    version: str = DEFAULT_VERSION,
    store: str = NAMED,
    lines: str = NAMED,
    beside: str = "",
    likeliest: str = "",
    skew_s: int | None = None,
) -> MatrixCase:
    scenario = Scenario(name, code, steps, environments, version)
    return MatrixCase(name, scenario, store, lines, beside, likeliest, skew_s)


def _changed(**variables: str | None) -> Variables:
    """Give a worker other variables; None removes a variable."""
    return lambda _: variables


_ON_OTHER_HOST: Final = _changed(OTEL_RESOURCE_ATTRIBUTES="host.name=elsewhere")
"""A worker on another machine, whose clock may differ from the deployment's."""

# Deployments that go wrong, and what the State Manager keeps of them.
_WRITING: Final = (
    MatrixCase("the second activation has no effect", SCENARIOS["stale_build"], lines=DOUBTED),
    _case(
        "an activation has no effect, and the older build is not recorded",
        sc.STALE_BUILD,
        (
            DeployStep(traced=False),
            DeployStep(rules=FAULTS["activation ignored, echoed"]),
            WorkerStep(),
        ),
    ),
    _case(
        "the second activation has no effect, and the response shows it",
        sc.STALE_BUILD,
        (DeployStep(), DeployStep(rules=FAULTS["activation ignored, shown"]), WorkerStep()),
        lines=DOUBTED,
    ),
    _case(
        "the write is dropped, and the response shows it",
        sc.MANIFEST_NOT_PERSISTED,
        (DeployStep(rules=FAULTS["write dropped, shown"]), WorkerStep()),
        lines=DOUBTED,
    ),
    MatrixCase(
        "the write is dropped, and the response echoes the request",
        SCENARIOS["manifest_not_persisted"],
        lines=DOUBTED,
    ),
    _case(
        "the same, with the worker on another machine",
        sc.MANIFEST_NOT_PERSISTED,
        (DeployStep(rules=FAULTS["write ignored, echoed"]), WorkerStep(variables=_ON_OTHER_HOST)),
        store=DOUBTED,
        lines=DOUBTED,
        skew_s=600,  # a worker may start late on a slow machine
    ),
    _case(
        "only the endpoints are dropped, and the response echoes them",
        sc.MANIFEST_NOT_PERSISTED,
        (DeployStep(rules=FAULTS["write dropped, echoed"]), WorkerStep()),
        likeliest=sc.READ_INCOMPLETE,
        lines=DOUBTED,
    ),
    _case(
        "no manifest is stored, and the response echoes the request",
        sc.MANIFEST_NOT_PERSISTED,
        (DeployStep(rules=FAULTS["write lost with its record, echoed"]), WorkerStep()),
    ),
    _case(
        "one worker reads during the window, another after it",
        sc.READ_BEFORE_WRITE,
        (DeployStep(rules=FAULTS["write held back"], meanwhile=(WorkerStep(),)), WorkerStep()),
        lines=DOUBTED,
    ),
    _case(
        "the manifest write is rejected",
        sc.MANIFEST_NEVER_WRITTEN,
        (DeployStep(rules=FAULTS["write refused"], fails=True), WorkerStep()),
        lines=DOUBTED,
    ),
    _case(
        "the write is partly stored",
        sc.ENDPOINTS_MISSING,
        (DeployStep(rules=FAULTS["write partial, echoed"]), WorkerStep()),
    ),
    _case(
        "the write is stored with other URLs",
        sc.ENDPOINTS_DIFFER,
        (DeployStep(rules=FAULTS["write with other urls, echoed"]), WorkerStep()),
        lines=SILENT,
    ),
    _case(
        "the artifact cannot be uploaded",
        sc.UPLOAD_FAILED,
        (DeployStep(rules=FAULTS["upload refused"], fails=True),),
        lines=SILENT,
    ),
    _case(
        "one endpoint cannot be provisioned",
        sc.PROVISIONING_FAILED,
        (DeployStep(rules=FAULTS["one endpoint refused"], fails=True),),
        lines=SILENT,
    ),
    _case(
        "two deployments overlap",
        sc.OVERLAPPING_DEPLOYS,
        (
            DeployStep(),
            DeployStep(rules=FAULTS["write held back"], meanwhile=(DeployStep(checkout="other"),)),
            WorkerStep(),
        ),
        lines=SILENT,
    ),
    _case(
        "staging is deployed from production's folder",
        sc.ENVIRONMENT_TAKEOVER,
        (DeployStep("production"), DeployStep("staging"), WorkerStep()),
        ("production", "staging"),
        lines=DOUBTED,
    ),
    _case(
        "a new environment in an app that has one",
        sc.ENVIRONMENT_CREATED,
        (DeployStep("staging"), WorkerStep()),
        ("production",),
        lines=SILENT,
        beside=sc.NONE,
    ),
)

# Workers that read the wrong manifest, or none.
_READING: Final = (
    MatrixCase("a worker of production asks for staging", SCENARIOS["environment_mismatch"]),
    _case(
        "a worker asks for an environment that does not exist",
        sc.ENVIRONMENT_MISMATCH,
        (
            DeployStep(),
            WorkerStep(
                variables=_changed(FLASH_ENVIRONMENT_ID="00000000-0000-4000-8000-000000000000")
            ),
        ),
    ),
    _case(
        "a worker asks for another app's environment",
        sc.ENVIRONMENT_MISMATCH,
        (
            DeployStep(checkout="other", app="other"),
            DeployStep(),
            WorkerStep(variables=id_of_environment("production", "other")),
        ),
    ),
    _case(
        "a worker without FLASH_ENVIRONMENT_ID",
        sc.ENVIRONMENT_UNSET,
        (DeployStep(), WorkerStep(variables=_changed(FLASH_ENVIRONMENT_ID=None))),
    ),
    _case(
        "the environment was deleted",
        sc.ENVIRONMENT_UNKNOWN,
        (DeployStep(), WorkerStep(FAULTS["environment null"])),
        lines=DOUBTED,
    ),
    _case(
        "one response lacks endpoints that another one holds",
        sc.READ_INCOMPLETE,
        (DeployStep(), WorkerStep(FAULTS["read stripped"]), WorkerStep()),
        lines=DOUBTED,
    ),
    _case(
        "every response lacks the endpoints",
        sc.READ_INCOMPLETE,
        (DeployStep(), WorkerStep(FAULTS["read stripped"])),
        lines=DOUBTED,
    ),
    _case(
        "a stale replica responds after the write",
        sc.READ_INCOMPLETE,
        (DeployStep(), WorkerStep(), WorkerStep(FAULTS["read stale"])),
        lines=DOUBTED,
    ),
    _case(
        "the State Manager throttles a worker",
        sc.STATE_MANAGER_UNAVAILABLE,
        (DeployStep(), WorkerStep(FAULTS["read throttled"])),
        lines=SILENT,
    ),
    _case(
        "the State Manager rejects a worker's key",
        sc.UNAUTHORIZED,
        (DeployStep(), WorkerStep(FAULTS["read unauthorized"])),
        lines=SILENT,
    ),
    _case(
        "a worker without a valid key deploys an endpoint itself",
        sc.WORKER_PROVISIONS,
        (DeployStep(), WorkerStep(FAULTS["read unauthorized"], mode="function")),
        lines=SILENT,
        beside=sc.UNAUTHORIZED,
    ),
)

# Workers whose code, registry or calls are not those of the deployment.
_CALLING: Final = (
    _case(
        "a worker routes a call by the registry from before the redeployment",
        sc.STALE_CACHE,
        (DeployStep(), WorkerStep(meanwhile=(DeployStep(checkout="other"),))),
        lines=SILENT,
    ),
    _case(
        "a worker still runs the older code after the roll-out",
        sc.CODE_NOT_ROLLED,
        (DeployStep(), DeployStep(edition=CHANGED), WorkerStep(build=-2, clock_s=1200)),
        lines=SILENT,
    ),
    _case(
        "a function that the build did not find",
        sc.FUNCTION_UNKNOWN,
        (DeployStep(edition=UNSEEN_FUNCTION), WorkerStep(mode="unlisted")),
        lines=SILENT,
    ),
    _case(
        "a remote call that the build did not find",
        sc.REMOTE_CALLS_UNDETECTED,
        (DeployStep(edition=UNSEEN_CALL), WorkerStep()),
        lines=SILENT,
    ),
    _case(
        "a project that only wraps existing images",
        sc.NOTHING_DEPLOYED,
        (DeployStep(edition=IMAGES),),
    ),
    _case(
        "a call to an endpoint that no longer exists",
        sc.CALL_TARGET_UNKNOWN,
        (DeployStep(), WorkerStep(FAULTS["call target unknown"], mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
    _case(
        "a call to another environment",
        sc.CALL_TARGET_MISMATCH,
        (DeployStep(), WorkerStep(variables=_changed(FLASH_ENV="elsewhere"), mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
)


def _first_build(state: ControlPlaneState) -> Mapping[str, str | None]:
    """Give a worker the build of the first deployment, which its endpoint had before the second."""
    return {"RUNPOD_BUILD_ID": next(iter(state.builds))}


# runpod 2, whose deployments write no manifest, and whose workers read none.
_SUCCESSOR: Final = (
    MatrixCase("runpod 2", SUCCESSORS["healthy"], lines=SILENT),
    _case(
        "runpod 2: the artifact cannot be uploaded",
        sc.UPLOAD_FAILED,
        (DeployStep(rules=FAULTS["upload refused"], fails=True),),
        version=SUCCESSOR_VERSION,
        lines=SILENT,
    ),
    MatrixCase(
        "runpod 2: the second of two endpoints cannot be saved",
        SUCCESSORS["provisioning_failed"],
        lines=SILENT,
    ),
    _case(
        "runpod 2: the API key is rejected",
        sc.UNAUTHORIZED,
        (DeployStep(rules=FAULTS["everything unauthorized"], fails=True),),
        version=SUCCESSOR_VERSION,
        lines=SILENT,
    ),
    _case(
        "runpod 2: a call to an endpoint that no longer exists",
        sc.CALL_TARGET_UNKNOWN,
        (DeployStep(), WorkerStep(FAULTS["call target unknown"])),
        version=SUCCESSOR_VERSION,
        lines=SILENT,
    ),
    _case(
        "runpod 2: a new environment in an app that has one",
        sc.ENVIRONMENT_CREATED,
        (DeployStep("staging"), WorkerStep()),
        ("production",),
        version=SUCCESSOR_VERSION,
        lines=SILENT,
        beside=sc.NONE,
    ),
    MatrixCase(
        "runpod 2: a worker of the new build unpacks the build before",
        SUCCESSORS["stale_build"],
        lines=SILENT,
    ),
    _case(
        "runpod 2: a worker not yet rolled",
        sc.NONE,
        (DeployStep(), DeployStep(), WorkerStep(variables=_first_build, build=-2)),
        version=SUCCESSOR_VERSION,
        lines=SILENT,
    ),
    _case(
        "runpod 2: a worker still runs the older code after the roll-out",
        sc.CODE_NOT_ROLLED,
        (DeployStep(), DeployStep(), WorkerStep((), _first_build, clock_s=1200, build=-2)),
        version=SUCCESSOR_VERSION,
        lines=SILENT,
    ),
)


# Healthy variants, some of which look faulty at first sight.
_TWO_CHECKOUTS: Final = (DeployStep("production"), DeployStep("staging", "other"), WorkerStep())

_HEALTHY: Final = (
    MatrixCase("first deployment", SCENARIOS["healthy"]),
    _case(
        "redeployed unchanged", sc.NONE, (DeployStep(), DeployStep(), WorkerStep()), lines=SILENT
    ),
    _case("slow upload", sc.NONE, (DeployStep(rules=FAULTS["upload slow"]), WorkerStep())),
    _case("retried reads", sc.NONE, (DeployStep(), WorkerStep(FAULTS["read unavailable once"]))),
    _case("two environments", sc.NONE, _TWO_CHECKOUTS, ("production", "staging"), lines=SILENT),
    _case(
        "two apps in one store",
        sc.NONE,
        (DeployStep(checkout="other", app="other"), DeployStep(), WorkerStep()),
        lines=SILENT,
    ),
    _case(
        "redeployed while a worker runs",
        sc.NONE,
        (DeployStep(), WorkerStep(meanwhile=(DeployStep(),)), WorkerStep()),
    ),
    _case(
        "a worker not yet rolled",
        sc.NONE,
        (DeployStep(), DeployStep(edition=CHANGED), WorkerStep(build=-2)),
        lines=SILENT,
    ),
    _case(
        "a worker without a remote call",
        sc.NONE,
        (DeployStep(edition=ALONE), WorkerStep(mode="own")),
        lines=SILENT,
    ),
    _case(
        "an environment deployed twice, of which the first failed",
        sc.NONE,
        (DeployStep(rules=FAULTS["write refused"], fails=True), DeployStep(), WorkerStep()),
        lines=SILENT,
    ),
    _case(
        "the response to the write is lost, but the write is stored",
        sc.NONE,
        (DeployStep(rules=FAULTS["write answer lost"], fails=True), WorkerStep()),
    ),
    _case(
        "the worker's clock is 10 minutes ahead",
        sc.NONE,
        (DeployStep(), WorkerStep((), _ON_OTHER_HOST, clock_s=600)),
    ),
    _case(
        "the worker's clock is 10 minutes behind",
        sc.NONE,
        (DeployStep(), WorkerStep((), _ON_OTHER_HOST, clock_s=-600)),
    ),
    _case(
        "Flash 1.21",
        sc.NONE,
        (DeployStep(), WorkerStep(mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
)

CASES: Final[dict[str, MatrixCase]] = {
    case.name: case for case in (*_WRITING, *_READING, *_CALLING, *_HEALTHY, *_SUCCESSOR)
}
