"""The endpoints of the last deployment that the local store has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.samples import OTHER, span

from flash_otel.store.store import SpanStore
from flash_otel.verify.recorded_endpoints import last_endpoints

if TYPE_CHECKING:
    from pathlib import Path


def test_the_endpoints_of_the_last_deployment(tmp_path: Path) -> None:
    """Each by its resource's name; without a recorded deployment, none."""
    path = tmp_path / "spans.db"
    assert last_endpoints(path) == {}
    made = {"gpu": "gpu0000001", "cpu": "cpu0000001"}
    ids = [{"flash.resource_name": name, "flash.endpoint_id": made[name]} for name in made]
    with SpanStore(path) as store:
        store.write([span(1, None, "flash.runtime.fetch", 90, 91, trace_id=OTHER)])
        store.write([span(1, None, "flash.deploy", 0, 9)])
        store.write(
            span(n, 1, "flash.provision.endpoint", n, n + 1, attributes=known)
            for n, known in enumerate([*ids, {"flash.resource_name": "web"}], 2)
        )
    assert last_endpoints(path) == made
