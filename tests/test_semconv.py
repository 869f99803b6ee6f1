"""The table of names: each name is unique, has a meaning, and every emitted name is listed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from opentelemetry import semconv as conventions

from flash_otel import semconv

PACKAGE = Path(semconv.__file__).parent
TABLES = {
    "spans": semconv.SPANS,
    "attributes": semconv.ATTRIBUTES,
    "standard": semconv.STANDARD_ATTRIBUTES,
    "events": semconv.EVENTS,
    "faults": semconv.FAULTS,
}
CONSTANTS = {
    name: value
    for name, value in vars(semconv).items()
    if name.isupper() and isinstance(value, str)
}
# Values, not names: they may repeat one another.
VALUES = {"SCOPE_NAME", "SCHEMA_URL", "CARRIER_KEY"}


def test_names_are_unique() -> None:
    """No attribute is in two tables, and no table has two constants for one name."""
    attributes = [*semconv.ATTRIBUTES, *semconv.STANDARD_ATTRIBUTES]
    assert len(attributes) == len(set(attributes))
    names = [name for table in TABLES.values() for name in table]
    tabled = [name for name, value in CONSTANTS.items() if value in names]
    assert len(tabled) == len(names), "two constants share a name, or a name has none"


@pytest.mark.parametrize("table", TABLES)
def test_each_has_a_meaning(table: str) -> None:
    """Every name has a meaning that ends as a sentence, and no two have the same."""
    meanings = list(TABLES[table].values())
    assert all(meaning.endswith(".") for meaning in meanings)
    assert len(meanings) == len(set(meanings))


def test_every_constant_is_in_a_table() -> None:
    """A constant that looks like an emitted name is in its table."""
    names = {name for table in TABLES.values() for name in table}
    for name, value in CONSTANTS.items():
        if "." in value and name not in VALUES:
            assert value in names, f"{name} is in no table"


def test_names_are_well_formed() -> None:
    """Names are lower case, dotted, and under `flash.`; faults are words."""
    for table in (semconv.SPANS, semconv.ATTRIBUTES):
        assert all(re.fullmatch(r"flash(\.[a-z][a-z0-9_]*)+", name) for name in table)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in semconv.FAULTS)


def emitted() -> dict[str, set[str]]:
    """Find every string in the code that is a `flash.` name, and its files."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "semconv.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in re.findall(r"(?<![\w./-])flash\.[a-z_]+(?:\.[a-z_]+)*", node.value):
                    found.setdefault(name, set()).add(path.relative_to(PACKAGE).as_posix())
    return found


def test_every_emitted_name_is_in_the_table() -> None:
    """A name that a module spells out is in the table."""
    names = {name for table in TABLES.values() for name in table}
    names.add("flash.exe")  # a program's
    stray = {name: files for name, files in emitted().items() if name not in names}
    assert stray == {}


def test_what_spans_say_is_in_the_table() -> None:
    """Every attribute and span that the table of spans publishes or inherits has a meaning."""
    from flash_otel.tracing import specs

    found = [spec for spec in vars(specs).values() if isinstance(spec, specs.SpanSpec)]
    assert {spec.name for spec in found} == semconv.EVIDENCE | semconv.SERVED.keys()
    known = {**semconv.ATTRIBUTES, **semconv.STANDARD_ATTRIBUTES}
    for spec in found:
        assert {*spec.inherits, *spec.inherits_at_end, *spec.publishes} <= set(known)


def published() -> set[str]:
    """Collect every attribute name of the installed conventions, from their own files."""
    found: set[str] = set()
    for root in conventions.__path__:
        for path in Path(root).rglob("*_attributes.py"):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
                    found.add(str(node.value.value))
    return found


def test_standard_names_are_the_conventions() -> None:
    """Standard names are those of the installed conventions."""
    assert set(semconv.STANDARD_ATTRIBUTES) - published() == set()
