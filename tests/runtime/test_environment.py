"""Values of variables, what is remembered of those that are ignored, and guarded imports."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flash_otel.runtime import environment, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "OTEL_BSP_MAX_QUEUE_SIZE"
CANARY = "canary-5e1d"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered, before and after."""
    process.reset()
    monkeypatch.delenv(NAME, raising=False)
    yield
    process.reset()


def ignored() -> list[tuple[str, str, str, str]]:
    return [(each.name, each.value, each.reason, each.default) for each in environment.ignored()]


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        ("  shop  ", "shop"),
        ('"shop"', "shop"),
        (" ' shop ' ", "shop"),
        ('"', '"'),
        ("'shop\"", "'shop\""),
        ("\"'shop'\"", "'shop'"),
        ("''", ""),
    ],
)
def test_spaces_and_quotes(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    """Surrounding spaces and one pair of quotes are no part of a value."""
    monkeypatch.setenv(NAME, value)
    assert environment.text(NAME) == expected


@given(st.integers(0, 5), st.integers(6, 10**9), st.one_of(st.text(), st.integers().map(str)))
def test_whole_numbers(least: int, most: int, value: str) -> None:
    """Digits within the limits are a whole number, and nothing else is."""
    is_digits = value != "" and set(value) <= set("0123456789") and len(value) <= 20
    convert = environment.whole(least, most)
    if is_digits and least <= int(value) <= most:
        assert convert(value) == int(value)
    else:
        with pytest.raises(ValueError, match=f"a whole number from {least} to {most}"):
            convert(value)


@given(st.one_of(st.text(), st.floats().map(str), st.integers().map(str)))
def test_numbers(value: str) -> None:
    """A number is within its limits; NaN, infinity and text are none."""
    try:
        found = environment.number(0, 1, "a probability")(value)
    except ValueError as error:
        assert str(error) == "it takes a probability, from 0 to 1"  # noqa: PT017 - either may be
    else:
        assert 0 <= found == float(value) <= 1


@pytest.mark.parametrize(
    "value", ["\u0660.\u0665", "\uff11", "0_1", "1_0e-2", "1,0", "0x1", "50%", ""]
)
def test_numbers_as_other_programs_read_them(value: str) -> None:
    """Spellings that only Python accepts are invalid."""
    with pytest.raises(ValueError, match="it takes a probability"):
        environment.number(0, 1, "a probability")(value)


@given(st.lists(st.text(st.characters(exclude_characters=",", categories=["L", "N"]))))
def test_lists_of_names(parts: list[str]) -> None:
    """Names are separated by commas; empty ones and repetitions are left out."""
    assert environment.names(" , ".join(parts)) == list(dict.fromkeys(filter(None, parts)))


def test_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset or empty variable is the default; an invalid one, too, and is remembered."""
    convert = environment.whole(1)
    assert environment.read(NAME, convert, 7) == 7
    monkeypatch.setenv(NAME, " ")
    assert environment.read(NAME, convert, 7) == 7
    monkeypatch.setenv(NAME, "'12'")
    assert environment.read(NAME, convert, 7) == 12
    assert ignored() == []
    monkeypatch.setenv(NAME, "many")
    assert environment.read(NAME, convert, 7) == 7
    assert environment.read(NAME, convert, 7) == 7
    assert ignored() == [(NAME, "many", "it takes a whole number from 1 to 2147483647", "7")]
    environment.forget()
    assert ignored() == []


# --- what is remembered --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OTEL_SERVICE_NAME", "a\x1b[31m\nb", "a [31m b"),
        ("OTEL_SERVICE_NAME", "x" * 500, "x" * 99 + "…"),
        ("OTEL_SERVICE_NAME", "\udcff", "?"),
        ("OTEL_EXPORTER_OTLP_HEADERS", CANARY, "[redacted]"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", CANARY, "[redacted]"),
        ("MY_API_TOKEN", CANARY, "[redacted]"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "", ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://a:{CANARY}@host/", "http://host/"),
    ],
)
def test_shown_values(name: str, value: str, expected: str) -> None:
    """A shown value is short, printable and without secrets."""
    assert environment.shown(name, value) == expected


def test_a_loss_is_one_line() -> None:
    """The first loss is named, and the others are counted; what loses nothing is not in it."""
    assert environment.loss() == ""
    environment.ignore(NAME, "it takes a number", "2048")
    assert environment.loss() == ""
    environment.ignore("OTEL_TRACES_EXPORTER", "nothing is installed for a", "none", loses="no a")
    line = "flash_otel: OTEL_TRACES_EXPORTER: nothing is installed for a; no a"
    assert environment.loss() == f"{line}: flash-otel doctor"
    environment.ignore("OTEL_TRACES_EXPORTER", "nothing is installed for b", "none", loses="no b")
    assert environment.loss() == f"{line} (and 1 more): flash-otel doctor"


def test_what_fails_is_remembered_without_its_message() -> None:
    """The message of an exception may hold a secret: its type is enough."""

    def fail() -> str:
        raise LookupError(CANARY)

    assert environment.attempt(NAME, fail, "default", uses="2048") == "default"
    assert ignored() == [(NAME, "", "it fails with LookupError", "2048")]


# --- imports and logs ----------------------------------------------------------------------------


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> str:
    """Write a module that is imported nowhere else; return its name."""
    name = f"guarded_{folder.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return name


def test_an_import_without_what_breaks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import is repeated without the variable, which the process has again afterwards."""
    name = module(
        tmp_path,
        monkeypatch,
        "import os\nseen = os.environ.get('OTEL_PROPAGATORS')\n"
        "int(os.environ.get('OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', '1'))\n",
    )
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
    environment.load(name)
    assert sys.modules[name].seen == "tracecontext"
    assert os.environ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"] == "many"
    assert [found[:2] for found in ignored()] == [("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")]


def test_propagators_that_are_installed_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a list of propagators, only those that are missing are left out."""
    source = "import os\nvalue = os.environ['OTEL_PROPAGATORS']\nassert 'b3' not in value\n"
    name = module(tmp_path, monkeypatch, source)
    monkeypatch.setenv("OTEL_PROPAGATORS", "b3, baggage ,tracecontext")
    environment.load(name)
    assert sys.modules[name].value == "baggage,tracecontext"
    assert os.environ["OTEL_PROPAGATORS"] == "b3, baggage ,tracecontext"


def test_an_import_that_no_variable_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the import's own, and no variable is blamed or changed."""
    name = module(tmp_path, monkeypatch, f"raise LookupError({CANARY!r})")
    monkeypatch.setenv("OTEL_PROPAGATORS", "b3")
    with pytest.raises(LookupError, match=CANARY):
        environment.load(name)
    assert ignored() == []
    assert os.environ["OTEL_PROPAGATORS"] == "b3"


def test_complaints_of_this_thread_are_kept_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Inside the block, this thread's complaints are an ignored variable; others' are logged."""
    monkeypatch.setenv("OTEL_PYTHON_CONTEXT", "missing")
    log: Any = logging.getLogger("opentelemetry.context").error
    with environment.quiet("OTEL_PYTHON_CONTEXT"):
        log("mine")
        other = threading.Thread(target=log, args=("another's",))
        other.start()
        other.join()
    log("later")
    assert caplog.messages == ["another's", "later"]
    assert [found[0] for found in ignored()] == ["OTEL_PYTHON_CONTEXT"]
