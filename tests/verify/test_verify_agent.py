"""`verify` as an agent asks for it: the real Flash in a real server of `flash-otel mcp`."""

from __future__ import annotations

import json
import sysconfig
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextContent
from support.commands import TIMEOUT
from support.versions import MAIN_VERSIONS
from verify.deployed import APP, Deployed
from verify.test_verify_flash import QUERIES, SECRETS

if TYPE_CHECKING:
    from pathlib import Path

    from support.warm import WarmEnvironments

    from flash_otel.demo.control_plane import ControlPlane

pytestmark = pytest.mark.flash

# The environment with Flash lacks the SDK, which is found behind its own packages.
SERVER = """
import sys
sys.path.append(sys.argv.pop(1))
from flash_otel.cli import main
main(["mcp"])
"""


def ask(deployed: Deployed, *calls: dict[str, Any]) -> list[tuple[bool, str]]:
    """Let an agent call `verify`; return for each call whether it failed, and its text."""
    answers = []
    server = StdioServerParameters(
        command=str(deployed.environment.python),
        args=["-c", SERVER, sysconfig.get_path("purelib")],
        env=deployed.variables(),
        cwd=deployed.project,
    )

    async def talk() -> None:
        with anyio.fail_after(2 * TIMEOUT):
            async with Client(stdio_client(server)) as client:
                for given in calls:
                    result = await client.call_tool("verify", given)
                    [content] = result.content
                    assert isinstance(content, TextContent)
                    answers.append((result.is_error, content.text))

    anyio.run(talk)
    return answers


def test_an_agent_verifies(
    warm_env: WarmEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """It gets the command's document, by queries of the configured API alone, and no secret."""
    deployed = Deployed(warm_env(MAIN_VERSIONS[0]), control_plane, tmp_path / APP)
    assert deployed.deploy() == 0
    printed = deployed.verify("--json").json
    before = len(control_plane.journal.entries)
    sound, wrong, calling = ask(deployed, {}, {"env": "producton"}, {"call": True})
    operations = {entry.operation for entry in control_plane.journal.entries[before:]}
    assert sound[0] is False
    assert json.loads(sound[1]) == {"document": printed, "cut": []}
    assert wrong[0] is True
    assert "has no environment 'producton'" in wrong[1]
    assert "Did you mean production?" in wrong[1]
    assert calling[0] is True
    assert "'call' was unexpected" in calling[1]
    assert operations <= QUERIES
    assert not [secret for secret in SECRETS if any(secret in text for _, text in (sound, wrong))]
