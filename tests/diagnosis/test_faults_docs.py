from __future__ import annotations

from pathlib import Path

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.faults import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", FAULTS)
def test_each_code_is_documented_as_the_table_has_it(code: str) -> None:
    """Each section holds the meaning, proof, remedies and hidden codes of the table."""
    fault = FAULTS[code]
    section = PAGE.split(f"\n### `{code}`\n")[1].split("\n### ")[0].split("\n## ")[0]
    text = " ".join(section.split())
    assert sc.FAULTS[code] in text
    assert f"**What proves it.** {fault.proof}" in text
    assert f"**Who deploys.** {fault.deployer}" in text
    assert f"**Who maintains Flash.** {fault.maintainer}" in text
    for hidden in fault.hides:
        assert f"`{hidden}`" in text.split("**Hides.**")[1]


def test_no_other_code_is_documented() -> None:
    """The page has exactly one section for each code, in the order of the verdict."""
    titles = [line[5:-1] for line in PAGE.splitlines() if line.startswith("### `")]
    assert titles == list(FAULTS)


def test_each_hidden_code_is_a_row() -> None:
    """A fault hides only other codes of the table."""
    for code, fault in FAULTS.items():
        assert fault.hides <= set(FAULTS) - {code}
