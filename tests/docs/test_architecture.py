"""The architecture page matches the package."""

from __future__ import annotations

import re
from typing import Final

from docs.commands import ROOT
from test_strata import FACE, STRATA

TEXT: Final = (ROOT / "docs/architecture.md").read_text("utf-8")
PACKAGE: Final = ROOT / "flash_otel"
OUTSIDE: Final = ("flash_otel/", "tests/", "benchmarks/", "docs/", "page/")


def test_the_strata_are_those_that_are_checked() -> None:
    """The numbered list equals the strata that every import is checked against."""
    listed = TEXT.partition("## Strata")[2].partition("| room |")[0]
    rows = re.findall(r"^(\d+)\. (.*)$", listed, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(STRATA) + 1))
    assert [tuple(re.findall(r"`(\w+)`", row)) for _, row in rows] == list(STRATA)


def test_every_room_is_described() -> None:
    """The table of rooms has a row for each sub-package."""
    table = TEXT.partition("| room | job |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)/`", row)}
    assert named >= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_every_path_exists() -> None:
    """Every file and folder that the page names exists."""
    paths = re.findall(r"`((?:[\w-]+/)+(?:[\w-]+\.\w+)?|[\w-]+\.(?:py|md))`", TEXT)
    assert len(paths) > 20
    bases = {path: ROOT if path.startswith(OUTSIDE) else PACKAGE for path in paths}
    assert [path for path, base in bases.items() if not (base / path).exists()] == []


def test_the_drawing_names_rooms() -> None:
    """Every room in the drawing exists."""
    drawing = TEXT.partition("```mermaid")[2].partition("```")[0]
    rooms = {name.split("/")[0] for name in re.findall(r'\["([a-z/]+):', drawing)}
    assert rooms
    assert rooms <= {room for stratum in STRATA for room in (*stratum, FACE)}
