"""The instrumented functions of runpod-flash and of the packages that serve its workers."""

from flash_otel.tracing.flash.targets import COMMANDS, TARGETS, CommandTarget, Target, tapped

__all__ = ["COMMANDS", "TARGETS", "CommandTarget", "Target", "tapped"]
