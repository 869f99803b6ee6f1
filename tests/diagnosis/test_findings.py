"""The wording of findings: counts, lists, environments, failed steps, less likely codes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.cases import beside, with_verdicts
from diagnosis.recordings import deployment, records

from flash_otel import semconv as sc
from flash_otel.diagnosis import collect
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Deployment,
    EndpointSet,
    Failure,
    Origin,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.findings import (
    Exhibit,
    Finding,
    count,
    environment,
    exhibits,
    proofs,
    proved,
    renaming,
    several,
    short,
    what_failed,
)
from flash_otel.diagnosis.order import CERTAIN, LIKELY, POSSIBLE

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case

LONG: Final = "224c5f0a-8f0b-4a6e-9f57-2f0c1f7f8c11"
PLACES: Final = [Origin(file="a.log", line=line) for line in range(1, 12)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (None, "an unknown number of reads"),
        (0, "no reads"),
        (1, "1 read"),
        (2, "2 reads"),
        (11, "11 reads"),
    ],
)
def test_a_number_agrees_with_its_noun(number: int | None, words: str) -> None:
    """One has no plural, none is a word, and what is not known is not called none."""
    assert count(number, "read") == words


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("", ""),
        ("a", "'a'"),
        ("ab", "'a', 'b'"),
        ("abcde", "'a', 'b', 'c', 'd', 'e'"),
        ("abcdef", "'a', 'b', 'c', 'd', 'e' and 1 more"),
        ("abcdefgh", "'a', 'b', 'c', 'd', 'e' and 3 more"),
    ],
)
def test_of_many_names_the_first_are_listed(names: str, words: str) -> None:
    """A sentence has five names at most, or so many as it wants, and the number of the others."""
    assert several(list(names)) == words
    assert several(list("abcdef"), 2) == "'a', 'b' and 4 more"


@pytest.mark.parametrize(
    ("identifier", "shown"),
    [
        ("", ""),
        ("12345678", "12345678"),
        ("123456789012", "123456789012"),
        ("1234567890123", "12345678…"),
        (LONG, "224c5f0a…"),
    ],
)
def test_only_a_long_id_is_shortened(identifier: str, shown: str) -> None:
    """An id that the mark of a cut would hardly shorten stays whole."""
    assert short(identifier) == shown


@pytest.mark.parametrize(
    ("known", "asked", "words", "whole"),
    [
        ({}, None, "environment None", "environment None"),
        ({"environment_id": LONG}, LONG, f"environment {LONG}", f"environment {LONG}"),
        ({"environment_id": LONG}, None, "environment None", "environment None"),
        ({"environment_name": "prod"}, None, "environment prod", "environment prod"),
        (
            {"environment_id": LONG, "environment_name": "prod"},
            LONG,
            "prod (224c5f0a…)",
            f"prod ({LONG})",
        ),
        (
            {"environment_id": LONG, "environment_name": "prod"},
            None,
            "environment prod",
            "environment prod",
        ),
        ({"environment_id": "e-1", "environment_name": "e-1"}, "e-1", *["environment e-1"] * 2),
        ({"environment_id": LONG, "environment_name": "prod"}, "e-2", *["environment e-2"] * 2),
        ({"environment_id": LONG, "environment_name": "prod"}, "e-3", *["staging (e-3)"] * 2),
        # The deployment's own name of its environment precedes that of a read.
        ({"environment_id": "e-3", "environment_name": "live"}, "e-3", *["live (e-3)"] * 2),
        ({"environment_id": "e-3"}, "e-3", *["staging (e-3)"] * 2),
    ],
)
def test_an_environment_is_named_as_far_as_it_is_known(
    known: dict[str, str], asked: str | None, words: str, whole: str
) -> None:
    """Its name comes with its id in brackets, which a sentence may shorten."""
    named = RuntimeFetch(environment_id="e-3", environment_name="staging")
    case = beside(Deployment(id="d-1", **known), named)  # type: ignore[arg-type]  # names of fields
    assert environment(case, asked) == words
    assert environment(case, asked, is_short=False) == whole


STEP: Final = Step(name=sc.MANIFEST_UPLOAD)
REASON: Final = Failure("other", "RuntimeError", "no")


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"outcome": UNFINISHED, "failure": REASON}, "the manifest upload did not end"),
        ({"outcome": sc.CANCELLED, "failure": REASON}, "the manifest upload was interrupted"),
        (
            {"outcome": sc.UNKNOWN, "failure": Failure("other", "KeyboardInterrupt")},
            "the manifest upload was interrupted",
        ),
        (
            {"outcome": sc.UNKNOWN, "failure": REASON},
            "the outcome of the manifest upload is unknown (RuntimeError: no)",
        ),
        (
            {"outcome": sc.UNKNOWN},
            "the outcome of the manifest upload is unknown (no cause was recorded)",
        ),
        (
            {"outcome": sc.FAILED, "failure": REASON},
            "the manifest upload failed (RuntimeError: no)",
        ),
        ({"outcome": sc.FAILED}, "the manifest upload failed (no cause was recorded)"),
        ({"outcome": sc.FAILED, "name": "their.own"}, "their.own failed (no cause was recorded)"),
    ],
)
def test_how_a_step_failed(known: dict[str, Any], words: str) -> None:
    """An end that is missing, an interruption, an open outcome and a failure differ in words."""
    assert what_failed(replace(STEP, **known)) == words


TWO_NAMES: Final = EndpointSet(2, ("gpu", "web"))


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (EndpointSet(2, ("gpu", "web")), ""),
        (EndpointSet(2, ("gpu", "cpu")), "2 endpoints, but 'cpu' instead of 'web'"),
        (EndpointSet(2, ("a", "b")), "2 endpoints, but 'a', 'b' instead of 'gpu', 'web'"),
        (EndpointSet(1, ("gpu",)), ""),
        (EndpointSet(3, ("gpu", "a", "b")), ""),
        (EndpointSet(2), ""),
    ],
    ids=["the same", "one other", "both others", "fewer", "more", "unknown names"],
)
def test_other_names_of_as_many_endpoints(held: EndpointSet, words: str) -> None:
    """Names are called replaced only if as many others stand in their place."""
    assert renaming(TWO_NAMES, RuntimeFetch(endpoints=held)) == words


def test_evidence_needs_a_fact() -> None:
    """What was not recorded cannot be shown."""
    fact = Step(name=sc.BUILD, origin=PLACES[0])
    assert exhibits((None, "nothing"), (fact, "the build")) == (Exhibit(PLACES[0], "the build"),)
    assert exhibits() == ()


@pytest.mark.parametrize("code", sc.FAULTS)
def test_notes_and_verdicts_without_a_fault_are_no_faults(code: str) -> None:
    """Only an environment that was created, no fault, and doubt are not faults."""
    gentle = {sc.ENVIRONMENT_CREATED, sc.NONE, sc.INCONCLUSIVE}
    assert Finding(code, "It is.").is_fault is (code not in gentle)
    assert Finding(code, "It is.").confidence == CERTAIN


def judged(*verdicts: ReadVerdict) -> Case:
    """Return a case with a read for each verdict."""
    reads = [RuntimeFetch(origin=origin) for origin, _ in zip(PLACES, verdicts, strict=False)]
    (known,) = collect(records(deployment())).deployments
    return with_verdicts(replace(beside(known), reads=tuple(reads)), *verdicts)


def told(case: Case, code: str) -> list[tuple[str, tuple[str, ...], list[tuple[int, str]]]]:
    """Return confidence, candidates and evidence of what is found of a code."""
    return [
        (
            finding.confidence,
            finding.candidates,
            [(exhibit.origin.line, exhibit.says) for exhibit in finding.evidence],
        )
        for finding in proved(case, code, "It is.")
    ]


def test_nothing_is_found_without_a_proof() -> None:
    """Reads that are fine, or that allow several faults, prove none."""
    open_ = ReadVerdict((sc.STALE_BUILD, sc.READ_INCOMPLETE), "either")
    case = judged(ReadVerdict(), open_, ReadVerdict((sc.READ_INCOMPLETE,), "lost"))
    assert told(case, sc.STALE_BUILD) == []
    assert [read.origin.line for read, _ in proofs(case, sc.READ_INCOMPLETE)] == [3]
    assert told(case, sc.READ_INCOMPLETE) == [(CERTAIN, (), [(3, "read: lost")])]


@pytest.mark.parametrize(
    ("confidences", "expected"),
    [
        ((LIKELY,), LIKELY),
        ((LIKELY, CERTAIN), CERTAIN),
        ((POSSIBLE, LIKELY), LIKELY),
        ((POSSIBLE, POSSIBLE), POSSIBLE),
    ],
)
def test_the_surest_read_decides_the_confidence(
    confidences: tuple[str, ...], expected: str
) -> None:
    """Of several reads that prove a fault, the surest counts."""
    case = judged(*(ReadVerdict((sc.STALE_BUILD,), "old", sure) for sure in confidences))
    assert [confidence for confidence, *_ in told(case, sc.STALE_BUILD)] == [expected]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sc.MANIFEST_NOT_PERSISTED, "the State Manager then still holds no endpoints"),
        (sc.READ_INCOMPLETE, "the State Manager, or a later read, then holds the endpoints"),
        (sc.READ_BEFORE_WRITE, "reads after the write then hold the endpoints"),
        (sc.ENDPOINTS_MISSING, "the State Manager then still lacks them"),
        (sc.ENVIRONMENT_UNKNOWN, "only a read decides"),
    ],
)
def test_what_a_less_likely_code_would_show(code: str, words: str) -> None:
    """A code that is less likely comes with what would tell it apart."""
    case = judged(ReadVerdict((sc.STALE_BUILD,), "old", LIKELY, (code,)))
    shown = [(1, "read: old"), (1, f"less likely {code}: {words}")]
    assert told(case, sc.STALE_BUILD) == [(LIKELY, (code,), shown)]


def test_a_less_likely_code_is_allowed_by_every_read() -> None:
    """What one of the reads excludes is excluded, and the others keep their order."""
    first = (sc.READ_INCOMPLETE, sc.READ_BEFORE_WRITE, sc.ENDPOINTS_MISSING)
    second = (sc.ENDPOINTS_MISSING, sc.READ_INCOMPLETE)
    case = judged(
        *(ReadVerdict((sc.STALE_BUILD,), "old", LIKELY, others) for others in (first, second))
    )
    ((_, candidates, shown),) = told(case, sc.STALE_BUILD)
    assert candidates == (sc.READ_INCOMPLETE, sc.ENDPOINTS_MISSING)
    assert [line for line, _ in shown] == [1, 2, 1, 1]


def test_of_very_many_reads_the_first_are_shown() -> None:
    """A finding shows eight of its reads."""
    verdicts = [ReadVerdict((sc.STALE_BUILD,), f"read {number}") for number in range(1, 10)]
    ((*_, shown),) = told(judged(*verdicts), sc.STALE_BUILD)
    assert shown == [(number, f"read: read {number}") for number in range(1, 9)]
