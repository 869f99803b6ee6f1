"""`flash-otel show --follow`: draw a deployment again and again until it has ended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flash_otel.cli.app import INTERRUPTED, MissingError
from flash_otel.cli.streams import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from flash_otel.cli.shown import Shown
    from flash_otel.report.layout import Line

    Draw = Callable[[Sequence[Line]], None]

_INTERVAL_S: Final = 0.5


def follow_deployment(
    load: Callable[[str | None], Shown],
    trace: str | None,
    lines: Callable[[Shown, Console], list[Line]],
) -> int | None:
    """Draw a trace until its deployment has ended; without any recording, wait for the first.

    On a terminal, each drawing replaces the one before it. Elsewhere, only the last one is printed.

    Args:
        load: Returns a trace by its name; without a name, the deployment of the last one.
        trace: The trace's name, or None.
        lines: Returns the lines of a drawing.

    Returns:
        The exit status: that of an interrupt after Ctrl-C.

    Raises:
        CommandError: There is no such trace, or the store cannot be read.
    """
    from flash_otel.report.layout import ReportConsole

    console = ReportConsole()
    try:
        shown = _first(load, trace)
        with _drawing(console) as draw:
            draw(lines(shown, console))
            while shown.is_running:
                time.sleep(_INTERVAL_S)
                # By its id: a later trace may have become the last one.
                shown = load(shown.records[0].trace_id)
                draw(lines(shown, console))
    except KeyboardInterrupt:
        return INTERRUPTED
    return None


def _first(load: Callable[[str | None], Shown], trace: str | None) -> Shown:
    """Return what is shown first, once something is recorded."""
    is_waiting = False
    while True:
        try:
            return load(trace)
        except MissingError:
            if trace is not None:
                raise
        if not is_waiting:
            note("flash-otel: nothing is recorded yet; waiting for a deployment (Ctrl-C to stop)")
            is_waiting = True
        time.sleep(_INTERVAL_S)


@contextmanager
def _drawing(console: Console) -> Iterator[Draw]:
    """Yield a function that draws lines in place of those that it drew before."""
    from rich.console import Group
    from rich.live import Live

    from flash_otel.report.layout import print_lines, texts

    if not console.is_terminal or console.is_dumb_terminal:
        last: list[Line] = []
        yield lambda lines: last.__setitem__(slice(None), lines)
        print_lines(last, console)
        return
    # Of more lines than the terminal has, the first ones are shown until the end.
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda lines: live.update(Group(*texts(lines, console)), refresh=True)
