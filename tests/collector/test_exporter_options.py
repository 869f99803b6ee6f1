"""OTEL_EXPORTER_OTLP_*: each option against the real Collector, right and wrong.

What a wrong one holds back is kept, with the reason, and goes out when it is put right.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from support.bad_endpoints import refusing
from support.commands import flash_otel, in_process
from support.host_process import SPANS, HostProcess
from support.otlp import wait_for_spans
from support.real_collector import BUNDLE, Starter

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.real_collector import Access, Collector, Jaeger

HTTP, JSON, GRPC = "http/protobuf", "http/json", "grpc"


@dataclass(frozen=True)
class Site:
    """Three Collectors in front of one Jaeger, and the files of clients.

    Attributes:
        plain: Takes everything.
        token: Wants TLS and a token.
        mutual: Wants a certificate of the client, too.
    """

    jaeger: Jaeger
    plain: Collector
    token: Collector
    mutual: Collector
    access: Access
    folder: Path

    def url(self, which: str, protocol: str) -> str:
        """Return the base URL of a Collector."""
        collector: Collector = getattr(self, which)
        target = collector.grpc if protocol == GRPC else collector.http_url.partition("//")[2]
        return f"{'http' if which == 'plain' else 'https'}://{target}"

    def client(self, name: str = "client") -> dict[str, str]:
        """Return the variables of a client's certificate: `client`'s own, or a `stranger`'s."""
        return {
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(self.folder / f"{name}.crt"),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(self.folder / f"{name}.key"),
        }


@pytest.fixture(scope="module")
def site(
    running_jaeger: Jaeger,
    running_collector: Collector,
    reachable_collector: Collector,
    access: Access,
    collector_binaries: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Start the Collectors that are not running yet."""
    folder = tmp_path_factory.mktemp("clients")
    for name in ("client", "stranger"):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / f"{name}-ca.pem")
        certificate = authority.issue_cert(f"{name}.example")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
    starter = Starter(collector_binaries)
    try:
        mutual = starter.collector(
            folder / "mutual",
            running_jaeger.otlp,
            [BUNDLE / "reachable.yaml", BUNDLE / "mutual-tls.yaml"],
            OTELCOL_CLIENT_CA_FILE=str(folder / "client-ca.pem"),
            **access.of_the_receiver,
        )
        yield Site(running_jaeger, running_collector, reachable_collector, mutual, access, folder)
    finally:
        starter.end()


def traces_only(variables: dict[str, str]) -> dict[str, str]:
    """Return the same variables in their form for traces alone."""
    return {name.replace("OTLP_", "OTLP_TRACES_", 1): value for name, value in variables.items()}


# Each row: which Collector, the protocol, and the further variables.
RIGHT: dict[str, tuple[str, str, Callable[[Site], dict[str, str]]]] = {
    "HTTP": ("plain", HTTP, lambda _: {}),
    "HTTP, JSON": ("plain", JSON, lambda _: {}),
    "gRPC": ("plain", GRPC, lambda _: {}),
    "HTTP, gzip": ("plain", HTTP, lambda _: {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
    "HTTP, deflate": ("plain", HTTP, lambda _: {"OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"}),
    "HTTP, JSON, gzip": ("plain", JSON, lambda _: {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
    "gRPC, gzip": ("plain", GRPC, lambda _: {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
    "gRPC, none": ("plain", GRPC, lambda _: {"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}),
    "HTTP, timeout": ("plain", HTTP, lambda _: {"OTEL_EXPORTER_OTLP_TIMEOUT": "30000"}),
    "gRPC, insecure": (
        "plain",
        GRPC,
        lambda site: {
            "OTEL_EXPORTER_OTLP_ENDPOINT": site.plain.grpc,
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
        },
    ),
    "HTTP, of traces": (
        "plain",
        GRPC,
        lambda site: {
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": HTTP,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{site.plain.http_url}/v1/traces",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
        },
    ),
    "gRPC, of traces": (
        "plain",
        HTTP,
        lambda site: {
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": GRPC,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": site.plain.grpc,
            "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "true",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "30",
        },
    ),
    **{
        f"{protocol}, token, {kind}": (
            "token",
            protocol,
            lambda site, say=say: say(site.access.of_the_sender),  # type: ignore[misc]
        )
        for protocol in (HTTP, GRPC)
        for kind, say in (("all signals", dict), ("traces", traces_only))
    },
    **{
        f"{protocol}, mutual TLS, {kind}": (
            "mutual",
            protocol,
            lambda site, say=say: say({**site.access.of_the_sender, **site.client()}),  # type: ignore[misc]
        )
        for protocol in (HTTP, GRPC)
        for kind, say in (("all signals", dict), ("traces", traces_only))
    },
}


def run(site: Site, folder: Path, which: str, protocol: str, variables: dict[str, str]) -> Any:
    """Record spans in a process with this environment; return its output."""
    told = {"FLASH_OTEL_EXIT_BUDGET": "30", **variables}
    ended = HostProcess(folder, site.url(which, protocol), protocol, variables=told).run()
    assert (ended.status, ended.stdout) == (0, "done\n")
    return ended


def arrived(site: Site, folder: Path) -> None:
    """Wait until Jaeger has every span of the store."""
    traces: dict[str, list[str]] = defaultdict(list)
    with SpanStore(folder / "spans.db") as store:
        for record in store.spans():
            traces[record.trace_id].append(record.span_id)
    assert sum(map(len, traces.values())) == SPANS
    for trace, ids in traces.items():
        wait_for_spans(site.jaeger, trace, ids)


def status(folder: Path) -> dict[str, Any]:
    """Return what `flash-otel status` reports about the only destination."""
    told = in_process(folder, "status", "--json")
    assert told.returncode == 0, told.stderr
    (found,) = json.loads(told.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("option", RIGHT)
def test_a_right_value(option: str, site: Site, tmp_path: Path) -> None:
    """All spans arrive, none waits, and nothing is printed."""
    which, protocol, variables = RIGHT[option]
    told = variables(site)
    ended = run(site, tmp_path, which, protocol, told)
    assert ended.stderr == ""
    standing = status(tmp_path)
    assert (standing["waiting"], standing["rejected"]) == (0, 0)
    arrived(site, tmp_path)


def without(variables: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in variables.items() if not key.endswith(name)}


def mutual(site: Site, name: str = "client") -> dict[str, str]:
    return {**site.access.of_the_sender, **site.client(name)}


WRONG_TOKEN = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20c4n4ry-token"}
NO_FILE = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"}

# Each row: which Collector, the wrong variables, the right ones, the reasons over HTTP and gRPC.
WRONG: dict[
    str,
    tuple[str, Callable[[Site], dict[str, str]], Callable[[Site], dict[str, str]], tuple[str, str]],
] = {
    "another token": (
        "token",
        lambda site: {**site.access.of_the_sender, **WRONG_TOKEN},
        lambda site: site.access.of_the_sender,
        ("HTTP 401 Unauthorized", "gRPC UNAUTHENTICATED"),
    ),
    "no token": (
        "token",
        lambda site: without(site.access.of_the_sender, "HEADERS"),
        lambda site: site.access.of_the_sender,
        ("HTTP 401 Unauthorized", "gRPC UNAUTHENTICATED"),
    ),
    "no authority": (
        "token",
        lambda site: without(site.access.of_the_sender, "CERTIFICATE"),
        lambda site: site.access.of_the_sender,
        ("TLS: the certificate is not trusted", "TLS: the certificate is not trusted"),
    ),
    "an authority's file that is missing": (
        "token",
        lambda site: {**site.access.of_the_sender, **NO_FILE},
        lambda site: site.access.of_the_sender,
        ("OTEL_EXPORTER_OTLP_CERTIFICATE: there is no file /nowhere/ca.pem",) * 2,
    ),
    "no certificate of the client": (
        "mutual",
        lambda site: site.access.of_the_sender,
        mutual,
        ("TLS handshake failed", "TLS: the server broke it off"),
    ),
    "a stranger's certificate": (
        "mutual",
        lambda site: mutual(site, "stranger"),
        mutual,
        ("TLS handshake failed", "TLS: the server broke it off"),
    ),
}


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_value(option: str, protocol: str, site: Site, tmp_path: Path) -> None:
    """All spans are kept with the reason, no secret is printed, and a right value sends them."""
    which, wrong, right, reasons = WRONG[option]
    ended = run(site, tmp_path, which, protocol, wrong(site))
    standing = status(tmp_path)
    assert standing["waiting"] + standing["rejected"] == SPANS
    reason = reasons[protocol == GRPC]
    assert reason in (standing["reason"] or standing["rejected_reason"])
    shown = in_process(tmp_path, "status").stdout
    assert reason in shown
    for secret in ("c4n4ry-token", site.access.token):
        assert secret not in shown + ended.stderr

    mended = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": site.url(which, protocol),
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        **right(site),
    }
    again = ["--rejected"] if standing["rejected"] else []
    pushed = flash_otel(tmp_path, "push", *again, env=mended)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    arrived(site, tmp_path)


def test_variables_for_traces_win(site: Site, tmp_path: Path) -> None:
    """A dead endpoint for all signals is ignored if traces have their own."""
    with refusing() as dead:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": dead,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{site.plain.http_url}/v1/traces",
        }
        assert run(site, tmp_path, "plain", HTTP, variables).stderr == ""
    arrived(site, tmp_path)
