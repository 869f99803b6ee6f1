"""What a row of the matrix is: a list of steps, and what each source can say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.demo.project import WHOLE
from flash_otel.demo.scenarios import DEFAULT_VERSION

if TYPE_CHECKING:
    from flash_otel.demo.faults import Rule
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
        build: Position of the build whose code it runs: -1 is the last, -2 the one before.
        held: Steps that happen between its first call and a second one.
    """

    rules: tuple[Rule, ...] = ()
    variables: Variables = lambda _: {}
    mode: str = "wrapper"
    clock_s: int = 0
    build: int = -1
    held: tuple[Work | Deploy, ...] = ()


@dataclass(frozen=True, slots=True)
class Deploy:
    """One `flash deploy`.

    Attributes:
        environment: The `--env` option; None lets Flash choose.
        folder: Which copy of the project it runs in.
        app: Name of the app, which is that of the copy's folder.
        edition: Which state of the project's code is deployed (see `flash_otel.demo.project`).
        rules: Faults in force while it runs.
        held: Steps that happen while it stands at the gate of its manifest write.
        fails: Whether the command must fail.
    """

    environment: str | None = None
    folder: str = "one"
    app: str = "gpu_app"
    edition: str = WHOLE
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
        skew_s: How far clocks may differ, as the diagnosis is told; None for its own assumption.
    """

    name: str
    code: str
    steps: tuple[Work | Deploy, ...]
    environments: tuple[str, ...] = ()
    version: str = DEFAULT_VERSION
    store: str = SAID
    lines: str = SAID
    beside: str = ""
    skew_s: int | None = None

    def expected(self, source: str) -> str:
        """Return what a source can say."""
        return self.lines if source == LINES else self.store


def environment_of(environment: str, app: str = "gpu_app") -> Variables:
    """Give a worker the id of another environment."""

    def variables(state: State) -> Mapping[str, str | None]:
        owner = state.app_named(app)
        found = owner and state.environment_named(owner.id, environment)
        if found is None:
            raise RuntimeError(f"There is no environment {environment!r} of app {app!r}.")
        return {"FLASH_ENVIRONMENT_ID": found.id}

    return variables


def changed(**variables: str | None) -> Variables:
    """Give a worker other variables; None takes one away."""
    return lambda _: variables


ELSEWHERE: Final = changed(OTEL_RESOURCE_ATTRIBUTES="host.name=elsewhere")
"""A worker on another machine, whose clock is not known to be the deployment's."""
