"""Split a stream of OTLP protobuf into payloads that can be decoded one at a time.

Files hold a bare request, or requests with a length before each: four bytes from the collector's
file exporter, a varint in protobuf's own delimited streams. A bare request may be large, so it is
split into its resources, each of which is a valid request by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel.otlp.decode import is_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Framing = Callable[[bytes | bytearray, int], "Frame | None"]

MAX_MESSAGE: Final = 1 << 28

_RESOURCE_SPANS_TAG: Final = 0x0A  # field 1, length-delimited, of ExportTraceServiceRequest
_RESOURCE_SPANS_FIELDS: Final = frozenset({0x0A, 0x12, 0x1A})  # tags within a ResourceSpans
_MAX_VARINT: Final = 5  # bytes of a length below 2**35
_CONTINUATION: Final = 0x80  # set in every byte of a varint but the last
_LENGTH_BYTES: Final = 4

Frame = tuple[int, int]
"""Where a payload begins and where it ends."""


def looks_like_otlp(head: bytes) -> bool:
    """Return True if a file that begins with these bytes holds OTLP traces in protobuf."""
    return _framing(head) is not None


def payloads(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield each payload of a stream, a serialized ExportTraceServiceRequest.

    Args:
        head: The first bytes of the stream, to recognise its framing.
        chunks: The stream from its beginning. What follows a frame that is cut off is dropped.
    """
    framing = _framing(head)
    data, at = bytearray(), 0
    for chunk in chunks:
        del data[:at]
        data, at = data + chunk, 0
        while framing is not None and (frame := framing(data, at)) is not None:
            begin, end = frame
            if end - begin > MAX_MESSAGE:
                return  # a damaged length: no later frame can be found
            if end > len(data):
                break
            yield bytes(data[begin:end])
            at = end


def _varint(data: bytes | bytearray, at: int) -> Frame | None:
    """Return a varint's value and the place behind it; None if the data ends within it."""
    value = 0
    for shift, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & ~_CONTINUATION) << (7 * shift)
        if byte < _CONTINUATION:
            return value, at + shift + 1
    return None


def _bare(data: bytes | bytearray, at: int) -> Frame | None:
    # The frame includes tag and length, so that the resource by itself is a request.
    if at >= len(data) or data[at] != _RESOURCE_SPANS_TAG:
        return None
    length = _varint(data, at + 1)
    return None if length is None else (at, length[1] + length[0])


def _delimited(data: bytes | bytearray, at: int) -> Frame | None:
    length = _varint(data, at)
    return None if length is None else (length[1], length[1] + length[0])


def _prefixed(data: bytes | bytearray, at: int) -> Frame | None:
    begin = at + _LENGTH_BYTES
    if begin > len(data):
        return None
    return begin, begin + int.from_bytes(data[at:begin], "big")


_FRAMINGS: Final[tuple[Framing, ...]] = (_bare, _prefixed, _delimited)


def _framing(head: bytes) -> Framing | None:
    for framing in _FRAMINGS:
        frame = framing(head, 0)
        if frame is not None and _fits(head[frame[0] : frame[1]], frame[1] - frame[0]):
            return framing
    return None


def _fits(payload: bytes, size: int) -> bool:
    """Return True if a payload, or as much of it as the head holds, is a request."""
    outer = _bare(payload, 0)
    if outer is None or outer[1] > size or not 0 < size <= MAX_MESSAGE:
        return False
    inner = _varint(payload, 1)
    if inner is None or inner[1] >= len(payload):
        return False
    if payload[inner[1]] not in _RESOURCE_SPANS_FIELDS:
        return False
    if len(payload) == size:
        return is_request(payload)
    # The head ends within the payload: two levels of nesting must fit into each other.
    first = _varint(payload, inner[1] + 1)
    return first is not None and first[1] + first[0] <= outer[1]
