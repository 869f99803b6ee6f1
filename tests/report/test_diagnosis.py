"""The report of a diagnosis: which findings and deployments it shows, and the next steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from diagnosis.recordings import NOW_NS, TWO, deployment, read, records
from report.terminals import assert_styles

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.environments import MOST_ATTEMPTS
from flash_otel.diagnosis.evidence import Deployment, Origin
from flash_otel.diagnosis.findings import Exhibit, Finding
from flash_otel.diagnosis.tables import Match, Moment, PhaseCheck
from flash_otel.report.diagnosis import diagnosis_lines
from flash_otel.report.layout import ASCII, FAULT_STYLE, UNICODE, VERDICT_STYLES, Page

if TYPE_CHECKING:
    from flash_otel.diagnosis.judge import Diagnosis, Judged

PIPE: Final = Page(None, 20, ASCII)
TERMINAL: Final = Page(100, 40, UNICODE)
STALE: Final = Finding(sc.STALE_BUILD, "An old build.", remedy_deployer="Deploy again.")
NOTE: Final = Finding(sc.ENVIRONMENT_CREATED, "It is new.", remedy_deployer="Nothing.")
OPEN: Final = Finding(sc.INCONCLUSIVE, "Nobody has looked.", remedy_deployer="Look.")


def sound() -> Diagnosis:
    """Return the diagnosis of a deployment and a read that agree, without its picture."""
    found = diagnose(records(deployment(), read(9, held=TWO)), limits=Limits(now_ns=NOW_NS))
    return replace(found, judged=(replace(found.judged[0], picture=None),), command="")


def bare(**changes: object) -> Judged:
    """Return the results for a deployment without tables, with changes."""
    kept = replace(sound().judged[0], matches=(), timeline=(), checks=())
    return replace(kept, **changes)  # type: ignore[arg-type]  # values of many types


def told(diagnosis: Diagnosis, page: Page = PIPE, show: str = "show {}") -> list[str]:
    """Return the lines of a report as text; each style is one of Rich's."""
    lines = diagnosis_lines(diagnosis, page, show)
    assert_styles(lines)
    return ["".join(part.text for part in line).rstrip() for line in lines]


def shown(*findings: Finding, judged: tuple[Judged, ...] = ()) -> list[str]:
    """Return the lines of a report between its verdict and its next steps."""
    return told(replace(sound(), findings=findings, judged=judged))[1:-1]


def test_a_pipe_gets_the_code_and_a_terminal_the_words() -> None:
    """Scripts look for the code of the verdict; people read it in words, in its colour."""
    for verdict, words in ((sc.NONE, "no fault found"), (sc.STALE_BUILD, sc.STALE_BUILD)):
        found = replace(sound(), verdict=verdict)
        assert told(found)[0] == f"Verdict: {verdict}"
        assert told(found, TERMINAL)[0] == f"Verdict: {words}"
        [_, part] = diagnosis_lines(found, TERMINAL)[0]
        assert part.style == VERDICT_STYLES.get(verdict, FAULT_STYLE)


def test_a_finding_with_its_evidence_and_advice() -> None:
    """A fault has advice for both sides, a doubt and a note for who deploys, agreement none."""
    origin = Origin("a.log", 3, "1" * 32, "2" * 16, rebuilt=True)
    stale = replace(
        STALE,
        confidence="likely",
        evidence=(Exhibit(origin, "build\x1b[2J one"),),
        remedy_maintainer="Ask the server.",
    )
    assert shown(stale, NOTE, OPEN, Finding(sc.NONE, "All agree.", remedy_deployer="No.")) == [
        "",
        "stale_build (likely): An old build.",
        r"  -> a.log:3  build\x1b[2J one",
        "  What to do: Deploy again.",
        "  For Flash's maintainers: Ask the server.",
        "",
        "environment_created: It is new.",
        "  What to do: Nothing.",
        "",
        "inconclusive: Nobody has looked.",
        "  What to do: Look.",
        "",
        "no fault found: All agree.",
    ]


def test_only_a_fault_has_the_style_of_faults() -> None:
    """A note and an open verdict differ from a fault, and from agreement."""
    findings = (STALE, NOTE, OPEN, Finding(sc.NONE, "All agree."))
    lines = diagnosis_lines(replace(sound(), findings=findings, judged=()), TERMINAL)
    styles = {line[0].text: line[0].style for line in lines if line}
    headings = ("stale_build: ", "environment_created: ", "inconclusive: ", "no fault found: ")
    assert [styles[heading] for heading in headings] == [
        *(FAULT_STYLE, "yellow"),
        *(VERDICT_STYLES[sc.INCONCLUSIVE], VERDICT_STYLES[sc.NONE]),
    ]


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_the_first_findings_of_a_code_are_shown(number: int) -> None:
    """Three findings of one code are shown in full, and the others counted, by code."""
    findings = [replace(STALE, sentence=f"Build {n}.") for n in range(number)]
    lines = shown(*findings, NOTE)
    headings = [line for line in lines if line.startswith("stale_build: ")]
    assert headings == [f"stale_build: Build {n}." for n in range(min(number, 3))]
    counted = [line for line in lines if line.endswith(" more")]
    assert counted == ([f"stale_build x{number - 3} more"] if number > 3 else [])


@pytest.mark.parametrize(
    ("number", "left_out", "line"),
    [
        (3, (), None),
        (4, (), "1 more deployments were judged (1 no fault found); --json lists more."),
        (
            5,
            ((sc.STALE_BUILD, 2), (sc.NONE, 4)),
            "8 more deployments were judged (6 no fault found, 2 stale_build); --json lists more.",
        ),
        (
            1,
            ((sc.STALE_BUILD, 2),),
            "2 more deployments were judged (2 stale_build); --json lists more.",
        ),
    ],
)
def test_the_first_deployments_are_shown(
    number: int, left_out: tuple[tuple[str, int], ...], line: str | None
) -> None:
    """Three deployments are shown in full, and the others counted by their verdicts."""
    lines = told(replace(sound(), judged=(bare(),) * number, left_out=left_out))
    assert sum(each.startswith("Deployment ") for each in lines) == min(number, 3)
    assert [each for each in lines if "more deployments" in each] == ([line] if line else [])


@pytest.mark.parametrize(
    ("name", "identifier", "target"),
    [
        ("prod", "env-1", "prod"),
        (None, "env-1", "env-1"),
        (None, None, "unknown environment"),
    ],
)
def test_a_deployment_is_headed_by_its_environment(
    name: str | None, identifier: str | None, target: str
) -> None:
    """Its name says most, then its id."""
    kept = replace(
        bare().deployment, id="d-1\x07", environment_name=name, environment_id=identifier
    )
    lines = shown(judged=(bare(deployment=kept),))
    assert lines == [
        *("", rf"Deployment d-1\x07 to {target}"),
        *("", "Expected when everything works"),
    ]


@pytest.mark.parametrize(
    ("number", "counted"),
    [
        (0, None),
        (1, "1 earlier attempt failed"),
        (2, "2 earlier attempts failed"),
        (MOST_ATTEMPTS - 1, f"{MOST_ATTEMPTS - 1} earlier attempts failed"),
        (MOST_ATTEMPTS, f"At least {MOST_ATTEMPTS} earlier attempts failed"),
    ],
)
def test_attempts_before_a_deployment_are_named_with_their_ends(
    number: int, counted: str | None
) -> None:
    """They stand below its heading, oldest first, as many as were looked for."""
    attempts = tuple(
        Deployment(id="d", build_id=f"b{n}\x07", outcome="unfinished") for n in range(number)
    )
    lines = shown(judged=(bare(failed_before=attempts),))
    said = "; ".join(rf"build b{n}\x07, it did not end" for n in range(number))
    assert lines[2] == (f"  {counted}: {said}" if counted else "")


def test_tables_without_a_recorded_deployment() -> None:
    """What reads alone show has a table of ids and a timeline, but nothing to expect."""
    unknown = replace(bare().deployment, id="")
    moment = Moment("runtime", 1.5, None, "a read", Origin())
    judged = bare(
        deployment=unknown,
        matches=(Match("build_id", None, "build-1", "unknown"),),
        timeline=(moment,),
        window_s=None,
        checks=(PhaseCheck("runtime", "it reads", "pass"),),
    )
    assert shown(judged=(judged,)) == [
        "",
        "Ids",
        "            deployed  read",
        "  build_id  -         build-1  ?",
        "",
        "Timeline",
        "       +1.50 s  runtime     a read",
    ]
    assert shown(judged=(replace(judged, matches=(), timeline=()),)) == []


MOMENT: Final = Moment("deployment", 0.1, 1.9, "the build", Origin())


@pytest.mark.parametrize(
    ("moment", "line"),
    [
        (MOMENT, "       +0.10 s  deployment  the build  1.90 s"),
        (replace(MOMENT, duration_s=None), "       +0.10 s  deployment  the build"),
        (replace(MOMENT, duration_s=0.0), "       +0.10 s  deployment  the build  0.00 ms"),
        (replace(MOMENT, seconds=None), "             ?  deployment  the build  1.90 s"),
        (
            replace(MOMENT, seconds=None, same_clock=False),
            "             ?  deployment  the build  1.90 s",
        ),
        (
            replace(MOMENT, seconds=-700.0, same_clock=False),
            "  ~  -700.00 s  deployment  the build  1.90 s",
        ),
        (
            replace(MOMENT, before_write=True, text="a\x1bb"),
            r"       +0.10 s  deployment  a\x1bb  1.90 s  BEFORE THE WRITE",
        ),
        (
            replace(MOMENT, before_write=True, duration_s=None),
            "       +0.10 s  deployment  the build  BEFORE THE WRITE",
        ),
    ],
    ids=[
        "whole",
        "no duration",
        "no time",
        "no clock",
        "neither",
        "another clock",
        "early",
        "soon",
    ],
)
def test_a_moment_of_the_timeline(moment: Moment, line: str) -> None:
    """It has its distance from the start, and marks for other clocks and for reads too early."""
    lines = shown(judged=(bare(timeline=(moment, MOMENT)),))
    begin = lines.index("Timeline  (activation window: 2.60 s)")
    assert lines[begin + 1 : begin + 3] == [line, "       +0.10 s  deployment  the build  1.90 s"]
    has_legend = "  ~ by another machine's clock" in lines
    assert has_legend == line.startswith("  ~")


def test_what_is_expected() -> None:
    """Each expectation has its result and what was found, if anything was."""
    checks = (
        PhaseCheck("deployment", "it writes", "pass", "2\x07"),
        PhaseCheck("runtime", "it reads", "fail"),
        PhaseCheck("runtime", "it holds", "unknown", "?"),
    )
    lines = shown(judged=(bare(checks=checks),))
    assert lines[lines.index("Expected when everything works") + 1 :] == [
        r"  PASS  deployment  it writes: 2\x07",
        "  FAIL  runtime     it reads",
        "  ?     runtime     it holds: ?",
    ]


def evidence(*origins: Origin) -> Finding:
    """Return a fault with evidence from these places."""
    return replace(STALE, evidence=tuple(Exhibit(origin, "it") for origin in origins))


NOWHERE: Final = Origin("a.log", 1)
REBUILT: Final = Origin("a.log", 1, "a" * 32, "b" * 16, rebuilt=True)
SPAN: Final = Origin(trace_id="0123456789abcdef" * 2, span_id="b" * 16)
LATER: Final = Origin(trace_id="f" * 32, span_id="b" * 16)


@pytest.mark.parametrize(
    ("findings", "command", "following"),
    [
        ((evidence(SPAN, LATER),), "", "Next: show 0123456789ab {}"),
        ((evidence(NOWHERE, REBUILT, SPAN),), "", "Next: show 0123456789ab {}"),
        ((evidence(NOWHERE), evidence(LATER)), "", "Next: show ffffffffffff {}"),
        ((evidence(SPAN),), "verify\x07", r"Next: verify\x07"),
        ((evidence(NOWHERE, REBUILT),), "", ""),
        ((), "", ""),
    ],
    ids=["evidence", "no trace before it", "another finding", "a command", "made up", "nothing"],
)
def test_the_next_command(findings: tuple[Finding, ...], command: str, following: str) -> None:
    """It is that of the verdict, else it shows the first trace that is evidence, if any is."""
    found = replace(sound(), findings=findings, command=command, judged=())
    lines = told(found, show="show {} {}")
    assert [line for line in lines if line.startswith("Next: ")] == ([following] * bool(following))


@pytest.mark.parametrize(
    ("others", "said"), [(0, []), (1, ["1 other environment"]), (2, ["2 other environments"])]
)
def test_other_environments_and_what_is_missing(others: int, said: list[str]) -> None:
    """Other environments are counted, and each piece of missing evidence has a line."""
    lines = told(replace(sound(), judged=(), findings=(), others=others, missing=("a\x07", "b")))
    assert [line.partition(" recorded; judge one: ")[0] for line in lines[2:-2]] == said
    assert lines[-2:] == [r"Missing: a\x07", "Missing: b"]
