"""`flash-otel ui`: the recorded deployments as a local web page."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flash_otel.cli.app import CommandError
from flash_otel.cli.open_store import StoreOption, listing_from
from flash_otel.cli.sources import (
    STORE,
    FilesArgument,
    FromOption,
    Selection,
    SinceOption,
    local_limits,
    resolved,
    since_ns,
    sources_of,
)
from flash_otel.cli.streams import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.store.store import SpanStore
    from flash_otel.ui.documents import UiSource


def ui(
    files: FilesArgument = None,
    since: SinceOption = None,
    opens: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open", help="Open the page in the browser. By default, on a terminal."
        ),
    ] = None,
    sources: FromOption = None,
    store: StoreOption = None,
) -> None:
    """Show the recorded deployments in the browser, until Ctrl-C.

    The page is served to this machine only, and only to a browser that opens the printed address.
    """
    source = ui_source(sources_of(files, sources), Selection(store, since_ns(since)))
    try:
        from flash_otel.ui.documents import SourceError
        from flash_otel.ui.server import serve
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "flash_otel":
            raise
        from flash_otel.runtime.interpreters import install_command

        command = install_command(Path(sys.executable), "ui")
        raise CommandError(
            f"`flash-otel ui` needs {error.name}.", f"Install it: {command}"
        ) from error
    is_opened = sys.stdout.isatty() and _has_display() if opens is None else opens
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        try:
            serve(source, listener, partial(_announce, opens=is_opened))
        except SourceError as error:
            raise (error.__cause__ or error) from None
        except KeyboardInterrupt:
            note("flash-otel: stopped")


def ui_source(names: list[str] | None, selection: Selection) -> UiSource:
    """Return what the page shows.

    Args:
        names: The values of `--from`; None for the store.
        selection: The wanted records.
    """
    from flash_otel.store.store import locate
    from flash_otel.ui.documents import SourceError, UiSource

    given, chosen = resolved(names or [STORE], selection)

    @contextmanager
    def opened() -> Iterator[tuple[SpanStore, RecordedSpans] | None]:
        try:
            with listing_from(names, selection, evidence_since_ns=selection.earliest) as found:
                yield found
        except CommandError as error:
            raise SourceError(error.message) from error

    return UiSource(
        open=opened,
        path=locate(chosen.store) if given == [STORE] else None,
        limits=local_limits,
    )


def _has_display() -> bool:
    """Return whether a browser has a window: in a terminal, it would take the terminal."""
    if sys.platform in {"darwin", "win32"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _announce(address: str, for_browser: str, *, opens: bool) -> None:
    print(f"flash-otel: {address}")
    print("Only this machine can open it. Ctrl-C ends it.", flush=True)
    if opens:
        import webbrowser

        if not webbrowser.open(for_browser):
            note("flash-otel: no browser was found; open the address in one.")
