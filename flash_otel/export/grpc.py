"""OTLP over gRPC, on a channel without retries: those are the job of the forwarder."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flash_otel._version import __version__
from flash_otel.export.connection import contents_of, reason_of
from flash_otel.export.sending import LONGEST_WAIT_S, ExportResult, Verdict, parse_response
from flash_otel.otlp.encode import encode_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.export.destination import Destination
    from flash_otel.records import SpanRecord

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_VERBOSITY: Final = "GRPC_VERBOSITY"
_OPTIONS: Final = (
    ("grpc.primary_user_agent", f"flash-otel/{__version__}"),
    ("grpc.enable_retries", 0),
    # By default all channels of a process share their back-off, and a new attempt would fail
    # without connecting (grpc/doc/connection-backoff.md).
    ("grpc.use_local_subchannel_pool", 1),
)

# The codes after which a batch may be sent again (opentelemetry.io/docs/specs/otlp, "Failures").
# An exhausted server can recover only if it sends RetryInfo.
_EXHAUSTED: Final = "RESOURCE_EXHAUSTED"
_RETRYABLE: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_REASONS: Final = {
    "DEADLINE_EXCEEDED": "no answer in time",
    "UNAVAILABLE": "the server is not reachable",
}
# Parts of gRPC's details for a server that cannot be reached; the first match counts.
_DETAILS: Final = (
    ("proxy returned response code 407", "the proxy: HTTP 407: it wants a user and a password"),
    ("proxy returned", "the proxy refuses the connection"),
    ("refused", "connection refused"),
    ("DNS", "the host's name cannot be resolved"),
    ("resol", "the host's name cannot be resolved"),
    ("CERTIFICATE_VERIFY_FAILED", "TLS: the certificate is not trusted"),
    ("SSL", "TLS handshake failed"),
    ("handshak", "TLS handshake failed"),
    # In TLS 1.3 the client's handshake ends before its certificate is checked (RFC 8446, 2).
    ("TSI_", "TLS: the server broke it off; it may want a client's certificate"),
)
_TOO_LARGE: Final = "larger than max"


class GrpcTransport:
    """Calls one destination; the channel is kept until a batch has to wait.

    Args:
        destination: The receiver.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._channel: Any = None
        with _quiet():
            import grpc  # type: ignore[import-untyped]  # ships no types

            self._grpc = grpc

    def close(self) -> None:
        """Close the channel; the next batch opens another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def send(self, records: Iterable[SpanRecord]) -> ExportResult:
        """Send a batch and wait for the response."""
        return self._send(lambda: encode_protobuf(records))

    def send_encoded(self, body: bytes) -> ExportResult:
        """Send a batch that is already encoded, and wait for the response."""
        return self._send(lambda: body)

    def _send(self, encode: Callable[[], bytes]) -> ExportResult:
        try:
            result = self._call(encode())
        except Exception as error:
            result = self._failed(error) if hasattr(error, "code") else self._local_failure(error)
        if result.verdict is Verdict.WAIT:
            self.close()
        return result

    def _call(self, body: bytes) -> ExportResult:
        if self._channel is None:
            with _quiet():
                self._channel = self._new_channel()
        export = self._channel.unary_unary(_METHOD)
        response = export(
            body,
            timeout=self._destination.timeout_s,
            metadata=tuple(map(_metadata, self._destination.headers.items())),
        )
        result = parse_response(response)
        return replace(result, reason=self._destination.plain(result.reason))

    def _new_channel(self) -> Any:
        grpc = self._grpc
        destination = self._destination
        compression = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(
            destination.compression
        )
        options = {"options": _OPTIONS, "compression": compression}
        if not destination.is_secure:
            return grpc.insecure_channel(destination.target, **options)
        credentials = grpc.ssl_channel_credentials(*contents_of(destination))
        return grpc.secure_channel(destination.target, credentials, **options)

    def _local_failure(self, error: Exception) -> ExportResult:
        return ExportResult(Verdict.WAIT, self._destination.plain(reason_of(error)))

    def _failed(self, error: Any) -> ExportResult:
        code, details = error.code().name, error.details() or ""
        wait_s = _retry_delay(error)
        reason = self._destination.plain(_reason(code, details))
        if code == _EXHAUSTED and _TOO_LARGE in details:
            return ExportResult(Verdict.TOO_LARGE, reason)
        may_repeat = code in _RETRYABLE or (code == _EXHAUSTED and wait_s is not None)
        return ExportResult(Verdict.WAIT if may_repeat else Verdict.REJECTED, reason, wait_s=wait_s)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep gRPC's core from writing to standard error, unless the user has set GRPC_VERBOSITY.

    The core reads the variable when it starts, which is with the first channel of the process.
    """
    if _VERBOSITY in os.environ:
        yield
        return
    os.environ[_VERBOSITY] = "NONE"
    try:
        yield
    finally:
        os.environ.pop(_VERBOSITY, None)


def _metadata(header: tuple[str, str]) -> tuple[str, str | bytes]:
    name, value = header
    # gRPC accepts bytes for names with this ending (grpc/doc/PROTOCOL-HTTP2.md, "Requests").
    return name, value.encode() if name.endswith("-bin") else value


def _reason(code: str, details: str) -> str:
    if code not in _REASONS:
        return f"gRPC {code}: {details}" if details else f"gRPC {code}"
    found = (text for part, text in _DETAILS if part in details)
    return next(found, _REASONS[code])


def _retry_delay(error: Any) -> float | None:
    """Return the seconds in RetryInfo, which the details of a status may hold, or None."""
    trailing = error.trailing_metadata() or ()
    packed = next((value for key, value in trailing if key == "grpc-status-details-bin"), None)
    if packed is None:
        return None
    from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]  # ships no types
        RetryInfo,
    )
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # ships no types

    try:
        status = Status.FromString(packed)
        for detail in status.details:
            info = RetryInfo()
            if detail.Unpack(info):
                seconds = info.retry_delay.ToTimedelta().total_seconds()
                return float(min(max(seconds, 0.0), LONGEST_WAIT_S))
    except Exception:
        return None  # details of another kind, or damaged ones
    return None
