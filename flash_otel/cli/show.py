"""`flash-otel show`: print a single trace with its verdict, or write it to a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.app import COULD_NOT_TELL, CommandError
from flash_otel.cli.open_store import StoreOption
from flash_otel.cli.shown import Shown, is_store, trace_shown
from flash_otel.cli.sources import FromOption, local_limits
from flash_otel.cli.streams import DISK_ERRORS, note, print_text
from flash_otel.runtime.suggestions import PROGRAM

if TYPE_CHECKING:
    from rich.console import Console

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord
    from flash_otel.report.layout import Line


def show(
    trace: Annotated[
        str | None,
        typer.Argument(
            metavar="TRACE",
            help="Trace id, or its first digits; or last, last^1, last^2 ... By default, the "
            "deployment of the last trace.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print OTLP JSON, as the Collector's file exporter writes it."),
    ] = False,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="[FILE]",
            help="Write one HTML file with the diagnosis, to attach to a ticket. Without FILE, it "
            "is flash-trace-<id>.html.",
        ),
    ] = None,
    opens: Annotated[
        bool, typer.Option("--open", help="Write the HTML file, and open it in the browser.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="Show the captured GraphQL responses.")
    ] = False,
    following: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Redraw it until the deployment has ended."),
    ] = False,
    sources: FromOption = None,
    store: StoreOption = None,
) -> int | None:
    """Show a trace as a tree of spans, by default that of the last deployment.

    It begins with the verdict of `diagnose`, and what the workers got. Failed spans and the
    evidence of a fault are expanded, and repeated spans are folded. Reads and calls of the workers
    share its time axis, with long waits folded.
    """
    _refuse_together(json=as_json, html=html is not None or opens, follow=following)
    if following:
        if not is_store(sources):
            raise CommandError("--follow needs the store.", "Leave out --from.")
        return _follow(trace, sources, store, has_answers=answers)
    shown = trace_shown(trace, sources, store)
    if html is not None or opens:
        _write_page(shown, html, opens=opens)
    elif as_json:
        _print_otlp(shown.records)
    else:
        _print_tree(shown, _diagnose_command(shown, sources, store), has_answers=answers)
    return None


def _refuse_together(**options: bool) -> None:
    given = [f"--{name}" for name, is_given in options.items() if is_given]
    if len(given) > 1:
        raise CommandError(f"{' and '.join(given)} exclude each other.", "Give one of them.")


def _follow(
    trace: str | None, sources: "list[str] | None", store: str | None, *, has_answers: bool
) -> int | None:
    from flash_otel.cli.follow import follow_deployment

    def load(name: str | None) -> Shown:
        return trace_shown(name, sources, store)

    def lines(shown: Shown, console: "Console") -> "list[Line]":
        command = _diagnose_command(shown, sources, store)
        return _lines(shown, command, console, has_answers=has_answers)

    return follow_deployment(load, trace, lines)


def _diagnose_command(shown: Shown, sources: "list[str] | None", store: str | None) -> str:
    """Return the command that shows the diagnosis in full; empty if it would show a password."""
    import shlex

    names = sources or []
    if any("@" in name for name in names):  # of a Jaeger, as in http://user:password@host
        return ""
    words = [PROGRAM, "diagnose"]
    first = shown.records[0]
    if not first.origin:
        words += ["--trace", first.trace_id[:12]]
    words += [word for name in names for word in ("--from", shlex.quote(name))]
    words += ["--store", shlex.quote(store)] if store else []
    return " ".join(words)


def _write_page(shown: Shown, named: str | None, *, opens: bool) -> None:
    """Write the page of a trace, and print where it is.

    Args:
        shown: The trace.
        named: The file that the user named; empty or None for a name that is made up.
        opens: Whether to open the file in the user's browser.

    Raises:
        CommandError: The file cannot be written.
    """
    from flash_otel.cli.sources import is_running
    from flash_otel.report.html import trace_html
    from flash_otel.report.words import clean

    file = Path(named or _name_for(shown.records[0]))
    diagnosis = shown.diagnosis or _diagnosis(shown.records)
    page = trace_html(shown.records, diagnosis, is_running)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, error) from error
    print_text(f"flash-otel: written to {clean(file)}")
    if opens:
        _open(file)


def _unwritable(file: Path, error: OSError) -> CommandError:
    """Return the error for a file that the user named: a full disk is no mistake."""
    message = f"cannot write {file}: {error.strerror}."
    if error.errno in DISK_ERRORS:
        step = "Free disk space, or name a file on another disk."
        return CommandError(message, step, COULD_NOT_TELL)
    return CommandError(message, "Name a file in a writable folder.")


def _name_for(record: "SpanRecord") -> str:
    from flash_otel.records import LINES_SCOPE

    # The id of a trace that was rebuilt from bracketed lines is made up.
    is_made_up = record.scope_name == LINES_SCOPE
    return "flash-trace.html" if is_made_up else f"flash-trace-{record.trace_id[:8]}.html"


def _diagnosis(records: "list[SpanRecord]") -> "Diagnosis":
    from flash_otel.diagnosis import diagnose

    return diagnose(records, trace_id=records[0].trace_id, limits=local_limits())


def _open(file: Path) -> None:
    import webbrowser

    if not webbrowser.open(file.resolve().as_uri()):
        note("flash-otel: no browser was found; open the file in one.")


def _print_otlp(records: "list[SpanRecord]") -> None:
    import json

    from flash_otel.otlp.encode import encode_json

    print(json.dumps(encode_json(records), indent=2))


def _print_tree(shown: Shown, command: str, *, has_answers: bool) -> None:
    from flash_otel.report.layout import ReportConsole, print_lines

    console = ReportConsole()
    print_lines(_lines(shown, command, console, has_answers=has_answers), console)


def _lines(shown: Shown, command: str, console: "Console", *, has_answers: bool) -> "list[Line]":
    import time

    from flash_otel.report.layout import page_for
    from flash_otel.report.trace import trace_lines
    from flash_otel.report.view import view_of

    overview = shown.overview
    now_ns = time.time_ns() if overview and overview.is_running else None
    view = view_of(
        page_for(console), shown.records, overview, has_answers=has_answers, now_ns=now_ns
    )
    return trace_lines(shown.records, view, command)
