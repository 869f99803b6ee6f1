from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from support.commands import TIMEOUT, environment, flash_otel, keep
from support.samples import IDS, OTHER, TRACE, failed_deployment, healthy_deployment, span

from flash_otel.otlp.decode import decode
from flash_otel.records import Link

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_trace_is_shown_by_default(tmp_path: Path) -> None:
    """`show`, `show last`, the whole id and its first digits lead to the same page."""
    keep(tmp_path, healthy_deployment())
    pages = {
        flash_otel(tmp_path, "show", *words).stdout
        for words in ([], ["last"], [TRACE], [TRACE[:6]], [TRACE[:6].upper()])
    }
    [page] = pages
    assert page.startswith(f"trace {TRACE}  returned\n")
    assert "└─ flash.provision " in page
    assert "\x1b" not in page


def test_reads_that_point_to_the_deployment_follow_with_their_children(tmp_path: Path) -> None:
    """A worker's own trace stands below the deployment that it links to, as a whole."""
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
    assert "Traces linked to this one: 1\nflash.runtime.fetch" in page
    assert "└─ flash.manifest.fetch" in page


def test_json_is_the_whole_trace_as_otlp(tmp_path: Path) -> None:
    """What `--json` prints holds every span and reads back as it was recorded."""
    records = failed_deployment()
    keep(tmp_path, records)
    found = flash_otel(tmp_path, "show", "--json")
    decoded = {one.key: one for one in decode(json.loads(found.stdout))}
    assert decoded == {
        one.key: replace(
            one,
            origin=decoded[one.key].origin,
            attributes=decoded[one.key].attributes,
            resource=decoded[one.key].resource,
        )
        for one in records
    }
    assert {one.key: dict(one.attributes) for one in records} == {
        key: dict(one.attributes) for key, one in decoded.items()
    }


def test_html_is_written_to_a_file_with_the_diagnosis(tmp_path: Path) -> None:
    """`--html FILE` writes one page with the verdict; what was there before is replaced."""
    keep(tmp_path, failed_deployment())
    file = tmp_path / "trace.html"
    file.write_text("old", encoding="utf-8")
    found = flash_otel(tmp_path, "show", "last", "--html", str(file))
    assert (found.returncode, found.stdout) == (0, f"flash-otel: written to {file}\n")
    page = file.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Verdict: " in page


def test_html_that_cannot_be_written_is_a_clear_mistake(tmp_path: Path) -> None:
    """A folder as the file, and two forms at once, are told in a sentence."""
    keep(tmp_path, healthy_deployment())
    folder = flash_otel(tmp_path, "show", "--html", str(tmp_path))
    assert folder.returncode == 2
    assert "cannot write" in folder.stderr
    both = flash_otel(tmp_path, "show", "--json", "--html", str(tmp_path / "x.html"))
    assert both.returncode == 2
    assert not (tmp_path / "x.html").exists()


def test_an_unknown_trace_names_the_command_that_lists(tmp_path: Path) -> None:
    """An id that was not recorded, or is none, is a mistake and no empty page."""
    keep(tmp_path, healthy_deployment())
    for asked in ("ffff", "nonsense", "'; DROP TABLE spans"):
        found = flash_otel(tmp_path, "show", asked)
        assert found.returncode == 2
        assert "no recorded trace begins with" in found.stderr
        assert "flash-otel traces" in found.stderr


def test_a_prefix_of_several_traces_is_refused(tmp_path: Path) -> None:
    """Digits that are not enough to tell traces apart are a mistake that names them."""
    keep(tmp_path, healthy_deployment())
    keep(tmp_path, [span(1, None, "flash.build", 0, 1, trace_id=f"0af{'0' * 29}")])
    found = flash_otel(tmp_path, "show", "0af")
    assert found.returncode == 2
    assert TRACE in found.stderr


def test_a_stream_without_unicode_gets_ascii(tmp_path: Path) -> None:
    """In the C locale the page is drawn in ASCII, whatever the spans hold."""
    keep(tmp_path, [span(1, None, "größe", 0, 9), span(2, 1, "模型", 1, 2)])
    found = flash_otel(tmp_path, "show", env={"PYTHONIOENCODING": "ascii"})
    assert found.returncode == 0
    assert "`- \\u6a21\\u578b" in found.stdout


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    """On a terminal the same page is coloured; with NO_COLOR it is not."""
    keep(tmp_path, failed_deployment())
    assert b"\x1b[1;31m" in _on_terminal(tmp_path)
    assert b"\x1b[1;31m" not in _on_terminal(tmp_path, NO_COLOR="1")


def _on_terminal(folder: Path, **env: str) -> bytes:
    """Return what `flash-otel show` writes to a terminal."""
    main_end, terminal = os.openpty()
    with os.fdopen(main_end, "rb", buffering=0) as reader:
        process = subprocess.Popen(
            [sys.executable, "-m", "flash_otel", "show"],
            env=environment(folder, TERM="xterm-256color", COLUMNS="100", **env),
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
