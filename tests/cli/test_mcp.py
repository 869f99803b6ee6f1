"""`flash-otel mcp`: the SDK's own client talks to a real process over real stores."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import TextContent
from support.commands import (
    TIMEOUT,
    environment,
    flash_otel,
    forking,
    in_process,
    keep,
    python,
)
from support.samples import IDS, TRACE, failed_deployment, healthy_deployment, span
from support.terminal import flash_otel_on_terminal

from flash_otel.cli.mcp import LONGEST, MOST_CHARACTERS, bounded
from flash_otel.cli.tools import TOOLS
from flash_otel.demo.scenarios import DEFAULT_VERSION
from flash_otel.runtime.interpreters import requirement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from pathlib import Path

    from mcp.types import CallToolResult
    from support.warm import WarmEnvironments

SECRET = "rpa_" + "A1b2C3d4" * 5


@asynccontextmanager
async def agent(folder: Path, *arguments: str, **env: str) -> AsyncIterator[Client]:
    """Connect to a server that was configured with these arguments."""
    server = StdioServerParameters(
        command=forking(),
        args=["-m", "flash_otel", "mcp", *arguments],
        env=environment(folder, **env),
        cwd=folder,
    )
    with (folder / "errors").open("w", encoding="utf-8") as errors:
        async with Client(stdio_client(server, errlog=errors)) as client:
            yield client


def run(talk: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a conversation, but not forever."""

    async def bounded_talk() -> None:
        with anyio.fail_after(TIMEOUT):
            await talk()

    anyio.run(bounded_talk)


def text_of(result: CallToolResult) -> str:
    """Return the only text of a result."""
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def printed(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
    """Return the document that a command prints."""
    return json.loads(in_process(folder, *arguments, "--json", env=env).stdout)


def test_the_tools_are_described(tmp_path: Path) -> None:
    """An agent sees read-only tools, what each is for, and every argument with its limits."""

    async def talk() -> None:
        async with agent(tmp_path) as client:
            assert client.server_info is not None
            assert client.server_info.name == "flash-otel"
            assert "never instructions" in (client.instructions or "")
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == list(TOOLS) == ["diagnose", "traces", "show", "verify"]
        for name, tool in tools.items():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is True
            assert tool.annotations.destructive_hint is False
            assert tool.annotations.open_world_hint is (name == "verify")
            assert len(tool.description or "") > 80
            assert tool.input_schema["additionalProperties"] is False
            assert all(known["description"] for known in tool.input_schema["properties"].values())

    run(talk)


ASKED: Final[tuple[tuple[str, dict[str, Any], list[str]], ...]] = (
    ("diagnose", {}, ["diagnose"]),
    ("diagnose", {"env": "prod", "app": "shop"}, ["diagnose", "--env", "prod", "--app=shop"]),
    ("diagnose", {"build": "abc"}, ["diagnose", "--build", "abc"]),
    ("diagnose", {"trace": "last"}, ["diagnose", "--trace", "last"]),
    ("diagnose", {"env": "other"}, ["diagnose", "--env", "other"]),
    ("traces", {}, ["traces"]),
    ("traces", {"limit": 1, "env": "prod"}, ["traces", "--limit", "1", "--env", "prod"]),
    ("traces", {"failed": True, "app": "shop"}, ["traces", "--failed", "--app", "shop"]),
    ("show", {}, ["show"]),
    ("show", {"trace": TRACE[:6]}, ["show", TRACE[:6]]),
)
"""Calls of tools, and the commands that print the same documents."""


def test_the_documents_of_the_commands(tmp_path: Path) -> None:
    """A tool returns exactly what its command prints with `--json`, in both forms of a result."""
    keep(tmp_path, [*failed_deployment(), span(1, None, "flash.call", 0, 1, trace_id="cd" * 16)])

    async def talk() -> None:
        async with agent(tmp_path) as client:
            results = [await client.call_tool(tool, given) for tool, given, _ in ASKED]
        for (tool, given, command), result in zip(ASKED, results, strict=True):
            asked = (tool, given)
            assert result.is_error is False, asked
            expected = {"document": printed(tmp_path, *command), "cut": []}
            assert result.structured_content == expected, asked
            assert json.loads(text_of(result)) == expected, asked

    run(talk)


REFUSED: Final[tuple[tuple[str, dict[str, Any], str, str], ...]] = (
    ("traces", {"limit": 0}, "limit: 0 is less than the minimum", "app, env, failed, fault"),
    ("traces", {"limit": 101}, "limit: 101 is greater", "app, env, failed, fault"),
    ("traces", {"store": "/etc/passwd"}, "'store' was unexpected", "app, env, failed, fault"),
    ("diagnose", {"from": ["/etc/passwd"]}, "'from' was unexpected", "env, app"),
    ("diagnose", {"env": 1}, "env: 1 is not of type 'string'", "env, app"),
    ("diagnose", {"env": ""}, "env: ", "env, app"),
    ("diagnose", {"env": "x" * 201}, "env: ", "env, app"),
    ("traces", {"fault": "bad"}, "unknown fault code: 'bad'", "stale_build"),
    ("diagnose", {"since": "soon"}, "invalid age: 'soon'", "--since 2h"),
    ("show", {"trace": "ff"}, "no recorded trace begins with 'ff'", "flash-otel traces"),
    ("show", {"trace": "\x1b]0;x\x07"}, "no recorded trace", "flash-otel traces"),
    ("verify", {}, "flash is neither installed", "pip install"),
    ("prune", {}, "there is no tool 'prune'", "diagnose, traces, show, verify"),
)
"""Calls of tools that fail, with the cause and the next step."""


def test_errors_are_results(tmp_path: Path) -> None:
    """A mistake or a failure is an error of the tool, with its cause and the next step."""
    keep(tmp_path, healthy_deployment())

    async def talk() -> None:
        async with agent(tmp_path, PATH=str(tmp_path)) as client:
            for tool, given, cause, step in REFUSED:
                asked = (tool, given)
                result = await client.call_tool(tool, given)
                assert result.is_error is True, asked
                text = text_of(result)
                assert cause in text, asked
                assert step in text, asked
                assert "\x1b" not in text, asked
                assert len(text) < 1_000, asked
                # The server goes on.
                assert (await client.call_tool("traces", {})).is_error is False, asked

    run(talk)


def test_an_empty_store(tmp_path: Path) -> None:
    """Without a recording, an agent learns how to make one."""

    async def talk() -> None:
        async with agent(tmp_path) as client:
            listed = await client.call_tool("traces", {})
            assert listed.structured_content == {"document": [], "cut": []}
            for tool in ("show", "diagnose"):
                result = await client.call_tool(tool, {})
                assert result.is_error is True
                assert "verify" in text_of(result) or "run -- flash deploy" in text_of(result)

    run(talk)


def test_long_results_are_cut(tmp_path: Path) -> None:
    """A result has a limited size, says what it lacks, and keeps the shape of its document."""
    calls = [
        span(number, 1, f"step-{number}", number, number + 1, attributes={"text": "x" * 300})
        for number in range(2, 2000)
    ]
    keep(tmp_path, [span(1, None, "flash.deploy", 0, 3000, attributes=IDS), *calls])

    async def talk() -> None:
        async with agent(tmp_path) as client:
            result = await client.call_tool("show", {})
        assert len(text_of(result)) < MOST_CHARACTERS * 1.2
        assert result.structured_content is not None
        [scope] = result.structured_content["document"]["resourceSpans"][0]["scopeSpans"]
        assert scope["spans"][0]["name"] == "flash.deploy"
        shown = len(scope["spans"])
        place = "resourceSpans[0].scopeSpans[0].spans"
        cut = result.structured_content["cut"]
        assert cut[0] == f"{place}: {shown} of 1999 items are shown."
        assert cut[-1].endswith("show --json")

    run(talk)


def test_secrets_and_hostile_names(tmp_path: Path) -> None:
    """A result holds what the commands print, and no secret that a message quotes."""
    record = span(1, None, "flash.deploy", 0, 1, attributes={**IDS, "flash.app_name": "\x1b[31m"})
    keep(tmp_path, [record])

    async def talk() -> None:
        async with agent(tmp_path) as client:
            result = await client.call_tool("traces", {})
            assert result.structured_content == {"document": printed(tmp_path, "traces"), "cut": []}
            assert "\x1b" not in text_of(result)
            wrong = await client.call_tool("show", {"trace": f"Bearer {SECRET}"})
            assert SECRET not in text_of(wrong)

    run(talk)


def test_files_are_chosen_by_the_user(tmp_path: Path) -> None:
    """`--from` and `--store` of the configuration name the sources of all tools."""
    (tmp_path / "deploy.log").write_text(
        "[DEPLOY] Environment production activated with build_id=b-1\n", "utf-8"
    )
    (tmp_path / "other.db").touch()

    async def talk() -> None:
        async with agent(tmp_path, "--from", "deploy.log") as client:
            result = await client.call_tool("diagnose", {})
        assert result.structured_content is not None
        assert result.structured_content["document"] == printed(
            tmp_path, "diagnose", "--from", "deploy.log"
        )

    run(talk)
    found = flash_otel(tmp_path, "mcp", "--from", "-")
    assert found.returncode == 2
    assert "--from - reads standard input" in found.stderr


def test_nothing_but_the_protocol(tmp_path: Path) -> None:
    """What a tool or its libraries print goes to standard error, and the end of input ends it."""
    keep(tmp_path, healthy_deployment())
    code = (
        "import os\nfrom flash_otel.cli import tools\nfrom flash_otel.cli.app import main\n"
        "def noisy(asked, given):\n"
        "    print('stray print')\n    os.system('echo stray child')\n    return {}\n"
        "tools.TOOLS['noisy'] = tools.ServedTool(noisy, 'A noisy tool.', {})\nmain(['mcp'])\n"
    )
    messages = [
        INITIALIZE,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "noisy"}},
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(f"{json.dumps(message)}\n" for message in messages))
    process.stdin.flush()
    lines = [process.stdout.readline() for _ in range(2)]
    rest, errors = process.communicate(timeout=TIMEOUT)
    assert {json.loads(line)["id"] for line in lines} == {1, 2}
    assert rest == ""
    assert "stray print" in errors
    assert "stray child" in errors
    assert process.returncode == 0


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (
            "os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
            3,
            "flash-otel: the output cannot be written: No space left on device\n",
        ),
        ("r, w = os.pipe(); os.close(r); os.dup2(w, 1)", 141, ""),
    ],
    ids=["full", "gone"],
)
def test_an_agent_that_takes_no_answer(
    change: str, status: int, message: str, tmp_path: Path
) -> None:
    """An agent that has gone ends the server in silence; a full disk is named as such."""
    code = f"import os\nfrom flash_otel.cli.app import main\n{change}\nmain(['mcp'])\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        cwd=tmp_path,
        input=f"{json.dumps(INITIALIZE)}\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, message)


def test_a_bug_is_an_error_of_the_tool(tmp_path: Path) -> None:
    """An unexpected exception becomes an error without a secret, and the server goes on."""
    keep(tmp_path, healthy_deployment())
    code = (
        "from flash_otel.cli import tools\n"
        f"def broken(asked, given): raise ZeroDivisionError('at token={SECRET}')\n"
        "tools.TOOLS['broken'] = tools.ServedTool(broken, 'A broken tool.', {})\n"
        "try: tools.answer(tools.Asked(None, None), 'broken', {})\n"
        "except Exception as error: print(type(error).__name__, error.message, error.next_step)\n"
    )
    found = python(tmp_path, code)
    assert found.stdout.startswith("CommandError internal error: ZeroDivisionError: ")
    assert SECRET not in found.stdout


@pytest.mark.parametrize("problem", ["missing", "old"])
def test_without_the_sdk(problem: str, tmp_path: Path) -> None:
    """Without the extra, or with an SDK that is too old, the message has the exact command."""
    shadow = tmp_path / "mcp"
    (shadow / "server").mkdir(parents=True)
    if problem == "old":
        (shadow / "__init__.py").write_text("", "utf-8")
        names = "ListToolsResult = CallToolResult = CallToolRequestParams = None\n"
        (shadow / "types.py").write_text(names, "utf-8")
        server = "class Server:\n    def __init__(self, name, version=None): ...\n"
        (shadow / "server" / "__init__.py").write_text(server, "utf-8")
    else:
        (shadow / "__init__.py").write_text("raise ImportError('No module named mcp')", "utf-8")
    found = flash_otel(
        tmp_path, "mcp", env={"PYTHONPATH": str(tmp_path)}, interpreter=sys.executable
    )
    assert (found.returncode, found.stdout) == (3, "")
    assert "needs the MCP SDK, version 2" in found.stderr
    assert f"pip install {requirement('mcp')}" in found.stderr


def test_on_a_terminal(tmp_path: Path) -> None:
    """A person who starts it learns what it waits for, and ends it with Ctrl-C."""
    with flash_otel_on_terminal(tmp_path, "mcp") as terminal:
        terminal.expect(b"waits for an agent")
        terminal.send(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        terminal.expect(b'"result"')  # from now on it waits for the next line
        terminal.send(b"\x03")
        status, output = terminal.finish()
    assert status == 130
    assert "Traceback" not in output


@pytest.mark.flash
def test_over_a_real_demo(warm_env: WarmEnvironments, tmp_path: Path) -> None:
    """An agent finds the fault of a real deployment: diagnose, then the list, then its spans."""
    env = {"FLASH_OTEL_CACHE": str(warm_env.cache(DEFAULT_VERSION))}
    assert flash_otel(tmp_path, "demo", "stale_build", env=env).returncode == 0

    async def talk() -> None:
        async with agent(tmp_path, "--from", "demo", **env) as client:
            diagnosed = (await client.call_tool("diagnose", {})).structured_content
            listed = (await client.call_tool("traces", {})).structured_content
            assert diagnosed is not None
            assert listed is not None
            assert diagnosed["document"]["verdict"] == "stale_build"
            trace = listed["document"][-1]["trace_id"]
            shown = (await client.call_tool("show", {"trace": trace})).structured_content
        for tool, command, result in (
            ("diagnose", ["diagnose"], diagnosed),
            ("traces", ["traces"], listed),
            ("show", ["show", trace], shown),
        ):
            expected = printed(tmp_path, *command, "--from", "demo", env=env)
            document, cut = bounded(expected, MOST_CHARACTERS)
            assert result is not None
            assert result["document"] == document, tool
            assert len(result["cut"]) == len(cut) + bool(cut)

    run(talk)


def test_bounded_documents() -> None:
    """A document that fits is not changed; otherwise lists lose their end, and texts theirs."""
    document = {"verdict": "none", "list": [{"a": [1, 2]}, None, 2.5], "flag": True}
    assert bounded(document, 10_000) == (document, [])
    cut, notes = bounded({"texts": ["x" * (LONGEST + 5), "y"], "last": [1]}, LONGEST + 10)
    assert cut == {"texts": ["x" * LONGEST + "…"], "last": []}
    assert notes == [
        f"texts[0]: {LONGEST} of {LONGEST + 5} characters are shown.",
        "texts: 1 of 2 items are shown.",
        "last: 0 of 1 items are shown.",
    ]
    assert bounded([1] * 100, 20)[1] == ["the list: 7 of 100 items are shown."]
