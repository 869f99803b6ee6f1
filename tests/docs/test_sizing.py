"""The sizing table of docs/production.md equals the output of its script."""

from __future__ import annotations

import re
import subprocess
import sys

from docs.commands import ROOT

TEXT = (ROOT / "docs/production.md").read_text("utf-8")


def test_the_table_is_the_scripts() -> None:
    """The document holds exactly the rows that the script prints."""
    script = ROOT / "benchmarks/sizing.py"
    printed = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )
    rows = re.findall(r"^\| [\d,]{6,} \|.*\|$", TEXT, re.MULTILINE)
    assert printed.stdout.splitlines() == rows


def test_every_configuration_has_its_place() -> None:
    """The document names exactly the files of collector/production."""
    folder = ROOT / "collector/production"
    files = {file.name for file in folder.glob("*.yaml")}
    named = set(re.findall(r"`([\w-]+\.yaml)`", TEXT))
    assert named == files


def test_every_variable_it_names_is_read() -> None:
    """The gateways' configuration holds the documented variables and defaults."""
    gateway = (ROOT / "collector/production/gateway.yaml").read_text("utf-8")
    for name, default in (("TAIL_WAIT", "10s"), ("HEALTHY_PERCENT", "5")):
        assert f"`{name}`" in TEXT
        assert f"${{env:{name}:-{default}}}" in gateway
    assert "${env:TAIL_REMEMBERED:-" in gateway
