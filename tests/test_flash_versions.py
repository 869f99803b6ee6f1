"""What is known of Flash by its version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.flash_versions import reads_manifests, release


@pytest.mark.parametrize(
    ("version", "reads"),
    [
        ("1.0.0", False),
        ("1.3.0", False),
        ("1.4.1", False),
        ("1.4.2", True),
        ("1.14.0", True),
        ("1.14.3.post1", True),
        ("1.15.0", False),
        ("2.0.0rc2", False),
        ("", None),
        ("main", None),
    ],
)
def test_which_versions_read_the_manifest(version: str, reads: bool | None) -> None:
    """Calls in workers of Flash 1.4.2 to 1.14 read it; of an unknown version it is unknown."""
    assert reads_manifests(release(version)) is reads


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("1.14.0", (1, 14, 0)), ("2.0.0rc2", (2, 0, 0)), ("1.x.0", (1,)), ("main", ()), ("", ())],
)
def test_the_leading_numbers_of_a_version(version: str, numbers: tuple[int, ...]) -> None:
    """Only they count, up to the first part that does not begin with one."""
    assert release(version) == numbers


@given(st.text())
def test_any_text_is_a_version(text: str) -> None:
    """At most three small numbers, whatever a recording holds."""
    found = release(text)
    assert len(found) <= 3
    assert all(0 <= number < 10**6 for number in found)
