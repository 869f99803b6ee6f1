"""Where the store is, for every way of naming it: the same absolute path for all who ask."""

from __future__ import annotations

import os
import pwd
import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.interpreter import run_python

from flash_otel.store.errors import StoreError
from flash_otel.store.location import is_off, locate, state_folder
from flash_otel.store.store import open_for_reading, open_for_writing

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
PIECES = ["~", "~root", "~nobody-here", "$HOME", "${HOME}", "$UNSET", "a", "..", ".", "/", " ", "'"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set a home folder, and no variable that names the store."""
    for name in ("FLASH_OTEL_STORE", "XDG_STATE_HOME", "UNSET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("~/x.db", "home/x.db"),
        ("'~/x.db'", "home/x.db"),
        ('"x.db"', "x.db"),
        ("$HOME/x.db", "home/x.db"),
        ("${HOME}/x.db", "home/x.db"),
        ("  x.db ", "x.db"),
        ("folder/../x.db", "folder/../x.db"),
        ("./~/x.db", "~/x.db"),
        ("", "home/.local/state/flash-otel/spans.db"),
        ("''", "home/.local/state/flash-otel/spans.db"),
        ("off", "home/.local/state/flash-otel/spans.db"),
        ("'none'", "home/.local/state/flash-otel/spans.db"),
    ],
)
def test_what_env_files_leave(
    value: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tildes, variables and quotes that no shell has expanded mean what they mean in a shell."""
    monkeypatch.setenv("FLASH_OTEL_STORE", value)
    assert locate() == tmp_path / expected
    assert is_off() == ("o" in value and "x" not in value)


def test_the_writer_and_the_readers_expand_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is traced stores where the commands look."""
    monkeypatch.setenv("FLASH_OTEL_STORE", "$HOME/folder/x.db")
    run_python(
        """
        import flash_otel

        flash_otel.instrument()

        @flash_otel.trace_call
        def call(): ...

        call()
        """,
        tmp_path,
        {"HOME": str(tmp_path / "home"), "FLASH_OTEL_STORE": "$HOME/folder/x.db"},
    )
    store = open_for_reading(locate())
    assert store is not None
    with store:
        assert [span.name for span in store.spans()] == ["flash.call"]


def test_another_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~user` is that user's home folder, whatever HOME says."""
    monkeypatch.setenv("FLASH_OTEL_STORE", f"~{pwd.getpwuid(0).pw_name}/x.db")
    assert locate() == Path(pwd.getpwuid(0).pw_dir, "x.db")


def test_a_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument comes before the variable, and is taken literally but for the tilde."""
    monkeypatch.setenv("FLASH_OTEL_STORE", "other.db")
    assert locate("~/$x.db") == tmp_path / "home" / "$x.db"
    assert locate(Path("x.db")) == tmp_path / "x.db"
    assert locate("off") == tmp_path / "off"


@pytest.mark.parametrize(
    ("xdg", "home", "expected"),
    [
        ("/state", "/home", "/state"),
        ("relative", "/home", "/home/.local/state"),
        ("", "/home", "/home/.local/state"),
        ("", "", f"{HOME}/.local/state"),
        ("", "relative", f"{HOME}/.local/state"),
        ("~/state", "/home", "/home/.local/state"),
    ],
)
def test_the_state_folder(
    xdg: str, home: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative folder is ignored, as the specification demands; the user database has a home."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_STATE_HOME", xdg)
    monkeypatch.setenv("HOME", home)
    assert state_folder() == Path(expected) / "flash-otel"


def test_the_state_folder_of_macos(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """On macOS, state is in the Library."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert state_folder() == home / "Library/Application Support/flash-otel"


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("$UNSET/x.db", ["$UNSET, which is not set"]),
        ("a/${UNSET}.db", ["${UNSET}, which is not set"]),
        ("~nobody-here/x.db", ["'nobody-here'"]),
    ],
)
def test_what_leads_nowhere(value: str, parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that cannot be expanded is an error with a remedy, never a folder of that name."""
    monkeypatch.setenv("FLASH_OTEL_STORE", value)
    with pytest.raises(StoreError, match="set FLASH_OTEL_STORE to the path of a file") as raised:
        locate()
    assert all(part in str(raised.value) for part in parts)


@pytest.mark.parametrize("named", ["a\0b", 5, object()])
def test_what_is_no_path(named: str) -> None:
    """An argument that cannot be a path is the same kind of error."""
    with pytest.raises(StoreError, match=r"is not a path|NUL"):
        locate(named)


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a relative path needs the current folder."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert locate("/x.db") == Path("/x.db")
    with pytest.raises(StoreError, match="relative to a folder that is gone"):
        locate("x.db")
    monkeypatch.chdir(tmp_path)


@given(value=st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_is_a_place_or_a_reason(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value yields an absolute path without anything unexpanded, or a StoreError."""
    monkeypatch.setenv("FLASH_OTEL_STORE", value)
    try:
        path = locate()
    except StoreError:
        return
    assert path.is_absolute()
    assert "$" not in str(path)
    assert locate() == path


@pytest.mark.parametrize(
    "named",
    ["folder", "file/x.db", "loop", "loop/x.db", "/dev/null", f"{'x' * 300}.db", "fifo"],
)
def test_places_that_hold_no_store(named: str, tmp_path: Path) -> None:
    """Writing and reading there are a StoreError that names the path."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    for attempt in (open_for_writing, open_for_reading):
        with pytest.raises(StoreError, match=re.escape(named)):
            attempt(locate(named))


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    """Missing folders are created, private to their owner."""
    with open_for_writing(locate("a/b/x.db")) as store:
        assert store.path == tmp_path / "a/b/x.db"
    assert (tmp_path / "a/b").stat().st_mode & 0o077 == 0
