"""The parser of `flash-otel`: the commands as Typer declares them, and the options they share.

Typer only parses: a command that it has chosen returns bound to its arguments, and runs outside of
it. Only the chosen command's module is imported, because its signature declares its options.
"""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from flash_otel._version import __version__
from flash_otel.report.color import Color, chosen
from flash_otel.runtime.suggestions import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import typer

    Bound = Callable[[], int | None]
    # Given Typer's context and the word so far, returns words with their descriptions.
    Completer = Callable[[Any, str], Iterable[tuple[str, str]]]

_F = TypeVar("_F", bound="Callable[..., Any]")

COMPLETION_OPTIONS: Final = {
    "--install-completion": "Install completion for bash, zsh or fish; by default this shell.",
    "--show-completion": "Print the completion script instead of installing it.",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        target: `module:function`. The function's signature declares arguments and options; it
            returns the exit status (None is 0).
        help: Its line in the overview.
        settings: Context settings for the parser.
        bare: Options that may be given without their value, which is then empty.
        is_report: Whether it prints a report, which may be coloured.
        is_long: Whether the report may be longer than the screen, and goes through a pager.
    """

    target: str
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    bare: tuple[str, ...] = ()
    is_report: bool = True
    is_long: bool = False

    def load(self) -> Callable[..., int | None]:
        """Import the command's module and return its function."""
        module, _, name = self.target.partition(":")
        function: Callable[..., int | None] = getattr(import_module(module), name)
        return function


class UsageError(Exception):
    """Words that are no valid command line.

    Attributes:
        message: What is wrong, in one sentence.
        path: The program with the command, as its help names it.
    """

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class HelpUnreadError(Exception):
    """The reader of a help text has gone."""


def chosen_command(commands: Iterable[str], words: Iterable[str]) -> str | None:
    """Return the first word that names a command."""
    names = set(commands)
    return next((word for word in words if word in names), None)


def parse(commands: Mapping[str, Command], words: list[str]) -> Bound | int:
    """Return the command bound to its arguments; or a status, if the parser has done it all.

    Raises:
        UsageError: The words are no valid command line.
        HelpUnreadError: The reader of a help text has gone.
    """
    from typer.main import get_command

    from flash_otel.cli import shells

    name = chosen_command(commands, words)
    application = declare(commands, name)
    bare = commands[name].bare if name else tuple(COMPLETION_OPTIONS)
    given = _with_values(words, bare)
    group = get_command(application)
    _hide_types(group, name)
    try:
        parsed = group.main(given, PROGRAM, standalone_mode=False)
    except shells.ShellError as error:
        raise UsageError(str(error), PROGRAM) from error
    except SystemExit as ended:
        # Outside of standalone mode, the parser exits only if the reader of its help has gone.
        raise HelpUnreadError from ended
    except Exception as error:
        # Typer raises click's errors and, since 0.26, those of its vendored copy: only the method
        # is common to both.
        if not hasattr(error, "format_message"):
            raise
        path = getattr(getattr(error, "ctx", None), "command_path", PROGRAM)
        raise UsageError(" ".join(error.format_message().split()), path) from error
    bound: Bound | int = parsed or 0
    return bound


def _hide_types(group: Any, name: str | None) -> None:
    """Let an argument's own name suffice: Typer 0.29 adds its Python type, as `<list[str]>`."""
    command = getattr(group, "commands", {}).get(name)
    for parameter in getattr(command, "params", ()):
        if parameter.param_type_name == "argument" and parameter.metavar:
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005 - Typer's signature


def _with_values(words: list[str], bare: tuple[str, ...]) -> list[str]:
    """Give an empty value to each of the options that stands without one; Typer requires one."""
    following = [*words[1:], "-"]
    return [
        f"{word}=" if word in bare and after.startswith("-") else word
        for word, after in zip(words, following, strict=True)
    ]


def declare(
    commands: Mapping[str, Command],
    name: str | None,
    completers: Mapping[str, Completer] | None = None,
) -> typer.Typer:
    """Declare all commands by name and line, and only the named one in full.

    Args:
        commands: The commands by name.
        name: The one that was chosen.
        completers: Completions by the name of a parameter, if a command line is to be completed.
    """
    import typer

    application = typer.Typer(
        name=PROGRAM,
        help="Trace a Runpod Flash deployment from `flash deploy` to the worker's read.",
        epilog="Exit status: 0 clean, 1 a fault was found, 2 bad usage, 3 no result.",
        add_completion=False,
        rich_markup_mode=None,  # plain help: Rich takes longer to import than a command to run
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    application.callback(invoke_without_command=True)(_overview())
    for known, command in commands.items():
        add = application.command(
            known,
            help=None if known == name else command.help,
            short_help=command.help,
            context_settings=dict(command.settings),
        )
        add(_bound(command, completers or {}) if known == name else _unchosen)
    return application


def _overview() -> Callable[..., None]:
    import typer

    from flash_otel.cli import shells

    def overview(
        version: bool = False,
        install_completion: str | None = None,
        show_completion: str | None = None,
        color: Color | None = None,
        no_pager: bool = False,
    ) -> None:
        _apply(color, no_pager=no_pager)
        if version:
            answer = f"{PROGRAM} {__version__}\n"
        elif install_completion is not None:
            answer = shells.install(install_completion)
        elif show_completion is not None:
            answer = shells.script(show_completion)
        else:
            return
        sys.stdout.write(answer)
        raise typer.Exit

    return _with_signature(overview, [*_of_overview(), *_shared(has_color=True, has_pager=True)])


def _of_overview() -> Iterator[inspect.Parameter]:
    import typer

    version = typer.Option("--version", "-V", help="Show the version and exit.")
    yield _parameter("version", bool, False, version)  # noqa: FBT003 - a default
    for option, text in COMPLETION_OPTIONS.items():
        name = option.strip("-").replace("-", "_")
        shell = typer.Option(option, metavar="[SHELL]", help=text)
        yield _parameter(name, str | None, None, shell)


def _unchosen() -> None:
    """Stand in for a command whose module is not imported, because only its line is shown."""


def _bound(command: Command, completers: Mapping[str, Completer]) -> Callable[..., Bound]:
    """Return a function of the command's parameters that binds them instead of running it."""
    from flash_otel.cli import pager

    function = command.load()
    own = inspect.signature(function, eval_str=True).parameters.values()

    @functools.wraps(function)
    def bind(*, color: Color | None = None, no_pager: bool = False, **arguments: Any) -> Bound:
        _apply(color, no_pager=no_pager)
        run = functools.partial(function, **arguments)
        # A report that keeps itself current draws on the screen.
        is_paged = command.is_long and not arguments.get("following")
        return functools.partial(pager.paged, run) if is_paged else run

    for parameter in own:
        for option in getattr(parameter.annotation, "__metadata__", ()):
            option.autocompletion = _completion(completers.get(parameter.name))
    shared = _shared(has_color=command.is_report, has_pager=command.is_long)
    return _with_signature(bind, [*own, *shared])


def _completion(completer: Completer | None) -> Callable[..., Any] | None:
    if completer is None:
        return None

    # Typer evaluates annotations, of which a completer's own exist only while types are checked.
    def complete(ctx: Any, incomplete: str) -> Any:
        return completer(ctx, incomplete)

    return complete


def _apply(color: Color | None, *, no_pager: bool) -> None:
    """Apply the shared options: those of the command win over those before it."""
    if color is not None:
        chosen.value = color
    if no_pager:
        from flash_otel.cli import pager

        pager.is_off.value = True


def _shared(*, has_color: bool, has_pager: bool) -> Iterator[inspect.Parameter]:
    import typer

    if has_color:
        when = typer.Option(
            "--color", help="Use colours: auto (on a terminal), always or never.", metavar="WHEN"
        )
        yield _parameter("color", Color | None, None, when)
    if has_pager:
        off = typer.Option("--no-pager", help="Never pipe long output through a pager.")
        yield _parameter("no_pager", bool, False, off)  # noqa: FBT003 - a default


def _parameter(name: str, kind: Any, default: object, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, option],
    )


def _with_signature(function: _F, parameters: list[inspect.Parameter]) -> _F:
    """Give a function the signature that Typer reads: by `inspect`, and by its annotations."""
    declared: Any = function
    declared.__signature__ = inspect.Signature(parameters)
    declared.__annotations__ = {known.name: known.annotation for known in parameters}
    return function
