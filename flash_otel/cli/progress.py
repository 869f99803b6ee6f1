"""A progress bar on standard error, for reading that takes long enough to wonder."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progressing(name: str, verb: str = "reading") -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar while the block runs; None, and no bar, where standard error is no terminal.

    Args:
        name: What is being read.
        verb: What is being done to it.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{verb} {escape(ascii(name)[1:-1])}", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield advance


@contextmanager
def progressing_later(name: str, verb: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function whose first call shows a bar, so that none is there while another one is.

    Args:
        name: What is being worked on.
        verb: What is being done to it.
    """
    with ExitStack() as shown:
        bars: list[Callable[[int, int], None] | None] = []

        def advance(done: int, total: int) -> None:
            if not bars:
                bars.append(shown.enter_context(progressing(name, verb)))
            if bars[0] is not None:
                bars[0](done, total)

        yield advance
