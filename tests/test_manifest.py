"""A manifest is read defensively, and never changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel import manifest as manifests
from flash_otel import semconv

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.text()
            | st.sampled_from(["resources_endpoints", "resources", "aiKey", "_flash_otel"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_anything_is_read(value: Any) -> None:
    """No JSON raises, and none is changed."""
    before = copy.deepcopy(value)
    held = manifests.endpoints(value)
    assert held is None or all(isinstance(one, str) for pair in held.items() for one in pair)
    assert semconv.CARRIER_KEY not in manifests.keys(value)
    assert manifests.state(value) in ("null", "incomplete", "complete")
    assert all(isinstance(secret, str) for secret in manifests.secrets(value))
    measured = manifests.size(value)
    assert measured == len(json.dumps(value, separators=(",", ":")).encode())
    assert repr(value) == repr(before)


@pytest.mark.parametrize(
    ("manifest", "held", "state"),
    [
        (None, None, "null"),
        ([], None, "null"),
        ("text", None, "null"),
        ({}, None, "incomplete"),
        ({"resources_endpoints": None}, None, "incomplete"),
        ({"resources_endpoints": ["gpu"]}, None, "incomplete"),
        ({"resources_endpoints": {}}, {}, "incomplete"),
        ({"resources_endpoints": {"gpu": "u"}}, {"gpu": "u"}, "complete"),
        ({"resources_endpoints": {"gpu": None}}, {"gpu": ""}, "complete"),
        ({"resources_endpoints": {1: 2}}, {"1": ""}, "complete"),
        (
            MappingProxyType({"resources_endpoints": MappingProxyType({"gpu": "u"})}),
            {"gpu": "u"},
            "complete",
        ),
    ],
)
def test_endpoints_and_state(manifest: object, held: dict[str, str] | None, state: str) -> None:
    """No mapping is None, an empty mapping is an empty one."""
    assert manifests.endpoints(manifest) == held
    assert manifests.state(manifest) == state


def test_keys_keep_their_order() -> None:
    """Top-level keys come in the manifest's order, without our own."""
    assert manifests.keys({"b": 1, "_flash_otel": {}, "a": 2, 3: 4}) == ["b", "a", "3"]


@given(st.dictionaries(st.text(), st.text()), st.randoms())
def test_digest_ignores_the_order(mapping: dict[str, str], random: Any) -> None:
    """The digest is of the entries, in whatever order."""
    entries = list(mapping.items())
    random.shuffle(entries)
    found = manifests.digest(dict(entries))
    assert found == manifests.digest(mapping)
    assert len(found) == 16
    assert int(found, 16) >= 0


def test_digest_tells_mappings_apart() -> None:
    """One other URL, name or entry gives another digest; the digests themselves never change."""
    mappings = [{}, {"gpu": "a"}, {"gpu": "b"}, {"cpu": "a"}, {"gpu": "a", "cpu": "a"}]
    assert len({manifests.digest(one) for one in mappings}) == len(mappings)
    # As sha256sum says of the canonical JSON text: an older recording must compare with a new one.
    assert manifests.digest({}) == "44136fa355b3678a"
    assert manifests.digest({"gpu": "https://h/1"}) == "b817d6f0154bdb08"


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters(categories=["Cs"]))))
def test_digest_of_surrogates(mapping: dict[str, str]) -> None:
    """What JSON can spell has a digest."""
    assert manifests.digest(mapping)


class Endless(Sequence[int]):
    """A sequence that says it is long, and must not be walked."""

    def __len__(self) -> int:
        return 10**9

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("walked")


def cyclic() -> dict[str, Any]:
    """Make a manifest that holds itself."""
    found: dict[str, Any] = {}
    found["again"] = [found]
    return found


def nested(depth: int) -> Any:
    """Make a manifest of so many levels."""
    found: Any = {}
    for _ in range(depth):
        found = {"in": found}
    return found


@pytest.mark.parametrize(
    "manifest",
    [
        {"source": "x" * 50_000_000},
        {"x" * 5_000_000: 1},
        {"endless": Endless()},
        {"many": [0] * 30_000},
        {str(number): number for number in range(30_000)},
        {"raw": b"x" * 50_000_000},
        {"raw": b"x"},
        {"object": object()},
        {("a", "b"): 1},
        cyclic(),
        nested(15_000),
    ],
    ids=lambda one: type(next(iter(one.values()))).__name__,
)
def test_what_is_not_measured(manifest: Any) -> None:
    """What is huge, cyclic, deep or no JSON has no size, and is not walked for it."""
    assert manifests.size(manifest) is None
    assert manifests.state(manifest) == "incomplete"


def test_sizes() -> None:
    """The size is that of compact JSON, in bytes."""
    assert manifests.size(None) == 4
    assert manifests.size({}) == 2
    assert manifests.size({"a": [1, "é"]}) == len(b'{"a":[1,"\\u00e9"]}')
    assert manifests.size({"many": [0] * 19_000}) == len(json.dumps([0] * 19_000)) - 18_999 + 9


def test_ten_thousand_endpoints() -> None:
    """All of them are read."""
    manifest = {"resources_endpoints": {f"r{number}": "u" for number in range(10_000)}}
    held = manifests.endpoints(manifest)
    assert held is not None
    assert len(held) == 10_000
    assert manifests.digest(held)


OTHERS: list[object] = [None, {}, {"resources": None}, {"resources": []}]


def test_secrets() -> None:
    """The credentials of resources are found; whatever is shaped otherwise is passed over."""
    resources = {"a": {"aiKey": "one"}, "b": {"aiKey": 2}, "c": None, "d": {"aiKey": "two"}}
    assert list(manifests.secrets({"resources": resources})) == ["one", "two"]
    for manifest in OTHERS:
        assert list(manifests.secrets(manifest)) == []


def test_environments() -> None:
    """The variables of each resource are found, whatever else is in their place."""
    resources = {"a": {"env": {"HF_TOKEN": "one"}}, "b": {"env": None}, "c": {}, "d": None}
    assert list(manifests.environments({"resources": resources})) == [{"HF_TOKEN": "one"}]
    for manifest in OTHERS:
        assert list(manifests.environments(manifest)) == []
