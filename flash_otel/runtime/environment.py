"""Components that environment variables configure: an invalid value is ignored, and costs no more.

OpenTelemetry reads variables when a module is imported, a component made, or an entry point loaded;
each of these may raise or write to the host's log. Here, each is tried separately, falls back to
the default of the specification, and leaves an entry for `flash-otel doctor`
(opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
"""

from __future__ import annotations

import logging
import os
import re
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from flash_otel.runtime.process import ProcessVar, guarded, is_hosts, logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from importlib.metadata import EntryPoint

_T = TypeVar("_T")

_LONGEST_VALUE: Final = 100
_QUOTES: Final = ("'", '"')
_DIGITS: Final = 20
_URL_NAME: Final = re.compile(r"(?:_proxy|endpoint)$", re.IGNORECASE)


class Ignored(NamedTuple):
    """A variable, or a part of its value, that had no effect.

    Attributes:
        name: The variable.
        value: Its value, masked and shortened.
        reason: Why it had no effect.
        default: What was used in its place.
        loses: What is lost, for the warning at exit; empty if nothing is lost.
    """

    name: str
    value: str
    reason: str
    default: str
    loses: str = ""


_ignored: Final[ProcessVar[dict[tuple[str, str], Ignored]]] = ProcessVar(dict)


def ignored() -> tuple[Ignored, ...]:
    """Return what has been ignored so far in this process."""
    return tuple(_ignored.value.values())


def forget() -> None:
    """Forget what has been ignored so far."""
    _ignored.reset()


def ignore(name: str, reason: str, default: str, *, loses: str = "") -> None:
    """Record that a variable, or a part of it, had no effect."""
    _ignored.value[name, reason] = Ignored(name, shown(name), reason, default, loses)
    logger.debug("flash_otel: %s is ignored: %s; using %s", name, reason, default)


def loss() -> str:
    """Return the warning for the end of the process; empty if no ignored variable lost spans."""
    lost = [f"{each.name}: {each.reason}; {each.loses}" for each in ignored() if each.loses]
    more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    return f"flash_otel: {lost[0]}{more}: flash-otel doctor" if lost else ""


def shown(name: str, value: str | None = None) -> str:
    """Return a variable's value for display: printable, without secrets, shortened."""
    # Few processes show a variable, and the patterns of secrets take milliseconds to compile.
    from flash_otel.redaction import REDACTED, is_secret_name, scrub, scrub_address

    text = os.environ.get(name, "") if value is None else value
    if name.endswith(("HEADERS", "CLIENT_KEY")) or is_secret_name(name):
        return REDACTED if text else ""
    hide = scrub_address if _URL_NAME.search(name) else scrub
    clean = "".join(char if char.isprintable() else " " for char in hide(text))
    return clean if len(clean) <= _LONGEST_VALUE else f"{clean[: _LONGEST_VALUE - 1]}…"


def text(name: str) -> str:
    """Return a variable without surrounding spaces and quotes; an empty string if it is unset."""
    return unquoted(os.environ.get(name, ""))


def unquoted(value: str) -> str:
    """Return a value without surrounding spaces and quotes.

    `docker --env-file` and some shells' `.env` files leave quotes in the value.
    """
    value = value.strip()
    if len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0]:
        value = value[1:-1].strip()
    return value


def read(name: str, convert: Callable[[str], _T], default: _T, *, loses: str = "") -> _T:
    """Convert a variable; record an invalid value, and return the default instead.

    Args:
        name: The variable.
        convert: Raises ValueError with the reason for an invalid value.
        default: The value if the variable is unset, empty or invalid.
        loses: What is lost if the value is invalid.
    """
    value = text(name)
    if not value:
        return default
    try:
        return convert(value)
    except ValueError as error:
        ignore(name, str(error), str(default), loses=loses)
        return default


# --- values --------------------------------------------------------------------------------------


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a converter that accepts these words, in upper or lower case."""

    def convert(value: str) -> str:
        if value.lower() not in allowed:
            raise ValueError(f"it takes {', '.join(allowed)}")
        return value.lower()

    return convert


def whole(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Return a converter for a decimal integer from `least` to `most`."""

    def convert(value: str) -> int:
        # int() also accepts underscores and the digits of every script.
        found = int(value) if value.isascii() and value.isdigit() and len(value) <= _DIGITS else -1
        if not least <= found <= most:
            raise ValueError(f"it takes a whole number from {least} to {most}")
        return found

    return convert


def number(least: float, most: float, what: str) -> Callable[[str], float]:
    """Return a converter for a number from `least` to `most`; NaN is invalid."""

    def convert(value: str) -> float:
        try:
            # float(), like int(), also accepts underscores and the digits of every script.
            found = float(value) if value.isascii() and "_" not in value else -1.0
        except ValueError:
            found = -1.0
        if not least <= found <= most:
            raise ValueError(f"it takes {what}, from {least:g} to {most:g}")
        return found

    return convert


def boolean(value: str) -> bool:
    """Convert a boolean: only `true` is true (specification, "Boolean")."""
    return choice("true", "false")(value) == "true"


def names(value: str) -> list[str]:
    """Split a list of names at its commas; each name is listed once."""
    return list(dict.fromkeys(name for part in value.split(",") if (name := part.strip())))


# --- components ----------------------------------------------------------------------------------


def attempt(
    name: str, make: Callable[[], _T], default: _T, *, uses: str = "the default", loses: str = ""
) -> _T:
    """Make the component that a variable configures; record a failure and return the default.

    Args:
        name: The variable.
        make: Makes the component.
        default: Returned if it cannot be made.
        uses: The default in words.
        loses: What is lost without the component.
    """
    try:
        with quiet():
            return make()
    # A package that exits or panics (pyo3) where it is imported costs itself, not the host.
    except BaseException as error:
        if is_hosts(error):
            raise
        # Only the type: the message may hold a secret.
        ignore(name, f"it fails with {type(error).__name__}", uses, loses=loses)
        return default


def plugin(name: str, group: str, entry: str, *, uses: str = "the default", loses: str = "") -> Any:
    """Load the entry point that a variable names.

    Args:
        name: The variable.
        group: The group of entry points.
        entry: The name within the group.
        uses: The default in words.
        loses: What is lost without it.

    Returns:
        The registered object. If there is none, or it cannot be loaded: None, and it is recorded.
    """
    for point in _registered(group):
        if point.name == entry:
            return attempt(name, point.load, None, uses=uses, loses=loses)
    ignore(name, f"nothing is installed for {shown(name, entry)}", uses, loses=loses)
    return None


def component(
    name: str,
    group: str,
    entry: str,
    kind: type[_T],
    *arguments: str,
    uses: str = "the default",
    loses: str = "",
) -> _T | None:
    """Make the component that a variable names.

    Args:
        name: The variable.
        group: The group of entry points.
        entry: The name within the group.
        kind: The class that the component has to have.
        *arguments: The arguments of its factory.
        uses: The default in words.
        loses: What is lost without it.

    Returns:
        The component. If it cannot be made: None, and that is recorded.
    """
    factory = plugin(name, group, entry, uses=uses, loses=loses)
    if factory is None:
        return None
    failed = object()
    made = attempt(name, lambda: factory(*arguments), failed, uses=uses, loses=loses)
    if made is failed:
        return None
    if made is not None and isinstance(made, kind):
        return made
    ignore(name, f"{shown(name, entry)} makes no {kind.__name__}", uses, loses=loses)
    return None


def installed(group: str) -> frozenset[str]:
    """Return the names of the entry points of a group."""
    return frozenset(point.name for point in _registered(group))


# Each search reads the metadata of every installed package, which takes milliseconds.
_found: Final[ProcessVar[dict[str, tuple[EntryPoint, ...]]]] = ProcessVar(dict)


def _registered(group: str) -> tuple[EntryPoint, ...]:
    if group not in _found.value:
        from importlib.metadata import entry_points

        with guarded("the entry points"):
            _found.value[group] = tuple(entry_points(group=group))
    return _found.value.get(group, ())


# --- imports and logs ----------------------------------------------------------------------------


# Modules of OpenTelemetry read these at import, and raise for invalid values (1.27-1.45).
_PROPAGATORS: Final = "OTEL_PROPAGATORS"
_ATTRIBUTE_COUNT: Final = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"
_masking: Final = ProcessVar(threading.Lock, reset_in_child=True)


def load(module: str) -> None:
    """Import a module of OpenTelemetry, without the variables that make its import fail.

    Raises:
        Exception: The import fails for another reason, such as a missing package.
    """
    try:
        with quiet("OTEL_PYTHON_CONTEXT"):
            import_module(module)
    except BaseException as error:
        if is_hosts(error) or not any(_load_with(module, repair) for repair in _repairs()):
            raise


def _repairs() -> Iterator[dict[str, str]]:
    """Yield changes to the environment, the smallest first."""
    if _PROPAGATORS in os.environ:
        known = installed("opentelemetry_propagator")
        named = [name for name in names(text(_PROPAGATORS)) if name in {*known, "none"}]
        yield {_PROPAGATORS: ",".join(named)}
        # OpenTelemetry 1.27 does not know `none`.
        yield {_PROPAGATORS: ",".join(name for name in named if name != "none")}
    if _ATTRIBUTE_COUNT in os.environ:
        yield {_ATTRIBUTE_COUNT: ""}
    yield {name: "" for name in (_PROPAGATORS, _ATTRIBUTE_COUNT) if name in os.environ}


def _load_with(module: str, repair: dict[str, str]) -> bool:
    try:
        with _masking.value, _repaired(repair), quiet("OTEL_PYTHON_CONTEXT"):
            import_module(module)
    except BaseException as error:
        if is_hosts(error):
            raise
        return False
    for name, value in repair.items():
        ignore(name, "OpenTelemetry cannot be imported with it", value or "the default")
    return True


@contextmanager
def _repaired(repair: dict[str, str]) -> Iterator[None]:
    """Change variables during an import; those without a value are unset."""
    saved = {name: os.environ.pop(name) for name in repair}
    os.environ.update({name: value for name, value in repair.items() if value})
    try:
        yield
    finally:
        os.environ.update(saved)


_DETECTORS: Final = "opentelemetry.sdk.resources"
# These write to standard error, with tracebacks, if the host has no logging configured.
_LOGGERS: Final = tuple(
    logging.getLogger(f"opentelemetry.{name}")
    for name in (
        *("attributes", "context", "propagate", "trace.span", "trace.propagation.tracecontext"),
        *("util._providers", "sdk.environment_variables._internal", "sdk.resources", "sdk.trace"),
        *("sdk.trace.export", "sdk.trace.sampling", "sdk._shared_internal"),
    )
)


class _Muted(logging.Filter):
    """Drops log records of the current thread and of resource detectors."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        # The SDK runs detectors in separate threads.
        is_other = record.thread != self._thread and record.name != _DETECTORS
        self.count += not is_other
        return is_other


@contextmanager
def quiet(name: str = "") -> Iterator[None]:
    """Keep OpenTelemetry's warnings about variables out of the host's log.

    Args:
        name: The variable that is recorded as ignored if there is a warning.
    """
    muted = _Muted()
    for each in _LOGGERS:
        each.addFilter(muted)
    try:
        yield
    finally:
        for each in _LOGGERS:
            each.removeFilter(muted)
    if muted.count and name in os.environ:
        ignore(name, "OpenTelemetry does not accept it", "the default")
