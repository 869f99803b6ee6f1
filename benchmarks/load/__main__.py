"""Sends recorded deployments and workers, with fresh ids and times, to an OTLP endpoint.

    python benchmarks/load [--endpoint URL] [--deployments N] [--workers N] [--rate R] ...

Without --endpoint the OTEL_EXPORTER_OTLP_* variables name it. Every twentieth deployment has a
fault. Exit status 0 if every span was acknowledged, else 3.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from load.generator import Load, LoadReport, run

from flash_otel.export import destination as destinations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ACKNOWLEDGED: Final = 0
NOT_ACKNOWLEDGED: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Send a load and print the report; return the exit status."""
    options = _parser().parse_args(arguments)
    load = Load(options.deployments, options.workers, options.rate, options.seconds, options.batch)
    destination = (
        destinations.at(options.endpoint)
        if options.endpoint
        else destinations.configured(["otlp"])[0]
    )
    if destination.protocol == destinations.HTTP_JSON:
        # The copies are made in protobuf.
        destination = replace(destination, protocol=destinations.HTTP_PROTOBUF)
    print(f"Sending to {destination.host} ({destination.protocol}) ...", file=sys.stderr)
    with _progress(load) as advance:
        report = run(load, destination, advance)
    print(json.dumps(_object(report), indent=2) if options.json else "\n".join(_lines(report)))
    whole = report.sent and report.acknowledged == report.sent
    return ACKNOWLEDGED if whole else NOT_ACKNOWLEDGED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="load", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--endpoint", metavar="URL", help="base URL of the OTLP endpoint")
    for name, kind, low, high, default, text in (
        ("deployments", int, 1, 10_000_000, 100, "maximum number of deployments"),
        ("workers", int, 0, 10_000, 10, "workers of each deployment"),
        ("rate", float, 0, float("inf"), 0.0, "spans per second; 0 for no limit"),
        ("seconds", float, 0.1, 86_400, 60.0, "time limit"),
        ("batch", int, 1, 10_000, 512, "minimum number of spans in a request"),
    ):
        number = _between(kind, low, high)
        parser.add_argument(f"--{name}", type=number, metavar="N", default=default, help=text)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _between(kind: type[float], low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    return number


def _object(report: LoadReport) -> dict[str, Any]:
    return {**asdict(report), "unanswered": report.unanswered, "rate": round(report.rate, 1)}


def _lines(report: LoadReport) -> Iterator[str]:
    yield f"{report.deployments} deployments, {report.workers} workers in {report.seconds:.1f} s"
    yield f"{report.sent} spans sent, {report.bytes / max(report.sent, 1):.0f} bytes each"
    yield f"{report.acknowledged} acknowledged, {report.rate:.0f} per second"
    yield f"{report.refused} refused, {report.unanswered} without an answer"
    if report.repeated:
        yield f"{report.repeated} attempts got a retryable answer or none"
    if report.reason:
        yield f"last reason: {report.reason}"


@contextmanager
def _progress(load: Load) -> Iterator[Callable[[LoadReport], None]]:
    """Show a progress bar if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=load.deployments)

        def advance(report: LoadReport) -> None:
            text = f"{report.acknowledged} spans acknowledged"
            bar.update(task, completed=report.deployments, description=text)

        yield advance


if __name__ == "__main__":
    sys.exit(main())
