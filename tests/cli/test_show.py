from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from support.commands import TIMEOUT, environment, flash_otel, keep
from support.samples import IDS, OTHER, TRACE, failed_deployment, healthy_deployment, span

from flash_otel.cli.show import _diagnose_command
from flash_otel.cli.shown import Shown
from flash_otel.otlp.decode import decode
from flash_otel.records import Link

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_trace_is_shown_by_default(tmp_path: Path) -> None:
    """`show`, `show last`, the full id and its first digits show the same trace."""
    keep(tmp_path, healthy_deployment())
    pages = {
        flash_otel(tmp_path, "show", *words).stdout
        for words in ([], ["last"], [TRACE], [TRACE[:6]], [TRACE[:6].upper()])
    }
    [page] = pages
    assert page.startswith("? no read yet: No worker's read of its endpoints is recorded.\n")
    assert f"\ntrace {TRACE}  returned in 4.00 s\n" in page
    assert "└─ flash.provision " in page
    assert "\x1b" not in page


def test_linked_reads_follow_with_their_children(tmp_path: Path) -> None:
    """A worker's own trace follows, whole, below the deployment that it links to."""
    link = (Link(TRACE, f"{1:016x}"),)
    keep(tmp_path, healthy_deployment())
    keep(
        tmp_path,
        [
            span(
                1, None, "flash.runtime.fetch", 50, 60, trace_id=OTHER, attributes=IDS, links=link
            ),
            span(2, 1, "flash.manifest.fetch", 51, 59, trace_id=OTHER, attributes=IDS),
        ],
    )
    page = flash_otel(tmp_path, "show", TRACE).stdout
    assert page.startswith("✓ no fault found: ")
    assert "\n1 worker read it: fine\n" in page
    assert "Linked traces: 1\nflash.runtime.fetch" in page
    assert "└─ flash.manifest.fetch" in page


def test_json_is_the_whole_trace_as_otlp(tmp_path: Path) -> None:
    """`--json` prints every span, and reading it back gives the recorded spans."""
    records = failed_deployment()
    keep(tmp_path, records)
    found = flash_otel(tmp_path, "show", "--json")
    decoded = {record.key: record for record in decode(json.loads(found.stdout))}
    assert decoded == {
        record.key: replace(
            record,
            origin=decoded[record.key].origin,
            attributes=decoded[record.key].attributes,
            resource=decoded[record.key].resource,
        )
        for record in records
    }
    assert {record.key: dict(record.attributes) for record in records} == {
        key: dict(record.attributes) for key, record in decoded.items()
    }


def test_html_is_written_to_a_file_with_the_diagnosis(tmp_path: Path) -> None:
    """`--html FILE` writes a page with the verdict, and replaces an existing file."""
    keep(tmp_path, failed_deployment())
    file = tmp_path / "trace.html"
    file.write_text("old", encoding="utf-8")
    found = flash_otel(tmp_path, "show", "last", "--html", str(file))
    assert (found.returncode, found.stdout) == (0, f"flash-otel: written to {file}\n")
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert '"verdict":' in page


def test_html_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Without FILE the page is named after its trace, wherever the option stands."""
    keep(tmp_path, healthy_deployment())
    name = f"flash-trace-{TRACE[:8]}.html"
    for words in (
        ["--html"],
        ["last", "--html"],
        ["--html", "--store", str(tmp_path / "spans.db")],
    ):
        found = flash_otel(tmp_path, "show", *words)
        assert (found.returncode, found.stdout) == (0, f"flash-otel: written to {name}\n")
        (tmp_path / name).unlink()


def test_open_writes_the_page_and_opens_it(tmp_path: Path) -> None:
    """`--open` gives the file's address to the user's browser; without one, it says so."""
    keep(tmp_path, healthy_deployment())
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    found = flash_otel(tmp_path, "show", "--open", env={"BROWSER": f"{browser} %s"})
    page = tmp_path / f"flash-trace-{TRACE[:8]}.html"
    assert found.returncode == 0
    assert opened.read_text("utf-8").strip() == page.resolve().as_uri()
    none = flash_otel(tmp_path, "show", "--open", env={"BROWSER": "/no/browser", "PATH": "/none"})
    assert none.returncode == 0
    assert "no browser was found" in none.stderr


def test_html_that_cannot_be_written_is_a_clear_mistake(tmp_path: Path) -> None:
    """A folder as the file, and two formats at once, exit with 2."""
    keep(tmp_path, healthy_deployment())
    folder = flash_otel(tmp_path, "show", "--html", str(tmp_path))
    assert folder.returncode == 2
    assert "cannot write" in folder.stderr
    both = flash_otel(tmp_path, "show", "--json", "--html", str(tmp_path / "x.html"))
    assert both.returncode == 2
    assert not (tmp_path / "x.html").exists()


def test_an_unknown_trace_names_the_command_that_lists(tmp_path: Path) -> None:
    """An unknown or malformed id is an error, not an empty page."""
    keep(tmp_path, healthy_deployment())
    for asked in ("ffff", "nonsense", "'; DROP TABLE spans"):
        found = flash_otel(tmp_path, "show", asked)
        assert found.returncode == 2
        assert "no recorded trace begins with" in found.stderr
        assert "flash-otel traces" in found.stderr


def test_a_prefix_of_several_traces_is_refused(tmp_path: Path) -> None:
    """An ambiguous prefix is an error that names the traces."""
    keep(tmp_path, healthy_deployment())
    keep(tmp_path, [span(1, None, "flash.build", 0, 1, trace_id=f"0af{'0' * 29}")])
    found = flash_otel(tmp_path, "show", "0af")
    assert found.returncode == 2
    assert TRACE in found.stderr


def test_a_stream_without_unicode_gets_ascii(tmp_path: Path) -> None:
    """In the C locale the tree is drawn in ASCII, whatever the spans hold."""
    keep(tmp_path, [span(1, None, "größe", 0, 9), span(2, 1, "模型", 1, 2)])
    found = flash_otel(tmp_path, "show", env={"PYTHONIOENCODING": "ascii"})
    assert found.returncode == 0
    assert "`- \\u6a21\\u578b" in found.stdout


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    """A terminal gets colours, unless NO_COLOR is set."""
    keep(tmp_path, failed_deployment())
    assert b"\x1b[1;31m" in _on_terminal(tmp_path)
    assert b"\x1b[1;31m" not in _on_terminal(tmp_path, NO_COLOR="1")


def _on_terminal(folder: Path, **env: str) -> bytes:
    """Return what `flash-otel show` writes to a terminal."""
    main_end, terminal = os.openpty()
    with os.fdopen(main_end, "rb", buffering=0) as reader:
        process = subprocess.Popen(
            [sys.executable, "-m", "flash_otel", "show"],
            env=environment(folder, TERM="xterm-256color", COLUMNS="100", PAGER="cat", **env),
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        try:
            return _drained(reader.fileno())
        finally:
            process.wait(TIMEOUT)


def _drained(descriptor: int) -> bytes:
    """Read a terminal until its other end is closed, which Linux reports as an error."""
    found = b""
    while True:
        try:
            piece = os.read(descriptor, 65_536)
        except OSError:
            return found
        if not piece:
            return found
        found += piece


def test_the_next_command_names_the_same_sources() -> None:
    """It can be pasted; the password in an address of Jaeger is never printed."""
    shown = Shown(failed_deployment(), None, None)
    assert _diagnose_command(shown, None, "my store.db").endswith(
        f"diagnose --trace {TRACE[:12]} --store 'my store.db'"
    )
    assert _diagnose_command(shown, ["demo"], None).endswith(" --from demo")
    assert _diagnose_command(shown, ["jaeger=http://me:secret@host"], None) == ""
    logged = [replace(record, origin="deploy.log:1") for record in failed_deployment()]
    files = ["deploy.log", "worker.log"]
    assert _diagnose_command(Shown(logged, None, None), files, None).endswith(
        "diagnose --from deploy.log --from worker.log"
    )


def test_a_call_is_shown_with_its_deployment(tmp_path: Path) -> None:
    """Without an argument, the deployment of the last trace is shown, not a worker's call alone."""
    link = (Link(TRACE, f"{1:016x}"),)
    mirrored = {**IDS, "flash.deploy.trace_id": TRACE, "flash.code.deployment_id": f"{1:016x}"}
    keep(tmp_path, healthy_deployment())
    call = span(1, None, "flash.call", 9000, 9010, trace_id=OTHER, attributes=mirrored, links=link)
    keep(tmp_path, [call])
    default = flash_otel(tmp_path, "show").stdout
    assert f"\ntrace {TRACE}  returned in 4.00 s\n" in default
    last = flash_otel(tmp_path, "show", "last").stdout
    assert f"\ntrace {OTHER}  returned\ndeployment trace {TRACE}  returned in 4.00 s\n" in last
