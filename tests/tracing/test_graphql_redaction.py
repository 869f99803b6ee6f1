"""A captured span keeps the shape of a GraphQL answer, and nothing that may be secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.redaction import MAX_TEXT, REDACTED
from flash_otel.tracing.flash.graphql import MAPPINGS, MAX_LENGTH, SHOWN, redacted

SECRET = "canary-hf_ABCDEFGHIJKLMNOP"  # no search for secrets would find it
PRESIGNED = f"https://store.example/a/b.tar.gz?X-Amz-Signature={SECRET}"

# Fields as servers name them, and arbitrary ones.
FIELDS = st.sampled_from(
    [
        "aiKey",
        "uploadUrl",
        "env",
        "value",
        "readme",
        "dockerArgs",
        "whatever",
        "manifest",
        "apiKeys",
    ]
) | st.text(max_size=6).filter(lambda name: name not in SHOWN | MAPPINGS)
SECRETS = st.sampled_from([SECRET, PRESIGNED, f"Bearer {SECRET}", 8675309])
TREES = st.recursive(
    SECRETS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=4)
)


def read(answer: object) -> Any:
    kept = redacted(answer)
    assert kept is not None
    return json.loads(kept)


@given(st.dictionaries(FIELDS, TREES, max_size=5))
def test_no_value_of_an_unlisted_field_is_kept(answer: dict[str, Any]) -> None:
    """Nothing in unlisted fields is kept."""
    kept = str(redacted(answer))
    assert "canary" not in kept
    assert "8675309" not in kept


@given(st.sampled_from(sorted(SHOWN)), st.sampled_from(["apiKeys", "env", "auth", "accessToken"]))
def test_nothing_below_a_secret_field_is_kept(field: str, above: str) -> None:
    """A listed field inside a secret field is not kept."""
    assert read({above: [{field: SECRET}]}) == {above: REDACTED}


def test_what_a_person_compares_is_kept() -> None:
    """Ids, names, states and endpoint mappings stay, URLs without their query; nulls stay null."""
    answer = {
        "flashEnvironment": {
            "id": "e-1",
            "activeBuildId": None,
            "state": "HEALTHY",
            "workersMax": 3,
            "version": 4,
            "state_of": 1.5,
            "endpoints": [{"id": "x1", "name": "gpu", "aiKey": SECRET}],
        },
        "flashBuild": {
            "manifest": {
                "resources": {"gpu": {"makes_remote_calls": True, "env": {"HF_TOKEN": SECRET}}},
                "resources_endpoints": {"gpu": "https://user:pw@api.runpod.ai/v2/x1?token=abc"},
                "_flash_otel": {"phase": "write", "traceparent": "00-1-2-01"},
            }
        },
    }
    assert read(answer) == {
        "flashEnvironment": {
            "id": "e-1",
            "activeBuildId": None,
            "state": "HEALTHY",
            "workersMax": "<number>",
            "version": 4,
            "state_of": "<number>",
            "endpoints": [{"id": "x1", "name": "gpu", "aiKey": REDACTED}],
        },
        "flashBuild": {
            "manifest": {
                "resources_endpoints": {"gpu": "https://api.runpod.ai/v2/x1"},
                "_flash_otel": {"phase": "write", "traceparent": "<string>"},
                "resources": {"gpu": {"makes_remote_calls": True, "env": REDACTED}},
            }
        },
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["id"]), inner),
    )
)
def test_any_answer_is_read(answer: object) -> None:
    """Nothing raises; only an object has a shape."""
    kept = redacted(answer)
    assert (kept is not None) == isinstance(answer, dict)
    assert len(kept or "") <= MAX_LENGTH < MAX_TEXT


@pytest.mark.parametrize(
    "answer",
    [
        {"endpoints": [{"id": str(number)} for number in range(100_000)]},
        {"resources_endpoints": {f"gpu-{number}": "https://x" * 50 for number in range(9_000)}},
        {"x" * 1000 * number: number for number in range(300)},
    ],
)
def test_a_huge_answer_is_cut_with_a_word(answer: dict[str, Any]) -> None:
    """A list of thousands becomes JSON of bounded length, with the number of omitted values."""
    kept = str(redacted(answer))
    assert json.loads(kept)
    assert len(kept) <= MAX_LENGTH
    assert " more" in kept


def test_an_answer_without_end_ends() -> None:
    """Depth is bounded: a structure deeper than any answer is cut, not traversed."""
    answer: dict[str, Any] = {}
    inner = answer
    for _ in range(10_000):
        inner["a"] = [{}]
        inner = inner["a"][0]
    assert "1 more" in str(redacted(answer))


@pytest.mark.parametrize("is_list", [False, True])
def test_twelve_levels_are_kept(*, is_list: bool) -> None:
    """Below them, the entries of an object and of a list are counted."""
    answer: Any = [1, 2] if is_list else {"id": "a", "name": "b"}
    for _ in range(12):
        answer = {"a": answer}
    below = '["… 2 more"]' if is_list else '{"…": "2 more"}'
    assert redacted(answer) == '{"a": ' * 12 + below + "}" * 12
    shallower = redacted(answer["a"])
    assert shallower is not None
    assert "more" not in shallower


def test_a_text_that_is_too_long_is_cut() -> None:
    """The cut has a mark and the longest length; a value of many characters is cut by itself."""
    wide = {f"{'k' * 180}{number}": "x" * 200 for number in range(100)}
    text = redacted({"resources_endpoints": wide})
    assert text is not None
    assert len(text) == MAX_LENGTH
    assert text[-2:] in ("k…", "x…")
    long = read({"id": "x" * 500})["id"]
    assert (len(long), long[-2:]) == (200, "x…")
    assert read({"id": "x" * 200})["id"] == "x" * 200


@pytest.mark.parametrize(("number", "more"), [(398, 0), (399, 0), (400, 1), (401, 2)])
def test_a_number_of_values_is_kept(number: int, more: int) -> None:
    """With the list and the answer, 400 values are kept, and the others are counted."""
    kept = json.loads(str(redacted({"id": [None] * (number - 1)})))["id"]
    assert len(kept) == number - 1 - more + bool(more)
    assert kept[-1] == (f"… {more} more" if more else None)
