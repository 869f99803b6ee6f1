"""Grids of damaged logs: what is read of each, and what is decided from it.

A record is written as a letter (A for an activation, U for an upload, R for a worker's read, M for
one attempt of it), with its build, its environment, its number of endpoints and, if the record has
an end, a full stop: `R own own 2.` A value is `own`, `other` (of the scene's other build or
environment), `part` if the log holds only a part of it, `-` if it holds none, or else `WRONG`.
"""

from __future__ import annotations

import re
import textwrap
from functools import partial
from itertools import groupby, product, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from readers.exports import EXPORTS
from readers.scenes import (
    BEGIN_NS,
    BUILD,
    ENVIRONMENT,
    LATER_NS,
    LIMITS,
    OTHER_BUILD,
    OTHER_ENVIRONMENT,
    SCENES,
    bare,
    timed,
)

from flash_otel import semconv as sc
from flash_otel.diagnosis import diagnose
from flash_otel.diagnosis.readers import NothingFoundError, ReaderError, open_reader
from flash_otel.records import LINES_PARTIAL, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.records import SpanRecord

_LETTERS: Final = {
    sc.ACTIVATE: "A",
    sc.MANIFEST_UPLOAD: "U",
    sc.RUNTIME_FETCH: "R",
    sc.MANIFEST_FETCH: "M",
}
SHORT: Final = {
    BUILD: "cmf3k2x9v0001l",
    ENVIRONMENT: "env7qk2m",
    OTHER_BUILD: "cx9zz8y7000aa3",
    OTHER_ENVIRONMENT: "xyz0pp3r",
}
_KNOWN: Final = {
    None: "-",
    BUILD: "own",
    ENVIRONMENT: "own",
    OTHER_BUILD: "other",
    "b-9": "other",
    OTHER_ENVIRONMENT: "other",
    "cmf3k2x9v0001l": "own",
    "env7qk2m": "own",
    "cx9zz8y7000aa3": "other",
    "xyz0pp3r": "other",
}


def _value(record: SpanRecord, name: str) -> str:
    value = record.attributes.get(name)
    if name in (texts(record.attributes, LINES_PARTIAL) or ()):
        return "part"
    return _KNOWN.get(value, "WRONG")  # type: ignore[arg-type]  # a text or nothing


def _written(record: SpanRecord) -> str:
    count = record.attributes.get(sc.ENDPOINT_COUNT, "-")
    values = f"{_value(record, sc.BUILD_ID)} {_value(record, sc.ENVIRONMENT_ID)} {count}"
    return f"{_LETTERS[record.name]} {values}{'' if record.end_ns is None else '.'}"


def decided(*files: bytes) -> str:
    """Return the records of files and the findings on all of them."""
    found: list[SpanRecord] = []
    with TemporaryDirectory() as folder:
        for number, data in enumerate(files):
            path = Path(folder) / f"{number}.log"
            path.write_bytes(data)
            try:
                found += open_reader(path).records()
            except (NothingFoundError, ReaderError):
                continue
    findings = "; ".join(
        " ".join((finding.code, finding.confidence, *finding.candidates))
        for finding in diagnose(found, limits=LIMITS).findings
    )
    return f"{', '.join(map(_written, found))} => {findings}"


def runs(axis: Iterable[int], make: Callable[[int], Iterable[bytes]]) -> Iterator[str]:
    """Yield a line for each run of numbers from which the same is read and decided."""
    results = [(number, decided(*make(number))) for number in axis]
    for result, group in groupby(results, key=lambda pair: pair[1]):
        numbers = [number for number, _ in group]
        yield f"{numbers[0]}-{numbers[-1]}: {result}"


def _plain(scene: str) -> tuple[str, str]:
    deployed, got = (bare(timed(texts)).decode() for texts in SCENES[scene])
    return deployed, got


def _stamped(scene: str) -> tuple[str, str]:
    deployed, got = SCENES[scene]
    logs = timed(deployed), timed(got, BEGIN_NS + LATER_NS)
    first, second = (EXPORTS["plain"](log).decode() for log in logs)
    return first, second


def _short(logs: tuple[str, str]) -> tuple[str, str]:
    """Return logs with ids that do not show where they end."""
    deployed, got = logs
    for known, short in SHORT.items():
        deployed, got = deployed.replace(known, short), got.replace(known, short)
    return deployed, got


def _broken(text: str, width: int) -> str:
    return "".join(
        f"{line[at : at + width]}\n"
        for line in text.splitlines()
        for at in range(0, max(len(line), 1), width)
    )


def _at_words(text: str, width: int) -> str:
    return "".join(
        f"{part}\n" for line in text.splitlines() for part in textwrap.wrap(line, width) or [""]
    )


MANNERS: Final[dict[str, Callable[[str, int], str]]] = {
    "broken at a width": _broken,
    "broken at words": _at_words,
    "broken and trimmed": lambda text, width: re.sub(" +\n", "\n", _broken(text, width)),
    "cut by a limit": lambda text, width: "".join(
        f"{line[:width]}\n" for line in text.splitlines()
    ),
}
_DAMAGES: Final[dict[str, Callable[[list[str], int], list[str]]]] = {
    "its first lines are lost": lambda lines, at: lines[at:],
    "its last lines are lost": lambda lines, at: lines[:at],
    "a line is lost": lambda lines, at: [*lines[:at], *lines[at + 1 :]],
    "a line is doubled": lambda lines, at: [*lines[: at + 1], *lines[at:]],
    "two lines are swapped": lambda lines, at: [
        *lines[:at], *lines[at : at + 2][::-1], *lines[at + 2 :],
    ],
    "it begins elsewhere": lambda lines, at: [*lines[at:], *lines[:at]],
    "reversed, it begins elsewhere": lambda lines, at: [*lines[at:], *lines[:at]][::-1],
}  # fmt: skip


def of_widths(name: str) -> Iterator[str]:
    """Yield what is read at each width."""
    manner, _, scene = name.partition("; ")
    change = MANNERS[manner]
    forms = {
        "bare": _plain(scene),
        "timed": _stamped(scene),
        "bare, with short ids": _short(_plain(scene)),
    }
    for form, logs in forms.items():
        yield f"{form}:"
        yield from runs(range(40, 130, 3), partial(_changed, logs, change))


def _changed(logs: tuple[str, str], change: Callable[[str, int], str], width: int) -> list[bytes]:
    return [change(log, width).encode() for log in logs]


def of_damages(name: str) -> Iterator[str]:
    """Yield what is read of a log with damage at each line, beside the other log."""
    damage, _, scene = name.partition("; ")
    change = _DAMAGES[damage]
    for form, logs in (("bare", _plain(scene)), ("timed", _stamped(scene))):
        for side, kind in enumerate(("deployment", "worker")):
            yield f"{form}, {kind}:"
            make = partial(_with_damage, logs, side, change)
            yield from runs(range(logs[side].count("\n") + 1), make)


def _with_damage(logs: tuple[str, str], side: int, change: Any, at: int) -> list[bytes]:
    changed = list(logs)
    changed[side] = "".join(change(logs[side].splitlines(keepends=True), at))
    return [log.encode() for log in changed]


def of_cuts(scene: str) -> Iterator[str]:
    """Yield what is read of a worker's log that ends, or begins, within its lines."""
    deployed, got = _plain(scene)
    axis = range(0, len(got), 7)
    yield "it ends:"
    yield from runs(axis, lambda at: [deployed.encode(), got[:at].encode()])
    yield "it begins:"
    yield from runs(axis, lambda at: [deployed.encode(), got[at:].encode()])


_WRITERS: Final[dict[str, tuple[str, str]]] = {
    "no prefix": ("", ""),
    "the writers": ("w-1  | ", "w-2  | "),
    "a time": ("2026-11-28T10:00:0{}Z ", "2026-11-28T10:00:0{}Z "),
}


def of_mixes(prefix: str) -> Iterator[str]:
    """Yield what is read of two reads in one log, the second of which begins at each line."""
    for scene in ("stale build", "another environment", "no endpoints"):
        first, second = (
            [line for text in SCENES[name][1] for line in text.split("\n")][1:-1]
            for name in ("healthy", scene)
        )
        yield f"beside {scene}:"
        deployed = bare(timed(SCENES["healthy"][0]))

        make = partial(_mixed, deployed, (first, second), _WRITERS[prefix])
        yield from runs(range(len(first) + 1), make)


def _mixed(
    deployed: bytes, reads: tuple[list[str], list[str]], marks: tuple[str, str], at: int
) -> list[bytes]:
    """Return two reads in turn, line by line, from a line of the first one on."""
    own, other = (
        [f"{mark}{line}" for line in lines] for mark, lines in zip(marks, reads, strict=True)
    )
    rest = [line for pair in zip_longest(own[at:], other) for line in pair if line is not None]
    lines = enumerate([*own[:at], *rest])
    text = "\n".join(line.replace("{}", str(number // 2)) for number, line in lines)
    return [deployed, text.encode()]


LOG_GRIDS: Final[dict[str, tuple[Callable[[str], Iterator[str]], list[str]]]] = {
    "widths": (
        of_widths,
        [
            f"{manner}; {scene}"
            for manner, scene in product(MANNERS, ("stale build", "an endpoint is missing"))
        ],
    ),
    "damages": (
        of_damages,
        [
            f"{damage}; {scene}"
            for damage, scene in product(_DAMAGES, ("healthy", "another environment"))
        ],
    ),
    "cuts": (of_cuts, ["stale build", "no endpoints"]),
    "mixes": (of_mixes, [*_WRITERS]),
}
"""Each grid with its names."""
