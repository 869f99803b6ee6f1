"""The endpoints of the last deployment that the local store has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.samples import OTHER, span

from flash_otel.store.queries import TraceFilter
from flash_otel.store.store import SpanStore
from flash_otel.verify.recorded_endpoints import last_endpoints

if TYPE_CHECKING:
    from pathlib import Path

    from flash_otel.records import SpanRecord

PROVISION = "flash.provision.endpoint"
MADE = {"gpu": "gpu0000001", "cpu": "cpu0000001"}


def made(number: int, name: str = PROVISION, *, trace_id: str, **known: str) -> SpanRecord:
    """Return a span of a step of a deployment that made an endpoint."""
    attributes = {f"flash.{key}": value for key, value in known.items()}
    return span(number, None, name, number, number + 1, trace_id=trace_id, attributes=attributes)


def test_the_endpoints_of_the_last_deployment(tmp_path: Path) -> None:
    """Each by its resource's name; without a recorded deployment, none."""
    path = tmp_path / "spans.db"
    assert last_endpoints(path) == {}
    ids = [{"flash.resource_name": name, "flash.endpoint_id": MADE[name]} for name in MADE]
    with SpanStore(path) as store:
        store.write([span(1, None, "flash.runtime.fetch", 90, 91, trace_id=OTHER)])
        store.write([span(1, None, "flash.deploy", 0, 9)])
        store.write(
            span(n, 1, PROVISION, n, n + 1, attributes=known)
            for n, known in enumerate([*ids, {"flash.resource_name": "web"}], 2)
        )
    assert last_endpoints(path) == MADE


def test_an_endpoint_needs_its_name_and_its_id(tmp_path: Path) -> None:
    """Another step is none, and a deployment without any endpoint hides no earlier one."""
    path = tmp_path / "spans.db"
    with SpanStore(path) as store:
        store.write([made(1, trace_id="a" * 32, resource_name="gpu", endpoint_id="ep1")])
        for number, known in enumerate(
            [
                {"resource_name": "gpu"},
                {"endpoint_id": "ep2"},
                {"resource_name": "", "endpoint_id": "ep3"},
            ],
            2,
        ):
            store.write([made(number, trace_id=f"{number}" * 32, **known)])
        other = {"resource_name": "gpu", "endpoint_id": "ep9"}
        store.write([made(9, "flash.call", trace_id="9" * 32, **other)])
    assert last_endpoints(path) == {"gpu": "ep1"}


def test_the_last_deployment_alone_counts(tmp_path: Path) -> None:
    """The endpoints of earlier ones may be gone; a later span of one resource replaces it."""
    path = tmp_path / "spans.db"
    with SpanStore(path) as store:
        store.write([made(1, trace_id="a" * 32, resource_name="cpu", endpoint_id="ep1")])
        store.write(
            made(number, trace_id="b" * 32, resource_name="gpu", endpoint_id=f"ep{number}")
            for number in (2, 3)
        )
    assert last_endpoints(path) == {"gpu": "ep3"}


def test_conditions_on_the_deployment(tmp_path: Path) -> None:
    """Of the deployments to an environment, the last one counts."""
    path = tmp_path / "spans.db"
    with SpanStore(path) as store:
        for number, environment in enumerate(("env-1", "env-2"), 1):
            known = {"resource_name": "gpu", "endpoint_id": f"ep{number}"}
            known["environment_id"] = environment
            store.write([made(number, trace_id=f"{number}" * 32, **known)])
    assert last_endpoints(path) == {"gpu": "ep2"}
    assert last_endpoints(path, TraceFilter("env-1")) == {"gpu": "ep1"}
    assert last_endpoints(path, TraceFilter("env-3")) == {}


@pytest.mark.parametrize(("later", "expected"), [(19, {"gpu": "ep1"}), (20, {})])
def test_the_last_twenty_traces_are_searched(
    tmp_path: Path, later: int, expected: dict[str, str]
) -> None:
    """A deployment before them is too old to be meant."""
    path = tmp_path / "spans.db"
    with SpanStore(path) as store:
        store.write([made(1, trace_id="a" * 32, resource_name="gpu", endpoint_id="ep1")])
        store.write(
            made(number + 1, "flash.call", trace_id=f"{number:032x}")
            for number in range(1, later + 1)
        )
    assert last_endpoints(path) == expected


def test_a_store_that_cannot_be_read(tmp_path: Path) -> None:
    """It names no endpoint, which can be named by its id, too."""
    path = tmp_path / "spans.db"
    path.write_bytes(b"no database " * 100)
    assert last_endpoints(path) == {}
