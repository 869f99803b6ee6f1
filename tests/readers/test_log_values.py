"""What a bracketed line proves: whole values, parts of values, and nothing of what it hides."""

from __future__ import annotations

from typing import Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers.log_values import LineValues
from flash_otel.lines.format import ParsedLine

UUID: Final = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"


def values(
    fields: dict[str, Any], *cut: str, last: str | None = None, is_longest: bool = False
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return what a line of these fields proves, and of which attributes it has only a part."""
    parsed = ParsedLine("active_build", fields, frozenset(cut), last)
    found = LineValues.of(parsed, is_longest=is_longest)
    return found.values, found.cut


@pytest.mark.parametrize(
    ("written", "is_cut", "known", "is_part"),
    [
        ("b-1", False, "b-1", False),
        ("b-1", True, "b-1*", True),
        ("b-***", False, "b-*", True),
        ("b-[MASKED]-1", True, "b-*-1", True),
        (UUID, False, UUID, False),
        (UUID[:13], False, f"{UUID[:13]}*", True),
        (UUID[:30], False, f"{UUID[:30]}*", True),
        (None, False, None, False),
    ],
)
def test_an_id_of_which_a_part_is_known(
    written: str | None, is_cut: bool, known: str | None, is_part: bool
) -> None:
    """`*` stands for what was cut off or masked, also of a UUID that is too short."""
    found = values({"build_id": written}, *["build_id"] * is_cut)
    assert found == ({sc.BUILD_ID: known}, frozenset({sc.BUILD_ID} if is_part else ()))


@pytest.mark.parametrize("name", ["build_id", "endpoint_count"])
def test_a_value_that_is_only_half_unset_is_unknown(name: str) -> None:
    """A part of a word for no value, or of a number, proves nothing; other fields stay."""
    fields = {name: None, "environment_id": "e-1"}
    assert values(fields, name) == ({sc.ENVIRONMENT_ID: "e-1"}, frozenset())


@pytest.mark.parametrize(
    ("fields", "cut", "known", "parts"),
    [
        ({"endpoint_count": 2}, [], {sc.ENDPOINT_COUNT: 2}, set()),
        ({"endpoint_count": 2}, ["endpoint_count"], {}, set()),
        ({"endpoint_names": ("gpu",)}, [], {sc.ENDPOINT_NAMES: ("gpu",)}, set()),
        ({"endpoint_names": ("gpu",)}, ["endpoint_names"], {}, set()),
        (
            {"endpoint_count": 2, "endpoint_names": ("gpu",)},
            ["endpoint_names"],
            {sc.ENDPOINT_COUNT: 2, sc.ENDPOINT_NAMES: ("gpu",)},
            {sc.ENDPOINT_NAMES},
        ),
        (
            {"endpoint_count": 1, "endpoint_names": ("gpu",)},
            ["endpoint_names"],
            {sc.ENDPOINT_COUNT: 1},
            set(),
        ),
        (
            {"endpoint_names": ("gpu", "c***"), "endpoint_count": 2},
            [],
            {sc.ENDPOINT_COUNT: 2},
            set(),
        ),
        (
            {"manifest_keys": ("functions",)},
            ["manifest_keys"],
            {sc.MANIFEST_KEYS: ("functions",)},
            {sc.MANIFEST_KEYS},
        ),
        ({"manifest_keys": ("***",)}, ["manifest_keys"], {}, set()),
        ({"manifest_keys": None}, [], {sc.MANIFEST_KEYS: None}, set()),
    ],
)
def test_a_list_of_which_a_part_is_known(
    fields: dict[str, Any], cut: list[str], known: dict[str, Any], parts: set[str]
) -> None:
    """Names without a number that exceeds them would seem to be all, and masked ones are none."""
    assert values(fields, *cut) == (known, frozenset(parts))


@pytest.mark.parametrize(
    ("mapping", "cut", "known"),
    [
        ({}, [], {sc.ENDPOINT_COUNT: 0, sc.ENDPOINT_NAMES: (), sc.ENDPOINT_URLS: ()}),
        (
            {"gpu": "https://a", "cpu": None},
            [],
            {
                sc.ENDPOINT_COUNT: 2,
                sc.ENDPOINT_NAMES: ("gpu", "cpu"),
                sc.ENDPOINT_URLS: ("https://a", ""),
            },
        ),
        ({"gpu": "https://***"}, [], {sc.ENDPOINT_COUNT: 1, sc.ENDPOINT_NAMES: ("gpu",)}),
        ({"g***": "https://a"}, [], {sc.ENDPOINT_COUNT: 1}),
        ({"gpu": "https://a"}, ["endpoints"], {}),
    ],
)
def test_a_mapping_proves_its_endpoints(
    mapping: dict[str, str | None], cut: list[str], known: dict[str, Any]
) -> None:
    """One that ends proves their number, unmasked names, and URLs if the names are known."""
    fields = {"endpoints": mapping, "build_id": "b-1"}
    assert values(fields, *cut) == ({**known, sc.BUILD_ID: "b-1"}, frozenset())


@pytest.mark.parametrize(
    ("value", "last", "is_longest", "is_doubtful"),
    [
        ("b-1", "build_id", True, True),
        ("b-1", "build_id", False, False),
        ("b-1", "environment_id", True, False),
        ("b-1", None, True, False),
        (UUID, "build_id", True, False),
        (None, "build_id", True, False),
        (("gpu",), "build_id", True, False),
    ],
)
def test_the_end_of_the_longest_line_is_doubtful(
    value: Any, last: str | None, is_longest: bool, is_doubtful: bool
) -> None:
    """An id there may go on, unless it is a UUID; it is kept as it is."""
    found = values({"build_id": value}, last=last, is_longest=is_longest)
    assert found == ({sc.BUILD_ID: value}, frozenset({sc.BUILD_ID} if is_doubtful else ()))
