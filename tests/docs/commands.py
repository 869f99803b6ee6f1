"""Extract the commands and the Python blocks that the documents print."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
DOCUMENTS = sorted([*(ROOT / name for name in _TOP), *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`((?:flash-otel|make|opentelemetry-instrument) [^`]+)`")
_TOOLS = ("flash-otel ", "make ", "opentelemetry-instrument ")
_IN_CHECKOUT = ("make ", ".venv/bin/", "pip ")


def commands(document: Path) -> list[str]:
    """List the project's commands in a document: in code blocks and in backquotes."""
    text = document.read_text(encoding="utf-8")
    blocks = "\n".join(body for language, body in _FENCE.findall(text) if language != "python")
    lines = [line.strip().removeprefix("$ ") for line in blocks.splitlines()]
    printed = [line for line in lines if line.startswith(_TOOLS)]
    spans = [" ".join(span.split()) for span in _SPAN.findall(_FENCE.sub("", text))]
    return list(dict.fromkeys([*printed, *spans]))


def pasteable_lines(document: Path, *, until: str) -> list[str]:
    """List the commands in the code blocks before a heading, for someone in the checkout."""
    text = document.read_text(encoding="utf-8").partition(f"\n{until}\n")[0]
    blocks = [body for language, body in _FENCE.findall(text) if not language]
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(_IN_CHECKOUT)]


def python_blocks(document: Path) -> list[str]:
    """List the document's Python blocks."""
    text = document.read_text(encoding="utf-8")
    return [body for language, body in _FENCE.findall(text) if language == "python"]
