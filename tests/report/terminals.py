"""Consoles as terminals of a given width, for reports that must fit them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rich.style import Style

from flash_otel.report.layout import ReportConsole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Line

WIDTHS: Final = (60, 80, 100, 140)
# Ids as Runpod makes them.
LONG: Final = {
    "env-prod": "a2d0a0ff-ee7f-4b81-9dae-61745b5ae8de",
    "env-stag": "598a30d1-3880-427c-bea1-bd43cf045e12",
    "build-1": "2a5c26b1-e8c0-4dca-99df-0f25256d47c1",
    "build-2": "62280830-3651-4e4c-b570-56f4784e980b",
}


def with_long_ids(records: Iterable[SpanRecord]) -> list[SpanRecord]:
    """Return the records with ids of a real length."""
    return [replace(record, attributes=_long(record.attributes)) for record in records]


def _long(attributes: Any) -> dict[str, Any]:
    return {
        name: LONG.get(value, value) if isinstance(value, str) else value
        for name, value in attributes.items()
    }


def printed(
    render: Callable[[Console], object],
    width: int,
    *,
    terminal: bool = True,
    color: bool = False,
) -> str:
    """Return what a report prints to a terminal (or a pipe) of this width."""
    stream = io.StringIO()
    console = ReportConsole(
        file=stream,
        width=width,
        force_terminal=terminal,
        color_system="truecolor" if color else None,
        legacy_windows=False,
    )
    render(console)
    return stream.getvalue()


def assert_styles(lines: Iterable[Line]) -> None:
    """Check that Rich knows the style of every part."""
    for style in {part.style for line in lines for part in line}:
        Style.parse(style)
