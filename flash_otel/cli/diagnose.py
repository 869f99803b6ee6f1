"""`flash-otel diagnose`: name the fault that the recordings show, with its evidence."""

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from flash_otel.cli.app import CLEAN, COULD_NOT_TELL, FAULT_FOUND, CommandError
from flash_otel.cli.open_store import (
    HOW_TO_RECORD,
    NOTHING_RECORDED,
    StoreOption,
    listing_from,
    similar_names,
    trace_named,
    trace_to_read,
)
from flash_otel.cli.publish import evidence_links, named_destinations, publish
from flash_otel.cli.sources import (
    STORE,
    FilesArgument,
    FromOption,
    Selection,
    SinceOption,
    diagnosable,
    from_options,
    is_running,
    late_progress_bar,
    since_ns,
    sources_of,
)
from flash_otel.cli.streams import note
from flash_otel.diagnosis.order import ASSUMED_SKEW_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.diagnosis.choose import Unmatched
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord

_TraceOption = Annotated[
    str | None,
    typer.Option(
        metavar="TRACE",
        help="Judge the deployment of this trace: its id, or the first digits; or last, "
        "last^1, last^2 ...",
    ),
]
_PublishOption = Annotated[
    bool,
    typer.Option(
        "--publish",
        help="Send the verdict as a span, a child of the deployment's, to the endpoint that "
        "OTEL_EXPORTER_OTLP_* name.",
    ),
]
_HANG: Final = 2
_OPTIONS: Final = {
    "environment": "--env",
    "app": "--app",
    "build_id": "--build",
    "trace_id": "--trace",
}


def diagnose(
    files: FilesArgument = None,
    env: Annotated[
        str | None,
        typer.Option(metavar="ID|NAME", help="Judge the latest deployment to this environment."),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Judge only deployments of this app."),
    ] = None,
    build: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Judge the deployment of this build (or id prefix)."),
    ] = None,
    trace: _TraceOption = None,
    since: SinceOption = None,
    sources: FromOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Explain a fault code instead."),
    ] = None,
    skew: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Maximum skew between two machines' clocks."),
    ] = ASSUMED_SKEW_S,
    is_published: _PublishOption = False,
    store: StoreOption = None,
) -> int:
    """Name the fault of a deployment, with its evidence, or report that there is none.

    By default, this judges the environment that was deployed to last, and every environment in the
    given files. A deployment must match every given option (env, app, build, trace). Sources can be
    combined, such as the store for the deployment and a worker's log for its reads:
    flash-otel diagnose --from store worker.log
    """
    if explain is not None:
        return _explain(explain)
    destinations = named_destinations() if is_published else []
    names = sources_of(files, sources) or [STORE]
    question = {"environment": env, "build_id": build, "trace_id": trace, "app": app}
    read = trace_to_read(trace)
    selection = Selection(store, since_ns(since), read, app=app, environment=env)
    diagnosis = judge(names, selection, question, skew)
    _print(diagnosis, from_options(names, store), as_json=as_json)
    if diagnosis.is_unmatched:
        _note_no_match(diagnosis, question)
        for suggestion in similar_names(names, selection, trace=read):
            note(suggestion)
    for link in evidence_links(diagnosis, names):
        note(f"Evidence: {link}")
    unpublished = publish(diagnosis, destinations) if is_published else CLEAN
    return unpublished or status_of(diagnosis)


def judge(
    names: list[str], selection: Selection, question: "Mapping[str, Any]", skew_s: float
) -> "Diagnosis":
    """Judge the records of the sources that match the question.

    Args:
        names: The values of `--from`.
        selection: The wanted records.
        question: The fields of `diagnosis.choose.Question`.
        skew_s: Maximum skew between two machines' clocks, in seconds.

    Raises:
        CommandError: A source cannot be read, or all of them are empty.
    """
    from flash_otel.diagnosis import Limits, diagnose
    from flash_otel.store.errors import StoreError

    limits = Limits(skew_s=skew_s, is_running=is_running)
    try:
        with (
            late_progress_bar("judging environments") as progress,
            _asked(names, selection, question) as (records, asked),
        ):
            return diagnose(records, **asked, limits=limits, progress=progress)
    except StoreError as error:
        raise CommandError(
            f"{error}.", "Free disk space, or read less: --since AGE", COULD_NOT_TELL
        ) from error


@contextmanager
def _asked(
    names: list[str], selection: Selection, question: "Mapping[str, Any]"
) -> "Iterator[tuple[Iterable[SpanRecord] | RecordedSpans, Mapping[str, Any]]]":
    """Open the sources, and replace a trace's place in the list, such as `last`, by its id."""
    trace = question["trace_id"]
    if trace == selection.trace:
        with diagnosable(names, selection) as records:
            yield records, question
        return
    with listing_from(names, selection, evidence_since_ns=selection.earliest) as opened:
        if opened is None:
            raise CommandError(NOTHING_RECORDED, HOW_TO_RECORD, COULD_NOT_TELL)
        store, spans = opened
        yield spans, {**question, "trace_id": trace_named(store, trace)}


def _note_no_match(diagnosis: "Diagnosis", question: "Mapping[str, Any]") -> None:
    """Name the options that match nothing, or else all of them, and the recorded values."""
    from flash_otel.wording import clean

    culprits = {part.field: part for part in diagnosis.unmatched}
    given = {field: value for field, value in question.items() if value}
    named = {field: given[field] for field in culprits} or given
    options = " ".join(f"{_OPTIONS[field]} {clean(value)}" for field, value in named.items())
    together = "" if culprits or len(given) == 1 else " together"
    lines = [f"flash-otel: no recording matches {options}{together}."]
    lines += filter(None, map(_recorded_instead, culprits.values()))
    lines.append("Leave it out to judge everything, or list the store: flash-otel traces")
    note("\n".join(lines))


def _recorded_instead(part: "Unmatched") -> str:
    """Return the line that names what is recorded for an option that matches nothing."""
    from flash_otel.wording import clean

    recorded = ", ".join(map(clean, part.similar or part.recorded))
    if part.similar:
        return f"Did you mean {_OPTIONS[part.field]} {recorded}?"
    if recorded:
        return f"Recorded for {_OPTIONS[part.field]}: {recorded}"
    return "No recording names an app: leave out --app." if part.field == "app" else ""


def status_of(diagnosis: "Diagnosis") -> int:
    """Return the exit status of a diagnosis."""
    from flash_otel import semconv

    statuses = {semconv.NONE: CLEAN, semconv.INCONCLUSIVE: COULD_NOT_TELL}
    return statuses.get(diagnosis.verdict, FAULT_FOUND)


def _print(diagnosis: "Diagnosis", options: str, *, as_json: bool) -> None:
    if as_json:
        from flash_otel.report.json import diagnosis_json

        print(json.dumps(diagnosis_json(diagnosis), indent=2))
        return
    from flash_otel.report.diagnosis import SHOW, render_diagnosis
    from flash_otel.report.layout import ReportConsole

    render_diagnosis(diagnosis, ReportConsole(), SHOW + options)


def _explain(code: str) -> int:
    from flash_otel import semconv
    from flash_otel.diagnosis.faults import FAULTS

    fault = FAULTS.get(code)
    if fault is None:
        raise CommandError(f"unknown fault code: {code!r}.", f"The codes are: {', '.join(FAULTS)}.")
    from flash_otel.report.layout import Part, ReportConsole
    from flash_otel.report.wrapping import print_wrapped

    rows = {
        code: semconv.FAULTS[code],
        "What proves it": fault.proof,
        "What to do": fault.deployer,
        "For Flash's maintainers": fault.maintainer,
        "Consequences, not reported with it": ", ".join(sorted(fault.hides)),
    }
    lines = [(Part(f"{name}: ", "bold", _HANG), Part(text)) for name, text in rows.items() if text]
    print_wrapped([lines[0], (), *lines[1:]], ReportConsole())
    return CLEAN
