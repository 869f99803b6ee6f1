from __future__ import annotations

from textwrap import dedent

from support.samples import EPOCH_NS, TRACE

from flash_otel.cli.traces import table_lines
from flash_otel.report import words
from flash_otel.report.layout import UNICODE, Page
from flash_otel.report.listing import TraceEntry

STARTED = words.moment(EPOCH_NS)


def summary(**changes: object) -> TraceEntry:
    """Return the summary of a healthy deployment, with changes."""
    values: dict[str, object] = {
        "trace_id": TRACE,
        "short_id": TRACE[:8],
        "kind": "deploy",
        "deployment_duration_ns": 4_000_000_000,
        "deployment_id": "d1",
        "result": "returned",
        "failed_step": None,
        "verdict": "none",
        "confidence": "certain",
        "sentence": "",
        "root_name": "flash.deploy",
        "start_ns": EPOCH_NS,
        "end_ns": EPOCH_NS + 4_000_000_000,
        "span_count": 8,
        "error_count": 0,
        "outcome": "returned",
        "status": "unset",
        "app_name": "shop",
        "environment_id": "env456",
        "environment_name": "prod",
        "build_id": "abc123",
        "unfinished": False,
    }
    return TraceEntry(**{**values, **changes})  # type: ignore[arg-type]  # values of many types


def text(summaries: list[TraceEntry], width: int | None = None) -> str:
    """Return the table as plain text."""
    lines = table_lines(summaries, Page(width, 12, UNICODE))
    return "".join("".join(part.text for part in line).rstrip() + "\n" for line in lines)


def test_the_table_shows_how_each_deployment_ended() -> None:
    """Healthy, failed, killed, returned with a failure inside, interrupted, and unobserved."""
    found = text(
        [
            summary(),
            summary(status="error", error_count=3),
            summary(unfinished=True, end_ns=None, build_id=None, environment_name=None),
            summary(error_count=1, environment_id=None, app_name=None),
            summary(status="error", error_count=1, outcome="cancelled"),
            summary(outcome="unknown"),
        ]
    )
    pad = " " * (len(STARTED) - len("STARTED"))
    assert found == dedent(f"""\
        TRACE                             STARTED{pad}  TOOK    RESULT           SPANS  NAME          APP   ENVIRONMENT    BUILD
        {TRACE}  {STARTED}  4.00 s  returned         8      flash.deploy  shop  prod (env456)  abc123
        {TRACE}  {STARTED}  4.00 s  failed           8      flash.deploy  shop  prod (env456)  abc123
        {TRACE}  {STARTED}  ?       unfinished       8      flash.deploy  shop  env456
        {TRACE}  {STARTED}  4.00 s  1 failed inside  8      flash.deploy        prod           abc123
        {TRACE}  {STARTED}  4.00 s  cancelled        8      flash.deploy  shop  prod (env456)  abc123
        {TRACE}  {STARTED}  4.00 s  unknown          8      flash.deploy  shop  prod (env456)  abc123
        """)  # noqa: E501 - a table as it is printed


def test_hostile_names_stay_in_their_cell() -> None:
    """Escape sequences and newlines in a name neither end its line nor reach the terminal."""
    found = text([summary(app_name="\x1b[2J\nx", environment_name="[red]")])
    assert len(found.splitlines()) == 2
    assert r"\x1b[2J\nx" in found
    assert "[red] (env456)" in found


def test_long_names_are_cut_on_a_terminal_only() -> None:
    """A pipe gets the whole name, a terminal its beginning and a mark."""
    long = summary(app_name="a" * 100)
    assert "a" * 100 in text([long])
    assert f"{'a' * 40}… " in text([long], width=200)
