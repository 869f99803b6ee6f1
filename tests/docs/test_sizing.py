"""The sizing table of docs/production.md is what its script works out."""

from __future__ import annotations

import re
import subprocess
import sys

from docs.commands import ROOT

TEXT = (ROOT / "docs/production.md").read_text("utf-8")


def test_the_table_is_the_scripts() -> None:
    """Each row that the script prints stands in the document, and no other."""
    script = ROOT / "benchmarks/sizing.py"
    printed = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )
    rows = re.findall(r"^\| [\d,]{6,} \|.*\|$", TEXT, re.MULTILINE)
    assert printed.stdout.splitlines() == rows


def test_every_configuration_has_its_place() -> None:
    """The document names each file of collector/production, and no file that is not there."""
    folder = ROOT / "collector/production"
    files = {file.name for file in folder.glob("*.yaml")}
    named = set(re.findall(r"`([\w-]+\.yaml)`", TEXT))
    assert named == files


def test_every_variable_it_names_is_read() -> None:
    """Variables of the gateways stand in their configuration, with the documented defaults."""
    gateway = (ROOT / "collector/production/gateway.yaml").read_text("utf-8")
    for name, default in (("TAIL_WAIT", "10s"), ("HEALTHY_PERCENT", "5")):
        assert f"`{name}`" in TEXT
        assert f"${{env:{name}:-{default}}}" in gateway
    assert "${env:TAIL_REMEMBERED:-" in gateway
