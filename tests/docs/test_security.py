"""SECURITY.md: each claim names its tests, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Final

import pytest
from docs.commands import ROOT

TEXT: Final = (ROOT / "SECURITY.md").read_text("utf-8")
HEADER: Final = "| claim | tested by |\n|---|---|\n"
# Sections that claim nothing.
OTHERS: Final = ("Report a vulnerability", "Who is trusted", "What is not covered")
_NAMED: Final = re.compile(r"`([\w/]+\.py)::(\w+)`")


def sections() -> dict[str, str]:
    """Return the text of each section that claims something, by its heading."""
    found = dict(re.findall(r"^## (.*)\n((?:(?!^## ).*\n?)*)", TEXT, re.MULTILINE))
    return {heading: text for heading, text in found.items() if heading not in OTHERS}


def rows(text: str) -> list[tuple[str, str]]:
    """Return the claims of a section, each with what holds it."""
    table = text.partition(HEADER)[2].strip().splitlines()
    cells = [line.strip("|").split(" | ") for line in table]
    return [(claim.strip(), tests.strip()) for claim, tests in cells]


CLAIMS: Final = [row for text in sections().values() for row in rows(text)]


@cache
def defined_in(file: str) -> dict[str, ast.FunctionDef]:
    """Return the tests that a file defines, by name."""
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("claim", "tests"), CLAIMS, ids=[claim[:50] for claim, _ in CLAIMS])
def test_a_claim_is_held_by_tests(claim: str, tests: str) -> None:
    """Every claim names at least a test; each exists, checks something, and is never skipped."""
    named = _NAMED.findall(tests)
    assert named, claim
    assert _NAMED.sub("", tests).replace(",", "").strip() == ""
    for file, name in named:
        assert name.startswith("test_")
        test = defined_in(file)[name]
        assert ast.get_docstring(test)
        decorators = [ast.unparse(decorator) for decorator in test.decorator_list]
        assert not [
            text
            for text in decorators
            if text.startswith(("pytest.mark.skip(", "pytest.mark.xfail"))
        ]
        assert any(
            isinstance(node, ast.Assert)
            or "raises" in ast.unparse(node)
            or "fail" in ast.unparse(node)
            for node in ast.walk(test)
        )


def test_nothing_is_claimed_without_a_test() -> None:
    """A section of claims is a paragraph that ends with a colon, and a table; nothing else."""
    assert len(CLAIMS) > 40
    for heading, text in sections().items():
        introduction, _, table = text.partition(HEADER)
        assert introduction.strip().endswith(":"), heading
        assert introduction.strip().count("\n\n") == 0, heading
        assert table, heading
        assert all(line.startswith("| ") for line in table.strip().splitlines()), heading


def test_every_test_of_hostile_input_holds_a_claim() -> None:
    """The tests of tests/security stand in the page."""
    named = {(file, name) for _, tests in CLAIMS for file, name in _NAMED.findall(tests)}
    for file in (ROOT / "tests/security").glob("test_*.py"):
        own = {name for name in defined_in(f"security/{file.name}") if name.startswith("test_")}
        assert own == {name for found, name in named if found == f"security/{file.name}"}


def test_every_section_of_the_page_is_checked() -> None:
    """The sections that claim nothing are the listed ones."""
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert set(OTHERS) <= set(headings)
    assert [heading for heading in headings if heading not in OTHERS] == list(sections())
