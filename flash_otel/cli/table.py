"""The commands of `flash-otel`: their functions, and their lines in the overview."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        target: `module:function`. The function's signature declares arguments and options; it
            returns the exit status (None is 0).
        help: Its line in the overview.
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
        "Run a flash command and trace it: flash-otel run -- flash deploy.",
        # From the first word on, options belong to flash.
        {"allow_interspersed_args": False},
    ),
    "verify": Command(
        "flash_otel.cli.verify:verify", "Read back what a worker would read, and check it."
    ),
    "diagnose": Command(
        "flash_otel.cli.diagnose:diagnose", "Name the fault that the recordings show."
    ),
    "traces": Command("flash_otel.cli.traces:traces", "List the recorded traces."),
    "show": Command("flash_otel.cli.show:show", "Show a trace as a tree of spans."),
    "push": Command("flash_otel.cli.push:push", "Send the waiting spans to the OTLP endpoints."),
    "status": Command(
        "flash_otel.cli.status:status", "Show how many spans wait for each destination, and why."
    ),
    "collector": Command(
        "flash_otel.cli.collector:collector",
        "Run the OpenTelemetry Collector and Jaeger on this machine.",
    ),
    "doctor": Command(
        "flash_otel.cli.doctor:doctor",
        "Check this installation, and report what prevents tracing.",
    ),
    "demo": Command(
        "flash_otel.cli.demo:demo",
        "Run a real deployment against a stand-in control plane, and show its trace.",
    ),
}
