"""Recordings in other orders, packagings and places: what must not change a verdict.

A variant holds the evidence of a recording in another form. `SAME` variants must have the same
verdict, code and confidence; `WEAKER` ones have lost something, and may be `inconclusive` instead.
A masked build makes a read `UNREAD`: what the other reads show is what remains.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from readers import exports
from readers.exports import EXPORTS, utc

from flash_otel import semconv as sc
from flash_otel.demo.processes import bracketed_lines, worker_spans
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.facts import with_host
from flash_otel.diagnosis.readers import NothingFoundError, open_reader
from flash_otel.diagnosis.readers.jaeger_client import records_of
from flash_otel.lines.format import format_lines
from flash_otel.lines.table import END, START
from flash_otel.otlp.decode import decode_log_line
from flash_otel.otlp.encode import encode_json, encode_protobuf
from flash_otel.store.references import shows_worker

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from flash_otel.demo.runner import RunArtifacts
    from flash_otel.records import SpanRecord

Entry = tuple[int, str]
Logs = dict[str, list[Entry]]
Files = dict[str, bytes]

UNTIMED, NAIVE, ZONED = "untimed", "naive", "zoned"
FORMS: Final[dict[str, Callable[[Sequence[Entry]], bytes]]] = {
    UNTIMED: lambda entries: "".join(f"{text}\n" for _, text in entries).encode(),
    NAIVE: lambda entries: "".join(f"{utc(at)[:-1]} {text}\n" for at, text in entries).encode(),
    ZONED: lambda entries: "".join(f"{utc(at)} {text}\n" for at, text in entries).encode(),
}

SAME, WEAKER, UNREAD = "same", "weaker", "unread"
NOTHING: Final = "nothing"
CERTAINTY: Final = ("inconclusive", "possible", "likely", "certain")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a diagnosis decides.

    Attributes:
        verdict: Its verdict; `nothing` if nothing could be read.
        confidence: The confidence of the verdict's finding.
        codes: Codes of all findings, with their candidates.
    """

    verdict: str
    confidence: str = ""
    codes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def certainty(self) -> int:
        """How decisive it is; 0 for `inconclusive`."""
        is_open = self.verdict in (sc.INCONCLUSIVE, NOTHING)
        return 0 if is_open else CERTAINTY.index(self.confidence)

    @property
    def accuses(self) -> bool:
        """Whether it names a fault."""
        return self.verdict not in (NOTHING, sc.NONE, sc.INCONCLUSIVE)


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis is given.

    Attributes:
        records: Spans of a store or of Jaeger.
        files: Name -> bytes of a file.
    """

    records: Sequence[SpanRecord] = ()
    files: Mapping[str, bytes] = ()  # type: ignore[assignment]

    def __add__(self, other: Evidence) -> Evidence:
        files = {**dict(self.files), **{f"also-{k}": v for k, v in dict(other.files).items()}}
        return Evidence([*self.records, *other.records], files)

    def judged(self, limits: Limits, folder: Path) -> Outcome:
        """Diagnose it; the files are written into the folder."""
        found = [*self.records]
        # A log of which everything was lost is no evidence; the commands refuse an empty file.
        for name, data in {name: data for name, data in dict(self.files).items() if data}.items():
            path = folder / name
            path.write_bytes(data)
            try:
                found += open_reader(path).records()
            except NothingFoundError:
                continue
        if not found:
            return Outcome(NOTHING)
        diagnosis = diagnose(found, limits=limits)
        named = next(finding for finding in diagnosis.findings if finding.code == diagnosis.verdict)
        codes = {(f.code, tuple(sorted(f.candidates))) for f in diagnosis.findings}
        return Outcome(diagnosis.verdict, named.confidence, tuple(sorted(codes)))


# --- a recording -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """A recording in memory.

    Attributes:
        deployed: The spans of the deployments' store.
        worked: The spans of the workers.
        logs: The bracketed lines of each process, with their times.
        worker_logs: The whole logs of the workers, with times.
    """

    deployed: Sequence[SpanRecord]
    worked: Sequence[SpanRecord]
    logs: Logs
    worker_logs: Logs

    @classmethod
    def of(cls, artifacts: RunArtifacts) -> Recorded:
        """Read the artifacts of a run."""
        from flash_otel.store.store import SpanStore

        with SpanStore(artifacts.store, is_read_only=True) as store:
            deployed = [with_host(record, "here") for record in store.spans()]
        worked = [span for log in artifacts.worker_logs for span in worker_spans(log)]
        times = _times([*deployed, *worked])
        paths = (*(deploy.log for deploy in artifacts.deploys), *artifacts.worker_logs)
        logs = {log.name: _timed(bracketed_lines(log), times) for log in paths}
        whole = {
            log.name: _timed(log.read_text(encoding="utf-8").splitlines(), times)
            for log in artifacts.worker_logs
        }
        return cls(deployed, worked, {k: v for k, v in logs.items() if v}, whole)

    @property
    def spans(self) -> list[SpanRecord]:
        """All spans."""
        return [*self.deployed, *self.worked]

    @property
    def whole_logs(self) -> Logs:
        """The deployments' bracketed lines and the workers' whole logs."""
        return {**self.logs, **self.worker_logs}


def _times(spans: Iterable[SpanRecord]) -> dict[str, list[int]]:
    """Return the times at which each bracketed line and each span of a log was written."""
    times: defaultdict[str, list[int]] = defaultdict(list)
    for span in spans:
        for at, moment in ((span.start_ns, START), (span.end_ns, END)):
            texts = [] if at is None else format_lines(span.name, moment, span.attributes)
            for text in texts:
                times[text.splitlines()[0]].append(at or 0)
        times[span.span_id].append(span.end_ns or span.start_ns)
    return {text: sorted(found) for text, found in times.items()}


def _timed(lines: Iterable[str], times: Mapping[str, list[int]]) -> list[Entry]:
    """Give each line the time of the span that wrote it, or of the line before."""
    entries: list[tuple[int | None, str]] = []
    at: int | None = None
    for line in lines:
        spans = [span.span_id for span in decode_log_line(line)]
        known = [time for key in (line, *spans) for time in times.get(key, ())]
        later = sorted(time for time in known if at is None or time >= at)
        at = later[0] if later else at
        entries.append((at, line))
    first = next((time for time, _ in entries if time is not None), 0)
    return [(first if time is None else time, line) for time, line in entries]


# --- variants of spans ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variant:
    """Evidence in another form.

    Attributes:
        make: Makes it of spans, or of logs, and of a random choice.
        relation: What must hold of its verdict.
        base: The form of a log that it is compared with.
    """

    make: Callable[[Any, random.Random], Evidence]
    relation: str = SAME
    base: str = ""


def _as_lines(spans: Iterable[SpanRecord]) -> bytes:
    return "".join(f"{json.dumps(encode_json([span]))}\n" for span in spans).encode()


def as_file(spans: Sequence[SpanRecord]) -> Evidence:
    """Return spans as an OTLP file."""
    return Evidence(files={"f.jsonl": json.dumps(encode_json(spans)).encode() + b"\n"})


def as_jaeger(spans: Sequence[SpanRecord], *, as_text: bool = False) -> Evidence:
    """Return spans as Jaeger's API answers with them."""
    document = encode_json(spans)
    if as_text:
        _lists_as_text(document)
    return Evidence([with_host(span, "") for span in records_of({"result": document})])


def _lists_as_text(value: Any) -> None:
    """Write lists as their JSON text, as Jaeger does with some storages."""
    if isinstance(value, list):
        for part in value:
            _lists_as_text(part)
    elif isinstance(value, dict):
        if "arrayValue" in value:
            parts = [next(iter(v.values())) for v in value.pop("arrayValue").get("values", [])]
            value["stringValue"] = json.dumps(parts, separators=(",", ":"))
        for part in value.values():
            _lists_as_text(part)


def _shuffled(items: Sequence[Any], chance: random.Random) -> list[Any]:
    return chance.sample(list(items), len(items))


def _dealt(items: Sequence[Any], chance: random.Random) -> list[list[Any]]:
    """Deal items to two to four hands, some of which may be empty."""
    hands: list[list[Any]] = [[] for _ in range(chance.randint(2, 4))]
    for item in items:
        chance.choice(hands).append(item)
    return [hand for hand in hands if hand]


def _files(parts: Sequence[Any], form: Callable[[Any], bytes], chance: random.Random) -> Evidence:
    """Write each part into a file with a random name."""
    return Evidence(files={f"{chance.getrandbits(32):08x}": form(part) for part in parts})


SPAN_VARIANTS: Final[dict[str, Variant]] = {
    "reversed": Variant(lambda spans, _: as_file(spans[::-1])),
    "shuffled": Variant(lambda spans, chance: as_file(_shuffled(spans, chance))),
    "duplicated": Variant(lambda spans, chance: as_file(_shuffled([*spans, *spans], chance))),
    "split over files": Variant(
        lambda spans, chance: _files(_dealt(spans, chance), _as_lines, chance)
    ),
    "overlapping files": Variant(
        lambda spans, chance: _files(
            [*_dealt(spans, chance), *_dealt(spans, chance)], _as_lines, chance
        )
    ),
    "a line each": Variant(lambda spans, chance: _files([spans], _as_lines, chance)),
    "pretty": Variant(
        lambda spans, chance: _files(
            [spans], lambda part: json.dumps(encode_json(part), indent=2).encode(), chance
        )
    ),
    "an array": Variant(
        lambda spans, chance: _files(
            [spans],
            lambda part: json.dumps([encode_json([span]) for span in part]).encode(),
            chance,
        )
    ),
    "protobuf": Variant(lambda spans, chance: _files([spans], encode_protobuf, chance)),
    "gzip": Variant(
        lambda spans, chance: _files(
            [spans], lambda part: gzip.compress(_as_lines(part), mtime=0), chance
        )
    ),
    "utf-16": Variant(
        lambda spans, chance: _files(
            [spans], lambda part: _as_lines(part).decode().encode("utf-16"), chance
        )
    ),
    "crlf": Variant(
        lambda spans, chance: _files(
            [spans], lambda part: _as_lines(part).replace(b"\n", b"\r\n"), chance
        )
    ),
    "beside other text": Variant(
        lambda spans, chance: _files(
            [spans],
            lambda part: b"".join(
                f"{line}\nGET /ping 200\n".encode()
                for line in _as_lines(part).decode().splitlines()
            ),
            chance,
        )
    ),
    "jaeger": Variant(lambda spans, _: as_jaeger(spans)),
    "jaeger, shuffled": Variant(lambda spans, chance: as_jaeger(_shuffled(spans, chance))),
    "jaeger, lists as text": Variant(lambda spans, _: as_jaeger(spans, as_text=True)),
    "in a worker's log": Variant(
        lambda spans, chance: _files(
            [spans],
            lambda part: "".join(
                f"flash_otel {json.dumps(encode_json([s]))}\n" for s in part
            ).encode(),
            chance,
        )
    ),
}


# --- variants of logs ----------------------------------------------------------------------------

Arrange = "Callable[[Logs, random.Random], Logs]"
Package = "Callable[[Sequence[Entry]], bytes]"


def packed(logs: Mapping[str, list[Entry]], form: Callable[[Sequence[Entry]], bytes]) -> Evidence:
    """Return each log as a file."""
    return Evidence(files={name: form(entries) for name, entries in logs.items()})


def each(change: Callable[[list[Entry], random.Random], list[Entry]]) -> Any:
    """Change each log by itself."""
    return lambda logs, chance: {name: change(log, chance) for name, log in logs.items()}


def _units(entries: list[Entry]) -> list[list[Entry]]:
    """Return lines in their order; the lines of a mapping are one unit."""
    units: list[list[Entry]] = []
    is_open = False
    for entry in entries:
        if is_open:
            units[-1].append(entry)
            is_open = entry[1] != "}"
        else:
            units.append([entry])
            is_open = entry[1].startswith("[") and entry[1].endswith("{")
    return units


def _in_any_order(entries: list[Entry], chance: random.Random) -> list[Entry]:
    return [entry for unit in _shuffled(_units(entries), chance) for entry in unit]


def _within_equal_times(entries: list[Entry], chance: random.Random) -> list[Entry]:
    units = _shuffled(_units(entries), chance)
    return [entry for unit in sorted(units, key=lambda unit: unit[0][0]) for entry in unit]


OTHERS: Final = (
    "GET /ping 200, in 3 ms", "", 'INFO:     127.0.0.1:5000 - "GET / HTTP/1.1" 200 OK',
    '{"level": "info", "message": "ready"}', "[notice] worker process 7 started", "Traceback:",
    "✓ built", "[DEPLOY TEST] nothing", "build_id=3, environment_id=5",
)  # fmt: skip


def _mixed(entries: list[Entry], chance: random.Random) -> list[Entry]:
    """Put other lines between those of a log, but not into a mapping."""
    found: list[Entry] = []
    for unit in _units(entries):
        found += unit
        if chance.random() < 0.5:
            found.append((unit[-1][0], chance.choice(OTHERS)))
    return found


def _parted(logs: Logs, chance: random.Random) -> Logs:
    """Divide each log in two between two operations."""
    parts: Logs = {}
    for name, entries in logs.items():
        borders = [at for at, (_, text) in enumerate(entries) if at and _BEGINS.search(text)] or [
            len(entries)
        ]
        at = chance.choice(borders)
        parts |= {f"{name}-1": entries[:at], f"{name}-2": entries[at:]}
    return {name: part for name, part in parts.items() if part}


_BEGINS: Final = re.compile(r"\] (?:Environment|resources_endpoints mapping|Querying)")


def _divided(logs: Logs, chance: random.Random) -> Logs:
    """Divide each log at any line."""
    parts: Logs = {}
    for name, entries in logs.items():
        at = chance.randint(0, len(entries))
        parts |= {f"{name}-1": entries[:at], f"{name}-2": entries[at:]}
    return {name: part for name, part in parts.items() if part}


def _together(logs: Logs, _: random.Random) -> Logs:
    """Put all logs into one file, one after another."""
    return {"all": [entry for part in logs.values() for entry in part]}


def _by_time(logs: Logs, _: random.Random) -> Logs:
    """Put all logs into one file, in the order of time."""
    entries = [entry for part in logs.values() for entry in part]
    return {"all": sorted(entries, key=lambda entry: entry[0])}


def _renamed(logs: Logs, chance: random.Random) -> Logs:
    return {f"{chance.getrandbits(32):08x}.txt": log for log in _shuffled_logs(logs, chance)}


def _shuffled_logs(logs: Logs, chance: random.Random) -> list[list[Entry]]:
    return _shuffled(list(logs.values()), chance)


def _copied(logs: Logs, _: random.Random) -> Logs:
    return {**logs, **{f"copy-of-{name}": log for name, log in logs.items()}}


ARRANGEMENTS: Final[dict[str, tuple[Any, tuple[str, ...], str]]] = {
    "reversed": (each(lambda log, _: log[::-1]), (UNTIMED, NAIVE, ZONED), SAME),
    "duplicated lines": (
        each(lambda log, _: [entry for entry in log for _ in range(2)]), (NAIVE, ZONED), SAME,
    ),
    "written twice": (each(lambda log, _: log * 2), (UNTIMED, NAIVE, ZONED), SAME),
    "shuffled": (each(_in_any_order), (ZONED,), SAME),
    "shuffled within equal times": (each(_within_equal_times), (NAIVE, ZONED), SAME),
    "mixed": (each(_mixed), (UNTIMED, NAIVE, ZONED), SAME),
    "renamed": (_renamed, (UNTIMED, NAIVE, ZONED), SAME),
    "copied": (_copied, (UNTIMED, NAIVE, ZONED), SAME),
    "parted": (_parted, (UNTIMED, NAIVE, ZONED), SAME),
    "divided": (_divided, (UNTIMED, NAIVE, ZONED), WEAKER),
    "one file": (_together, (UNTIMED, ZONED), WEAKER),
    "one file by time": (_by_time, (ZONED,), WEAKER),
}  # fmt: skip


def _arranged(arrange: Any, form: str) -> Callable[[Logs, random.Random], Evidence]:
    return lambda logs, chance: packed(arrange(logs, chance), FORMS[form])


def _exported(name: str, step: int = 1) -> Callable[[Logs, random.Random], Evidence]:
    return lambda logs, _: packed(logs, lambda entries: EXPORTS[name](entries[::step]))


LOSSY: Final = frozenset({"cri, split", "docker, split", "rfc 3164", "csv, 12 h"})
"""Exports that lose something: entries of a mapping that were split, parts of a second, noon."""


def _base_of(export: str) -> str:
    return NAIVE if export in exports.NAIVE or export == "rfc 3164" else ZONED


LOG_VARIANTS: Final[dict[str, Variant]] = {
    **{
        f"{name}, {form}": Variant(_arranged(arrange, form), relation, form)
        for name, (arrange, forms, relation) in ARRANGEMENTS.items()
        for form in forms
    },
    **{
        f"as {name}": Variant(_exported(name), WEAKER if name in LOSSY else SAME, _base_of(name))
        for name in EXPORTS
    },
    **{
        f"as {name}, reversed": Variant(
            _exported(name, -1), WEAKER if name in LOSSY else SAME, _base_of(name)
        )
        for name in EXPORTS
    },
}


# --- what is lost --------------------------------------------------------------------------------

MASKS: Final = (
    "***", "*", "[MASKED]", "[REDACTED]", "<redacted>", "[FILTERED]", "xxxx", "…", "••••",
    "***REDACTED***", "$SECRET", "{{SECRET}}",
)  # fmt: skip
CUTS: Final = ("", "…", "...", "[truncated]", " [truncated]", "<...>")
ID: Final = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=_ID=)\w{8,}|(?<=v2/)\w{8,}"
)


def _masked(files: Files, chance: random.Random) -> Files:
    """Mask a part of an id, in one file or in all of them."""
    ids = sorted({found for data in files.values() for found in ID.findall(data.decode())})
    if not ids:
        return files
    known = chance.choice(ids)
    begin = chance.choice((0, 0, chance.randrange(len(known) - 4)))
    # Less of an id would be masked in the words of a line, too, by which it is recognised.
    secret = known[begin : chance.choice((None, None, chance.randint(begin + 4, len(known))))]
    mask = chance.choice(MASKS)
    chosen = chance.choice([*files, None])
    return {
        name: data.decode().replace(secret, mask).encode() if chosen in (name, None) else data
        for name, data in files.items()
    }


def _in_each_line(change: Callable[[list[str], random.Random], list[str]]) -> Any:
    def changed(files: Files, chance: random.Random) -> Files:
        name = chance.choice(list(files)) if files else None
        return {
            each: "\n".join(change(data.decode().split("\n"), chance)).encode()
            if each == name
            else data
            for each, data in files.items()
        }

    return changed


def _cut_line(lines: list[str], chance: random.Random) -> list[str]:
    at = chance.randrange(len(lines))
    cut = lines[at][: chance.randint(0, len(lines[at]))] + chance.choice(CUTS[1:])
    return [*lines[:at], cut, *lines[at + 1 :]]


def _limited(lines: list[str], chance: random.Random) -> list[str]:
    width = chance.choice((100, 120, chance.randint(90, 160)))
    return [line[:width] for line in lines]


def _broken(lines: list[str], chance: random.Random) -> list[str]:
    width = chance.choice((80, 100, 120, chance.randint(40, 160)))
    return [line[at : at + width] for line in lines for at in range(0, max(len(line), 1), width)]


def _cut_end(lines: list[str], chance: random.Random) -> list[str]:
    text = "\n".join(lines)
    return text[: chance.randint(len(text) * 3 // 4, len(text))].split("\n")


def _lost_lines(lines: list[str], chance: random.Random) -> list[str]:
    return [line for line in lines if chance.random() > 0.15]


LOSSES: Final[dict[str, Callable[[Files, random.Random], Files]]] = {
    "masked": _masked,
    "a cut line": _in_each_line(_cut_line),
    "limited": _in_each_line(_limited),
    "broken": _in_each_line(_broken),
    "a cut end": _in_each_line(_cut_end),
    "lost lines": _in_each_line(_lost_lines),
}


def _lossy(lose: Any, form: str) -> Callable[[Logs, random.Random], Evidence]:
    return lambda logs, chance: Evidence(files=lose(dict(packed(logs, FORMS[form]).files), chance))


LOSS_VARIANTS: Final[dict[str, Variant]] = {
    f"{name}, {form}": Variant(_lossy(lose, form), UNREAD if name == "masked" else WEAKER, form)
    for name, lose in LOSSES.items()
    for form in FORMS
}


def _with_limit(spans: Sequence[SpanRecord], chance: random.Random) -> Evidence:
    """Cut every text of a span, as a limit of its attributes does."""
    limit = chance.choice((16, 20, 30, 32, 64))
    cut = [
        replace(span, attributes={k: _cut_value(v, limit) for k, v in span.attributes.items()})
        for span in spans
    ]
    side = chance.choice((None, sc.RUNTIME_FETCH))
    mixed = [
        new if side is None or shows_worker(old) else old
        for old, new in zip(spans, cut, strict=True)
    ]
    return as_file(mixed)


def _cut_value(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value[:limit]
    if isinstance(value, tuple):
        return tuple(_cut_value(item, limit) for item in value)
    return value


def _masked_spans(spans: Sequence[SpanRecord], chance: random.Random) -> Evidence:
    sides = [s for s in spans if shows_worker(s)], [s for s in spans if not shows_worker(s)]
    files = {f"{at}.jsonl": _as_lines(side) for at, side in enumerate(sides) if side}
    return Evidence(files=_masked(files, chance))


SPAN_LOSSES: Final = {
    "masked": Variant(_masked_spans, UNREAD),
    "with a limit": Variant(_with_limit, WEAKER),
}
