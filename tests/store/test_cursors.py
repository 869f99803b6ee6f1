"""Delivery cursors: each destination gets each span once, in the order of ending, across runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flash_otel.records import Link, SpanRecord
from flash_otel.store import cursors
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = {"telemetry.distro.name": "flash-otel"}
NAME = "http/protobuf http://127.0.0.1:4318/v1/traces"


def span(number: int, **more: object) -> SpanRecord:
    """Return a finished span of our own provider."""
    plain = SpanRecord(
        "ab" * 16, f"{number:016x}", None, f"s{number}", "internal", number, number + 1
    )
    return replace(plain, resource=OURS, **more)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SpanStore]:
    """Return an open store that knows one destination."""
    with SpanStore(tmp_path / "spans.db") as opened:
        cursors.register(opened.connection, [NAME])
        yield opened


def due(store: SpanStore, most: int = 100) -> list[str]:
    """Return the names of the spans that are next."""
    return [record.name for _, record in cursors.due(store.connection, NAME, most)]


def settle(store: SpanStore, most: int = 100, **rejection: object) -> None:
    """Settle the next spans."""
    places = [place for place, _ in cursors.due(store.connection, NAME, most)]
    cursors.advance(store.connection, NAME, places, **rejection)  # type: ignore[arg-type]  # by name


def test_in_the_order_of_ending(store: SpanStore) -> None:
    """A root that was stored as started is sent after its children, when it has ended."""
    store.write([replace(span(1), end_ns=None), span(2)])
    assert due(store) == ["s2"]
    settle(store)
    store.write([span(3)])
    store.write([span(1)])
    assert due(store) == ["s3", "s1"]
    settle(store, most=1)
    assert due(store) == ["s1"]
    settle(store)
    store.write([span(1), span(2), span(3)])
    assert due(store) == []


def test_links_follow_a_span_that_ends(store: SpanStore) -> None:
    """A span that ends keeps its links, though its id changes."""
    open_one = replace(span(1), end_ns=None, links=(Link("c" * 32, "d" * 16),))
    store.write([open_one, span(2)])
    store.write([replace(open_one, end_ns=9)])
    assert [span.name for span in store.linked("c" * 32)] == ["s1"]
    assert [span.name for span in store.trace("ab")] == ["s1", "s2"]


def test_spans_that_are_not_forwarded(store: SpanStore) -> None:
    """Unsampled spans and those of an application's own provider are not forwarded."""
    store.write([replace(span(1), sampled=False), replace(span(2), resource={}), span(3)])
    assert due(store) == ["s3"]


def test_a_new_destination_begins_now(store: SpanStore) -> None:
    """A new destination gets earlier spans only after a rewind."""
    store.write([span(1)])
    cursors.register(store.connection, ["late", NAME])
    assert cursors.due(store.connection, "late", 9) == []
    assert due(store) == ["s1"]
    cursors.rewind(store.connection, "late", to_rejected=False)
    assert len(cursors.due(store.connection, "late", 9)) == 1


def test_rejected_spans_are_kept_aside(store: SpanStore) -> None:
    """Rejected spans are skipped, with the reason, and sent again after a rewind."""
    store.write([span(1), span(2), span(3)])
    settle(store, most=1)
    settle(store, most=1, rejected=1, reason="HTTP 400")
    assert due(store) == ["s3"]
    settle(store)
    (found,) = cursors.delivery_statuses(store.connection)
    assert (found.waiting, found.rejected, found.rejected_reason) == (0, 1, "HTTP 400")
    cursors.rewind(store.connection, NAME, to_rejected=True)
    assert due(store) == ["s2", "s3"]
    (found,) = cursors.delivery_statuses(store.connection)
    assert found.rejected == 0


def test_a_failure_is_kept_until_the_server_answers(store: SpanStore) -> None:
    """The first failure's time and the last one's reason are kept until the server answers."""
    store.write([span(1)])
    cursors.fail(store.connection, NAME, "refused", retry_ns=5)
    first = cursors.delivery_status(store.connection, NAME)
    cursors.fail(store.connection, NAME, "no answer")
    second = cursors.delivery_status(store.connection, NAME)
    assert first is not None
    assert second is not None
    assert (first.reason, first.retry_ns, second.reason) == ("refused", 5, "no answer")
    assert first.failing_since_ns == second.failing_since_ns is not None
    assert (second.waiting, second.waiting_since_ns) == (1, 2)
    settle(store)
    third = cursors.delivery_status(store.connection, NAME)
    assert third is not None
    assert (third.reason, third.failing_since_ns, third.waiting) == ("", None, 0)
    assert third.acknowledged_ns is not None


def test_retention_reuses_no_id(store: SpanStore) -> None:
    """Retention does not reuse ids: a new span is sent even if all earlier ones are deleted."""
    store.write([span(number) for number in range(2, 50)])
    # Ends last, though it began first: retention would take it before the others.
    store.write([replace(span(1), start_ns=1)])
    settle(store)
    store.prune(max_bytes=1)
    store.write([span(60)])
    assert due(store) == ["s60"]


def test_a_forgotten_destination(store: SpanStore) -> None:
    """Nothing is due for it any more, not even to a process that still holds its name."""
    store.write([span(1)])
    cursors.forget(store.connection, NAME)
    assert cursors.delivery_statuses(store.connection) == []
    assert due(store) == []
    cursors.fail(store.connection, NAME, "refused")
    cursors.register(store.connection, [NAME])
    assert due(store) == []
