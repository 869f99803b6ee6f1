"""Manifests are read defensively, and never modified."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
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
            | st.sampled_from(["resources_endpoints", "resources", "aiKey", "_flash_otel"])
            | st.sampled_from(["generated_at", "source_fingerprint"]),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_anything_is_read(value: Any) -> None:
    """No JSON value raises, and none is modified."""
    before = copy.deepcopy(value)
    held = manifests.endpoints(value)
    assert held is None or all(isinstance(text, str) for pair in held.items() for text in pair)
    assert semconv.CARRIER_KEY not in manifests.keys(value)
    assert manifests.state(value) in ("null", "incomplete", "complete")
    assert all(isinstance(secret, str) for secret in manifests.secrets(value))
    provenance = manifests.provenance(value)
    assert set(provenance) <= {"generated_at", "source_fingerprint"}
    assert all(value[key] == text and text for key, text in provenance.items())
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
    """A missing mapping is None, an empty mapping is empty."""
    assert manifests.endpoints(manifest) == held
    assert manifests.state(manifest) == state


BUILT = "2026-01-31T12:00:00.123456Z"


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"generated_at": BUILT}, {"generated_at": BUILT}),
        (
            {"version": "1.0", "source_fingerprint": "a" * 64, "generated_at": BUILT},
            {"generated_at": BUILT, "source_fingerprint": "a" * 64},
        ),
        (MappingProxyType({"generated_at": BUILT}), {"generated_at": BUILT}),
        ({"source_fingerprint": "a" * 128}, {"source_fingerprint": "a" * 128}),
        ({"source_fingerprint": "a" * 129, "generated_at": BUILT}, {"generated_at": BUILT}),
        ({"generated_at": "", "source_fingerprint": None}, {}),
        ({"generated_at": 1_769_860_800, "source_fingerprint": ["a"]}, {}),
        ({"resources": {"generated_at": BUILT}}, {}),
        ([BUILT], {}),
        (None, {}),
    ],
)
def test_provenance(manifest: object, expected: dict[str, str]) -> None:
    """Texts of a manifest's own keys are kept whole; other types and long texts are left out."""
    assert manifests.provenance(manifest) == expected


NOON_NS = 1_769_860_800 * 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BUILT, NOON_NS + 123_456_000),
        ("2026-01-31T12:00:00Z", NOON_NS),
        ("2026-01-31T12:00:00", NOON_NS),
        ("2026-01-31 12:00:00", NOON_NS),
        ("2026-01-31T12:00:00+00:00", NOON_NS),
        ("2026-01-31T13:30:00+01:30", NOON_NS),
        ("2026-01-31T10:30:00-0130", NOON_NS),
        ("2026-01-31 12:00:00 UTC", NOON_NS),
        ("2026-01-31t12:00:00,5z", NOON_NS + 500_000_000),
        ("2026-01-31T12:00:00.1234567891Z", NOON_NS + 123_456_789),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:00Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00+00:01", None),
        ("2026-02-30T12:00:00Z", None),
        ("2026-01-31T24:00:00Z", None),
        ("2026-01-31T12:00:60Z", None),
        ("2026-01-31T12:00:00+24:00", None),
        ("2026-01-31T12:00:00+05:60", None),
        ("2026-01-31T12:00:00+05", None),
        ("2026-01-31T12:00:00.", None),
        ("2026-01-31T12:00", None),
        ("2026-01-31T12:00:00.***Z", None),
        ("2026-01-31T12:00:00Z ", None),
        ("2026-01-31T12:00:00.123456…", None),
        ("\u0662026-01-31T12:00:00Z", None),
        ("1769860800", None),
        ("[redacted]", None),
        ("2026-01-31T12:00:00." + "1" * 200 + "Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text: str | None, expected: int | None) -> None:
    """A time is ISO 8601 down to the second; everything else is unknown."""
    assert manifests.generated_ns(text) == expected


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - a zone is added
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.sampled_from(["T", " "]),
)
def test_times_with_any_offset(moment: datetime, zone: timezone, separator: str) -> None:
    """What `isoformat` writes is read exactly, as Flash writes it and with any other offset."""
    written = moment.replace(tzinfo=zone)
    since = written - datetime(1970, 1, 1, tzinfo=timezone.utc)
    expected = since // timedelta(microseconds=1) * 1000
    assert manifests.generated_ns(written.isoformat(separator)) == expected
    as_flash = written.astimezone(timezone.utc).isoformat(separator).replace("+00:00", "Z")
    assert manifests.generated_ns(as_flash) == expected
    assert manifests.generated_ns(as_flash.removesuffix("Z")) == expected


@given(st.text() | st.text(alphabet="0123456789TZ:.+- ", max_size=40))
def test_times_of_any_text(text: str) -> None:
    """No text raises."""
    found = manifests.generated_ns(text)
    assert found is None or found > 0


@given(st.integers(0, len(BUILT)))
def test_a_cut_time(length: int) -> None:
    """A time that a limit has cut is unknown, or wrong by less than a second."""
    found = manifests.generated_ns(BUILT[:length])
    assert found is None or 0 <= NOON_NS + 123_456_000 - found < 10**9


def test_keys_keep_their_order() -> None:
    """Top-level keys keep the manifest's order, without `_flash_otel`."""
    assert manifests.keys({"b": 1, "_flash_otel": {}, "a": 2, 3: 4}) == ["b", "a", "3"]


@given(st.dictionaries(st.text(), st.text()), st.randoms())
def test_digest_ignores_the_order(mapping: dict[str, str], random: Any) -> None:
    """The digest does not depend on the order of entries."""
    entries = list(mapping.items())
    random.shuffle(entries)
    found = manifests.digest(dict(entries))
    assert found == manifests.digest(mapping)
    assert len(found) == 16
    assert int(found, 16) >= 0


def test_different_mappings_have_different_digests() -> None:
    """Another URL, name or entry changes the digest; the algorithm never changes."""
    mappings = [{}, {"gpu": "a"}, {"gpu": "b"}, {"cpu": "a"}, {"gpu": "a", "cpu": "a"}]
    assert len({manifests.digest(mapping) for mapping in mappings}) == len(mappings)
    # The sha256sum of the canonical JSON: recordings of different versions must be comparable.
    assert manifests.digest({}) == "44136fa355b3678a"
    assert manifests.digest({"gpu": "https://h/1"}) == "b817d6f0154bdb08"


@given(st.dictionaries(st.text(st.characters()), st.text(st.characters(categories=["Cs"]))))
def test_digest_of_surrogates(mapping: dict[str, str]) -> None:
    """Every string of JSON has a digest."""
    assert manifests.digest(mapping)


class Endless(Sequence[int]):
    """A sequence that claims to be long, and must not be traversed."""

    def __len__(self) -> int:
        return 10**9

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("walked")


def cyclic() -> dict[str, Any]:
    """Make a manifest that contains itself."""
    found: dict[str, Any] = {}
    found["again"] = [found]
    return found


def nested(depth: int) -> Any:
    """Make a manifest of this depth."""
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
    ids=lambda manifest: type(next(iter(manifest.values()))).__name__,
)
def test_what_is_not_measured(manifest: Any) -> None:
    """Huge, cyclic, deep and non-JSON values have no size, and are not traversed for it."""
    assert manifests.size(manifest) is None
    assert manifests.state(manifest) == "incomplete"


def test_sizes() -> None:
    """The size is that of compact JSON, in bytes."""
    assert manifests.size(None) == 4
    assert manifests.size({}) == 2
    assert manifests.size({"a": [1, "é"]}) == len(b'{"a":[1,"\\u00e9"]}')
    assert manifests.size({"many": [0] * 19_000}) == len(json.dumps([0] * 19_000)) - 18_999 + 9


def test_ten_thousand_endpoints() -> None:
    """Every subset of the keys is read."""
    manifest = {"resources_endpoints": {f"r{number}": "u" for number in range(10_000)}}
    held = manifests.endpoints(manifest)
    assert held is not None
    assert len(held) == 10_000
    assert manifests.digest(held)


OTHERS: list[object] = [None, {}, {"resources": None}, {"resources": []}]


def test_secrets() -> None:
    """The credentials of resources are found; other shapes are skipped."""
    resources = {"a": {"aiKey": "one"}, "b": {"aiKey": 2}, "c": None, "d": {"aiKey": "two"}}
    assert list(manifests.secrets({"resources": resources})) == ["one", "two"]
    for manifest in OTHERS:
        assert list(manifests.secrets(manifest)) == []


def test_environments() -> None:
    """The variables of each resource are found; other shapes are skipped."""
    resources = {"a": {"env": {"HF_TOKEN": "one"}}, "b": {"env": None}, "c": {}, "d": None}
    assert list(manifests.environments({"resources": resources})) == [{"HF_TOKEN": "one"}]
    for manifest in OTHERS:
        assert list(manifests.environments(manifest)) == []
