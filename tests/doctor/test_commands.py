"""Every problem that the doctor finds comes with the line that mends it, whatever surrounds it."""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from rich.cells import cell_len
from support.commands import environment
from support.hostile import CANARY, draw

from flash_otel.cli import doctor
from flash_otel.doctor import OK, PROBLEM, delivery
from flash_otel.report.layout import ReportConsole
from flash_otel.report.words import clean
from flash_otel.runtime.suggestions import pasteable
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DRAWS: Final = 60
SURROUNDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "HOME": ("", "/nonexistent", "~", "relative", "\udcff"),
    "XDG_STATE_HOME": ("", "/proc/no", "~/state", "relative", "\udcff"),
    "COLUMNS": ("", "0", "1", "²", "abc", "9" * 30, "500"),
    "TERM": ("", "dumb", "\x1b", "xterm-256color"),
    "FORCE_COLOR": ("1", ""),
    "PATH": ("", "/nonexistent", "\udcff"),
    "PYTHONPATH": ("", "\udcff", "/a:::"),
    "RUNPOD_ENDPOINT_ID": ("", "endpoint"),
    "NO_PROXY": ("*", "10.0.0.0/8,[", "\udcff"),
    **dict.fromkeys(
        ("http_proxy", "https_proxy", "ALL_PROXY"),
        (
            *("", "proxy:3128", f"http://me:{CANARY}@proxy:3128", f"socks5://me:{CANARY}@proxy"),
            *(f"http://me:{CANARY}@[", f"ftp://{CANARY}@proxy", "http://proxy:none", "\udcff"),
        ),
    ),
    "FLASH_OTEL_NO_SUCH": ("", CANARY, "\udcff"),
    "FLASH_OTEL_STROE": ("spans.db", "a'b\"c"),
    "FLASH_OTEL_JAEGER_HEADER": (f"x-api-key={CANARY}",),
    "OTEL_EXPORTER_OTLP_HEADER": (f"x-api-key={CANARY}",),
    "OTEL_NODE_SOMETHING": (CANARY,),
    "FLASH_OTEL_;reboot": ("x", "$(reboot)"),
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables of flash_otel, Flash and OpenTelemetry."""
    for name in list(os.environ):
        if name.startswith(("FLASH_", "OTEL_", "RUNPOD_")):
            monkeypatch.delenv(name)


def examined(folder: Path, before: str = "", **env: str) -> dict[str, Any]:
    """Return what `doctor --json` reports after a shell has run these lines."""
    command = f"{before}\nexec {shlex.quote(sys.executable)} -m flash_otel doctor --offline --json"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment(folder, **env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


BROKEN: Final[Mapping[str, str]] = {
    "OTEL_PROPAGATORS": "tracecontext,b3,baggage",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "-1",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "abc",
    "OTEL_BSP_MAX_QUEUE_SIZE": "256",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "512",
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "10",
    "OTEL_TRACES_EXPORTER": "otlp,zipkin",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "udp",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "ten",
    "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key: {CANARY}",
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "~/ca.pem",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "grpcs://collector.example:4317",
    "OTEL_PYTHON_ID_GENERATOR": "xray",
    "OTEL_PYTHON_TRACER_PROVIDER": "missing",
    "OTEL_PYTHON_METER_PROVIDER": "missing",
    "OTEL_PYTHON_CONTEXT": "missing",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "process,missing",
    "OTEL_RESOURCE_ATTRIBUTES": "garbage",
    "OTEL_SDK_DISABLED": "yes",
    "OTEL_SERVICE_NAME": "'shop'",
    "FLASH_OTEL_EXIT_BUDGET": "half",
    "FLASH_OTEL_PROPAGATION": "child",
    "FLASH_OTEL_JAGER_HEADERS": f"x-api-key={CANARY}",
    "FLASH_OTEL_WHATEVER": "x",
}
_VALID: Final = {"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_TRACES_SAMPLER"}


def test_the_commands_mend_what_is_broken(tmp_path: Path) -> None:
    """Each bad value is named with a command, and a shell that runs them leaves no problem."""
    found = examined(tmp_path, **BROKEN)
    named = {
        name
        for check in found["checks"]
        for name in BROKEN
        if check["result"] != OK and check["command"] and name in check["says"]
    }
    # The endpoint is a problem of the destination, which its name is not a part of.
    named |= {name for name in BROKEN for check in found["checks"] if name in check["command"]}
    assert named >= BROKEN.keys() - _VALID
    assert CANARY not in json.dumps(found)
    commands = [check["command"] for check in found["checks"] if check["topic"] != "versions"]
    after = examined(tmp_path, "\n".join(filter(None, commands)), **BROKEN)
    assert [
        check
        for check in after["checks"]
        if check["topic"] != "versions"
        and (check["result"] == PROBLEM or "quotes" in check["says"])
    ] == []


def drawn(number: int) -> tuple[dict[str, str], set[str]]:
    """Return an environment, and the names of the variables that are ignored."""
    source = random.Random(number)  # noqa: S311 - no secret
    found = draw(f"doctor-{number}")
    names = source.sample(sorted(SURROUNDINGS), 3)
    around = {name: source.choice(SURROUNDINGS[name]) for name in names}
    misspelt = {name for name in around if name.startswith("FLASH_OTEL_")}
    return {**found.variables, **around}, found.invalid | misspelt


@pytest.mark.parametrize("part", range(2))
def test_any_environment(part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under any environment: no error, no secret, each ignored variable, a line for each problem.

    Each line fits 80 columns, unless it is a command or holds a single word.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flash_otel.doctor.installation.version_of", lambda _name: "1.20")
    for number in range(part * DRAWS, (part + 1) * DRAWS):
        variables, ignored = drawn(number)
        with pytest.MonkeyPatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            topics = doctor.examine(None)
            console = ReportConsole(highlight=False)
            lines = [
                "".join(part.text for part in line)
                for line in doctor._lines(topics, is_verbose=True, console=console)
            ]
            checks = [check for _, found in topics for check in found]
            commands = {clean(pasteable(check.command)) for check in checks}  # by PATH, too
        wrong = [check for check in checks if check.result != OK]
        assert not [name for name in ignored if name not in repr(wrong)], variables
        assert CANARY not in repr(checks) + "".join(lines), variables
        assert [check for check in wrong if check.result == PROBLEM and not check.command] == []
        for command in commands:
            shlex.split(command)
        for line in lines:
            is_free = line.strip() in commands or " " not in line[doctor._INDENT :].strip()
            assert cell_len(line) <= 80 or is_free, line


PAYLOADS: Final = (
    "$(: >pwned)",
    "`: >pwned`",
    "'; : >pwned; '",
    '"; : >pwned; "',
    "; : >pwned",
    "\n: >pwned\n",
    "\\'; : >pwned #",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_command_runs_what_the_environment_holds(
    payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, values and paths that a shell would run are quoted in every command."""
    store = tmp_path / payload / "spans.db"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"damaged" * 1000)
    hostile = {
        "FLASH_OTEL_STORE": str(store),
        "FLASH_OTEL_STROE": payload,
        f"FLASH_OTEL_{payload}": payload,
        "OTEL_SERVICE_NAME": f"'{payload}'",
        "OTEL_RESOURCE_ATTRIBUTES": payload,
        "OTEL_PROPAGATORS": f"tracecontext,{payload}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"htps://h:1/{payload}",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    topics = dict(doctor.examine(None))
    commands = [
        check.command
        for topic in ("variables", "store", "destinations")
        for check in topics[topic]
        if check.command
    ]
    assert len(commands) >= 5
    monkeypatch.setenv("PATH", "")  # the shell itself is all that can run
    for command in commands:
        subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert not list(tmp_path.rglob("pwned"))


def _symlinked(store: Path) -> None:
    target = store.with_name("target.db")
    SpanStore(target).close()
    store.symlink_to(target)


def _damaged(store: Path) -> None:
    store.write_bytes(b"damaged" * 1000)


def _readable_by_others(store: Path) -> None:
    SpanStore(store).close()
    store.chmod(0o644)


def _below_a_file(store: Path) -> None:
    store.parent.rmdir()
    store.parent.write_text("")


STORES: Final = (_symlinked, _damaged, _readable_by_others, _below_a_file)


@pytest.mark.parametrize("spoil", STORES)
@pytest.mark.parametrize("has_home", [True, False])
def test_the_commands_mend_a_store(
    spoil: Callable[[Path], None],
    has_home: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that cannot be used, or that others can read, is mended by the printed command."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ("state" if has_home else "blocked")))
    store = tmp_path / "a folder" / "spans.db"
    store.parent.mkdir()
    spoil(store)
    monkeypatch.setenv("FLASH_OTEL_STORE", str(store))
    (found,) = [check for check in delivery.store() if check.command]
    assert str(store.parent) in found.text
    shell = f'{found.command}\nprintf %s "$FLASH_OTEL_STORE"'
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
    assert done.stderr == ""

    monkeypatch.setenv("FLASH_OTEL_STORE", done.stdout)
    assert {check.result for check in delivery.store()} == {OK}
