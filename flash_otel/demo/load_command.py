"""`flash-otel demo --load` on the command line: sends, shows progress, reports."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from flash_otel.demo.load import Load, Report, run
from flash_otel.export import destination as destinations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RAN: Final = 0
COULD_NOT_TELL: Final = 3


def run_load(load: Load, endpoint: str | None, *, json_output: bool = False) -> int:
    """Send a load and print the report.

    Args:
        load: What is sent.
        endpoint: The base URL of an OTLP endpoint; None for the one of the environment.
        json_output: Print one JSON object instead of text.

    Returns:
        0 if everything was acknowledged, else 3.
    """
    destination = destinations.at(endpoint) if endpoint else destinations.configured(["otlp"])[0]
    if destination.protocol == destinations.HTTP_JSON:
        destination = replace(destination, protocol=destinations.HTTP_PROTOBUF)
    print(f"Sending to {destination.host} ({destination.protocol}) ...", file=sys.stderr)  # noqa: T201 - a command
    with _progress(load) as advance:
        report = run(load, destination, advance)
    text = json.dumps(_object(report), indent=2) if json_output else "\n".join(_lines(report))
    sys.stdout.write(f"{text}\n")
    return RAN if report.sent and report.acknowledged == report.sent else COULD_NOT_TELL


def _object(report: Report) -> dict[str, Any]:
    return {**asdict(report), "unanswered": report.unanswered, "rate": round(report.rate, 1)}


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.deployments} deployments, {report.workers} workers in {report.seconds:.1f} s"
    yield f"{report.sent} spans sent, {report.bytes / max(report.sent, 1):.0f} bytes each"
    yield f"{report.acknowledged} acknowledged, {report.rate:.0f} in a second"
    yield f"{report.refused} refused, {report.unanswered} without an answer"
    if report.repeated:
        yield f"{report.repeated} requests were asked to come again, or met no answer"
    if report.reason:
        yield f"last reason: {report.reason}"


@contextmanager
def _progress(load: Load) -> Iterator[Callable[[Report], None]]:
    """Show a bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=load.deployments)

        def advance(report: Report) -> None:
            told = f"{report.acknowledged} spans acknowledged"
            bar.update(task, completed=report.deployments, description=told)

        yield advance
