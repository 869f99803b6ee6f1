"""Grids of evidence: what is decided from each combination of an upload's and a read's facts."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from diagnosis.logs import UNTIMED, ZONED, read_logs, written_logs
from diagnosis.recordings import (
    GPU,
    NOW_NS,
    TWO,
    Steps,
    changed,
    deployment,
    read,
    records,
    stopped,
)
from diagnosis.scenes import LOST, NO_CAPACITY, killed, told, without_answer

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
ONE: Final = {"gpu": GPU}
OTHER: Final = {"gpu": "https://api.runpod.ai/v2/gpu0000999", "web": TWO["web"]}


def _without(*names: str) -> Steps:
    return {name: step for name, step in deployment().items() if name not in names}


def _unanswered() -> Steps:
    steps = deployment()
    gone = {"persisted_endpoint_count": None, "persisted_digest": None}
    return {**steps, "upload": changed(steps["upload"], **gone)}


def _by_lines(steps: Steps) -> list[SpanRecord]:
    with TemporaryDirectory() as folder:
        return read_logs(Path(folder), written_logs(steps.values(), ZONED))


UPLOADS: Final[dict[str, Callable[[], Any]]] = {
    "answered with all": deployment,
    "answered with one": lambda: told(1, "another"),
    "answered with none": lambda: told(0),
    "answered without endpoints": _unanswered,
    "without an answer": without_answer,
    "refused": lambda: stopped(deployment(), "upload", "provision", error=("RuntimeError", "no")),
    "never sent": lambda: stopped(deployment(), "gpu", "provision", error=NO_CAPACITY),
    "lost, as all after the activation": lambda: killed("activate"),
    "not recorded": lambda: _without("upload"),
    "known by lines": lambda: _by_lines(deployment()),
}
HELD: Final[dict[str, dict[str, Any]]] = {
    "both": {"held": TWO},
    "one": {"held": ONE},
    "other URLs": {"held": OTHER},
    "none": {},
    "no manifest": {"state": sc.MANIFEST_NULL},
}
PHASES: Final = {"of the write": sc.PHASE_WRITE, "of the build": sc.PHASE_BUILD, "none": None}
WHEN: Final = {
    "in the window": {"at": 4.0},
    "in the window, on one clock": {"at": 4.0, "host": "laptop"},
    "within the skew": {"at": 8.0},
    "after, on one clock": {"at": 8.0, "host": "laptop"},
    "a minute after": {"at": 66.0},
}


def of_manifests(upload: str) -> Iterator[str]:
    """Yield a line for each answer with the deployed build, alone and beside a whole one."""
    for (held, answer), (phase, carrier), (when, place) in product(
        HELD.items(), PHASES.items(), WHEN.items()
    ):
        if held == "no manifest" and phase != "none":
            continue
        own = read(phase=carrier, **{**answer, **place})
        made = records(UPLOADS[upload](), own)
        beside = [*made, *read(70, number="2", held=TWO, instance="worker-2")]
        decided = (_decided(made), _decided(beside))
        yield f"{held}, carrier {phase}, {when}: {decided[0]} | {decided[1]}"


ACTIVATIONS: Final[dict[str, Callable[[], list[SpanRecord]]]] = {
    "nothing before": lambda: records(deployment(2)),
    "what it replaces is known": lambda: records(deployment(2, previous=1)),
    "an older deployment is recorded": lambda: records(deployment(1, at=-400), deployment(2)),
    "a later deployment is recorded": lambda: records(deployment(1, at=400), deployment(2)),
    "an older read is recorded": lambda: records(
        deployment(2), read(-300, number="9", code=1, build=1, held=TWO, instance="w-9")
    ),
    "its generation is known": lambda: records(deployment(2, generated=1.0)),
    "it failed": lambda: records(stopped(deployment(2), "activate", error=LOST)),
}
GENERATED: Final = {"": None, ", generated before": -500.0, ", generated after": 500.0}
CODES: Final = {"the deployed code": 2, "older code": 1, "unknown code": None}
BUILDS: Final[dict[str, dict[str, Any]]] = {
    "the older build": {"build": 1, "held": TWO},
    "no build": {"build": None, "environment": sc.ENVIRONMENT_NO_ACTIVE_BUILD},
    "no environment": {"build": None, "environment": sc.ENVIRONMENT_NULL},
}
MOMENTS: Final = {
    "before": {"at": -60.0},
    "within the skew": {"at": 5.0},
    "after, on one clock": {"at": 5.0, "host": "laptop"},
    "after": {"at": 60.0},
    "a day after": {"at": 86_000.0},
}


def of_builds(activation: str) -> Iterator[str]:
    """Yield a line for each answer with another build, by spans and by the lines of a log."""
    for (build, answer), (code, number), (made, generated), (when, place) in product(
        BUILDS.items(), CODES.items(), GENERATED.items(), MOMENTS.items()
    ):
        if made and build != "the older build":
            continue
        before = ACTIVATIONS[activation]()
        own = read(code=number, generated=generated, **{**answer, **place})
        decided = _decided([*before, *own])
        if code == "unknown code" and not made:
            decided += f" | {_decided(_logged(before + own, ZONED))}"
            decided += f" | {_decided(_logged(before + own, UNTIMED))}"
        yield f"{build}{made}, {code}, {when}: {decided}"


def _logged(made: list[SpanRecord], times: str) -> list[SpanRecord]:
    with TemporaryDirectory() as folder:
        return read_logs(Path(folder), written_logs(made, times))


def _decided(made: list[SpanRecord]) -> str:
    found = diagnose(made, limits=LIMITS)
    return "; ".join(
        " ".join((finding.code, finding.confidence, *finding.candidates))
        for finding in found.findings
    )
