"""OTLP protobuf: one request, or requests with their lengths between them, as JSON-like objects.

The collector's file exporter puts a length of four bytes before each request, protobuf's own
delimited streams a varint. A single request is read one resource at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Framing = Callable[[bytes | bytearray, int], "Frame | None"]

_FIELD_1: Final = 0x0A  # field 1, length-delimited: ExportTraceServiceRequest.resource_spans
_FIRST_FIELDS: Final = frozenset({0x0A, 0x12, 0x1A})  # of a ResourceSpans
_MAX_VARINT: Final = 5
_LENGTH_BYTES: Final = 4
MAX_MESSAGE: Final = 1 << 30

Frame = tuple[int, int]
"""Where a frame's payload begins and ends."""


def _varint(data: bytes | bytearray, at: int) -> Frame | None:
    """Read a varint; return its value and where it ends, None where it does not end."""
    value = 0
    for shift, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at + shift + 1
    return None


def _plain(data: bytes | bytearray, at: int) -> Frame | None:
    """Find the next resource of a bare request; its tag and length belong to it."""
    if at >= len(data) or data[at] != _FIELD_1:
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


_FRAMINGS: Final[tuple[Framing, ...]] = (
    _plain,
    _prefixed,
    _delimited,
)


def _framing(head: bytes) -> Framing | None:
    for framing in _FRAMINGS:
        frame = framing(head, 0)
        if frame is not None and _is_request(head[frame[0] : frame[1]], frame[1] - frame[0]):
            return framing
    return None


def _is_request(payload: bytes, size: int) -> bool:
    """Tell whether a payload (or its beginning) is a request: two levels of it must fit."""
    outer = _plain(payload, 0)
    if outer is None or outer[1] > size or not 0 < size <= MAX_MESSAGE:
        return False
    inner = _varint(payload, 1)
    if inner is None or inner[1] >= len(payload) or payload[inner[1]] not in _FIRST_FIELDS:
        return False
    if len(payload) < size:
        return _fits(payload, inner[1], outer[1])
    return any(_resource_spans(payload))


def _fits(payload: bytes, at: int, end: int) -> bool:
    first = _varint(payload, at + 1)
    return first is not None and first[1] + first[0] <= end


def looks_like_otlp(head: bytes) -> bool:
    """Tell whether these first bytes are those of OTLP traces in protobuf."""
    return _framing(head) is not None


def requests(head: bytes, chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the requests, as `json.loads` would return them from OTLP/JSON.

    What comes after a frame that is damaged or cut in half is left out.
    """
    framing = _framing(head)
    data, at = bytearray(), 0
    for chunk in chunks:
        del data[:at]
        data, at = data + chunk, 0
        while framing is not None and (frame := framing(data, at)) is not None:
            begin, end = frame
            if end - begin > MAX_MESSAGE:
                return
            if end > len(data):
                break
            yield {"resourceSpans": _resource_spans(bytes(data[begin:end]))}
            at = end


def _resource_spans(payload: bytes) -> list[Any]:
    from google.protobuf.json_format import (  # type: ignore[import-untyped]  # ships no types
        MessageToDict,
    )
    from google.protobuf.message import (  # type: ignore[import-untyped]  # ships no types
        DecodeError,
    )
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    try:
        request = ExportTraceServiceRequest.FromString(payload)
    except (DecodeError, UnicodeDecodeError):
        return []
    found = MessageToDict(request).get("resourceSpans", [])
    return found if isinstance(found, list) else []
