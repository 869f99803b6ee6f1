"""Grids of evidence: what is decided from each combination of an upload's and a read's facts."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from diagnosis.logs import TIMES, ZONED, read_logs, written_logs
from diagnosis.recordings import (
    GPU,
    NOW_NS,
    TWO,
    Steps,
    call,
    changed,
    deployment,
    read,
    records,
    stopped,
    unsound,
)
from diagnosis.scenes import (
    LOST,
    NO_CAPACITY,
    NO_URL,
    NOT_FOUND,
    REFUSED,
    killed,
    told,
    without_answer,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
WHEN: Final[dict[str, dict[str, Any]]] = {
    "in the window": {"at": 4.0},
    "in the window, on one clock": {"at": 4.0, "host": "laptop"},
    "within the skew": {"at": 8.0},
    "after, on one clock": {"at": 8.0, "host": "laptop"},
    "a minute after": {"at": 66.0},
}


def of_manifests(upload: str) -> Iterator[str]:
    """Yield a line for each answer with the deployed build: alone, then beside a whole one.

    Each has a decision for each time of the read.
    """
    before = records(UPLOADS[upload]())
    whole = read(70, number="2", held=TWO, instance="worker-2")
    for (held, answer), (phase, carrier) in product(HELD.items(), PHASES.items()):
        if held == "no manifest" and phase != "none":
            continue
        reads = [read(phase=carrier, **{**answer, **place}) for place in WHEN.values()]
        for way, others in (("alone", before), ("beside a whole one", [*before, *whole])):
            decided = [_decided([*others, *own]) for own in reads]
            yield f"{held}, carrier {phase}, {way}: {' | '.join(decided)}"


SECOND: Final[dict[str, dict[str, Any]]] = {
    "none, of the build, after": {"phase": sc.PHASE_BUILD, "at": 66.0},
    "none, of the write, within the skew": {"at": 8.0},
    "none, of nobody, within the skew": {"phase": None, "at": 8.0},
    "one": {"held": ONE, "at": 66.0},
    "both": {"held": TWO, "at": 66.0},
    "the older build": {"build": 0, "held": TWO, "at": 66.0},
}


def of_pairs(upload: str) -> Iterator[str]:
    """Yield a line for each answer within the skew: a decision for each other answer.

    The same worker reads it, then another worker, and then the same one beside a whole answer.
    """
    before = records(UPLOADS[upload]())
    whole = read(70, number="3", held=TWO, instance="worker-3")
    for (held, answer), (phase, carrier) in product(HELD.items(), PHASES.items()):
        if held == "no manifest" and phase != "none":
            continue
        first = read(7, phase=carrier, **answer)
        for who, instance, beside in (
            ("the same worker", "worker-1", []),
            ("another", "worker-2", []),
            ("the same worker, and a whole one", "worker-1", whole),
        ):
            others = [read(number="2", instance=instance, **more) for more in SECOND.values()]
            decided = [_decided([*before, *first, *other, *beside]) for other in others]
            yield f"{held}, carrier {phase}, and {who}: {' | '.join(decided)}"


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
MOMENTS: Final[dict[str, dict[str, Any]]] = {
    "before": {"at": -60.0},
    "within the skew": {"at": 5.0},
    "after, on one clock": {"at": 5.0, "host": "laptop"},
    "after": {"at": 60.0},
    "a day after": {"at": 86_000.0},
}


def of_builds(activation: str) -> Iterator[str]:
    """Yield a line for each answer with another build: by spans, then by the lines of logs.

    Each has a decision for each time of the read.
    """
    before = ACTIVATIONS[activation]()
    for (build, answer), (code, number), (made, generated) in product(
        BUILDS.items(), CODES.items(), GENERATED.items()
    ):
        if made and build != "the older build":
            continue
        reads = [
            [*before, *read(code=number, generated=generated, **{**answer, **place})]
            for place in MOMENTS.values()
        ]
        yield f"{build}{made}, {code}: {' | '.join(map(_decided, reads))}"
        if code == "unknown code" and not made:
            for times in TIMES:
                decided = [_decided(_logged(recording, times)) for recording in reads]
                yield f"{build}, by {times} lines: {' | '.join(decided)}"


def _logged(made: list[SpanRecord], times: str) -> list[SpanRecord]:
    with TemporaryDirectory() as folder:
        return read_logs(Path(folder), written_logs(made, times))


def _decided(made: list[SpanRecord]) -> str:
    found = diagnose(made, limits=LIMITS)
    return "; ".join(
        " ".join((finding.code, finding.confidence, *finding.candidates))
        for finding in found.findings
    )


RECORDED: Final[dict[str, Callable[[], list[SpanRecord]]]] = {
    "one deployment": lambda: records(deployment()),
    "one deployment and its worker": lambda: records(deployment(), read(10, held=TWO)),
    "a newer deployment": lambda: records(deployment(), deployment(2, at=400, held=OTHER)),
    "a deployment elsewhere": lambda: records(
        deployment(), deployment(2, at=-400, env="staging", env_id="env-stag", held=OTHER)
    ),
    "no deployment": list,
}
SIGNS: Final[dict[str, dict[str, Any]]] = {
    "none": {"code": None},
    "its code": {},
    "other code": {"code": 2},
    "its names": {"code": None, "app": "shop", "env": "production"},
    "names of another place": {"code": None, "app": "shop", "env": "staging"},
    "wrong names": {"code": None, "app": "shop", "env": "prod"},
}
TARGETS: Final[dict[str, dict[str, Any]]] = {
    "its endpoint": {},
    "another URL": {"url": "https://api.runpod.ai/v2/gpu0000999"},
    "no URL": {"url": None},
    "an unknown endpoint": {"url": None, "resource": "cpu"},
    "an unknown function": {"url": None, "resource": None, "route": sc.ROUTE_MISSING},
}
ENDS: Final = {
    "answered": None,
    "not found": NOT_FOUND,
    "no URL": NO_URL,
    "refused": REFUSED,
    "failed": ("RuntimeError", "no"),
}


def of_calls(recorded: str) -> Iterator[str]:
    """Yield a line for what a call names and where it goes: a decision for each of its ends."""
    before = RECORDED[recorded]()
    for (sign, names), (target, place) in product(SIGNS.items(), TARGETS.items()):
        plain = call(500, instance="worker-3", **{**names, **place})
        made = [plain if error is None else unsound(plain, *error) for error in ENDS.values()]
        decided = [_decided([*before, ended]) for ended in made]
        yield f"{sign}, {target}: {' | '.join(decided)}"


ASKED: Final[dict[str, dict[str, Any]]] = {
    "its environment": {},
    "another environment": {"env_id": "env-stag"},
    "an unknown environment": {"env_id": "env-x"},
    "no environment": {"env_id": None},
    "its own endpoint's id": {"env_id": "web0000001"},
}
READERS: Final[dict[str, dict[str, Any]]] = {
    "its code and endpoint": {},
    "its endpoint": {"code": None},
    "another endpoint": {"code": None, "endpoint": "cpu0000009"},
    "other code": {"code": 2, "endpoint": "cpu0000009"},
    "code of nobody": {"code": 9, "endpoint": None},
}
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "its build": {"held": TWO},
    "the other build": {"build": 2, "held": OTHER},
    "a build of nobody": {"build": 9, "held": OTHER},
    "nothing": {"build": None, "environment": sc.ENVIRONMENT_NULL},
}


def of_readers(recorded: str) -> Iterator[str]:
    """Yield a line for who asks for which environment: a decision for each answer and time."""
    before = RECORDED[recorded]()
    for (asked, place), (reader, identity) in product(ASKED.items(), READERS.items()):
        decided = [
            _decided([*before, *read(at, number="7", **{**place, **identity, **answer})])
            for answer, at in product(ANSWERS.values(), (-60.0, 500.0))
        ]
        yield f"{asked}, {reader}: {' | '.join(decided)}"


GRIDS: Final[dict[str, tuple[Callable[[str], Iterator[str]], Iterable[str]]]] = {
    "manifests, after an upload": (of_manifests, UPLOADS),
    "pairs of answers, after an upload": (
        of_pairs,
        ("answered with all", "answered without endpoints", "without an answer", "never sent"),
    ),
    "other builds, after an activation": (of_builds, ACTIVATIONS),
    "calls, beside": (of_calls, RECORDED),
    "readers, beside": (of_readers, RECORDED),
}
"""Each grid with the names of its recordings."""
