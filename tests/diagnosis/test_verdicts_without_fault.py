"""No fault and doubt: what has to agree, why it is open, what would decide, and the command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest
from diagnosis.cases import (
    ACTIVATION,
    CLI,
    DEPLOYED,
    TWO,
    UPLOAD,
    S,
    case_in,
    place,
    told,
    with_verdicts,
)

from flash_otel import failures
from flash_otel import semconv as sc
from flash_otel.diagnosis.case import ReadVerdict
from flash_otel.diagnosis.evidence import (
    UNFINISHED,
    Activation,
    ActiveManifest,
    Deployment,
    EndpointSet,
    Evidence,
    Failure,
    ProcessIdentity,
    Provisioning,
    RemoteCall,
    RuntimeFetch,
    Step,
)
from flash_otel.diagnosis.faults.verdicts import (
    A_DEPLOYMENT,
    A_READ,
    A_READBACK,
    A_SUCCESS,
    THE_BEGINNING,
    doubts,
    inconclusive,
    none,
    placed,
    verify_command,
    verify_command_for,
)

if TYPE_CHECKING:
    from flash_otel.diagnosis.case import Case

WORKER: Final = ProcessIdentity("w-1", host="laptop", worker=True)
LONG: Final = "224c5f0a-8f0b-4a6e-9f57-2f0c1f7f8c11"


PLACE: Final = "environment production (e-1) in app shop"


WHOLE: Final = RuntimeFetch(
    origin=place(7),
    process=WORKER,
    environment_id="e-1",
    build_id="b-1",
    endpoints=TWO,
    start_ns=8 * S,
    asked_ns=8 * S,
    end_ns=9 * S,
)
NEW_FLASH: Final = replace(CLI, flash_version=(1, 21, 0))
FINE: Final = ReadVerdict()
FAILED: Final = Failure(failures.OTHER, "RuntimeError", "no")


def case_with(
    *reads: RuntimeFetch,
    calls: tuple[RemoteCall, ...] = (),
    others: tuple[Deployment, ...] = (),
    facts: dict[str, Any] | None = None,
    verdicts: tuple[ReadVerdict, ...] | None = None,
    **known: Any,
) -> Case:
    """Return the case of a deployment with these fields, reads and calls.

    Args:
        reads: The reads of the deployment.
        calls: Its calls.
        others: Other deployments.
        facts: Conclusions of the case that are given instead of drawn.
        verdicts: The verdicts on the reads, instead of those that are judged.
        known: Fields of the deployment.
    """
    deployment = replace(DEPLOYED, **known)
    case = case_in(Evidence((*others, deployment), reads, calls), deployment)
    case = replace(case, reads=reads, calls=calls, **(facts or {}))
    return with_verdicts(case, *(verdicts or [FINE] * len(reads)))


def without_deployment(*reads: RuntimeFetch, calls: tuple[RemoteCall, ...] = ()) -> Case:
    """Return the case of reads and calls of which no deployment is recorded."""
    return case_in(Evidence(reads=reads, calls=calls), None)


# --- no fault -------------------------------------------------------------------------------------

ACTIVATED: Final = "1: build b-1 was activated"


def test_a_deployment_and_its_reads_agree() -> None:
    """Activation, write and the first eight reads are the evidence."""
    reads = [replace(WHOLE, origin=place(10 + number)) for number in range(9)]
    assert told(none(case_with(*reads))) == [
        (
            "The deployment of build b-1 and 9 reads of it agree on 2 endpoints.",
            "certain",
            [
                ACTIVATED,
                "2: 2 endpoints written",
                *(f"{10 + number}: read 2 endpoints" for number in range(8)),
            ],
        )
    ]


@pytest.mark.parametrize(("known", "confidence"), [({}, "certain"), ({"by_lines": True}, "likely")])
def test_a_deployment_in_lines_agrees_less_surely(known: dict[str, Any], confidence: str) -> None:
    """Lines hold less than spans, so that agreement is likely; no command is needed."""
    (found,) = none(case_with(WHOLE, **known))
    assert (found.confidence, found.command) == (confidence, "")


def test_an_activation_of_the_active_build_is_noted() -> None:
    """A build that was active already was activated again."""
    activation = replace(ACTIVATION, previous_build_id="b-1")
    ((*_, evidence),) = told(none(case_with(WHOLE, activation=activation)))
    assert evidence[0] == "1: build b-1 was activated, which was active already"


@pytest.mark.parametrize(
    ("known", "version"),
    [
        ({"process": NEW_FLASH}, "1.21.0"),
        ({"process": replace(CLI, flash_version=(1, 15))}, "1.15"),
    ],
)
def test_a_version_whose_workers_read_nothing(known: dict[str, Any], version: str) -> None:
    """There is nothing to compare, and a command that is the proof."""
    (found,) = none(case_with(**known))
    assert found.sentence == (
        f"The deployment of build b-1 is clean. Calls in workers of Flash {version} read nothing "
        "from the State Manager, so there is no read to compare: `verify` is the proof."
    )
    assert found.command == "flash-otel verify --app shop --env production"
    (read,) = none(case_with(WHOLE, **known))
    assert read.sentence == ("The deployment of build b-1 and 1 read of it agree on 2 endpoints.")
    assert read.command == ""


def test_runpod_2_saves_endpoints_with_the_build() -> None:
    """Where no manifest is uploaded, the provisioning is the evidence."""
    provisioning = Provisioning(origin=place(5), endpoints=TWO)
    process = replace(CLI, flash_version=(2, 0, 0))
    known: dict[str, Any] = {"process": process, "provisioning": provisioning}
    ((*_, evidence),) = told(none(case_with(**known, upload=None)))
    assert evidence == [ACTIVATED, "5: 2 endpoints saved with the build"]
    old = told(none(case_with(WHOLE, provisioning=provisioning)))
    assert "5: " not in str(old)


LOCAL: Final = RemoteCall(origin=place(9), process=WORKER, route=sc.ROUTE_LOCAL)
REMOTE: Final = replace(LOCAL, route=sc.ROUTE_REMOTE)
UNREAD: Final = "No worker's read of its endpoints is recorded."


def test_workers_that_call_only_themselves_need_no_read() -> None:
    """Every call has to stay in its worker."""
    ((sentence, *_),) = told(none(case_with(calls=(LOCAL, LOCAL))))
    assert (
        sentence == "The deployment of build b-1 is clean, and its workers called only themselves."
    )
    for calls in ((), (REMOTE,), (LOCAL, REMOTE)):
        assert told(none(case_with(calls=calls))) == []
        assert [doubt.sentence for doubt in doubts(case_with(calls=calls))] == [UNREAD]


def test_a_failure_of_the_command_is_told_beside_agreement() -> None:
    """The reads hold the write, though the command itself failed."""
    step = Step(name=sc.PROVISION, outcome=sc.FAILED, failure=FAILED)
    case = case_with(WHOLE, facts={"failed_step": step}, outcome=sc.FAILED)
    ((sentence, *_),) = told(none(case))
    assert sentence == (
        "The deployment of build b-1 and 1 read of it agree on 2 endpoints. Its own command did "
        "not succeed, though: the provisioning failed (RuntimeError: no)."
    )


def test_agreement_excludes_doubt() -> None:
    """A deployment without doubt is sound, and one with doubt is not."""
    assert list(inconclusive(case_with(WHOLE))) == []
    assert list(none(case_with())) == []


# --- doubt ----------------------------------------------------------------------------------------


def test_reasons_are_put_together() -> None:
    """Sentences, candidates and missing evidence are told once each, in order."""
    first = ReadVerdict((sc.STALE_BUILD, sc.READ_INCOMPLETE), "so")
    second = ReadVerdict((sc.READ_INCOMPLETE, sc.READ_BEFORE_WRITE), "or so")
    reads = [replace(WHOLE, origin=place(line), endpoints=EndpointSet(0)) for line in (7, 8)]
    (found,) = inconclusive(case_with(*reads, verdicts=(first, second), activation=None))
    assert found.sentence == (
        "Either stale_build or read_incomplete: so. Either read_incomplete or read_before_write: "
        "or so. No activation of a build is recorded."
    )
    assert found.candidates == (sc.STALE_BUILD, sc.READ_INCOMPLETE, sc.READ_BEFORE_WRITE)
    assert found.missing == (
        f"what the State Manager holds now of {PLACE}",
        f"the record of the deployment to {PLACE}: its spans, or its log",
    )
    assert [exhibit.says for exhibit in found.evidence] == ["read: so", "read: or so"]
    assert found.command == "flash-otel verify --app shop --env production"


CODES: Final = (
    *(sc.STALE_BUILD, sc.READ_INCOMPLETE, sc.READ_BEFORE_WRITE, sc.ENDPOINTS_MISSING),
    *(sc.ENDPOINTS_DIFFER, sc.MANIFEST_NEVER_WRITTEN, sc.MANIFEST_NOT_PERSISTED),
)


def test_eight_pieces_of_evidence_are_shown() -> None:
    """Of more doubts, the first ones have evidence."""
    verdicts = tuple(
        ReadVerdict((first, second), "so") for first in CODES[:2] for second in CODES[2:]
    )
    reads = [replace(WHOLE, origin=place(line)) for line in range(10)]
    (found,) = inconclusive(case_with(*reads, verdicts=verdicts))
    assert [exhibit.origin.line for exhibit in found.evidence] == list(range(8))
    assert len(found.sentence.split(". ")) == 10


@pytest.mark.parametrize(
    ("codes", "sentence", "candidates"),
    [
        (CODES[:2], "Either stale_build or read_incomplete: so.", CODES[:2]),
        (CODES[:3], "stale_build or read_incomplete or read_before_write: so.", CODES[:3]),
        (
            (sc.STALE_BUILD, sc.INCONCLUSIVE),
            "stale_build or no fault at all: so.",
            (sc.STALE_BUILD,),
        ),
        (
            (*CODES[:2], sc.INCONCLUSIVE),
            "stale_build or read_incomplete or no fault at all: so.",
            CODES[:2],
        ),
        ((sc.STALE_BUILD,), None, None),
        ((), None, None),
    ],
)
def test_a_read_that_allows_several_faults(
    codes: tuple[str, ...], sentence: str | None, candidates: tuple[str, ...] | None
) -> None:
    """All of them are named, and whether it may be none; reads that allow the same are one."""
    verdict = ReadVerdict(codes, "so")
    case = case_with(WHOLE, WHOLE, verdicts=(verdict, verdict))
    found = [(doubt.sentence, doubt.missing, doubt.candidates) for doubt in doubts(case)]
    assert found == ([] if sentence is None else [(sentence, A_READBACK, candidates)])


LOOSE: Final = RuntimeFetch(origin=place(6), process=WORKER, loose_count=1)


@pytest.mark.parametrize(
    ("read", "known", "is_open"),
    [
        (LOOSE, {}, True),
        (replace(LOOSE, loose_count=2), {}, False),
        (replace(LOOSE, loose_count=None), {}, False),
        (replace(LOOSE, build_id="b-1"), {}, False),
        (replace(LOOSE, endpoints=EndpointSet(1)), {}, False),
        (LOOSE, {"upload": replace(UPLOAD, endpoints=EndpointSet(1))}, False),
        (LOOSE, {"upload": replace(UPLOAD, endpoints=EndpointSet())}, False),
    ],
)
def test_lines_of_a_read_whose_build_is_not_logged(
    read: RuntimeFetch, known: dict[str, Any], *, is_open: bool
) -> None:
    """They show fewer endpoints than were written, unless they are of another build."""
    case = case_with(WHOLE, read, read, facts={"whole_reads": (WHOLE,)}, **known)
    codes = (sc.ENDPOINTS_MISSING, sc.READ_INCOMPLETE)
    sentence = "Lines of a read whose build is not logged show 1 of 2 endpoints."
    found = [(doubt.sentence, doubt.missing, doubt.candidates) for doubt in doubts(case)]
    assert found == ([(sentence, THE_BEGINNING, codes)] if is_open else [])
    shown = [exhibit.says for doubt in doubts(case) for exhibit in doubt.evidence]
    assert shown == (["read: 1 of 2 endpoints, of an unknown build"] if is_open else [])
    other = replace(WHOLE, build_id="b-9", in_log=True)
    case = case_with(WHOLE, other, read, facts={"whole_reads": (WHOLE,)}, **known)
    assert list(doubts(case)) == []


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (without_deployment(), "No matching deployment, read or call is recorded."),
        (
            without_deployment(WHOLE, calls=(LOCAL, LOCAL)),
            "Recorded: 1 read and 2 calls, but no deployment to compare them with.",
        ),
        (
            without_deployment(calls=(LOCAL,)),
            "Recorded: no reads and 1 call, but no deployment to compare them with.",
        ),
    ],
)
def test_no_deployment_is_recorded(case: Case, sentence: str) -> None:
    """What is recorded is counted, and the deployment is missing."""
    (found,) = doubts(case)
    assert (found.sentence, found.missing, found.candidates) == (sentence, A_DEPLOYMENT, ())


STEP: Final = Step(name=sc.BUILD, origin=place(4), outcome=sc.FAILED, failure=FAILED)
OPEN: Final = {"outcome": UNFINISHED}
NEVER: Final = (sc.MANIFEST_NEVER_WRITTEN,)
NOT_ENDED: Final = "The deployment has no recorded end: it still runs, or it was killed."


@pytest.mark.parametrize(
    ("known", "facts", "expected"),
    [
        (OPEN, {}, (NOT_ENDED, "the deployment's end", NEVER, ["its start"])),
        (
            {**OPEN, "activation": None},
            {},
            (NOT_ENDED, "the deployment's end", (), ["its start"]),
        ),
        (
            {**OPEN, "process": replace(CLI, flash_version=(2, 0, 0))},
            {},
            (NOT_ENDED, "the deployment's end", (), ["its start"]),
        ),
        (
            {"outcome": sc.FAILED},
            {"failed_step": STEP},
            (
                "The deployment did not succeed: the build failed (RuntimeError: no).",
                A_READBACK,
                (),
                ["the build failed (RuntimeError: no)"],
            ),
        ),
        (
            {"outcome": sc.FAILED, "activation": None},
            {"failed_step": STEP},
            (
                "The deployment did not succeed: the build failed (RuntimeError: no).",
                A_SUCCESS,
                (),
                ["the build failed (RuntimeError: no)"],
            ),
        ),
        (
            {"activation": None},
            {},
            ("No activation of a build is recorded.", A_DEPLOYMENT, (), []),
        ),
        (
            {"upload": None},
            {},
            ("No upload of its manifest is recorded.", A_DEPLOYMENT, (), []),
        ),
        (
            {"upload": replace(UPLOAD, outcome=sc.UNKNOWN)},
            {},
            ("The answer to its manifest upload is not recorded.", A_READBACK, NEVER, []),
        ),
        ({}, {}, None),
        ({"upload": replace(UPLOAD, outcome=sc.FAILED)}, {}, None),
    ],
)
def test_open_questions_about_a_deployment(
    known: dict[str, Any], facts: dict[str, Any], expected: Any
) -> None:
    """The first that applies is told, unless a read holds the whole write."""
    found = [
        (doubt.sentence, doubt.missing, doubt.candidates, [each.says for each in doubt.evidence])
        for doubt in doubts(case_with(calls=(LOCAL,), facts=facts, **known))
    ]
    assert found == ([] if expected is None else [expected])
    assert list(doubts(case_with(WHOLE, facts={**facts, "whole_reads": (WHOLE,)}, **known))) == []


@pytest.mark.parametrize(
    ("written", "active", "words"),
    [
        (EndpointSet(), ActiveManifest(), "how many"),
        (EndpointSet(2), ActiveManifest(), "which URLs"),
    ],
)
def test_a_read_holds_endpoints_of_an_unknown_write(
    written: EndpointSet, active: ActiveManifest, words: str
) -> None:
    """What is not recorded of the write is told, and the last read that holds some."""
    upload = replace(UPLOAD, origin=place(2, rebuilt=True), endpoints=written)
    reads = [
        replace(WHOLE, origin=place(line), active=active, endpoints=replace(TWO, count=count))
        for line, count in ((7, 2), (8, 2))
    ]
    empty = replace(WHOLE, endpoints=EndpointSet(0))
    (found,) = doubts(case_with(*reads, empty, upload=upload))
    assert found.sentence == (
        f"A worker read 2 endpoints of build b-1, but {words} were written is not recorded."
    )
    assert (found.missing, found.candidates) == (A_DEPLOYMENT, ())
    assert [(each.origin.line, each.says) for each in found.evidence] == [
        (8, "read: build b-1, 2 endpoints")
    ]


ASTRAY: Final = (
    "A worker asked for environment {}, not for production (e-1), and nothing shows that it is a "
    "worker of build b-1."
)


AN_OLDER: Final = "A worker was answered with build b-0, an older one than build b-1"


@pytest.mark.parametrize(
    ("reads", "known", "expected"),
    [
        ((), {}, (UNREAD, A_READ, (), [])),
        ((RuntimeFetch(origin=place(5)),), {}, (UNREAD, A_READ, (), [])),
        # It asked for another environment, and got an answer or none.
        (
            ({"environment_id": "e-2", "build_id": "b-2"},),
            {},
            (
                ASTRAY.format("e-2"),
                A_READ,
                (sc.ENVIRONMENT_MISMATCH,),
                ["7: read: build b-2, 2 endpoints"],
            ),
        ),
        (
            ({"environment_id": LONG, "build_id": None},),
            {},
            (
                ASTRAY.format(LONG),
                A_READ,
                (sc.ENVIRONMENT_MISMATCH,),
                [f"7: read: asked for environment {LONG}"],
            ),
        ),
        # A read that asked for the deployed environment precedes one that did not.
        (
            ({"build_id": None}, {"environment_id": "e-2"}),
            {},
            (UNREAD, A_READ, (), ["7: read: asked for production (e-1)"]),
        ),
        (
            ({"environment_id": "e-2"}, {"environment_id": "e-3"}),
            {},
            (
                ASTRAY.format("e-3"),
                A_READ,
                (sc.ENVIRONMENT_MISMATCH,),
                ["8: read: build b-1, 2 endpoints"],
            ),
        ),
        (
            ({"build_id": "b-0"},),
            {"activation": Activation(outcome=sc.FAILED), "outcome": sc.FAILED},
            (
                "Workers were answered with build b-0.",
                A_READ,
                (),
                ["7: read: build b-0, 2 endpoints"],
            ),
        ),
        (
            ({"build_id": "b-0"},),
            {},
            (
                f"{AN_OLDER}: nothing shows whether it read before the activation or after it.",
                A_READ,
                (sc.STALE_BUILD,),
                ["7: read: build b-0, 2 endpoints"],
            ),
        ),
        (
            ({"build_id": "b-2"},),
            {},
            (
                "Build b-2 is active, of a later deployment than build b-1.",
                A_DEPLOYMENT,
                (),
                ["7: read: build b-2, 2 endpoints"],
            ),
        ),
    ],
    ids=[
        "no read",
        "nothing asked",
        "another environment",
        "another environment, without an answer",
        "no answer",
        "two other environments",
        "no activation",
        "an older build",
        "a later build",
    ],
)
def test_reads_that_miss_the_deployment(
    reads: tuple[Any, ...], known: dict[str, Any], expected: Any
) -> None:
    """The tables show the same mismatch: the doubt names what was asked for or answered."""
    made = [
        read if isinstance(read, RuntimeFetch) else replace(WHOLE, origin=place(line), **read)
        for line, read in enumerate(reads, 7)
    ]
    later = replace(DEPLOYED, id="d-2", build_id="b-2", start_ns=99 * S, activation=None)
    found = [
        (
            doubt.sentence,
            doubt.missing,
            doubt.candidates,
            [f"{each.origin.line}: {each.says}" for each in doubt.evidence],
        )
        for doubt in doubts(case_with(*made, others=(later,), **known))
    ]
    assert found == [expected]


def test_no_read_is_needed_beside_a_fault_of_one() -> None:
    """A read that proves a fault is one, and so is a whole read."""
    fault = ReadVerdict((sc.STALE_BUILD,), "so")
    other = replace(WHOLE, build_id="b-0")
    assert list(doubts(case_with(other, verdicts=(fault,)))) == []
    assert list(doubts(case_with(process=NEW_FLASH))) == []
    unknown = replace(CLI, flash_version=())
    assert [doubt.sentence for doubt in doubts(case_with(process=unknown))] == [UNREAD]


# --- the place and the command --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "of", "command"),
    [
        ({}, " of environment production (e-1) in app shop", "--app shop --env production"),
        ({"app_name": None}, " of environment production (e-1)", "--app APP --env production"),
        (
            {"environment_id": None},
            " of environment production in app shop",
            "--app shop --env production",
        ),
        ({"environment_name": None}, " of environment e-1 in app shop", "--app shop --env e-1"),
        (
            {"environment_name": "e-1"},
            " of environment e-1 in app shop",
            "--app shop --env e-1",
        ),
        (
            {"environment_name": None, "environment_id": None},
            " of app shop",
            "--app shop --env ENV",
        ),
        (
            {"environment_name": None, "environment_id": None, "app_name": None},
            "",
            "--app APP --env ENV",
        ),
    ],
)
def test_the_place_of_a_deployment(known: dict[str, Any], of: str, command: str) -> None:
    """Missing evidence and the command name the environment and the app, as far as known."""
    case = case_with(**known)
    assert placed(case, "a{of}: b") == f"a{of}: b"
    assert placed(case, "a{to}: b") == f"a{of.replace(' of ', ' to ', 1)}: b"
    assert placed(case, "a") == "a"
    assert verify_command(case) == f"flash-otel verify {command}"


def test_names_are_quoted_for_a_shell() -> None:
    """Capitals stand for what is not known."""
    assert verify_command_for(None, "my env") == "flash-otel verify --app APP --env 'my env'"
    assert verify_command_for("it's", None) == ("flash-otel verify --app 'it'\"'\"'s' --env ENV")


CALLED: Final = replace(LOCAL, app_name="shop")


@pytest.mark.parametrize(
    ("reads", "apps", "command"),
    [
        ((), (), "--app APP --env ENV"),
        ((), ("shop",), "--app shop --env ENV"),
        ((), ("shop", "shop", None), "--app shop --env ENV"),
        ((), ("shop", "blog"), "--app APP --env ENV"),
        (("e-1",), (), "--app APP --env e-1"),
        (("e-1", "e-2"), (), "--app APP --env e-2"),
        (("e-1", None), (), "--app APP --env e-1"),
    ],
)
def test_the_place_of_reads_and_calls(
    reads: tuple[str | None, ...], apps: tuple[str | None, ...], command: str
) -> None:
    """Without a deployment, the last read's environment counts, and the only app of all calls."""
    asked = [replace(WHOLE, environment_id=known) for known in reads]
    calls = tuple(replace(CALLED, app_name=name) for name in apps)
    assert verify_command(without_deployment(*asked, calls=calls)) == f"flash-otel verify {command}"


def test_calls_do_not_name_the_app_of_a_deployment() -> None:
    """A recorded deployment may be called by other apps; another deployment knows its own."""
    case = case_with(calls=(CALLED,), app_name=None)
    assert verify_command(case) == "flash-otel verify --app APP --env production"
    other = replace(DEPLOYED, id="d-0", app_name="blog")
    case = case_with(others=(other,), app_name=None, environment_name=None)
    assert verify_command(case) == "flash-otel verify --app blog --env production"
