"""Shell completion: what completes a command line, and the scripts that ask for it.

The scripts run the program with the words up to the cursor, and the shell's name in the variable
`_FLASH_OTEL_COMPLETE`. Typer's own scripts are not used: the one for zsh evaluates what the program
prints, which holds recorded names, and their descriptions cost an import of Rich.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any, Final

from flash_otel.cli import parser
from flash_otel.runtime.suggestions import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flash_otel.cli.parser import Command, Completer
    from flash_otel.store.store import TraceSummary

    Item = tuple[str, str]

VARIABLE: Final = "_FLASH_OTEL_COMPLETE"

_TRACES: Final = 50  # newest traces that are offered, or whose names are
_BUSY_MS: Final = 200  # a key press does not wait longer for a locked store
# Words that need no quotes in any shell; other recorded names are not offered.
_PLAIN: Final = re.compile(r"[\w@%+./:^=-]+")


def answer(commands: Mapping[str, Command], words: list[str]) -> int:
    """Print what completes the last of the words, for the shell of the variable.

    Returns:
        0; 1 after an error, of which nothing is printed, because the user is typing.
    """
    shell = os.environ[VARIABLE]
    with open(os.devnull, "w", encoding="utf-8") as null, redirect_stderr(null):  # noqa: PTH123
        try:
            lines = [_line(shell, *item) for item in _items(commands, shell, words)]
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
        except Exception:
            return 1
    return 0


def _items(commands: Mapping[str, Command], shell: str, words: list[str]) -> Iterator[Item]:
    from typer.main import get_command

    *before, last = _joined(words) or [""]
    if "--" in before:
        return  # what follows belongs to flash
    name = parser.chosen_command(commands, before)
    completers = {**COMPLETERS, "command": lambda *_: _overview(commands)}
    command = get_command(parser.declare(commands, name, completers))
    _keep_values(command)
    # Bash replaces only what follows the `=`, other shells the whole word.
    option = re.match(r"--[\w-]+=", last)
    prefix = option[0] if option and shell != "bash" else ""
    for item in _shell_complete()(command, {}, PROGRAM, VARIABLE).get_completions(before, last):
        if _PLAIN.fullmatch(item.value):
            yield prefix + item.value, item.help or ""


def _keep_values(group: Any) -> None:
    """Leave the values of options as typed: converting them costs Typer an import of pydantic."""
    import typer

    for command in (group, *group.commands.values()):
        for parameter in command.get_params(typer.Context(command)):
            parameter.process_value = lambda _, value: value


def _joined(words: list[str]) -> list[str]:
    """Join what bash has split at `=`."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")) and joined[-1].startswith("--"):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _shell_complete() -> type[Any]:
    """Return click's class for completion, of the copy that Typer parses with."""
    try:
        from typer._click import shell_completion  # since Typer 0.26
    except ImportError:
        from click import shell_completion  # type: ignore[no-redef]  # the same, before

    class Words(shell_completion.ShellComplete):
        """The abstract methods are for scripts and formats, which are ours."""

        name = "words"
        source_vars = get_completion_args = format_completion = None  # type: ignore[assignment]

    return Words


def _line(shell: str, value: str, text: str) -> str:
    from flash_otel.report.words import clean

    described = " ".join(clean(text).split())
    if shell == "bash":
        return value
    if shell == "zsh":
        return "{}:{}".format(value.replace(":", "\\:"), described)
    return f"{value}\t{described}"


def _overview(commands: Mapping[str, Command]) -> list[Item]:
    return [(name, command.help) for name, command in commands.items()]


def _recorded(ctx: Any) -> list[TraceSummary]:
    """Return the newest traces of the store that the command line names, or of the default."""
    from flash_otel.store.store import SpanStore, locate, locate_demo, newest

    is_demo = [*(ctx.params.get("sources") or ())] == ["demo"]
    file = newest(locate_demo() if is_demo else locate(ctx.params.get("store")))
    if file is None:
        return []
    with SpanStore(file, busy_ms=_BUSY_MS, is_read_only=True) as store:
        return store.traces(_TRACES)


def _traces(ctx: Any, incomplete: str) -> list[Item]:
    from flash_otel.report import words

    del incomplete
    found = [
        (summary.trace_id, "  ".join(filter(None, (
            words.moment(summary.start_ns),
            summary.app_name,
            summary.environment_name,
            summary.root_name,
        ))))
        for summary in _recorded(ctx)
    ]  # fmt: skip
    return [("last", "the newest trace"), *found] if found else []


def _names(read: Callable[[TraceSummary], str | None]) -> Completer:
    def complete(ctx: Any, incomplete: str) -> list[Item]:
        del incomplete
        found = dict.fromkeys(filter(None, map(read, _recorded(ctx))))
        return [(name, "") for name in found]

    return complete


def _scenarios(ctx: Any, incomplete: str) -> list[Item]:
    from flash_otel.demo.scenarios import SCENARIOS

    del ctx, incomplete
    return [(name, scenario.title) for name, scenario in SCENARIOS.items()]


def _fault_codes(ctx: Any, incomplete: str) -> list[Item]:
    from flash_otel.semconv import FAULTS

    del ctx, incomplete
    return list(FAULTS.items())


def _sources(ctx: Any, incomplete: str) -> Iterable[Item]:
    del ctx
    known = {
        "store": "the local store",
        "demo": "the last demo",
        "jaeger": "http://localhost:16686",
    }
    # Nothing is offered for an empty word: the shell then offers files, which are meant more often.
    return known.items() if incomplete else ()


# By the name of a command's parameter.
COMPLETERS: Final[dict[str, Completer]] = {
    "trace": _traces,
    "env": _names(lambda summary: summary.environment_name or summary.environment_id),
    "app": _names(lambda summary: summary.app_name),
    "build": _names(lambda summary: summary.build_id),
    "expect_build": _names(lambda summary: summary.build_id),
    "scenario": _scenarios,
    "explain": _fault_codes,
    "fault": _fault_codes,
    "sources": _sources,
}
