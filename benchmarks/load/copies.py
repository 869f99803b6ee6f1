"""Makes copies of recorded deployments with fresh ids and times, without encoding them again.

A recording is encoded once. The values that differ from copy to copy (ids and times) have the same
length in every copy: a copy is the same bytes with those places overwritten.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel import semconv
from flash_otel.otlp.decode import decode
from flash_otel.otlp.encode import encode_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flash_otel.records import SpanRecord

HEALTHY: Final = "healthy"

_RECORDING: Final = Path(__file__).with_name("recording.jsonl")
_DEPLOYER: Final = "flash-cli"
_UUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENDPOINTS: Final = (semconv.ENDPOINT_ID, semconv.WORKER_ENDPOINT_ID)
_ENDPOINT_URL: Final = re.compile(rb"/v2/([a-z0-9]{14})|https://([a-z0-9]{14})\.")
_ALPHABET: Final = b"abcdefghijklmnopqrstuvwxyz0123456789"
_TIME_BYTES: Final = 8

Fresh = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """An encoded request, and the places in it that differ from copy to copy.

    Attributes:
        body: An ExportTraceServiceRequest.
        spans: Number of its spans.
        places: Offset and recorded value of each place.
    """

    body: bytes
    spans: int
    places: tuple[tuple[int, bytes], ...]

    def filled(self, fresh: Mapping[bytes, bytes]) -> bytes:
        """Return a copy with every recorded value replaced by its value in `fresh`."""
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
        shared: Ids of the deployment, which its workers repeat.
        own: Ids that each worker makes itself.
        times: All times, in nanoseconds since the epoch.
    """

    scenario: str
    deployment: RequestTemplate
    worker: RequestTemplate
    shared: tuple[bytes, ...]
    own: tuple[bytes, ...]
    times: tuple[int, ...]

    @property
    def started_ns(self) -> int:
        """Start of the recording, in nanoseconds since the epoch."""
        return self.times[0]


@dataclass(slots=True)
class Copies:
    """Makes distinct copies of a shape.

    Args:
        shape: What to copy.
        chance: Source of fresh ids.
    """

    shape: Shape
    chance: random.Random = field(default_factory=random.SystemRandom)
    _fresh: Fresh = field(default_factory=dict, init=False)

    def deployment(self, started_ns: int) -> bytes:
        """Return an encoded deployment that started at this time."""
        shift = started_ns - self.shape.started_ns
        self._fresh = {_encoded(time): _encoded(time + shift) for time in self.shape.times}
        self._renew(self.shape.shared)
        return self.shape.deployment.filled(self._fresh)

    def worker(self) -> bytes:
        """Return an encoded worker of the last deployment."""
        self._renew(self.shape.own)
        return self.shape.worker.filled(self._fresh)

    def _renew(self, recorded: Iterable[bytes]) -> None:
        for value in recorded:
            self._fresh.update(_renewed(value, self.chance))


@lru_cache(maxsize=1)
def shapes() -> tuple[Shape, ...]:
    """Return the recorded scenarios, the healthy scenario first."""
    text = _RECORDING.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    made = [shape_of(line["scenario"], list(decode(line))) for line in lines]
    return tuple(sorted(made, key=lambda shape: shape.scenario != HEALTHY))


def shape_of(scenario: str, spans: list[SpanRecord]) -> Shape:
    """Make a shape from the spans of one run."""
    deploying = [span for span in spans if _is_deployers(span)]
    working = [span for span in spans if not _is_deployers(span)]
    written, read = encode_protobuf(deploying), encode_protobuf(working)
    shared = sorted(_ids(deploying, written))
    own = sorted(_ids(working, read) - {*shared})
    times = sorted({*chain.from_iterable(map(_times, spans))})
    recorded = [_encoded(time) for time in times]
    recorded += [form for value in (*shared, *own) for form in _forms(value)]
    return Shape(
        scenario,
        RequestTemplate(written, len(deploying), tuple(_places(written, recorded))),
        RequestTemplate(read, len(working), tuple(_places(read, recorded))),
        tuple(shared),
        tuple(own),
        tuple(times),
    )


def _is_deployers(span: SpanRecord) -> bool:
    return span.resource.get(semconv.SERVICE_NAME) == _DEPLOYER


def _ids(spans: list[SpanRecord], encoded: bytes) -> set[bytes]:
    """Return all ids: of traces and spans as bytes, all others as text."""
    binary = {bytes.fromhex(text) for span in spans for text in _trace_ids(span)}
    named = {
        str(span.attributes[key]).encode()
        for span in spans
        for key in _ENDPOINTS & span.attributes.keys()
    }
    called = {queue or balancer for queue, balancer in _ENDPOINT_URL.findall(encoded)}
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
    """Return the encodings of an id: attributes hold trace and span ids as hex text, too."""
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


# Length of a textual id -> what makes one: UUIDs and endpoint ids.
_TEXTS: Final[dict[int, Callable[[random.Random], bytes]]] = {36: _uuid, 14: _endpoint}


def _places(body: bytes, recorded: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for value in recorded:
        yield from ((found.start(), value) for found in re.finditer(re.escape(value), body))
