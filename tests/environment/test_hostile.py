"""Whatever the environment holds: nothing raises, nothing is lost in silence, nothing leaks."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pytest
from support.environments import SPANS, ForkServer
from support.hostile import CANARY, HOSTILE, Draw, draw

from flash_otel.doctor.variables import SPECIFIED, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.environments import Observed

DRAWS: Final = int(os.environ.get("DRAWS", "500"))
"""In each of the four parts; `DRAWS=25000 pytest --timeout 0` on this file makes 100,000."""
PARTS: Final = 4
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_CUT: Final = re.compile("attribute value exceeds max length|Attributes dict is full")
_SPAN: Final = 'flash_otel {"resourceSpans":'
_SAYS: Final = ("ignored", "invalid", "not understood")
_FULL: Final = "Queue full, dropping Span."


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Draw], Observed]]:
    """Call it with a draw for what a process does under it."""
    in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        TemporaryDirectory(dir=in_memory) as warm_homes,
        TemporaryDirectory(dir=in_memory) as cold_homes,
        ForkServer(Path(warm_homes), is_warm=True) as warm,
        ForkServer(Path(cold_homes)) as cold,
    ):

        def run_under(drawn: Draw) -> Observed:
            # A variable that is read by an import has no effect on a process that has done it.
            is_cold = not warm.read_at_import.isdisjoint(drawn.variables)
            return (cold if is_cold else warm).run(drawn.variables)

        yield run_under


def problems(drawn: Draw, observed: Observed) -> list[str]:
    """Return what is wrong with the run of a draw."""
    errors = [
        line
        for line in observed.errors
        # Spans that nothing else takes are in the log; an application's provider logs its cuts.
        if not line.startswith(_SPAN) and not (_joins(drawn) and _CUT.search(line))
    ]
    shown = observed.output + repr(observed.errors) + repr(observed.doctor)
    is_lost = observed.spans != SPANS and not _drops(drawn)
    # The SDK's own queue, before another exporter, fills if the machine is slow or the queue small.
    if "OTEL_BSP_MAX_QUEUE_SIZE" in drawn.variables:
        errors = [line for line in errors if line != _FULL]
    wrong = {
        f"raised: {observed.raised}": bool(observed.raised),
        f"returned: {observed.returned}": observed.returned != "shop production",
        f"lost in silence: {observed.spans}": is_lost and not errors,
        "not sent, in silence": _sends(drawn) and not errors,
        f"more than a line: {errors}": len(errors) > 1,
        f"not flash_otel's: {errors}": any(not line.startswith("flash_otel: ") for line in errors),
        "a credential is shown": CANARY in shown,
        f"not named: {observed.addresses}": not all(
            _is_named(address, drawn) for address in observed.addresses
        ),
        f"unknown to doctor: {observed.doctor}": any(
            not any(word in observed.doctor.get(name, ("", ""))[1] for word in _SAYS)
            for name in drawn.invalid
        ),
    }
    return [text for text, is_wrong in wrong.items() if is_wrong]


def _joins(drawn: Draw) -> bool:
    return drawn.variables.get("OTEL_PYTHON_TRACER_PROVIDER") == "sdk_tracer_provider"


def _drops(drawn: Draw) -> bool:
    """Return whether the environment asks for no spans: by an application's sampler."""
    variables = drawn.variables
    return _joins(drawn) and (
        "always_off" in variables.get("OTEL_TRACES_SAMPLER", "").lower()
        or variables.get("TRACEPARENT", "").endswith("-00")
    )


def _sends(drawn: Draw) -> bool:
    """Return whether the environment asks for OTLP, which nothing takes here."""
    variables = {name: value.strip().strip("\"'") for name, value in drawn.variables.items()}
    exporters = {name.strip() for name in variables.get("OTEL_TRACES_EXPORTER", "").split(",")}
    is_named = any(variables.get(name) for name in _ENDPOINTS)
    is_sampled = "always_off" not in variables.get("OTEL_TRACES_SAMPLER", "").lower()
    return (
        is_sampled
        and not variables.get("TRACEPARENT", "").endswith("-00")
        and not _joins(drawn)
        and "none" not in exporters
        and ("otlp" in {name.lower() for name in exporters} or (exporters == {""} and is_named))
    )


def _is_named(address: str, drawn: Draw) -> bool:
    """Return whether the user named a host, or an exporter whose default is this machine."""
    named = [drawn.variables[name] for name in _ENDPOINTS if name in drawn.variables]
    if address in _LOOPBACK:
        return bool(named) or "otlp" in drawn.variables.get("OTEL_TRACES_EXPORTER", "").lower()
    return any(address in value for value in named)


def found_wrong(drawn: Draw, run: Callable[[Draw], Observed]) -> list[str]:
    """Return what is wrong under a draw, even with time for the exit.

    The budget of a draw is short. On a busy machine it may pass before the exporter has tried.
    """
    if not problems(drawn, run(drawn)):
        return []
    patient = Draw({"FLASH_OTEL_EXIT_BUDGET": "20", **drawn.variables}, drawn.invalid)
    return problems(drawn, run(patient))


def reduced(drawn: Draw, run: Callable[[Draw], Observed]) -> Draw:
    """Return a smaller draw with which something is wrong, too."""
    for name in list(drawn.variables):
        rest = {key: value for key, value in drawn.variables.items() if key != name}
        smaller = Draw(rest, drawn.invalid - {name})
        if found_wrong(smaller, run):
            return reduced(smaller, run)
    return drawn


@pytest.mark.parametrize("part", range(PARTS))
def test_any_environment(run: Callable[[Draw], Observed], part: int) -> None:
    """A deployment under drawn variables is traced, or its loss is one line at exit."""
    for number in range(DRAWS):
        drawn = draw(f"{part}-{number}")
        if found := found_wrong(drawn, run):
            smallest = reduced(drawn, run)
            pytest.fail(f"{smallest.variables}: {found_wrong(smallest, run)}, at first {found}")


def test_the_draws_cover_the_specification() -> None:
    """Every variable of the specification, and every one that the doctor knows, is drawn."""
    drawn = {name for number in range(3000) for name in draw(str(number)).variables}
    assert HOSTILE.keys() <= drawn
    assert SPECIFIED.keys() <= drawn
    tools = {"CACHE", "COLLECTOR_BIN", "JAEGER_HEADERS", "RAISE"}
    assert VARIABLES.keys() - drawn == {f"FLASH_OTEL_{name}" for name in tools}


def test_the_checks_find_what_is_wrong(run: Callable[[Draw], Observed]) -> None:
    """A host that raises, a lost span and a leak are each noticed: the property can fail."""
    healthy = run(Draw({"OTEL_SERVICE_NAME": "shop"}))
    assert problems(Draw(), healthy) == []
    for field, value in {
        "raised": "Traceback",
        "returned": None,
        "spans": SPANS[:1],
        "output": CANARY,
        "errors": ["a line of another package"],
        "addresses": ["elsewhere.example"],
    }.items():
        broken = type(healthy)(**{**vars(healthy), field: value})
        assert len(problems(Draw(), broken)) == 1, field
    assert problems(Draw(invalid={"OTEL_BSP_MAX_QUEUE_SIZE"}), healthy)
    assert problems(Draw({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:9"}), healthy)
