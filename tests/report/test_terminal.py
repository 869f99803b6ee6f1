from __future__ import annotations

import io
import re
from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.terminals import assert_styles
from rich.console import Console
from support.samples import (
    EPOCH_NS,
    IDS,
    OTHER,
    TRACE,
    failed_deployment,
    healthy_deployment,
    raised,
    span,
)

from flash_otel.records import LINES_SCOPE, Link, SpanRecord
from flash_otel.report import words
from flash_otel.report.layout import page_for, print_lines
from flash_otel.report.trace import trace_lines
from flash_otel.report.view import view_of

if TYPE_CHECKING:
    from collections.abc import Sequence

STARTED = words.moment(EPOCH_NS, has_zone=True)
LINKED_READ = span(
    1,
    None,
    "flash.runtime.fetch",
    196_000,
    196_010,
    trace_id=OTHER,
    attributes={**IDS, "flash.deploy.trace_id": TRACE},
    links=(Link(TRACE, f"{1:016x}"),),
)


def rendered(
    records: Sequence[SpanRecord],
    *,
    width: int = 100,
    encoding: str = "utf-8",
    terminal: bool = False,
    color: str | None = None,
    has_answers: bool = False,
) -> str:
    """Return the bytes that a console of this width and encoding gets, decoded.

    Each style is one of Rich's, which ignores any other.
    """
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(
        file=stream,
        width=width,
        force_terminal=terminal,
        color_system=color,  # type: ignore[arg-type]  # one of Rich's literals
        legacy_windows=False,
    )
    view = view_of(page_for(console), records, has_answers=has_answers)
    lines = trace_lines(records, view)
    assert_styles(lines)
    print_lines(lines, console)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_a_healthy_deployment() -> None:
    """The whole report, literally: tree, durations, bars on one axis, ids, retries."""
    assert rendered(healthy_deployment()) == dedent(f"""\
        trace 0af7651916cd43dd8448eb211c80319c  returned
        {STARTED}  app shop  environment prod

        flash.deploy                        4.00 s  ━━━━━━━━━━━━━━━━━━━━━━━━
        │  environment_id=env456 build_id=abc123 endpoint_count=2
        ├─ flash.build                      1.00 s  ━━━━━━
        ├─ flash.artifact.upload            500 ms        ━━━
        │     retried once: ConnectionError
        ├─ flash.activate                   100 ms           ━
        └─ flash.provision                  2.40 s            ━━━━━━━━━━━━━━
           ├─ flash.provision.endpoint cpu  801 ms            ━━━━━
           ├─ flash.provision.endpoint gpu  802 ms            ━━━━━
           └─ flash.manifest.upload         900 ms                    ━━━━━
        """)


def test_a_failed_deployment_with_a_linked_read() -> None:
    """The cause appears once, where it happened; a worker's own trace lies on the same axis."""
    assert rendered([*failed_deployment(), LINKED_READ]) == dedent(f"""\
        trace 0af7651916cd43dd8448eb211c80319c  failed
        {STARTED}  app shop  environment prod

                                                                    4.00 s┊
        flash.deploy                        4.00 s  ━━━━━━━━━━━━━━━━━━━━━━┊   failed
        │  environment_id=env456 build_id=abc123 endpoint_count=2
        ├─ flash.build                      1.00 s  ━━━━━━                ┊
        ├─ flash.artifact.upload            500 ms        ━━              ┊
        │     retried once: ConnectionError
        ├─ flash.activate                   100 ms          ━             ┊
        └─ flash.provision                  2.40 s           ━━━━━━━━━━━━━┊   failed
           ├─ flash.provision.endpoint cpu  801 ms           ━━━━━        ┊
           ├─ flash.provision.endpoint gpu  802 ms           ━━━━━        ┊
           └─ flash.manifest.upload         900 ms                  ━━━━━ ┊   failed
                 ClientError: HTTP 500

        Linked traces: 1
        ⋯ worker read 3 min 12 s later
        flash.runtime.fetch                  10 ms                        ┊━
           trace {OTHER}  {words.moment(LINKED_READ.start_ns)}
           environment_id=env456 build_id=abc123 endpoint_count=2
        """)


def test_a_folded_wait_within_a_branch_keeps_the_lines_of_the_tree() -> None:
    """The note of a wait stands behind the guides of its row's ancestors."""
    late = [
        span(1, None, "GET /", 0, 1000),
        span(2, 1, "plan", 0, 100),
        span(3, 2, "check", 61_000, 61_100),
        span(4, 1, "answer", 500, 600),
    ]
    assert "\n│  │  ⋯ next span 1 min 00 s later\n│  └─ check " in rendered(late)


@pytest.mark.parametrize(("width", "has_prefix"), [(52, True), (51, False), (46, False)])
def test_names_lose_their_prefix_before_the_bars_go(width: int, *, has_prefix: bool) -> None:
    """Where names and the shortest bars do not fit beside each other, names leave out `flash.`."""
    found = rendered(healthy_deployment(), width=width, terminal=True)
    assert ("├─ flash.build" in found) is has_prefix
    assert "━" in found


def test_many_reads_are_folded_but_not_one_of_another_environment() -> None:
    """Of nine reads, eight are one row; the one of another environment has its own."""
    reads = [
        span(
            n,
            None,
            "flash.runtime.fetch",
            9000 * n,
            9000 * n + 10 + n,
            trace_id=f"{n:032x}",
            attributes={**IDS, **({"flash.environment_id": "xyz789"} if n == 5 else {})},
        )
        for n in range(1, 10)
    ]
    found = rendered([*healthy_deployment(), *reads])
    assert "flash.runtime.fetch \N{MULTIPLICATION SIGN}8               14 ms" in found
    assert "(min 11 ms, median 14 ms, max 19 ms)" in found
    assert "worker reads 5.00 s to 1 min 17 s later" in found
    assert "trace 00000000000000000000000000000005" in found
    assert found.count("environment_id=xyz789 build_id=abc123 endpoint_count=2") == 1


def test_a_killed_deployment_is_unfinished() -> None:
    """A root without an end has an open bar, no duration, and a note."""
    records = [span(1, None, "flash.deploy", 0, None), span(2, 1, "flash.build", 0, 500)]
    assert rendered(records) == dedent(f"""\
        trace 0af7651916cd43dd8448eb211c80319c  unfinished (still running, or killed)
        {STARTED}

        flash.deploy         ?  ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  unfinished
        └─ flash.build  500 ms  ━━━━━━━━━━━━━━━━━━━━━━━━
        """)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_streams_without_box_characters_get_plain_ones(encoding: str) -> None:
    """If the encoding lacks the characters, ASCII draws the tree and text is escaped."""
    records = [
        span(1, None, "flash.deploy", 0, None, attributes={"flash.app_name": "模型"}),
        *(span(n, 1, "flash.call", 0, 500, attributes={}) for n in range(2, 6)),
        span(9, 1, "flash.build", 0, 500, links=(Link(OTHER, "ab" * 8),)),
    ]
    assert rendered(records, encoding=encoding) == dedent(f"""\
        trace 0af7651916cd43dd8448eb211c80319c  unfinished (still running, or killed)
        {STARTED}  app \\u6a21\\u578b

        flash.deploy           ?  ------------------------  unfinished
        |- flash.call x4  500 ms  ========================  (min 500 ms, median 500 ms, max 500 ms)
        `- flash.build    500 ms  ========================
              -> linked trace {OTHER}
        """)


def test_piped_output_has_no_escape_sequences_and_is_not_cut() -> None:
    """A long cause stays on one line for grep, whatever the width."""
    cause = "word " * 60
    records = [span(1, None, "flash.deploy", 0, 1, error=cause)]
    found = rendered(records, width=40, color="auto")
    assert "\x1b" not in found
    assert cause.strip() in found


def test_captured_responses_are_folded() -> None:
    """Redacted responses are counted, and shown below their requests only on demand."""
    said = '{"flashEnvironment": {"id": "e-1", "activeBuildId": null}}'
    requests = [
        span(n, 1, "flash.graphql", n, n + 1, attributes={"flash.graphql.answer": said})
        for n in range(2, 7)
    ]
    records = [span(1, None, "flash.deploy", 0, 9), *requests]
    folded = rendered(records)
    assert "flash.graphql \N{MULTIPLICATION SIGN}5" in folded
    assert said not in folded
    assert folded.endswith("\n5 GraphQL responses were captured; --answers shows them.\n")
    alone = rendered(records[:2])
    assert alone.endswith("\n1 GraphQL response was captured; --answers shows them.\n")
    opened = rendered(records, has_answers=True)
    assert opened.count(f"answer {said}") == 5
    assert "--answers" not in opened
    calls = [span(n, 1, "flash.call", n, n + 1) for n in range(10, 15)]
    assert "flash.call \N{MULTIPLICATION SIGN}5" in rendered([*records, *calls], has_answers=True)


def test_a_long_response_is_cut() -> None:
    """A response of many kilobytes points to --json."""
    asked = {"flash.graphql.answer": "word " * 1000}
    record = span(1, None, "flash.graphql", 0, 1, attributes=asked)
    assert "--json has all" in rendered([record], has_answers=True)


@pytest.mark.parametrize("width", [20, 40, 66, 100, 200])
def test_a_terminal_gets_lines_that_fit(width: int) -> None:
    """On a terminal, labels are cut and sentences wrapped to its width."""
    records = [
        *failed_deployment(),
        span(20, 5, "flash.call", 0, 1, error="a long sentence " * 30),
    ]
    lines = rendered(records, width=max(width, 60), terminal=True).splitlines()[3:]
    assert all(len(line) <= max(width, 60) for line in lines)
    assert rendered(records, width=width, terminal=True)


def test_failures_are_coloured_on_a_terminal() -> None:
    """A terminal with colours shows the failed step in red."""
    found = rendered(failed_deployment(), terminal=True, color="standard")
    assert re.search(r"\x1b\[1;31m +━+ *\x1b\[0m\x1b\[1;31m  failed", found)


HOSTILE = "\x1b[2J\x1b]0;title\x07[bold red]x[/bold red][/nope]\r\n\u202egnp.exe\x9b31m"


def test_hostile_text_is_shown_and_has_no_effect() -> None:
    """Text of a span cannot move the cursor, set colours or break lines."""
    names = ("flash.app_name", "deployment.environment.name", "flash.build_id", "flash.fault")
    attributes = dict.fromkeys(names, HOSTILE)
    record = span(
        1, None, HOSTILE, 0, 1, attributes=attributes, events=(raised(HOSTILE, HOSTILE),), error="x"
    )
    records = [
        replace(record, trace_id=HOSTILE, links=(Link(HOSTILE, HOSTILE),)),
        replace(record, trace_id=OTHER, span_id=HOSTILE, parent_span_id=HOSTILE),
    ]
    for terminal in (False, True):
        found = rendered(records, terminal=terminal, width=400)
        assert not set(found) & {"\x1b", "\x07", "\r", "\u202e", "\x9b"}
        assert r"\x1b[2J\x1b]0;title\x07[bold red]x[/bold red][/nope]\r\n\u202egnp.exe" in found


@pytest.mark.parametrize(
    ("resource", "version"),
    [
        ({"service.version": "1.2", "flash.version": "1.14"}, "  Flash 1.14"),
        ({"service.version": "1.2"}, "  Flash 1.2"),
        ({}, ""),
    ],
    ids=["of Flash", "of the service", "unknown"],
)
def test_the_version_of_flash_stands_above_the_trace(
    resource: dict[str, str], version: str
) -> None:
    """It is the one that Flash reports, else that of the traced service."""
    facts = {"flash.app_name": "shop", "deployment.environment.name": "prod"}
    record = replace(span(1, None, "flash.deploy", 0, 1, attributes=facts), resource=resource)
    first, second, *_ = rendered([record]).splitlines()
    assert first == f"trace {TRACE}  returned"
    assert second == f"{STARTED}  app shop  environment prod{version}"


def test_lines_without_a_time_and_facts_have_nothing_above_them() -> None:
    """What a log has no time for, and no id of its own, begins with its spans."""
    record = replace(span(1, None, "flash.deploy", 0, 0), scope_name=LINES_SCOPE)
    record = replace(record, start_ns=0, end_ns=0)
    assert rendered([record]).startswith("flash.deploy")


def test_a_recording_without_spans() -> None:
    """An empty sequence is not an error."""
    assert rendered([]) == "No spans.\n"


@given(
    st.lists(
        st.builds(
            SpanRecord,
            trace_id=st.sampled_from(["a" * 32, "b" * 32]) | st.text(),
            span_id=st.sampled_from(["1", "2", "3"]) | st.text(),
            parent_span_id=st.none() | st.sampled_from(["1", "2", "3"]),
            name=st.text(),
            kind=st.just("internal"),
            start_ns=st.integers(-(2**63), 2**63),
            end_ns=st.none() | st.integers(-(2**63), 2**63),
            status=st.sampled_from(["unset", "ok", "error"]),
            status_message=st.text(),
            attributes=st.dictionaries(
                st.sampled_from(["flash.build_id", "flash.outcome", "flash.fault"]),
                st.text() | st.integers() | st.lists(st.text()),
            ),
        ),
        max_size=12,
    ),
    st.integers(1, 150),
    st.booleans(),
)
def test_any_recording_renders(records: list[SpanRecord], width: int, terminal: bool) -> None:
    """Any spans render at any width, without control characters except the newline."""
    for encoding in ("utf-8", "ascii"):
        found = rendered(records, width=width, terminal=terminal, encoding=encoding)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", found)
