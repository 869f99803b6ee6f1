"""`kill -9` at twenty points of a deployment: what was committed is kept, and nothing is broken."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from e2e.test_secrets import assert_clean, store_bytes
from support.killing import POINTS, forking, in_store, keys, killed, push
from support.scripted_collector import HttpCollector, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from support.site import Site

pytestmark = [
    pytest.mark.flash,
    pytest.mark.skipif(os.name == "nt", reason="there is no such signal on Windows"),
]


@pytest.mark.parametrize("version", ["1.21.0"])
def test_kills(site: Site) -> None:
    """At each point the deployment is as far as an untraced one, and no committed span is lost.

    What had ended is in the store, whole and once, without anything secret, and goes to the
    collector with the next run, once.
    """
    is_up: list[bool] = []
    judge = lambda _: Reply() if is_up else Reply(503)  # noqa: E731 - one line
    with HttpCollector(judge=judge) as collector, forking(site) as runs:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        expected: set[tuple[str, ...]] = set()
        for point in POINTS:
            folder, asked, output = killed(runs, point, variables, traced=True)
            if point[1] != "store":
                _, plainly_asked, plain_output = killed(runs, point, {}, traced=False)
                assert (asked, output) == (plainly_asked, plain_output), point
            committed = keys(folder / ("committed" if point[1] == "store" else "ended"))
            assert committed <= in_store(folder, finished=False), point
            check(folder)
            expected |= in_store(folder)
        is_up.append(True)
        for store in site.folder.glob("run*/state/spans.db"):
            push(store)
        assert set(collector.keys) == expected
        assert len(collector.keys) == len(expected)
        assert len(expected) > len(POINTS)


def check(folder: Path) -> None:
    """SQLite finds nothing wrong with the store, and nothing secret is in it."""
    store = folder / "state" / "spans.db"
    if not store.exists():
        return
    assert_clean(store_bytes(store))
    with closing(sqlite3.connect(store)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
