"""Which function of which installed package gets which wrapper: a table per package generation."""

from flash_otel.tracing.targets.flash_1 import COMMANDS, TARGETS
from flash_otel.tracing.targets.target import Command, Target, tapped

__all__ = ["COMMANDS", "TARGETS", "Command", "Target", "tapped"]
