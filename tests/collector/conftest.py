"""Fixtures for tests against the real Collector and Jaeger (see support/real_collector.py)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
import trustme
from support.real_collector import BUNDLE, Access, Collector, Jaeger, Starter, find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def collector_binaries() -> dict[str, Path]:
    """Paths of the real `otelcol` and `jaeger`; skips without them, fails in CI."""
    return find_binaries()


@pytest.fixture(scope="session")
def running_jaeger(
    collector_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Jaeger]:
    """A Jaeger for all tests of this process: told apart by their trace ids, never killed."""
    starter = Starter(collector_binaries)
    try:
        yield starter.jaeger(tmp_path_factory.mktemp("jaeger"))
    finally:
        starter.end()


@pytest.fixture(scope="session")
def running_collector(
    running_jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """A Collector in front of `running_jaeger`, for all tests of this process; never killed."""
    starter = Starter(find_binaries())
    try:
        yield starter.collector(tmp_path_factory.mktemp("collector"), running_jaeger.otlp)
    finally:
        starter.end()


@pytest.fixture
def starter(collector_binaries: dict[str, Path]) -> Iterator[Starter]:
    """Start Collectors and Jaegers of a test's own, to be killed and restarted as it likes."""
    starter = Starter(collector_binaries)
    try:
        yield starter
    finally:
        starter.end()


@pytest.fixture(scope="session")
def access(tmp_path_factory: pytest.TempPathFactory) -> Access:
    """A certificate of one's own authority for 127.0.0.1, and a bearer token."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    found = Access(
        folder / "ca.pem", folder / "server.crt", folder / "server.key", folder / "token"
    )
    authority.cert_pem.write_to_path(found.authority)
    server.private_key_pem.write_to_path(found.key)
    for pem in server.cert_chain_pems:
        pem.write_to_path(found.certificate, append=True)
    found.token_file.write_text(secrets.token_urlsafe(32))
    return found


@pytest.fixture(scope="session")
def reachable_collector(
    running_jaeger: Jaeger, access: Access, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """A Collector with reachable.yaml on top: TLS and a token before `running_jaeger`."""
    starter = Starter(find_binaries())
    try:
        yield starter.collector(
            tmp_path_factory.mktemp("reachable"),
            running_jaeger.otlp,
            [BUNDLE / "reachable.yaml"],
            **access.of_the_receiver,
        )
    finally:
        starter.end()
