"""The sizing table of docs/production.md equals the output of its script."""

from __future__ import annotations

import re
import subprocess
import sys

from docs.commands import ROOT

TEXT = (ROOT / "docs/production.md").read_text("utf-8")


def output(script: str, *arguments: str) -> list[str]:
    """Return the lines that a script of benchmarks/ prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ran.stdout.splitlines()


def test_every_fault_has_its_row() -> None:
    """The document has the measured losses of exactly the faults of `make tier`."""
    rows = re.findall(r"^\| ([^|]+) \| [\d,]+ \| [\d,]+ \| [\d,]+ \| \d+ s \|$", TEXT, re.MULTILINE)
    assert output("tier_faults.py", "--list") == rows


def test_the_table_is_the_scripts() -> None:
    """The document holds exactly the rows and the steps that the script prints."""
    printed = output("sizing.py")
    found = re.findall(r"^(?:\| [\d,]{6,} \|.*\||- .* = .*)$", TEXT, re.MULTILINE)
    assert printed == found


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
