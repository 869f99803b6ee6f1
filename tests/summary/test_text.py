"""The text of a summary: what it says of a deployment, and how it fits a terminal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import TRACE, failed_deployment, healthy_deployment, span

from flash_otel.store.location import state_folder
from flash_otel.summary.text import Summary, command_for, summarize

if TYPE_CHECKING:
    from flash_otel.records import SpanRecord

STORE = Path("/tmp/my stores/spans.db")
MORE = f"  More: flash-otel show {TRACE[:12]} --store '/tmp/my stores/spans.db'"
STEPS = "  build 1.00 s, artifact upload 500 ms, activation 100 ms, provisioning 2.40 s"


def text(records: list[SpanRecord], width: int | None = None) -> str:
    """Return the summary's lines as one text."""
    summary = summarize(records, STORE)
    assert summary is not None
    return "\n".join(summary.lines(width))


def test_a_success_has_target_duration_steps_and_command() -> None:
    """A pipe gets three lines, none of which is broken."""
    assert text(healthy_deployment()) == (
        "flash-otel: shop was deployed to prod in 4.00 s, and no fault is visible so far\n"
        f"{STEPS}\n{MORE}"
    )


AT_WIDTHS = {
    60: f"""\
flash-otel: shop was deployed to prod in 4.00 s, and no
    fault is visible so far
  build 1.00 s, artifact upload 500 ms, activation 100 ms,
    provisioning 2.40 s
  More: flash-otel show {TRACE[:12]} --store \\
    '/tmp/my stores/spans.db'""",
    80: f"""\
flash-otel: shop was deployed to prod in 4.00 s, and no fault is visible so far
{STEPS}
{MORE}""",
}


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_terminal_gets_lines_that_fit(width: int) -> None:
    """Lines break between words, and a command as a shell continues it."""
    found = text(healthy_deployment(), width)
    assert found == AT_WIDTHS.get(width, AT_WIDTHS[80])
    assert max(map(len, found.splitlines())) <= width


def test_a_failure_names_its_step_and_cause() -> None:
    """The innermost failed step is the cause, and the failed steps are marked."""
    first, steps, _ = text(failed_deployment()).splitlines()
    assert first == "flash-otel: the manifest upload failed: ClientError: HTTP 500"
    assert steps.endswith("activation 100 ms, provisioning 2.40 s (failed)")


def test_an_interruption_is_no_failure() -> None:
    """After Ctrl-C, the interrupted step is named."""
    cancelled = {"flash.outcome": "cancelled"}
    records = [
        span(1, None, "flash.deploy", 0, 9, error="KeyboardInterrupt", attributes=cancelled),
        span(2, 1, "flash.build", 1, 8, error="KeyboardInterrupt", attributes=cancelled),
    ]
    assert text(records).splitlines()[:2] == [
        "flash-otel: interrupted during the build",
        "  build 7.00 ms (cancelled)",
    ]


@pytest.mark.parametrize("code", ["stale_build", "manifest_not_persisted"])
def test_a_visible_fault_is_named_and_diagnosed(code: str) -> None:
    """Although the deployment succeeded, its fault comes first; the command diagnoses it."""
    fault = {"flash.fault": code, "flash.outcome": "returned"}
    records = [
        *healthy_deployment(),
        span(9, 1, "flash.activate", 1500, 1600, error=code, attributes=fault),
    ]
    first, *_, last = text(records).splitlines()
    assert first.startswith(f"flash-otel: {code}: The ")
    assert f"flash-otel diagnose --trace {TRACE[:12]}" in last


def test_a_deployment_without_an_endpoint_is_a_fault() -> None:
    """Flash reports success, but nothing runs; a failed deployment has a better cause."""
    empty = {"flash.endpoint_count": 0}
    first, last = text([span(1, None, "flash.deploy", 0, 9, attributes=empty)]).splitlines()
    assert first.startswith("flash-otel: nothing_deployed: ")
    assert "diagnose --trace" in last
    failed = span(1, None, "flash.deploy", 0, 9, error="no", attributes=empty)
    assert text([failed]).startswith("flash-otel: the deployment failed: no\n")


def test_a_created_environment_is_named() -> None:
    """A misspelt name shows at once."""
    made = span(9, 1, "flash.activate", 1500, 1600, attributes={"flash.environment.created": True})
    assert text([*healthy_deployment(), made]).startswith(
        "flash-otel: shop was deployed to prod, an environment that it created, in 4.00 s, and no"
    )


def test_a_created_environment_is_no_fault() -> None:
    """A note on a span does not turn a success into a fault."""
    noted = span(9, 1, "flash.build", 0, 9, attributes={"flash.fault": "environment_created"})
    assert "no fault is visible" in text([*healthy_deployment(), noted])


def test_without_the_end_of_a_deployment_there_is_none() -> None:
    """A deployment that still runs has no summary, nor have other spans."""
    assert summarize([span(1, None, "flash.deploy", 0, None)], STORE) is None
    assert summarize([span(1, None, "flash.call", 0, 9)], STORE) is None
    assert summarize([], STORE) is None


def test_a_build_alone_has_a_summary() -> None:
    """`flash build` has no deployment, and no steps."""
    summary = summarize([span(1, None, "flash.build", 0, 900)], None)
    assert summary == Summary("the build took 900 ms, and no fault is visible so far")


def test_without_a_store_there_is_no_command() -> None:
    """A command that would find nothing is not printed."""
    summary = summarize(healthy_deployment(), None)
    assert summary is not None
    assert list(summary.lines(None))[1:] == [STEPS]


def test_the_default_store_needs_no_option() -> None:
    """Only another path is named, even if a variable names it in this process."""
    default = state_folder() / "spans.db"
    assert command_for(healthy_deployment(), default) == f"flash-otel show {TRACE[:12]}"


def test_hostile_names_have_no_effect() -> None:
    """Names from a project cannot move the cursor or begin a line."""
    named = {"flash.app_name": "\x1b[2J\nx", "deployment.environment.name": "\u202egnp"}
    found = text([span(1, None, "flash.deploy", 0, 9, attributes=named)])
    assert r"\x1b[2J\nx was deployed to \u202egnp in 9.00 ms" in found
    assert not set(found) & {"\x1b", "\u202e"}


words = st.text("abc/-'模", min_size=1, max_size=5)


@given(st.lists(words, min_size=1, max_size=30), st.integers(40, 140))
def test_any_summary_fits_and_loses_nothing(found: list[str], width: int) -> None:
    """No line is longer than the width, and the command stays the same command."""
    command = shlex.join(["flash-otel", *found])
    lines = list(Summary(" ".join(found), " ".join(found), command).lines(width))
    assert all(sum(2 if mark == "模" else 1 for mark in line) <= width for line in lines)
    begin = next(number for number, line in enumerate(lines) if line.startswith("  More: "))
    assert " ".join(lines[:begin]).split() == ["flash-otel:", *found, *found]
    pasted = "\n".join(lines[begin:]).removeprefix("  More: ")
    assert shlex.split(pasted.replace("\\\n", " ")) == ["flash-otel", *found]
