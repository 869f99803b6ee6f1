"""The commands of `flash-otel`: where each one lives and the line that the overview says of it.

A command's module is imported only when that command was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        target: `module:function`; the function's signature declares arguments and options, and it
            returns the exit status (None is 0).
        help: What the overview says of it.
        settings: Context settings for the parser.
    """

    target: str
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Callable[..., int | None]:
        """Import the command's module and return its function."""
        module, _, name = self.target.partition(":")
        function: Callable[..., int | None] = getattr(import_module(module), name)
        return function


COMMANDS: Final[dict[str, Command]] = {
    "run": Command(
        "flash_otel.cli.run:run",
        "Run a flash command, traced: flash-otel run -- flash deploy.",
        # Everything from the first word on belongs to flash, its options too.
        {"allow_interspersed_args": False},
    ),
    "verify": Command(
        "flash_otel.cli.verify:verify", "Read back what a worker would read, and judge it."
    ),
    "diagnose": Command(
        "flash_otel.cli.diagnose:diagnose", "Name the fault that the recordings show."
    ),
    "traces": Command("flash_otel.cli.traces:traces", "List the recorded traces."),
    "show": Command("flash_otel.cli.show:show", "Show one trace as a tree of spans."),
    "push": Command("flash_otel.cli.push:push", "Send what waits to the OTLP endpoints."),
    "status": Command(
        "flash_otel.cli.status:status", "Show what waits to be sent, for whom, and why."
    ),
    "collector": Command(
        "flash_otel.cli.collector:collector",
        "Run the OpenTelemetry Collector and Jaeger on this machine.",
    ),
    "doctor": Command(
        "flash_otel.cli.doctor:doctor", "Examine this installation: what stands in the way."
    ),
    "demo": Command(
        "flash_otel.cli.demo:demo",
        "Run a real deployment against a stand-in control plane, and show its trace.",
    ),
}
