"""OTLP over gRPC, on a plain channel: retrying and waiting are the forwarder's."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flash_otel._version import __version__
from flash_otel.export.outcome import LONGEST_WAIT_S, Answer, Verdict, taken
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
    # The subchannels of a process share their back-off: a new attempt must be one.
    ("grpc.use_local_subchannel_pool", 1),
)

# The codes that may be repeated (opentelemetry.io/docs/specs/otlp, "Failures"); the first of
# these says that a server is out of something, and only with RetryInfo that it will have it again.
_EXHAUSTED: Final = "RESOURCE_EXHAUSTED"
_RETRYABLE: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_WORDS: Final = {
    "DEADLINE_EXCEEDED": "no answer in time",
    "UNAVAILABLE": "the server is not reachable",
}
# What gRPC says of a server that is not there; the first that is found is told.
_DETAILS: Final = (
    ("refused", "connection refused"),
    ("DNS", "the host's name cannot be resolved"),
    ("resol", "the host's name cannot be resolved"),
    ("CERTIFICATE_VERIFY_FAILED", "TLS: the certificate is not trusted"),
    ("SSL", "TLS handshake failed"),
    ("handshak", "TLS handshake failed"),
    # In TLS 1.3 a server judges the client's certificate after the client is done (RFC 8446, 2).
    ("TSI_", "TLS: the server broke it off; it may want a client's certificate"),
)
_TOO_LARGE: Final = "larger than max"


class GrpcTransport:
    """Calls one destination; the channel lasts until a call has to wait.

    Args:
        destination: Where to.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._channel: Any = None
        with _quiet():
            import grpc  # type: ignore[import-untyped]  # ships no types

            self._grpc = grpc

    def close(self) -> None:
        """Let the channel go."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def send(self, records: Iterable[SpanRecord]) -> Answer:
        """Send a batch and wait for the answer."""
        return self._sent(lambda: encode_protobuf(records))

    def carry(self, body: bytes) -> Answer:
        """Send a batch that is encoded already, and wait for the answer."""
        return self._sent(lambda: body)

    def _sent(self, encoded: Callable[[], bytes]) -> Answer:
        try:
            answer = self._call(encoded())
        except Exception as error:
            answer = self._judged(error) if hasattr(error, "code") else _local_trouble(error)
        if answer.verdict is Verdict.WAIT:
            self.close()
        return answer

    def _call(self, body: bytes) -> Answer:
        if self._channel is None:
            with _quiet():
                self._channel = self._made()
        export = self._channel.unary_unary(_METHOD)
        response = export(
            body,
            timeout=self._destination.timeout_s,
            metadata=tuple(self._destination.headers.items()),
        )
        answer = taken(response)
        return Answer(answer.verdict, self._destination.plain(answer.reason), answer.rejected)

    def _made(self) -> Any:
        grpc = self._grpc
        wanted = self._destination
        compression = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}.get(
            wanted.compression
        )
        options = {"options": _OPTIONS, "compression": compression}
        if not wanted.is_secure:
            return grpc.insecure_channel(wanted.target, **options)
        files = (wanted.certificate, wanted.client_key, wanted.client_certificate)
        credentials = grpc.ssl_channel_credentials(*map(_content, files))
        return grpc.secure_channel(wanted.target, credentials, **options)

    def _judged(self, error: Any) -> Answer:
        code, details = error.code().name, error.details() or ""
        wait_s = _retry_delay(error)
        reason = self._destination.plain(_reason(code, details))
        if code == _EXHAUSTED and _TOO_LARGE in details:
            return Answer(Verdict.TOO_LARGE, reason)
        may_repeat = code in _RETRYABLE or (code == _EXHAUSTED and wait_s is not None)
        return Answer(Verdict.WAIT if may_repeat else Verdict.REJECTED, reason, wait_s=wait_s)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep gRPC's core from writing to standard error, unless the user asked it to.

    It reads the variable when it starts, which is with the first channel of the process.
    """
    if _VERBOSITY in os.environ:
        yield
        return
    os.environ[_VERBOSITY] = "NONE"
    try:
        yield
    finally:
        os.environ.pop(_VERBOSITY, None)


def _content(file: str) -> bytes | None:
    return Path(file).read_bytes() if file else None


def _local_trouble(error: Exception) -> Answer:
    # Its text may quote metadata, and so a credential.
    missing = isinstance(error, FileNotFoundError)
    reason = "a certificate or key file is missing" if missing else type(error).__name__
    return Answer(Verdict.WAIT, reason)


def _reason(code: str, details: str) -> str:
    if code not in _WORDS:
        return f"gRPC {code}: {details}" if details else f"gRPC {code}"
    found = (text for part, text in _DETAILS if part in details)
    return next(found, _WORDS[code])


def _retry_delay(error: Any) -> float | None:
    """Return the seconds that RetryInfo in the status's details asks for."""
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
