"""What a traced and an untraced run have to have in common, once stripped of chance."""

from __future__ import annotations

import io
import json
import re
import tarfile
from typing import TYPE_CHECKING, Any, Final

from flash_otel.semconv import CARRIER_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.flash import FlashRun

# Frames of a wrapper, and those that start the process, in a traceback: the file's line, then the
# source and its markers.
_OUR_FRAMES: Final = re.compile(
    r'  File "(?:[^"]*[/\\](?:flash_otel|wrapt)[/\\][^"]*|<string>|<frozen runpy>'
    r'|[^"]*[/\\]bin[/\\](?:flash|rp))", line \d+, in .*\r?\n'
    r"(?:    .*\r?\n)*"
)
# A frame in rich's box: its file, broken at the width, and some code.
_BOXED_FRAME: Final = re.compile(
    r"((?:│ \S.*│\n)+)│ +│\n(?:│ +(?:❱ +)?\S.*│\n|│ ❱.*│\n)+(?:│ +│\n)?"
)
_BREAK: Final = re.compile(r" *│\n│ ")
_LINK_ID: Final = re.compile(r"\x1b\]8;id=\d+;")
# Rich colours the parts of a duration apart.
_SECONDS: Final = re.compile(r"\d+\.(?:\x1b\[[\d;]*m)*\d+s")
# A spinner or a progress bar is drawn as often as time allows, in between whatever is printed.
_ANIMATED: Final = re.compile(
    r"\x1b\[32m[\u2801-\u28ff]\x1b\[0m (?:\x1b\[\d+m)?([^\r\n.]*\.\.\.)(?:\x1b\[0m)?"
    r"|(?:\x1b\[2K)?\x1b\[2m(\w+)[^\r\n]*\u2501[^\r\n]*"
)
_SPINNER: Final = re.compile("[\u2801-\u28ff]")
_MOVES: Final = re.compile(r"\r|\x1b\[(?:2K|1A|\?25[hl])")


def shown(run: FlashRun, text: str) -> str:
    """Return the visible output without addresses, times, link ids and flash_otel's frames.

    Animated text appears once, at the end.
    """
    text = _BOXED_FRAME.sub(_unless_ours, _OUR_FRAMES.sub("", run.stable(text)))
    text = _SECONDS.sub("SECONDS", text)
    text = _LINK_ID.sub("\x1b]8;", text)
    animated = sorted({match[1] or match[2] for match in _ANIMATED.finditer(text)})
    still = _SPINNER.sub("*", _MOVES.sub("", _ANIMATED.sub("", text)))
    return "\n".join((still, *animated))


def _unless_ours(frame: re.Match[str]) -> str:
    is_ours = re.search(r"[/\\](?:flash_otel|wrapt)[/\\]", _BREAK.sub("", frame[1]))
    return "" if is_ours else frame[0]


def asked(run: FlashRun) -> list[Any]:
    """Return the requests without our key; what is asked at the same time has no order."""
    return sorted((_without_carrier(request) for request in run.wire()), key=str)


def left(run: FlashRun) -> dict[str, Any]:
    """Return the files, each by what it means."""
    return {name: _meaning(name)(run, content) for name, content in run.files.items()}


def _meaning(name: str) -> Callable[[FlashRun, bytes], Any]:
    for ending, read in _MEANINGS.items():
        if name.endswith(ending):
            return read
    return _text


def _text(run: FlashRun, content: bytes) -> str:
    return shown(run, content.decode("latin-1"))


def _manifest(run: FlashRun, content: bytes) -> Any:
    return _without_carrier(json.loads(run.stable(content.decode())))


def _archive(run: FlashRun, content: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: (member.mode, _member(run, archive, member)) for member in archive}


def _member(run: FlashRun, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    file = archive.extractfile(member)
    return None if file is None else _meaning(member.name)(run, file.read())


_MEANINGS: Final[dict[str, Callable[[FlashRun, bytes], Any]]] = {
    "flash_manifest.json": _manifest,
    "runpod_manifest.json": _manifest,
    ".tar.gz": _archive,
}


def _without_carrier(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_carrier(item) for key, item in value.items() if key != CARRIER_KEY}
    return [_without_carrier(item) for item in value] if isinstance(value, list) else value
