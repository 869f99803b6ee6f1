"""A JSON text is split into its values, each with its line and with the fields around it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from flash_otel.diagnosis.readers import json_values
from flash_otel.diagnosis.readers.json_values import JsonSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES: Final = (3, 4, 7, 1 << 20)
Found = tuple[int, Any, list[dict[str, Any]], bool]


def split(
    data: bytes, size: int = 1 << 20, enter: Callable[[Any], bool] = lambda _: False
) -> list[Found]:
    """Return each value with its line, the fields around it at that time, and if it is JSON."""
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [
        (found.number, found.value, [dict(fields) for fields in found.around], found.is_json)
        for found in JsonSplitter(pieces, enter).values()
    ]


@pytest.mark.parametrize("size", SIZES)
def test_values_and_other_lines_have_their_numbers(size: int) -> None:
    """Between the values of a text, any line may stand; commas and blank lines are skipped."""
    data = (
        b'\xef\xbb\xbf{"a": 1}\n\n,not json, "x"\r\n[1,\n2], {"b":\n"c"}\n{unquoted: 1}\n'
        b'[text] X\n[]{}\n[true] x\n5\n"y"\nrest'
    )
    assert split(data, size) == [
        (1, {"a": 1}, [], True),
        (3, 'not json, "x"', [], False),
        (4, [1, 2], [], True),
        (5, {"b": "c"}, [], True),
        (7, "{unquoted: 1}", [], False),
        (8, "[text] X", [], False),
        (9, [], [], True),
        (9, {}, [], True),
        (10, [True], [], True),
        (10, "x", [], False),
        (11, "5", [], False),
        (12, '"y"', [], False),
        (13, "rest", [], False),
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", []),
        (b" \n,", []),
        (b"[1]\n\xe2\x82", [[1], "\ufffd"]),
        (b"x\xe2\x82", ["x\ufffd"]),
        (b"[1]\nx\xe2\x82", [[1], "x\ufffd"]),
        (b'["a\n', ['"a']),
        (b'[1]\n{"a": tr', [[1], "tr"]),
        (b'["a\tb\nc"]', [["a\tb\nc"]]),
        (b"[1, 2", [1, 2]),
        (b"\rx\r\n", ["x"]),
        (b'["a" "b"]\n["far enough"]', ['["a" "b"]', ["far enough"]]),
        (b"[" * 5000 + b"\n[1]", ["[" * 5000, [1]]),
    ],
)
def test_a_text_that_breaks_off_is_a_line(text: bytes, values: list[Any], size: int) -> None:
    """What is not a whole value is a line, and what is not a whole character is replaced."""
    assert [value for _, value, _, _ in split(text, size)] == values


DOCUMENT: Final = b"""\
{
 "meta": {"pod": "w"},
 "n": 3,
 "list":
  [9],
 "events": [
  {"m": "a"}, {"m":
  "b"}, 5, "c"
 ],
 "late": null,
 "more": [{"m": "d"}]
}
[[{"m": "e"}]][{"m": "f"}]
"""


def is_outer(value: Any) -> bool:
    """Return True for what holds entries in the document."""
    return "m" not in value and value != [9] and "pod" not in value


@pytest.mark.parametrize("size", SIZES)
def test_the_values_in_what_is_entered_come_one_by_one(size: int) -> None:
    """Each has its own line, and the fields that were read so far of the objects around it."""
    known = {"meta": {"pod": "w"}, "n": 3}
    assert split(DOCUMENT, size, is_outer) == [
        (2, {"pod": "w"}, [{"meta": {"pod": "w"}}], True),
        (4, [9], [known], True),
        (7, {"m": "a"}, [known], True),
        (7, {"m": "b"}, [known], True),
        (8, 5, [known], True),
        (8, "c", [known], True),
        (11, {"m": "d"}, [known | {"late": None}], True),
        (13, {"m": "e"}, [], True),
        (13, {"m": "f"}, [], True),
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("damaged", "values"),
    [
        ('{"a": 1 "b": 2}', ["[", {"m": 1}, '{"a": 1 "b": 2}']),
        ('{"a": [tru, {"m": 2}]}', ["[", {"m": 1}, '{"a": [tru, {"m": 2}]}']),
        # So near to the end of the text, more of it might have mended them.
        ('{"a" 1}', [{"m": 1}, " 1}"]),
        ("{1: 2}", [{"m": 1}, "1: 2}"]),
        ('{"a": [1, X]}', [{"m": 1}, 1, "X]}"]),
        ('{"a": [1, {"m": 2}}', [{"m": 1}, 1, {"m": 2}, "}"]),
    ],
)
def test_damage_costs_the_rest_of_its_line(damaged: str, values: list[Any], size: int) -> None:
    """What was entered is left, and the next line is read as any other."""
    data = f'[\n{{"m": 1}},\n{damaged}\n{{"m": 3}}\n'.encode()
    found = split(data, size, lambda value: isinstance(value, list))
    assert [value for _, value, _, _ in found] == [*values, {"m": 3}]
    assert found[-2:] == [(3, values[-1], [], False), (4, {"m": 3}, [], True)]


@pytest.mark.parametrize("size", [3, 4])
def test_the_rest_of_a_damaged_array_that_was_entered(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Behind the damage, nothing is taken for a part of the array or of its objects."""
    monkeypatch.setattr(json_values, "LARGEST", 24)
    monkeypatch.setattr(json_values, "_SMALL", 8)
    data = b'{"meta": "w", "all": [{"m": 1}, {"m": 2}, X, {"m": 3}]}\n[4]\n'
    assert split(data, size) == [
        (1, {"m": 1}, [{"meta": "w"}], True),
        (1, {"m": 2}, [{"meta": "w"}], True),
        (1, 'X, {"m": 3}]}', [], False),
        (2, [4], [], True),
    ]


@pytest.mark.parametrize(("depth", "value"), [(63, 1), (64, 1), (65, [1]), (66, [[1]])])
def test_only_so_many_values_are_open(depth: int, value: Any) -> None:
    """What is nested deeper is decoded as a whole."""
    data = b"[" * depth + b"1" + b"]" * depth
    assert split(data, enter=lambda value: isinstance(value, list)) == [(1, value, [], True)]


@pytest.mark.parametrize(
    ("field", "is_kept"),
    [
        ("x" * 39, True),
        ("x" * 40, False),
        (10**38, True),
        (10**39, False),
        ({"a": "x" * 39, "b": {"c": None}}, True),
        ({"a": 1, "b": {"c": "x" * 40}}, False),
        ({"a": []}, False),
        ({str(at): at for at in range(64)}, True),
        ({str(at): at for at in range(65)}, False),
        ([], False),
        (None, True),
        (False, True),
    ],
)
def test_only_small_fields_surround_the_values_behind_them(
    monkeypatch: pytest.MonkeyPatch, field: Any, *, is_kept: bool
) -> None:
    """A long text, a list or an object of many fields is not kept for each entry behind it."""
    monkeypatch.setattr(json_values, "_SMALL", 40)
    data = json.dumps({"field": field, "list": [[1]]}).encode()
    found = split(data, enter=lambda value: isinstance(value, dict) and "list" in value)
    assert found[-1] == (1, [[1]], [{"field": field}] if is_kept else [{}], True)


@pytest.mark.parametrize(
    ("size", "lengths"), [(4, [12, 12, 1]), (5, [10, 10, 5]), (25, [25]), (1, [10, 10, 5])]
)
def test_a_line_beyond_the_limit_comes_in_parts(
    monkeypatch: pytest.MonkeyPatch, size: int, lengths: list[int]
) -> None:
    """No more is held than the limit and what is read at a time."""
    monkeypatch.setattr(json_values, "LARGEST", 10)
    monkeypatch.setattr(json_values, "_SMALL", 1)
    found = split(b"x" * 25, size)
    assert found == [(1, "x" * length, [], False) for length in lengths]


@pytest.mark.parametrize("size", [3, 7, 29])
def test_a_value_beyond_the_limit_is_entered(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """An array of all entries need not be decoded at once."""
    monkeypatch.setattr(json_values, "LARGEST", 30)
    monkeypatch.setattr(json_values, "_SMALL", 8)
    entries = [{"m": at} for at in range(9)]
    lines = b",\n".join(json.dumps(entry).encode() for entry in entries)
    assert split(b"[" + lines + b"\n]\n[1]", size) == [
        *((at, entry, [], True) for at, entry in enumerate(entries, 1)),
        (11, [1], [], True),
    ]


@pytest.mark.parametrize("size", range(1, 12))
def test_the_fields_of_a_large_object_are_read_in_any_pieces(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A piece may end within a key, before or behind its colon, or within a number."""
    monkeypatch.setattr(json_values, "LARGEST", 16)
    monkeypatch.setattr(json_values, "_SMALL", 8)
    fields = {"one": 1, "two": -20.5, "three": "x", "four": None, "five": 123456}
    data = json.dumps({**fields, "list": [[6], [7]] * 9}, separators=(" ,", " :  ")).encode()
    assert split(data, size) == [(1, [6], [fields], True), (1, [7], [fields], True)] * 9
