"""Which function of which installed package gets which wrapper: a table per package generation."""

from flash_otel.tracing.flash.target import Command, Target, tapped
from flash_otel.tracing.flash.targets import COMMANDS, TARGETS

__all__ = ["COMMANDS", "TARGETS", "Command", "Target", "tapped"]
