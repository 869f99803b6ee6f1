from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from docs.commands import DOCUMENTS, python_blocks

BLOCKS = [
    pytest.param(block, id=f"{document.name}-{index}")
    for document in DOCUMENTS
    for index, block in enumerate(python_blocks(document))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_python_block_runs_as_it_is_printed(block: str, tmp_path: Path) -> None:
    """Every Python block runs as a script, without warnings."""
    script = tmp_path / "pasted.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"FLASH_OTEL_STORE": "off", "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stderr) == (0, "")
