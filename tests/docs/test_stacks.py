"""The recipes of docs/stacks.md configure the destinations that they describe."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from docs.commands import ROOT

from flash_otel.export import destination as destinations

if TYPE_CHECKING:
    from flash_otel.export.destination import Destination

TEXT = (ROOT / "docs/stacks.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
OURS = [block for block in BLOCKS if "OTEL_EXPORTER" in block]

# The destination of each recipe, in the document's order: protocol, URL, names of headers.
MEANT = [
    ("http/protobuf", "https://OTLP-ENDPOINT:4318/v1/traces", {"authorization"}),
    ("grpc", "https://OTLP-ENDPOINT:4317", set()),
    ("http/protobuf", "https://OTLP-ENDPOINT:4318/v1/traces", set()),
    ("http/protobuf", "https://OTLP-ENDPOINT/v1/traces", {"x-honeycomb-team"}),
    ("http/protobuf", "https://OTLP-ENDPOINT/otlp/v1/traces", {"authorization"}),
    ("http/protobuf", "https://OTLP-ENDPOINT/v1/traces", {"api-key"}),
    ("http/protobuf", "https://OTLP-ENDPOINT/v1/traces", {"dd-api-key"}),
]


def destination(block: str, monkeypatch: pytest.MonkeyPatch) -> Destination:
    """Return the only destination that a recipe configures."""
    for line in block.splitlines():
        name, _, value = shlex.split(line)[1].partition("=")
        monkeypatch.setenv(name, value)
    (found,) = destinations.forwarded()
    return found


def test_every_recipe_is_here() -> None:
    """The list above covers every recipe."""
    assert len(OURS) == len(MEANT)


@pytest.mark.parametrize(("block", "meant"), [*zip(OURS, MEANT, strict=False)])
def test_a_recipe(
    block: str, meant: tuple[str, str, set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables configure one destination: protocol, URL, headers, files."""
    found = destination(block, monkeypatch)
    assert (found.protocol, found.url, {*found.headers}) == meant
    for value in found.headers.values():
        assert "%" not in value
    assert bool(found.client_certificate) == bool(found.client_key) == ("CLIENT_KEY" in block)
    assert (found.compression == "gzip") == ("gzip" in block)


def test_the_second_backend_is_the_collectors() -> None:
    """The Collector's configuration reads the recipe's variables."""
    (block,) = set(BLOCKS) - set(OURS)
    names = {line.split()[1].partition("=")[0] for line in block.splitlines()}
    configuration = (ROOT / "collector/otelcol.yaml").read_text("utf-8")
    assert names <= set(re.findall(r"env:([A-Z_]+)", configuration))


def test_every_variable_is_named() -> None:
    """The table lists every variable that is read."""
    source = (ROOT / "flash_otel/export/destination.py").read_text("utf-8")
    read = set(re.findall(r'_setting\("([A-Z_]+)"\)', source))
    assert read
    assert {f"OTEL_EXPORTER_OTLP_{name}" for name in read} <= set(re.findall(r"`(OTEL_\w+)`", TEXT))
