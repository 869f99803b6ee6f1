"""Writes docs/reference.md from the names in `flash_otel.semconv`.

Run it after a name has changed: `python tests/docs/reference.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flash_otel import semconv

PATH: Final = Path(__file__).parents[2] / "docs" / "reference.md"

TABLES: Final = (
    ("Spans", semconv.SPANS),
    ("Spans of what a worker serves, by the start of their names", semconv.SERVED),
    ("Attributes", semconv.ATTRIBUTES),
    ("Attributes of OpenTelemetry's semantic conventions", semconv.STANDARD_ATTRIBUTES),
    ("Events", semconv.EVENTS),
    ("Faults (values of `flash.fault`)", semconv.FAULTS),
)

HEAD: Final = f"""# Every name that flash_otel emits

The instrumentation scope is `{semconv.SCOPE_NAME}`, with schema URL {semconv.SCHEMA_URL}.
The status of a span is unset on success; on failure it is ERROR with a description, and
`error.type` is set. An unknown attribute is absent, never null. Lists are truncated to 1,000
entries.
"""


def render() -> str:
    """Return the document's text."""
    return HEAD + "".join(_table(title, names) for title, names in TABLES)


def _table(title: str, names: dict[str, str]) -> str:
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in names.items())
    return f"\n## {title}\n\n| name | meaning |\n|---|---|\n{rows}"


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
