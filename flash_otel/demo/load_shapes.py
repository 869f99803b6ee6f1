"""Recorded deployments as templates: any number of fresh ones are made of them at memory's speed.

A recording is encoded once. What must differ from copy to copy (ids and times) has the same length
in each of them, so a copy is the same bytes with those places filled anew.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from itertools import chain
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.otlp.decode import decode
from flash_otel.otlp.encode_protobuf import encode_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flash_otel.records import SpanRecord

HEALTHY: Final = "healthy"

_RECORDING: Final = "load_recording.jsonl"
_DEPLOYER: Final = "flash-cli"
_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENDPOINTS: Final = (semconv.ENDPOINT_ID, semconv.WORKER_ENDPOINT_ID)
_ENDPOINT_URL: Final = re.compile(rb"/v2/([a-z0-9]{14})|https://([a-z0-9]{14})\.")
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz0123456789"
_TIME_BYTES: Final = 8

Fresh = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Template:
    """Encoded spans, and the places in them that differ from copy to copy.

    Attributes:
        body: An ExportTraceServiceRequest as it was recorded.
        spans: How many spans it holds.
        places: Offset and recorded value of each place, in this order.
    """

    body: bytes
    spans: int
    places: tuple[tuple[int, bytes], ...]

    def filled(self, fresh: Mapping[bytes, bytes]) -> bytes:
        """Return a copy in which each place holds what `fresh` has for its recorded value."""
        body = bytearray(self.body)
        for offset, recorded in self.places:
            body[offset : offset + len(recorded)] = fresh[recorded]
        return bytes(body)


@dataclass(frozen=True, slots=True)
class Shape:
    """One recorded scenario.

    Attributes:
        scenario: Its name.
        deployment: The spans of `flash deploy`.
        worker: The spans of one worker: its first read, a call, and a later read in that call.
        shared: The ids that the deployment knows, and its workers repeat.
        own: The ids that each worker makes anew.
        times: All times, in nanoseconds since the epoch.
    """

    scenario: str
    deployment: Template
    worker: Template
    shared: tuple[bytes, ...]
    own: tuple[bytes, ...]
    times: tuple[int, ...]

    @property
    def started_ns(self) -> int:
        """When the recording began, in nanoseconds since the epoch."""
        return self.times[0]


@dataclass(slots=True)
class Copies:
    """Makes copies of a shape, no two of them alike.

    Args:
        shape: What is copied.
        chance: Where fresh ids come from; one with a seed repeats them.
    """

    shape: Shape
    chance: random.Random = field(default_factory=random.SystemRandom)
    _fresh: Fresh = field(default_factory=dict, init=False)

    def deployment(self, started_ns: int) -> bytes:
        """Return a deployment that began then, encoded."""
        shift = started_ns - self.shape.started_ns
        self._fresh = {_encoded(time): _encoded(time + shift) for time in self.shape.times}
        self._renew(self.shape.shared)
        return self.shape.deployment.filled(self._fresh)

    def worker(self) -> bytes:
        """Return a worker of the last deployment, encoded."""
        self._renew(self.shape.own)
        return self.shape.worker.filled(self._fresh)

    def _renew(self, recorded: Iterable[bytes]) -> None:
        for one in recorded:
            self._fresh.update(_renewed(one, self.chance))


@lru_cache(maxsize=1)
def shapes() -> tuple[Shape, ...]:
    """Return what was recorded, the healthy scenario first."""
    text = resources.files("flash_otel.demo").joinpath(_RECORDING).read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    made = [shape_of(line["scenario"], list(decode(line))) for line in lines]
    return tuple(sorted(made, key=lambda one: one.scenario != HEALTHY))


def shape_of(scenario: str, spans: list[SpanRecord]) -> Shape:
    """Make a shape of the spans of one run."""
    by_deployer = [_is_deployers(one) for one in spans]
    deploying = [one for one, is_theirs in zip(spans, by_deployer, strict=True) if is_theirs]
    working = [one for one, is_theirs in zip(spans, by_deployer, strict=True) if not is_theirs]
    written, read = encode_protobuf(deploying), encode_protobuf(working)
    shared = sorted(_ids(deploying, written))
    own = sorted(_ids(working, read) - {*shared})
    times = sorted({*chain.from_iterable(map(_times, spans))})
    recorded = [_encoded(time) for time in times]
    recorded += [form for one in (*shared, *own) for form in _forms(one)]
    return Shape(
        scenario,
        Template(written, len(deploying), tuple(_places(written, recorded))),
        Template(read, len(working), tuple(_places(read, recorded))),
        tuple(shared),
        tuple(own),
        tuple(times),
    )


def _is_deployers(span: SpanRecord) -> bool:
    return span.resource.get(semconv.SERVICE_NAME) == _DEPLOYER


def _ids(spans: list[SpanRecord], encoded: bytes) -> set[bytes]:
    """Collect ids: of traces and spans as bytes, of everything else as text."""
    binary = {bytes.fromhex(text) for one in spans for text in _trace_ids(one)}
    named = {
        str(one.attributes[key]).encode()
        for one in spans
        for key in _ENDPOINTS & one.attributes.keys()
    }
    called = {one or other for one, other in _ENDPOINT_URL.findall(encoded)}
    return binary | named | called | {*_UUID.findall(encoded)}


def _trace_ids(span: SpanRecord) -> Iterator[str]:
    yield from (span.trace_id, span.span_id)
    yield from (text for link in span.links for text in (link.trace_id, link.span_id))


def _times(span: SpanRecord) -> Iterator[int]:
    yield span.start_ns
    if span.end_ns is not None:
        yield span.end_ns
    yield from (event.time_ns for event in span.events)


def _encoded(time_ns: int) -> bytes:
    return time_ns.to_bytes(_TIME_BYTES, "little")


def _forms(recorded: bytes) -> tuple[bytes, ...]:
    """Return the ways an id is written: those of traces and spans also as text, in attributes."""
    return (
        (recorded,)
        if recorded.isascii() and len(recorded) in _TEXTS
        else (recorded, recorded.hex().encode())
    )


def _renewed(recorded: bytes, chance: random.Random) -> Fresh:
    make = _TEXTS.get(len(recorded)) if recorded.isascii() else None
    if make is not None:
        return {recorded: make(chance)}
    fresh = chance.getrandbits(8 * len(recorded)).to_bytes(len(recorded), "big")
    return dict(zip(_forms(recorded), (fresh, fresh.hex().encode()), strict=True))


def _uuid(chance: random.Random) -> bytes:
    digits = f"{chance.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()


def _endpoint(chance: random.Random) -> bytes:
    return bytes(chance.choices(_ALPHABET, k=14))


# Ids that are text, by their length: a UUID's, and an endpoint's.
_TEXTS: Final[dict[int, Callable[[random.Random], bytes]]] = {36: _uuid, 14: _endpoint}


def _places(body: bytes, recorded: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for one in recorded:
        yield from ((found.start(), one) for found in re.finditer(re.escape(one), body))
