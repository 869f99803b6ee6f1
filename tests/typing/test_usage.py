"""The usage examples run, and the type checker accepts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.interpreter import run_python

if TYPE_CHECKING:
    from pathlib import Path

USAGE = __file__.replace("test_usage.py", "usage.py")


def test_examples_run(tmp_path: Path) -> None:
    """Every example does what it says it can do, with tracing on and off."""
    code = f"""
        import runpy
        usage = runpy.run_path({USAGE!r})
        usage["types_stay"]()
        usage["tests_of_traced_code"]()
        usage["switch_on_and_off"]()
        usage["types_stay"]()
    """
    run_python(code, tmp_path, {"FLASH_OTEL_STORE": "off", "FLASH_OTEL_LEGACY_LOGS": "off"})
