"""The cases of the matrix: what is injected, and which code a diagnosis must name.

The names stay on this side, as those of the scenarios do. A case is a list of steps; it may hold
what a guide's scenario does not: several workers, two folders, two apps, clocks that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.demo.faults import FAULTS, Rule
from flash_otel.demo.scenarios import DEFAULT_VERSION

if TYPE_CHECKING:
    from flash_otel.demo.state import State

Variables = Callable[["State"], Mapping[str, str | None]]

SENTINEL_VERSION: Final = "1.21.0"
"""A version whose workers call through the sentinel."""

STORE, FILE, LINES = SOURCES = ("store", "otlp file", "lines")
"""What a diagnosis is made from: the store and the worker's log, one OTLP file, bare lines."""

SAID: Final = "named"
DOUBTED: Final = "doubted"
SILENT: Final = "silent"
"""What a source can say: the code; `inconclusive` with the code among others; nothing at all."""


@dataclass(frozen=True, slots=True)
class Work:
    """A worker of the last deployment's load-balanced endpoint runs and calls.

    Attributes:
        rules: Faults in force meanwhile, unless a deployment is running.
        variables: Given the state, what differs from the variables that Flash set; None removes.
        mode: How it calls (see `flash_otel.demo.worker`).
        clock_s: How far its clock is ahead, in seconds.
    """

    rules: tuple[Rule, ...] = ()
    variables: Variables = lambda _: {}
    mode: str = "wrapper"
    clock_s: int = 0


@dataclass(frozen=True, slots=True)
class Deploy:
    """One `flash deploy`.

    Attributes:
        environment: The `--env` option; None lets Flash choose.
        folder: Which copy of the project it runs in.
        app: Name of the app, which is that of the copy's folder.
        with_gpu: Without, the project is in an older state without the called endpoint.
        rules: Faults in force while it runs.
        held: Steps that happen while it stands at the gate of its manifest write.
        fails: Whether the command must fail.
    """

    environment: str | None = None
    folder: str = "one"
    app: str = "gpu_app"
    with_gpu: bool = True
    rules: tuple[Rule, ...] = ()
    held: tuple[Work | Deploy, ...] = ()
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the matrix.

    Attributes:
        name: Names the row.
        code: What a diagnosis must name; `none` for a healthy variant.
        steps: What happens, in order.
        environments: Environments that the app has beforehand.
        version: Version of Flash.
        store: What the store and the worker's log can say.
        lines: What bare lines can say.
        beside: The verdict that the code stands beside, where it is not the verdict itself.
    """

    name: str
    code: str
    steps: tuple[Work | Deploy, ...]
    environments: tuple[str, ...] = ()
    version: str = DEFAULT_VERSION
    store: str = SAID
    lines: str = SAID
    beside: str = ""

    def expected(self, source: str) -> str:
        """Return what a source can say."""
        return self.lines if source == LINES else self.store


WRITE_IGNORED: Final = FAULTS["write ignored, echoed"]
WRITE_HELD: Final = FAULTS["write held back"]


def _of(environment: str) -> Variables:
    def variables(state: State) -> Mapping[str, str | None]:
        found = next(one for one in state.environments.values() if one.name == environment)
        return {"FLASH_ENVIRONMENT_ID": found.id}

    return variables


def _set(**changed: str | None) -> Variables:
    return lambda _: changed


_ELSEWHERE: Final = _set(OTEL_RESOURCE_ATTRIBUTES="host.name=elsewhere")
"""A worker on another machine, whose clock is not known to be the deployment's."""

_FAULTY: Final = (
    Case(
        "a worker of production asks for staging",
        sc.ENVIRONMENT_MISMATCH,
        (
            Deploy("staging", "two", with_gpu=False),
            Deploy("production"),
            Work(variables=_of("staging")),
        ),
        ("production", "staging"),
    ),
    Case(
        "a worker asks for an environment that does not exist",
        sc.ENVIRONMENT_MISMATCH,
        (
            Deploy(),
            Work(variables=_set(FLASH_ENVIRONMENT_ID="00000000-0000-4000-8000-000000000000")),
        ),
    ),
    Case(
        "a worker without FLASH_ENVIRONMENT_ID",
        sc.ENVIRONMENT_UNSET,
        (Deploy(), Work(variables=_set(FLASH_ENVIRONMENT_ID=None))),
    ),
    Case(
        "the environment was deleted",
        sc.ENVIRONMENT_UNKNOWN,
        (Deploy(), Work(FAULTS["environment null"])),
        lines=DOUBTED,
    ),
    Case(
        "the second activation has no effect",
        sc.STALE_BUILD,
        (Deploy(with_gpu=False), Deploy(rules=FAULTS["activation ignored, echoed"]), Work()),
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
        (Deploy(rules=WRITE_IGNORED), Work()),
        lines=DOUBTED,
    ),
    Case(
        "the same, and the worker is on another machine",
        sc.MANIFEST_NOT_PERSISTED,
        (Deploy(rules=WRITE_IGNORED), Work(variables=_ELSEWHERE)),
        store=DOUBTED,
        lines=DOUBTED,
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
        (Deploy(rules=WRITE_HELD, held=(Work(),)), Work()),
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
        (Deploy(), Deploy(rules=WRITE_HELD, held=(Deploy(folder="two"),)), Work()),
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
        (Deploy(), Work(variables=_set(FLASH_ENV="elsewhere"), mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
)

_TWO_FOLDERS: Final = (Deploy("production"), Deploy("staging", "two"), Work())

_HEALTHY: Final = (
    Case("first deployment", sc.NONE, (Deploy(), Work())),
    Case("redeployed unchanged", sc.NONE, (Deploy(), Deploy(), Work())),
    Case("slow upload", sc.NONE, (Deploy(rules=FAULTS["upload slow"]), Work())),
    Case("retried reads", sc.NONE, (Deploy(), Work(FAULTS["read unavailable once"]))),
    Case("two environments", sc.NONE, _TWO_FOLDERS, ("production", "staging")),
    Case("two apps in one store", sc.NONE, (Deploy(folder="two", app="other"), Deploy(), Work())),
    Case("redeployed while workers run", sc.NONE, (Deploy(), Work(), Deploy(), Work())),
    Case(
        "the worker's clock is 10 minutes ahead",
        sc.NONE,
        (Deploy(), Work((), _ELSEWHERE, clock_s=600)),
    ),
    Case(
        "the worker's clock is 10 minutes behind",
        sc.NONE,
        (Deploy(), Work((), _ELSEWHERE, clock_s=-600)),
    ),
    Case(
        "Flash 1.21",
        sc.NONE,
        (Deploy(), Work(mode="function")),
        version=SENTINEL_VERSION,
        lines=SILENT,
    ),
)

CASES: Final[dict[str, Case]] = {case.name: case for case in (*_FAULTY, *_HEALTHY)}

NOT_INJECTED: Final[dict[str, str]] = {
    sc.STALE_CACHE: "needs one worker process that lives through a deployment and calls again",
    sc.CODE_NOT_ROLLED: "is a fault only after the ten minutes that a rolling release may take",
    sc.FUNCTION_UNKNOWN: "the worker that misses a function runs it in place without a request",
    sc.REMOTE_CALLS_UNDETECTED: "comes from the build's own analysis, not from an answer",
    sc.NOTHING_DEPLOYED: "needs a project of client-mode images only",
}
"""Codes that no answer of the stand-in can produce, each with the reason."""
