"""The output of `flash-otel demo`: both sides' lines, the trace, the diagnosis, and what to try."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flash_otel.cli.sources import DEMO, from_options
from flash_otel.demo.releases import RUNPOD_2, generation_of
from flash_otel.demo.scenarios import SCENARIOS, SUCCESSORS
from flash_otel.report.layout import COMMAND, Part, ReportConsole
from flash_otel.report.wrapping import print_wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from flash_otel.cli.demo_recording import DemoResult


_HANG: Final = 2
_LINE_HANG: Final = 4


def print_text(result: DemoResult) -> None:
    """Print a run for people."""
    from flash_otel.demo.processes import bracketed_lines
    from flash_otel.report.diagnosis import SHOW, render_diagnosis
    from flash_otel.report.overview import overview_of
    from flash_otel.report.trace import render_trace
    from flash_otel.store.location import locate_demo

    console, artifacts, scenario = ReportConsole(), result.artifacts, result.scenario
    generation = generation_of(artifacts.version)
    title = f"{scenario.name}, {generation.package} {artifacts.version}"
    _heading(console, title, scenario.title)
    print_wrapped([(Part(f"Injected: {scenario.injected}", hang=_HANG),)], console)
    _heading(console, generation.command)
    _print_lines(console, bracketed_lines(artifacts.deploy_log))
    if artifacts.worker_logs:
        _heading(console, "the worker")
        _print_lines(console, bracketed_lines(artifacts.worker_log))
        outcome = "answered" if artifacts.worker_exit == 0 else "failed"
        _print_lines(console, [f"(the remote call {outcome})"])
    _heading(console, "the joined trace")
    render_trace(result.trace, console, overview_of(result.diagnosis.judged[0], result.trace))
    _heading(console, "flash-otel diagnose")
    # The command may be `verify`, which needs the control plane that has stopped.
    render_diagnosis(replace(result.diagnosis, command=""), console, _with_source(result, SHOW))
    _heading(console, "three things to try")
    if result.source == DEMO:
        _print_lines(console, [f"Until the next demo, this recording stays in {locate_demo()}"])
    for purpose, command in _to_try(result):
        suggestion = (Part("Try: ", hang=_HANG), Part(command, breaks=COMMAND))
        print_wrapped([(Part(f"{purpose}:"),), suggestion], console)


def _with_source(result: DemoResult, command: str) -> str:
    return command + from_options([result.source] if result.source else [])


def _to_try(result: DemoResult) -> Iterator[tuple[str, str]]:
    """Yield purposes and commands, of which the first need the recording."""
    is_successor = generation_of(result.artifacts.version) is RUNPOD_2
    demo = "flash-otel demo --runpod 2" if is_successor else "flash-otel demo"
    names = [*(SUCCESSORS if is_successor else SCENARIOS)]
    following = names.index(result.scenario.name) + 1
    if result.source and result.artifacts.trace_id:
        shown = f"flash-otel show {result.artifacts.trace_id[:12]}"
        yield "List the traces of this run", _with_source(result, "flash-otel traces")
        yield "Write the trace as a page", _with_source(result, shown) + " --html demo.html"
    else:
        yield "List the scenarios", f"{demo} --list"
        yield "Keep the logs and the store", f"{demo} {result.scenario.name} --keep"
    if following < len(names):
        yield "See another fault diagnosed", f"{demo} {names[following]}"
    else:
        yield "See a healthy run", f"{demo} {names[0]}"


def _heading(console: Console, title: str, text: str = "") -> None:
    lines = [(), (Part(f"== {title} ==", "bold"),), *([(Part(text),)] if text else [])]
    print_wrapped(lines, console)


def _print_lines(console: Console, lines: list[str]) -> None:
    print_wrapped([(Part(line, hang=_LINE_HANG),) for line in lines], console)


def print_json(result: DemoResult) -> None:
    """Print a run as one JSON object."""
    from flash_otel.demo.processes import bracketed_lines
    from flash_otel.otlp.encode import encode_json
    from flash_otel.report.json import diagnosis_json

    artifacts, scenario = result.artifacts, result.scenario
    answer = {
        "scenario": scenario.name,
        "title": scenario.title,
        "injected": scenario.injected,
        "version": artifacts.version,
        "trace_id": artifacts.trace_id,
        "build_id": artifacts.build_id,
        "environment_id": artifacts.environment_id,
        "deploy_exits": artifacts.deploy_exits,
        "worker_exit": artifacts.worker_exit,
        "deploy_lines": bracketed_lines(artifacts.deploy_log),
        "worker_lines": bracketed_lines(artifacts.worker_log) if artifacts.worker_logs else [],
        "trace": encode_json(result.trace),
        "diagnosis": diagnosis_json(result.diagnosis),
    }
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
