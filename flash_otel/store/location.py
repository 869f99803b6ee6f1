"""The place of the store: one decision for the writer, every command and `doctor`.

The path is absolute, so a program that changes its folder does not move its store. No shell expands
the values of a Dockerfile, an env file or a service manager, so `~` and variables in
FLASH_OTEL_STORE are expanded here.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flash_otel.runtime import environment
from flash_otel.runtime.options import OFF
from flash_otel.store.errors import StoreError

if TYPE_CHECKING:
    from flash_otel.runtime.options import Options

ENVIRONMENT_VARIABLE: Final = "FLASH_OTEL_STORE"
FILE_NAME: Final = "spans.db"
DEMO_FILE_NAME: Final = "demo.db"

_FOLDER_NAME: Final = "flash-otel"
_STATE: Final = "XDG_STATE_HOME"
_REMEDY: Final = f"set {ENVIRONMENT_VARIABLE} to the path of a file"
# Relative to the home folder (specifications.freedesktop.org/basedir; Apple's File System
# Programming Guide); everywhere but on Windows.
_MACOS: Final = "Library/Application Support"
_UNIX: Final = ".local/state"
_VARIABLE: Final = re.compile(r"\$(?:\w+|\{[^}]*\})")


def locate(named: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute path of the store's first file, such as `spans.db`.

    Args:
        named: The path that an argument or an option gives; None for FLASH_OTEL_STORE, or else
            `spans.db` in the user's state folder. FLASH_OTEL_STORE=off yields this default,
            too, so that earlier recordings stay readable.

    Raises:
        StoreError: There is no such place; the message gives the cause and a remedy.
    """
    # The options of `instrument()` hold the variable's text; only a shell expands arguments.
    is_variable = named is None or named == environment.text(ENVIRONMENT_VARIABLE)
    if is_variable and not is_off():
        named = _expanded(environment.text(ENVIRONMENT_VARIABLE))
    path = _absolute(named) if named else state_folder() / FILE_NAME
    try:
        os.lstat(path)
    except (FileNotFoundError, PermissionError):
        pass  # created with the first span, or refused then
    except OSError as error:  # below a file, a loop of links, too long a name
        raise StoreError(f"{path}: {error.strerror}: {_REMEDY}") from error
    return path


def located(options: Options) -> Options:
    """Return options with the store's absolute path, or with the reason why there is no store."""
    if not options.has_store:
        return options
    try:
        return options._replace(store=locate(options.store or None))
    except StoreError as error:
        return options._replace(store=False, unlocated=str(error))


def locate_demo() -> Path:
    """Return the absolute path of the store that keeps the recording of the last demo.

    It lies in the user's state folder whatever FLASH_OTEL_STORE says: the spans of a demo must not
    mix with those of real deployments.

    Raises:
        StoreError: No home folder is known.
    """
    return state_folder() / DEMO_FILE_NAME


def is_off() -> bool:
    """Return True if FLASH_OTEL_STORE switches the store off."""
    return environment.text(ENVIRONMENT_VARIABLE).lower() in OFF


def state_folder() -> Path:
    """Return flash_otel's own folder for state, such as ~/.local/state/flash-otel.

    Raises:
        StoreError: No home folder is known.
    """
    if os.name != "posix":
        from platformdirs import user_state_dir

        return _absolute(user_state_dir(_FOLDER_NAME, appauthor=False))
    # A relative path is invalid and must be ignored (XDG Base Directory Specification).
    named = environment.text(_STATE)
    if Path(named).is_absolute():
        return Path(named) / _FOLDER_NAME
    home = _home()
    if home is None:
        raise StoreError(
            f"no home folder is known (HOME is not set to a path, and user id {os.getuid()} is "
            f"in no user database): set {_STATE} to a folder, or {ENVIRONMENT_VARIABLE} to a file"
        )
    return Path(home) / (_MACOS if sys.platform == "darwin" else _UNIX) / _FOLDER_NAME


def is_default(path: Path) -> bool:
    """Return whether every command reads this store without being given its path."""
    try:
        return path == state_folder() / FILE_NAME
    except StoreError:
        return False


def is_state_folder(folder: Path) -> bool:
    """Return True if `folder` is flash_otel's own folder for state."""
    try:
        return folder == state_folder()
    except StoreError:
        return False


def _expanded(value: str) -> str:
    expanded = os.path.expandvars(value)
    unset = _VARIABLE.search(expanded)
    if unset is not None:
        raise StoreError(f"{ENVIRONMENT_VARIABLE} names {unset[0]}, which is not set: {_REMEDY}")
    return expanded


def _absolute(named: str | os.PathLike[str]) -> Path:
    try:
        text = os.fsdecode(named)
    except TypeError as error:
        raise StoreError(f"{named!r} is not a path: {_REMEDY}") from error
    if "\0" in text:
        raise StoreError(f"{text!r} holds a NUL character: {_REMEDY}")
    if text.startswith("~"):
        return _in_home(text)
    try:
        return Path(text).absolute()
    except OSError as error:
        raise StoreError(f"{text} is relative to a folder that is gone: {_REMEDY}") from error


def _in_home(text: str) -> Path:
    """Return a path that begins with `~` or `~user` as one in that user's home folder."""
    first, *rest = Path(text).parts
    home = _home(first[1:])
    if home is None:
        whose = f"a user {first[1:]!r}" if first[1:] else "this user"
        raise StoreError(f"{text}: no home folder of {whose} is known: {_REMEDY}")
    return Path(home, *rest)


def _home(user: str = "") -> str | None:
    """Return the home folder of a user (empty: the current user); None if none is known.

    Unlike `os.path.expanduser`, it goes by the user database if HOME is empty or relative.
    """
    if os.name != "posix":
        home = os.path.expanduser(f"~{user}")  # noqa: PTH111 - Path's raises for an unknown user
        return home if Path(home).is_absolute() else None
    named = os.environ.get("HOME", "")
    if not user and Path(named).is_absolute():
        return named
    import pwd

    try:
        home = (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
    except KeyError:
        return None
    return home if Path(home).is_absolute() else None
