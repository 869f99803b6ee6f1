"""Pictures in plain text: one line for each mark, with everything that is known of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from zlib import crc32

from diagnosis.logs import UNTIMED, read_logs, written_logs
from diagnosis.recordings import (
    GPU,
    NOW_NS,
    TWO,
    Steps,
    call,
    changed,
    deployment,
    failed_read,
    moved,
    nanoseconds,
    read,
    records,
    stopped,
    unsound,
)
from diagnosis.scenes import (
    INTERRUPTED,
    LATER,
    NO_CAPACITY,
    NO_URL,
    REFUSED,
    SCENES,
    UNREACHABLE,
    killed,
    second,
    stray,
    told,
    without_carriers,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.findings import MOST_EXHIBITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.diagnosis.picture import ManifestState, Picture, PictureMark
    from flash_otel.records import SpanRecord


UUID: Final = "598a30d1-3880-427c-bea1-bd43cf045e12"
ONE: Final = {"gpu": GPU}


def _open(steps: Steps, name: str) -> Steps:
    """Return a deployment that was killed in a step."""
    attributes = {k: v for k, v in steps[name].attributes.items() if k != sc.OUTCOME}
    return {**steps, name: replace(steps[name], end_ns=None, attributes=attributes)}


def _without_ids(steps: Steps) -> Steps:
    return {name: changed(step, build_id=None) for name, step in steps.items()}


def _of_build(number: int, steps: Steps) -> Steps:
    return {name: changed(step, build_id=f"build-{number}") for name, step in steps.items()}


def _without_reason(name: str, outcome: str, previous: int | None = None) -> Steps:
    """Return a deployment of which a step did not succeed, without any error."""
    steps = deployment(previous=previous)
    said = {**steps[name].attributes, sc.OUTCOME: outcome}
    return {**steps, name: replace(steps[name], attributes=said)}


def _several(number: int, seconds: float, **more: object) -> list[SpanRecord]:
    """Return similar reads."""
    return [
        record
        for index in range(number)
        for record in read(seconds + 20 * index, number=f"{index}f", **more)  # type: ignore[arg-type]  # names and values of its parameters
    ]


def _far(**more: object) -> list[SpanRecord]:
    """Return a read of an environment elsewhere."""
    return read(10, env_id="env-x", code=None, **more)  # type: ignore[arg-type]  # names and values of its parameters


RECORDINGS: Final[dict[str, Callable[[], list[SpanRecord]]]] = {
    "an activation that did not end": lambda: records(
        _open(killed("build", "activate"), "activate"), read(10, phase=sc.PHASE_BUILD)
    ),
    "an activation that failed without a reason": lambda: records(
        _without_reason("activate", sc.FAILED)
    ),
    "an activation of unknown outcome": lambda: records(
        deployment(7, at=-900, held=ONE),
        _without_reason("activate", sc.UNKNOWN, previous=7),
        read(10, held=TWO),
    ),
    "an activation that was refused, of a known build": lambda: records(
        deployment(7, at=-900, held=ONE),
        stopped(deployment(previous=7), "activate", error=REFUSED),
    ),
    "an upload that did not end": lambda: records(
        _open(killed("activate", "provision", "upload"), "upload"), read(10, held=TWO)
    ),
    "an upload without success or a reason": lambda: records(
        _without_reason("upload", sc.UNKNOWN), read(10)
    ),
    "an upload that failed without a reason": lambda: records(
        _without_reason("upload", sc.FAILED), read(10, held=ONE)
    ),
    "one of two endpoints is stored, on one clock": lambda: records(
        told(1), read(10, held=ONE, host="laptop"), read(20, number="2", held=ONE, host="laptop")
    ),
    "a deployment of a build without an id": lambda: records(
        _without_ids(deployment()), read(10, held=TWO)
    ),
    "a root that is not recorded": lambda: records(
        {name: step for name, step in deployment().items() if name != "deploy"},
        read(10, phase=sc.PHASE_BUILD, host="laptop"),
    ),
    "a replaced build that was written with one endpoint": lambda: records(
        deployment(7, at=-900, held=ONE), deployment(previous=7), read(20, build=7, held=ONE)
    ),
    "a replaced build that was written twice": lambda: records(
        deployment(7, at=-900, held=ONE),
        _of_build(7, deployment(8, at=-800)),
        deployment(previous=7),
        read(20, build=7, held=ONE),
    ),
    "a replaced build whose last write was refused": lambda: records(
        deployment(7, at=-900, held=ONE),
        _of_build(7, stopped(deployment(8, at=-800), "upload", error=REFUSED)),
        deployment(previous=7),
        read(20, build=7, held=ONE),
    ),
    "a build that was active already, and is read without endpoints": lambda: records(
        deployment(7, at=-900, held=ONE),
        _of_build(7, deployment(8, at=0, previous=7)),
        read(20, code=8, build=7, phase=sc.PHASE_BUILD),
    ),
    "five others at the same time": lambda: records(
        deployment(),
        *(deployment(2 + index, at=0.1 * index) for index in range(5)),
        read(20, held=TWO),
    ),
    "others at the start and at the end": lambda: records(
        deployment(),
        *(
            deployment(2 + index, at=at)
            for index, at in enumerate((-5.81, -5.8, -3.2, 0.39, 0.4, 3.0, 3.01))
        ),
    ),
    "another until a read on one clock": lambda: records(
        deployment(),
        deployment(2, at=10.5),
        read(13.5, build=1, held=TWO, host="laptop"),
    ),
    "another until a read on another clock": lambda: records(
        deployment(), deployment(2, at=10.5), read(13.5, build=1, held=TWO)
    ),
    "another on another machine": lambda: records(
        deployment(), deployment(2, at=1, host="desktop"), read(20, held=TWO)
    ),
    "others on another machine and on this one": lambda: records(
        deployment(host="desktop"), deployment(2, at=0.5), deployment(3, at=1)
    ),
    "another to another environment": lambda: records(
        deployment(), deployment(2, at=1, env="staging", env_id="env-stag"), read(20, held=TWO)
    ),
    "another that was not sent any endpoints": lambda: records(
        deployment(),
        {name: step for name, step in deployment(2, at=1).items() if name != "upload"},
        read(20, held=TWO),
    ),
    "reads before, between and after, on one clock": lambda: records(
        deployment(previous=7),
        read(-20, number="2", code=7, build=7, held=ONE, host="laptop"),
        read(3.15, number="3", code=7, build=7, held=ONE, host="laptop"),
        read(3.14, number="4", code=7, build=7, held=ONE, host="laptop"),
        read(5.75, number="5", held=TWO, host="laptop"),
        read(5.74, number="6", phase=sc.PHASE_BUILD, host="laptop"),
    ),
    "similar reads": lambda: records(deployment(), _several(3, 10, held=TWO)),
    "similar reads at fault": lambda: records(deployment(), _several(3, 60, phase=sc.PHASE_BUILD)),
    "more similar reads at fault than the evidence names": lambda: records(
        deployment(), _several(2 * MOST_EXHIBITS, 60, phase=sc.PHASE_BUILD)
    ),
    "a read without a time on the deployment's machine": lambda: records(
        deployment(),
        [
            replace(record, start_ns=0, end_ns=0)
            for record in read(20, held=TWO, host="laptop", phase=None)
        ],
    ),
    "a deployment without times on the machine of a read": lambda: records(
        {name: replace(step, start_ns=0, end_ns=0) for name, step in deployment().items()},
        read(20, held=TWO, host="laptop", phase=None),
    ),
    "similar reads that failed": lambda: records(
        deployment(),
        failed_read(20, *UNREACHABLE, number="2"),
        failed_read(21, *UNREACHABLE, number="3"),
        failed_read(22, *REFUSED, number="4"),
        read(30, number="5", held=TWO),
    ),
    "an endpoint that failed, and a worker whose key is refused": lambda: records(
        stopped(deployment(), "gpu", "provision", error=NO_CAPACITY), failed_read(10, *REFUSED)
    ),
    "an endpoint that was interrupted, and a read of the replaced build": lambda: records(
        stopped(
            deployment(previous=7), "web", "provision", error=INTERRUPTED, outcome=sc.CANCELLED
        ),
        read(20, build=7, held=TWO),
    ),
    "an endpoint that failed, and a read of another environment": lambda: records(
        stopped(deployment(), "gpu", "provision", error=NO_CAPACITY), _far(build=9)
    ),
    "a read of a named environment with a long id": lambda: records(
        deployment(2, at=-50, env="staging", env_id=UUID),
        deployment(),
        read(10, env_id=UUID, build=2, held=TWO),
    ),
    "reads of several environments": lambda: records(
        deployment(),
        _far(build=9),
        _far(build=None, environment=sc.ENVIRONMENT_NO_ACTIVE_BUILD, number="2"),
        _far(build=None, environment=sc.ENVIRONMENT_NULL, number="3"),
    ),
    "a read of a manifest of unknown content": lambda: records(
        deployment(),
        [changed(record, manifest__state=None) for record in read(10, phase=None)],
    ),
    "a read by an unknown clock that is far off": lambda: records(
        deployment(), [moved(record, -1e6) for record in read(60, phase=sc.PHASE_BUILD)]
    ),
    "a stale build without endpoints": lambda: records(
        deployment(previous=7), without_carriers(read(20, build=7, host="laptop"))
    ),
    "reads of one process, of which one refutes its clock": lambda: records(
        deployment(),
        [moved(record, -600) for record in read(10, held=TWO)],
        [moved(record, -600) for record in read(20, number="2", held=ONE)],
        read(30, number="3", held=TWO, instance="worker-2"),
    ),
    "an endpoint that failed, and another that did not": lambda: records(
        stopped(deployment(), "gpu", "provision", error=NO_CAPACITY)
    ),
    "a worker that deploys, and calls that fail": lambda: records(
        deployment(),
        failed_read(10, *UNREACHABLE),
        stray(),
        unsound(call(11, url=None), *NO_URL),
        unsound(call(12, number="2", url=None), *NO_URL),
    ),
    "an older build again, hours later": lambda: records(
        deployment(), second(previous=1), read(3 * LATER, code=2, build=1, held=TWO)
    ),
    "times that are not known": lambda: [
        replace(record, start_ns=0, end_ns=0 if record.end_ns else None)
        for record in records(deployment(previous=7), read(20, build=7, held=ONE))
    ],
    "an early read of a late deployment": lambda: records(
        deployment(at=5), [replace(record, end_ns=nanoseconds(0)) for record in read(-1)]
    ),
}

_SCENE: Final = "scene"
_RECORDING: Final = "recording"
_LOGS: Final = "logs without times"


def pictured(name: str) -> str:
    """Return the pictures of a scene, or of the logs of its processes."""
    kind, _, scene = name.partition(": ")
    if kind == _RECORDING:
        return pictures(RECORDINGS[scene]())
    recording = SCENES[scene].make()
    if kind == _SCENE:
        return pictures(recording)
    with TemporaryDirectory() as folder:
        return pictures(read_logs(Path(folder), written_logs(recording, UNTIMED)))


# By their names, so that a new scene does not change of which of the others logs are read.
PICTURED: Final = (
    *(f"{_SCENE}: {scene}" for scene in SCENES),
    *(f"{_RECORDING}: {name}" for name in RECORDINGS),
    *(f"{_LOGS}: {scene}" for scene in SCENES if crc32(scene.encode()) % 4 == 1),
)


def pictures(recording: Iterable[SpanRecord]) -> str:
    """Return the pictures of all deployments of a recording."""
    lines: list[str] = []
    for judged in diagnose(recording, limits=Limits(now_ns=NOW_NS)).judged:
        lines.append(f"{judged.verdict}:")
        lines += _described(judged.picture) if judged.picture else ["  no picture"]
    return "".join(f"{line}\n" for line in lines)


def _described(picture: Picture) -> Iterator[str]:
    known = (picture.build_id, picture.environment_id, picture.endpoint_count)
    yield f"  {' '.join(str(value) for value in known)}, before: {_state(picture.before)}"
    yield from map(_mark, picture.marks)
    if picture.left_out:
        yield f"  {picture.left_out} left out"


def _state(state: ManifestState | None) -> str:
    if state is None:
        return "?"
    if not state.has_build:
        held = "not recorded" if state.has_build is None else "no build"
    else:
        held = f"{state.build_id}, {state.endpoint_count} endpoints"
    flags = {" (deployed)": state.is_deployed, " (as read)": state.as_read}
    return held + "".join(flag for flag, is_set in flags.items() if is_set)


def _mark(mark: PictureMark) -> str:
    number = mark.origin.line or mark.origin.span_id.lstrip("0")
    parts = [f"{mark.lane} {mark.kind} {number} {_seconds(mark.seconds)}: {mark.text}"]
    parts += [f"holds: {_state(mark.state)}"]
    if mark.environment_id or mark.build_id or mark.endpoint_count is not None:
        parts += [f"answer: {mark.environment_id} {mark.build_id} {mark.endpoint_count}"]
    if mark.count > 1:
        parts += [f"{mark.count} times, until {_seconds(mark.last_seconds)}"]
    if mark.wait_s is not None:
        parts += [f"after {mark.wait_s:.2f} s"]
    flags = {
        "another clock": not mark.same_clock,
        "untimed": not mark.is_timed,
        "unordered": not mark.is_ordered,
    }
    parts += [name for name, is_set in flags.items() if is_set]
    if mark.differs:
        parts += [f"differs: {' '.join(mark.differs)}"]
    return f"  {'*' if mark.is_marked else ' '} {'; '.join(parts)}"


def _seconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:+.2f}"
