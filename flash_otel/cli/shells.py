"""`--show-completion` and `--install-completion`: the scripts, and the files that shells read."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DETECTED: Final = ""  # the value that stands for the shell that runs the program

_BASH: Final = r"""
_flash_otel() {
    local IFS=$'\n'
    COMPREPLY=($(_FLASH_OTEL_COMPLETE=bash "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -o nosort -F _flash_otel flash-otel 2>/dev/null ||
    complete -o default -F _flash_otel flash-otel
"""
_ZSH: Final = r"""#compdef flash-otel
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
_flash_otel() {
    local -a found typed
    typed=("${(Q)words[1]}" "${(@Q)words[2,CURRENT]}")
    found=("${(@f)$(_FLASH_OTEL_COMPLETE=zsh "${typed[@]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then _describe -V flash-otel found; else _files; fi
}
if [[ "$funcstack[1]" = _flash-otel ]]; then _flash_otel; else compdef _flash_otel flash-otel; fi
"""
_FISH: Final = r"""
function __flash_otel_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found (env _FLASH_OTEL_COMPLETE=fish $words "$current" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete --command flash-otel --no-files --keep-order --arguments '(__flash_otel_complete)'
"""


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell.

    Attributes:
        script: What teaches it to complete.
        folder: A variable with a folder, and the folder below the home that it stands for.
        file: The script's place in that folder.
        start: The same for the file that the shell reads when it starts; None if it finds the
            script by itself.
    """

    script: str
    folder: tuple[str, str]
    file: str
    start: tuple[str, str, str] | None = None


SHELLS: Final[dict[str, Shell]] = {
    "bash": Shell(
        _BASH,
        ("XDG_DATA_HOME", ".local/share"),
        # Where bash-completion looks, if it is installed.
        "bash-completion/completions/flash-otel",
        ("", "", ".bashrc"),
    ),
    "zsh": Shell(
        _ZSH,
        ("XDG_DATA_HOME", ".local/share"),
        "zsh/site-functions/_flash-otel",
        ("ZDOTDIR", "", ".zshrc"),
    ),
    "fish": Shell(_FISH, ("XDG_CONFIG_HOME", ".config"), "fish/completions/flash-otel.fish"),
}


class ShellError(Exception):
    """A shell that is unknown, or whose files cannot be written; the message says which."""


def script(name: str) -> str:
    """Return the script for a shell.

    Raises:
        ShellError: The shell is unknown.
    """
    return _shell(name)[1].script.lstrip("\n")


def install(name: str) -> str:
    """Write the script where the shell reads it; return what was done, and how to undo it.

    Raises:
        ShellError: The shell is unknown, or a file cannot be written.
    """
    name, shell = _shell(name)
    file = _place(*shell.folder, shell.file)
    done = [f"Completion for {name}: {file}"]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shell.script.lstrip("\n"), encoding="utf-8")
        if shell.start is not None:
            start = _place(*shell.start)
            _add_line(start, f"[ ! -r {shlex.quote(str(file))} ] || . {shlex.quote(str(file))}")
            done.append(f"It is read by {start}.")
    except OSError as error:
        raise ShellError(f"completion cannot be installed: {error}.") from error
    return "\n".join([*done, "It works in new shells. To remove it, delete the file.\n"])


def _add_line(file: Path, line: str) -> None:
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
    if line in text.splitlines():
        return
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"{'' if text.endswith(chr(10)) or not text else chr(10)}{line}\n")


def _place(variable: str, below_home: str, file: str) -> Path:
    named = os.environ.get(variable, "") if variable else ""
    return Path(named or Path.home() / below_home) / file


def _shell(name: str) -> tuple[str, Shell]:
    found = name if name != DETECTED else _detected()
    if found not in SHELLS:
        known = ", ".join(SHELLS)
        unknown = f"no completion for {found!r}" if found else "the shell cannot be detected"
        raise ShellError(f"{unknown}; name one of {known}: --show-completion bash")
    return found, SHELLS[found]


def _detected() -> str:
    """Return the name of the shell that runs the program, or of the user's own."""
    try:
        import shellingham  # type: ignore[import-untyped]  # it has no stubs

        name, _ = shellingham.detect_shell()
    except Exception:  # not installed beside an old Typer, or no shell among the parents
        name = ""
    return name if name in SHELLS else Path(os.environ.get("SHELL", "")).name
