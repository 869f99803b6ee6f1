"""Real deployments beside bad collectors and bad stores: their outcome is that of untraced ones."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest
from e2e.test_secrets import assert_clean
from support.bad_endpoints import BAD
from support.disks import CORRUPT, locked, make_newer
from support.killing import finished, forking, keys
from support.scripted_collector import HttpCollector

from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.site import Site

pytestmark = [
    pytest.mark.flash,
    pytest.mark.skipif(os.name == "nt", reason="forks its deployments"),
]


@contextmanager
def newer(store: Path) -> Iterator[None]:
    make_newer(store)
    yield


@contextmanager
def taken(store: Path) -> Iterator[None]:
    """Put a folder where the file should be: nothing can be stored, by root neither."""
    store.mkdir()
    yield


def damaged(damage: str) -> Callable[[Path], Iterator[None]]:
    @contextmanager
    def around(store: Path) -> Iterator[None]:
        SpanStore(store).close()
        CORRUPT[damage](store)
        yield

    return around  # type: ignore[return-value]  # a context manager, which mypy sees as its source


STORES = {
    "locked": locked,
    "newer": newer,
    "taken": taken,
    **{f"damaged: {name}": damaged(name) for name in CORRUPT},
}


@pytest.mark.parametrize("version", ["1.21.0"])
def test_outcomes(site: Site) -> None:
    """Exit status and standard output are Flash's own, and flash_otel adds at most one line.

    With a collector that works, the spans that a bad store does not keep arrive, or wait beside it.
    """
    with forking(site) as runs:
        _, untraced, stderr = finished(runs, {}, traced=False, around=nullcontext)
        assert (untraced[0], stderr) == (0, "")

        def traced(
            url: str, around: Callable[[Path], object], budget_s: str = "0.1"
        ) -> set[tuple[str, ...]]:
            variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "FLASH_OTEL_EXIT_BUDGET": budget_s}
            folder, outcome, stderr = finished(
                runs,
                variables,
                traced=True,
                around=around,  # type: ignore[arg-type]  # the same
            )
            assert outcome == untraced
            assert stderr.startswith("flash_otel: ")
            assert stderr.count("\n") == 1
            assert_clean(stderr)
            return keys(folder / "ended")

        for bad in BAD.values():
            with bad() as url:
                assert traced(url, nullcontext)
        for name, around in STORES.items():
            with HttpCollector() as collector:
                made = traced(collector.url, around, budget_s="30")
                waits = name in {"locked", "newer"}
                assert set(collector.keys) == (set() if waits else made), name
                assert len(collector.keys) == len(set(collector.keys))
        assert len(list(site.folder.glob("run*/state/*.unstored"))) == 2
