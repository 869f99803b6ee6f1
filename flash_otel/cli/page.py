"""The HTML file of `flash-otel show --html` and `--open`: written, named, opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flash_otel.cli.app import COULD_NOT_TELL, CommandError
from flash_otel.cli.streams import DISK_ERRORS, note

if TYPE_CHECKING:
    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord


def write_page(
    records: list[SpanRecord], diagnosis: Diagnosis | None, named: str | None, *, opens: bool
) -> None:
    """Write the page of a trace, and print where it is.

    Args:
        records: The spans of the trace, with those of linked traces after them.
        diagnosis: Their diagnosis; None if nothing that was recorded matches the trace.
        named: The file that the user named; empty or None for a name that is made up.
        opens: Whether to open the file in the user's browser.

    Raises:
        CommandError: The file cannot be written.
    """
    from flash_otel.report.html import trace_html
    from flash_otel.report.words import clean

    file = Path(named or _name_for(records[0]))
    page = trace_html(records, diagnosis or _diagnosis(records))
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise unwritable(file, error) from error
    print(f"flash-otel: written to {clean(file)}")
    if opens:
        _open(file)


def unwritable(file: Path, error: OSError) -> CommandError:
    """Return the error for a file that the user named: a full disk is no mistake."""
    message = f"cannot write {file}: {error.strerror}."
    if error.errno in DISK_ERRORS:
        step = "Free disk space, or name a file on another disk."
        return CommandError(message, step, COULD_NOT_TELL)
    return CommandError(message, "Name a file in a writable folder.")


def _name_for(record: SpanRecord) -> str:
    from flash_otel.records import LINES_SCOPE

    # The id of a trace that was rebuilt from bracketed lines is made up.
    is_made_up = record.scope_name == LINES_SCOPE
    return "flash-trace.html" if is_made_up else f"flash-trace-{record.trace_id[:8]}.html"


def _diagnosis(records: list[SpanRecord]) -> Diagnosis:
    from flash_otel.cli.sources import is_running
    from flash_otel.diagnosis import Limits, diagnose

    return diagnose(records, trace_id=records[0].trace_id, limits=Limits(is_running=is_running))


def _open(file: Path) -> None:
    import webbrowser

    if not webbrowser.open(file.resolve().as_uri()):
        note("flash-otel: no browser was found; open the file in one.")
