from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from report.terminals import LONG, printed, with_long_ids
from support.samples import TRACE, failed_deployment, healthy_deployment, span

from flash_otel.report import layout
from flash_otel.report.ending import REMEDIES, ending_lines, remedy, render_ending
from flash_otel.report.layout import UNICODE, Page, Part
from flash_otel.summary.text import sentence_of

if TYPE_CHECKING:
    from rich.console import Console

    from flash_otel.records import SpanRecord

PAGE = Page(None, 12, UNICODE)
COMMAND = f"flash-otel show {TRACE[:12]}"


def text(records: list[SpanRecord], status: int) -> str:
    """Return the report as plain text."""
    lines = ending_lines(records, status, PAGE, COMMAND)
    return "".join("".join(part.text for part in line).rstrip() + "\n" for line in lines)


def test_a_failure_shows_step_cause_durations_and_remedy() -> None:
    """The report of a failure answers the first questions without a further command."""
    assert text(failed_deployment(), 1) == dedent("""\

        flash-otel: the manifest upload failed: ClientError: HTTP 500

        flash.deploy                        4.00 s  ━━━━━━━━━━━━  failed
        │  environment_id=env456 build_id=abc123 endpoint_count=2
        ├─ flash.build                      1.00 s  ━━━
        ├─ flash.artifact.upload            500 ms     ━
        │     retried once: ConnectionError
        ├─ flash.activate                   100 ms      ━
        └─ flash.provision                  2.40 s       ━━━━━━━  failed
           ├─ flash.provision.endpoint cpu  801 ms       ━━━
           ├─ flash.provision.endpoint gpu  802 ms       ━━━
           └─ flash.manifest.upload         900 ms           ━━━  failed
                 ClientError: HTTP 500

        What to do: The new build is active, but workers may not find its endpoints. Deploy again.
        More:       flash-otel show 0af7651916cd
        """)


def test_a_failure_outside_of_every_step_is_not_blamed_on_one() -> None:
    """If all recorded steps returned, the report names only flash's exit status."""
    said = text(healthy_deployment(), 3)
    assert said.startswith(
        "flash-otel: every recorded step returned, but flash exited with status 3\n"
    )
    assert "What to do" not in said


def test_an_interrupt_names_the_interrupted_step() -> None:
    """After Ctrl-C, the step is reported as interrupted, not as failed."""
    cancelled = {"flash.outcome": "cancelled"}
    records = [
        span(1, None, "flash.deploy", 0, 9, error="KeyboardInterrupt", attributes=cancelled),
        span(2, 1, "flash.build", 1, 9, error="KeyboardInterrupt", attributes=cancelled),
    ]
    said = text(records, 1)
    assert "flash-otel: interrupted during the build\n" in said
    assert "Nothing was activated: the environment runs what it ran before. Deploy again." in said


def test_a_lost_response_is_unknown_and_not_failed() -> None:
    """An upload whose response was lost may have taken effect."""
    unknown = {"flash.outcome": "unknown"}
    records = [span(1, None, "flash.manifest.upload", 0, 9, error="timeout", attributes=unknown)]
    assert "the outcome of the manifest upload is unknown: timeout\n" in text(records, 1)


def test_what_a_failure_left_behind_depends_on_the_activation() -> None:
    """The remedy depends on whether the environment was touched."""
    failed = span(1, None, "flash.deploy", 0, 9, error="no such app")
    activated = span(2, 1, "flash.activate", 1, 2)
    refused = span(2, 1, "flash.activate", 1, 2, error="HTTP 401")
    assert "Nothing was activated" in text([failed], 1)
    assert "The new build is active." in text([failed, activated], 1)
    assert "still runs its previous build" in text([failed, refused], 1)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_report_fits_its_terminal(width: int, *, terminal: bool) -> None:
    """On a terminal no line is longer than it; a pipe gets whole lines at any width."""
    ids = {"flash.environment_id": "env-prod", "flash.build_id": "build-1"}
    failed = span(9, 5, "flash.manifest.upload", 0, 9, error="a word " * 30, attributes=ids)
    records = with_long_ids([*healthy_deployment(), failed])

    def render(console: Console) -> None:
        render_ending(records, console, 1, COMMAND)

    found = printed(render, width, terminal=terminal)
    longest = max(map(len, found.splitlines()))
    assert longest <= width if terminal else longest > 200
    # A terminal gets the beginnings of ids, as in `show`.
    shown = {name: LONG[name][:8] if terminal else LONG[name] for name in LONG}
    assert f"environment_id={shown['env-prod']}" in found.split()
    assert f"build_id={shown['build-1']}" in found.split()
    coloured = printed(render, width, terminal=terminal, color=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == found


UNTOUCHED = "Nothing was activated: the environment runs what it ran before."


@pytest.mark.parametrize(
    ("name", "outcome", "is_activated", "expected"),
    [
        ("flash.build", "cancelled", False, f"{UNTOUCHED} Deploy again."),
        ("flash.build", "cancelled", True, REMEDIES["flash.manifest.upload"]),
        ("flash.build", "failed", True, REMEDIES["flash.build"]),
        ("flash.build", "failed", False, REMEDIES["flash.build"]),
        ("flash.build", "unknown", False, REMEDIES["flash.build"]),
        ("flash.deploy", "failed", False, f"{UNTOUCHED} Fix the cause and deploy again."),
        ("flash.deploy", "failed", True, REMEDIES["flash.deploy"]),
        ("flash.activate", "failed", False, REMEDIES["flash.activate"]),
        ("flash.manifest.fetch", "failed", False, REMEDIES["flash.runtime.fetch"]),
        ("flash.provision.endpoint", "failed", True, REMEDIES["flash.provision"]),
        ("someone.else", "failed", False, "Fix the cause and try again."),
    ],
)
def test_each_remedy(name: str, outcome: str, expected: str, *, is_activated: bool) -> None:
    """An interruption depends on what was activated, a failure on its step."""
    record = span(1, None, name, 0, 1, error="no", attributes={"flash.outcome": outcome})
    assert remedy(record, is_activated=is_activated) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("returned", REMEDIES["flash.deploy"]),
        ("unknown", REMEDIES["flash.deploy"]),
        ("cancelled", REMEDIES["flash.deploy"]),
        ("failed", f"{UNTOUCHED} Fix the cause and deploy again."),
    ],
)
def test_what_may_have_been_activated(outcome: str, expected: str) -> None:
    """Only an activation that failed has certainly left the environment as it was."""
    activation = span(2, None, "flash.activate", 5, 6, attributes={"flash.outcome": outcome})
    deploy = span(1, None, "flash.deploy", 0, 2, error="no such app")
    advice = ending_lines([deploy, activation], 1, PAGE, COMMAND)[-2]
    assert advice == (Part("What to do: ", "bold", 2), Part(expected))


MORE = (Part("More:       ", "bold", 2), Part(COMMAND, breaks=layout.COMMAND))


@pytest.mark.parametrize(
    ("outcome", "style"), [("failed", "bold red"), ("cancelled", "yellow"), ("unknown", "yellow")]
)
def test_what_stands_out_in_a_report(outcome: str, style: str) -> None:
    """The step and its cause have the colour of the outcome; the command can be pasted."""
    record = span(1, None, "flash.build", 0, 1, error="no", attributes={"flash.outcome": outcome})
    blank, first, gap, *tree, end, advice, more = ending_lines([record], 1, PAGE, COMMAND)
    assert (blank, gap, end, bool(tree)) == ((), (), (), True)
    assert first == (Part(f"flash-otel: {sentence_of(record)}", style, 2),)
    said = remedy(record, is_activated=False)
    assert (advice, more) == ((Part("What to do: ", "bold", 2), Part(said)), MORE)


def test_an_exit_without_a_failed_step_stands_out() -> None:
    """It is doubtful rather than a failure, and has the command alone."""
    assert ending_lines(healthy_deployment(), 3, PAGE, COMMAND) == [
        (
            Part(
                "flash-otel: every recorded step returned, but flash exited with status 3",
                "yellow",
                2,
            ),
        ),
        MORE,
    ]
