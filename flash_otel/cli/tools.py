"""The tools of `flash-otel mcp`: what an agent may ask, and the documents that answer it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flash_otel.cli.app import COULD_NOT_TELL, CommandError
from flash_otel.cli.open_store import trace_to_read
from flash_otel.cli.sources import STORE, Selection, local_limits, since_ns
from flash_otel.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_TRACES: Final = 100
_DEFAULT_TRACES: Final = 20
_LONGEST_NAME: Final = 200
_ENVIRONMENT: Final = "Name or id of the environment."
_TRACE: Final = "Trace id or its first digits, or last, last^1, last^2 ... for the newest ones."
_APP: Final = "Name of the Flash app."

Answer = tuple[Any, list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """The sources that the user has chosen for all calls."""

    sources: list[str] | None
    store: str | None


@dataclass(frozen=True, slots=True)
class ServedTool:
    """A tool.

    Attributes:
        answer: Given the sources and the arguments, returns the document, and what it lacks.
        description: What an agent reads before it chooses the tool.
        properties: The JSON schema of each argument.
        is_open: Whether it asks a service outside of this machine.
    """

    answer: "Callable[[Asked, Mapping[str, Any]], Answer]"
    description: str
    properties: "Mapping[str, Mapping[str, Any]]"
    is_open: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of all arguments, each of which is optional."""
        properties = {name: dict(known) for name, known in self.properties.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def _name(description: str) -> dict[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": _LONGEST_NAME,
        "description": description,
    }


def _diagnose(asked: Asked, given: "Mapping[str, Any]") -> Answer:
    from flash_otel.cli.diagnose import judge
    from flash_otel.diagnosis.order import ASSUMED_SKEW_S
    from flash_otel.report.json import diagnosis_json

    trace, env, app = given.get("trace"), given.get("env"), given.get("app")
    question = {"environment": env, "build_id": given.get("build"), "trace_id": trace, "app": app}
    selection = Selection(
        asked.store, since_ns(given.get("since")), trace_to_read(trace), app=app, environment=env
    )
    return diagnosis_json(judge(asked.sources or [STORE], selection, question, ASSUMED_SKEW_S)), []


def _traces(asked: Asked, given: "Mapping[str, Any]") -> Answer:
    from flash_otel.cli.traces import listing_of, selection_for, unsearched, wanted_traces
    from flash_otel.report.entry import entry_json

    wanted = wanted_traces(
        given.get("app"),
        given.get("env"),
        given.get("failed", False),
        given.get("fault"),
        given.get("since"),
        None,
        given.get("limit", _DEFAULT_TRACES),
    )
    listing = listing_of(wanted, local_limits(), asked.sources, selection_for(wanted, asked.store))
    notes = [unsearched(listing)] if listing.is_cut else []
    return [entry_json(entry) for entry in listing.entries], notes


def _show(asked: Asked, given: "Mapping[str, Any]") -> Answer:
    from flash_otel.cli.shown import trace_shown
    from flash_otel.otlp.encode import encode_json

    return encode_json(trace_shown(given.get("trace"), asked.sources, asked.store).records), []


def _verify(asked: Asked, given: "Mapping[str, Any]") -> Answer:
    from flash_otel.cli.verify import checked, status_of
    from flash_otel.report.json import verification_json

    names = given.get("app"), given.get("env"), given.get("expect_build")
    # An endpoint's address comes from the manifest: only the API of the user is asked.
    verification = checked(*names, call=False, store=asked.store)
    return verification_json(verification, status_of(verification)), []


TOOLS: Final[dict[str, ServedTool]] = {
    "diagnose": ServedTool(
        _diagnose,
        "Name the fault of a recorded Flash deployment: verdict, findings with evidence and "
        "remedies, the ids that were deployed beside those that workers read, and the next "
        "command. Without arguments, the last deployment is judged. Use it first when a "
        "deployment or a remote call failed.",
        {
            "env": _name(f"{_ENVIRONMENT} Judges its last deployment."),
            "app": _name(f"{_APP} Judges only its deployments."),
            "build": _name("Build id or its first characters. Judges its deployment."),
            "trace": _name(f"{_TRACE} Judges the deployment of that trace."),
            "since": _name("Only spans of the last 30m, 2h, 7d ..."),
        },
    ),
    "traces": ServedTool(
        _traces,
        "List recorded deployments, reads and calls, the newest first: ids, times, app, "
        "environment, build and verdict. Use it to find a trace id for `show` or `diagnose`.",
        {
            "app": _name(f"{_APP} Only its traces."),
            "env": _name(f"{_ENVIRONMENT} Only its traces."),
            "failed": {
                "type": "boolean",
                "description": "Only traces that failed, or show a fault.",
            },
            "fault": _name("Only traces with this verdict, such as stale_build."),
            "since": _name("Only traces of the last 30m, 2h, 7d ..."),
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_TRACES,
                "default": _DEFAULT_TRACES,
                "description": "Maximum number of traces.",
            },
        },
    ),
    "show": ServedTool(
        _show,
        "Return the spans of a trace and of the traces that belong to it, as OTLP JSON: every "
        "step with its times, attributes, events and errors. Long: use it when `diagnose` does "
        "not explain enough.",
        {"trace": _name(f"{_TRACE} By default the last deployment.")},
    ),
    "verify": ServedTool(
        _verify,
        "Read from Runpod's State Manager what a worker would read now, and check it against the "
        "last recorded deployment. Needs no recording, but network access and the API key that "
        "Flash uses. Starts no job and changes nothing.",
        {
            "app": _name(f"{_APP} By default the name of the working folder."),
            "env": _name(f"{_ENVIRONMENT} Required if the app has several."),
            "expect_build": _name("Id of the build that should be active, or its beginning."),
        },
        is_open=True,
    ),
}


def answer(asked: Asked, name: str, given: "Mapping[str, Any]") -> Answer:
    """Return a tool's document, and sentences about what it lacks.

    Raises:
        CommandError: There is no such tool, the arguments are invalid, or the tool failed.
    """
    tool = TOOLS.get(name)
    if tool is None:
        raise CommandError(f"there is no tool {name!r}.", f"The tools are: {', '.join(TOOLS)}.")
    _require_valid(tool, given)
    try:
        return tool.answer(asked, given)
    except (CommandError, KeyboardInterrupt):
        raise
    except Exception as error:
        kind = type(error).__name__
        message = f"internal error: {kind}: {scrub(str(error))}"
        raise CommandError(message, "This is a bug in flash-otel.", COULD_NOT_TELL) from error


def _require_valid(tool: ServedTool, given: "Mapping[str, Any]") -> None:
    import jsonschema  # type: ignore[import-untyped]  # a dependency of the SDK

    try:
        jsonschema.validate(dict(given), tool.schema)
    except jsonschema.ValidationError as error:
        place = ".".join(map(str, error.absolute_path))
        known = ", ".join(tool.properties)
        problem = f"{place}: {error.message}" if place else error.message
        raise CommandError(
            f"invalid arguments: {problem[:_LONGEST_NAME]}.", f"The arguments are: {known}."
        ) from error
