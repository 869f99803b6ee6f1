from __future__ import annotations

import re
import uuid

import pytest

from flash_otel.demo.state import Ids, IdStyle


def test_seeded_ids_do_not_depend_on_the_order_of_requests() -> None:
    """Endpoints are saved concurrently: each keeps its id in any order."""
    first, second = Ids(1), Ids(1)
    assert [first.endpoint(name) for name in ("a", "b")] == [
        second.endpoint(name) for name in ("b", "a")
    ][::-1]


def test_seeded_ids_differ_from_each_other() -> None:
    """The same label twice gives two ids, and another seed gives others."""
    ids = Ids(1)
    made = [ids.record("build"), ids.record("build"), Ids(2).record("build")]
    assert len(set(made)) == 3


@pytest.mark.parametrize("style", ["uuid", "short"])
def test_styles(style: IdStyle) -> None:
    """Records are UUIDs or short words; endpoints and templates are always short words."""
    ids = Ids(None, style)
    record = ids.record("build")
    if style == "uuid":
        assert str(uuid.UUID(record)) == record
    else:
        assert re.fullmatch("[a-z][a-z0-9]{8}", record)
    assert re.fullmatch("[a-z][a-z0-9]{13}", ids.endpoint("api"))
    assert re.fullmatch("[a-z][a-z0-9]{9}", ids.template("api"))
    assert re.fullmatch("[0-9a-f]{47}", ids.hexadecimal("signature", 47))
