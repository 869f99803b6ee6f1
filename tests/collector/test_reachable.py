"""A Collector that workers reach: TLS, and nobody without the token."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped]  # ships no types
import httpx
import pytest
from support.otlp import request, span, trace_id, wait_for_spans

if TYPE_CHECKING:
    from pathlib import Path

    from support.real_collector import Access, Collector, Jaeger, Starter


def _post(collector: Collector, access: Access, authorization: str | None) -> int:
    url = f"https://{collector.http_url.removeprefix('http://')}/v1/traces"
    headers = {} if authorization is None else {"Authorization": authorization}
    trusted = ssl.create_default_context(cafile=str(access.authority))
    with httpx.Client(verify=trusted) as client:
        body = request([span(trace_id())])
        return client.post(url, json=body, headers=headers, timeout=30).status_code


def test_only_the_token_is_accepted(reachable_collector: Collector, access: Access) -> None:
    """Without the token, or with another one, the response is 401; with it, 200."""
    assert _post(reachable_collector, access, None) == 401
    assert _post(reachable_collector, access, "Bearer another") == 401
    assert _post(reachable_collector, access, f"Bearer {access.token}") == 200


def _export(collector: Collector, access: Access, authorization: str | None) -> str:
    """Send an empty request over gRPC and return the code of the answer."""
    trusted = grpc.ssl_channel_credentials(access.authority.read_bytes())
    service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    metadata = [] if authorization is None else [("authorization", authorization)]
    with grpc.secure_channel(collector.grpc, trusted) as channel:
        export = channel.unary_unary(service)
        try:
            export(b"", metadata=metadata, timeout=30, wait_for_ready=True)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def test_only_the_token_is_accepted_over_grpc(
    reachable_collector: Collector, access: Access
) -> None:
    """The same over gRPC, with its status codes."""
    assert _export(reachable_collector, access, None) == "UNAUTHENTICATED"
    assert _export(reachable_collector, access, "Bearer another") == "UNAUTHENTICATED"
    assert _export(reachable_collector, access, f"Bearer {access.token}") == "OK"


def test_plain_text_is_refused(reachable_collector: Collector) -> None:
    """Without TLS the receiver accepts nothing."""
    url = f"{reachable_collector.http_url}/v1/traces"
    try:
        answer = httpx.post(url, json=request([span(trace_id())]), timeout=30)
    except httpx.TransportError:
        return
    assert answer.status_code == 400


def test_an_untrusted_certificate_is_refused(reachable_collector: Collector) -> None:
    """A client that does not trust the authority sends nothing."""
    url = f"https://{reachable_collector.http_url.removeprefix('http://')}/v1/traces"
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, json=request([]), timeout=30)


def test_the_second_backend_by_tls_and_token(
    reachable_collector: Collector,
    access: Access,
    running_jaeger: Jaeger,
    starter: Starter,
    tmp_path: Path,
) -> None:
    """With variables for headers and TLS, a reachable Collector is a second backend."""
    first = starter.collector(
        tmp_path / "first",
        "127.0.0.1:1",
        SECOND_BACKEND="otlp/second",
        SECOND_OTLP_ENDPOINT=reachable_collector.grpc,
        SECOND_OTLP_HEADERS=f"{{authorization: 'Bearer {access.token}'}}",
        SECOND_OTLP_CA_FILE=str(access.authority),
    )
    trace = trace_id()
    sent = span(trace)
    body = request([sent])
    assert httpx.post(f"{first.http_url}/v1/traces", json=body, timeout=30).status_code == 200
    wait_for_spans(running_jaeger, trace, [sent["spanId"]])
    assert access.token not in first.log
