"""More evidence never weakens a verdict: other sources, copies and divided logs of one run."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
from diagnosis.logs import NAIVE, TIMES, UNTIMED, ZONED, read_logs, written_logs
from diagnosis.recordings import NOW_NS, TWO, changed, deployment, moved, read, records
from diagnosis.scenes import DOUBTFUL, FAULTY, HEALTHY, SCENES, second, without_carriers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flash_otel import semconv as sc
from flash_otel.diagnosis import Limits, diagnose
from flash_otel.diagnosis.readers import NothingFoundError
from flash_otel.diagnosis.tables import FAIL, MISMATCH, RUNTIME
from flash_otel.store.references import shows_worker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from flash_otel.diagnosis import Diagnosis
    from flash_otel.records import SpanRecord

LIMITS: Final = Limits(now_ns=NOW_NS)
SUREST: Final = ("inconclusive", "possible", "likely", "certain")

_PERHAPS_EARLIER: Final = (
    (UNTIMED, NAIVE),
    "nothing shows whether it read before the activation or after it",
)
REFUTED: Final = {
    "the replaced build is read within the skew of the activation": _PERHAPS_EARLIER,
    "a build that was generated before the deployed one, perhaps read before": _PERHAPS_EARLIER,
    "a build that was generated after the deployed one": (TIMES, "of a later deployment"),
}
"""Scenes whose spans refute what lines show: by times of the lines, with what the verdict states.

Lines hold no time of generation and, without a zone, no order. Spans that hold these are evidence
against the verdict of the lines, not more of the same."""
BY_OWN_CLOCK: Final = "a write is dropped, by the worker's own clock"


def judge(*made: list[SpanRecord]) -> Diagnosis:
    return diagnose([record for part in made for record in part], limits=LIMITS)


def certainty(found: Diagnosis) -> int:
    """Return how decisive a verdict is."""
    if found.verdict == sc.INCONCLUSIVE:
        return 0
    named = next(finding for finding in found.findings if finding.code == found.verdict)
    return SUREST.index(named.confidence)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", SCENES)
def test_logs_beside_spans_never_weaken_a_verdict(name: str, times: str, tmp_path: Path) -> None:
    """The logs of a run, with or without the workers' spans, change nothing that spans decide."""
    made = SCENES[name].make()
    by_spans = judge(made)
    for with_spans in (False, True):
        logs = read_logs(tmp_path, written_logs(made, times, with_spans=with_spans))
        both = judge(made, logs)
        if certainty(by_spans):
            assert both.verdict == by_spans.verdict, both.findings
            assert certainty(both) >= certainty(by_spans)
        by_logs = judge(logs)
        exempt, reason = REFUTED.get(name, ((), ""))
        if times in exempt:
            assert (both.verdict, by_logs.verdict) == (sc.INCONCLUSIVE, sc.STALE_BUILD)
            assert reason in both.findings[0].sentence
        elif not certainty(by_spans) and certainty(by_logs):
            assert both.verdict == by_logs.verdict, both.findings
            assert certainty(both) >= certainty(by_logs)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", HEALTHY)
def test_logs_of_healthy_runs_accuse_nobody(name: str, times: str, tmp_path: Path) -> None:
    """What works is never accused, whatever of it is given."""
    made = HEALTHY[name].make()
    for with_spans in (False, True):
        logs = read_logs(tmp_path, written_logs(made, times, with_spans=with_spans))
        for found in (judge(logs), judge(made, logs)):
            assert [finding.code for finding in found.findings if finding.is_fault] == []


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", [*FAULTY, *DOUBTFUL])
def test_own_lines_in_a_workers_log_never_weaken_it(name: str, times: str, tmp_path: Path) -> None:
    """A worker's log with its spans decides at least what its bracketed lines decide."""
    made = SCENES[name].make()
    plain = judge(read_logs(tmp_path, written_logs(made, times)))
    whole = judge(read_logs(tmp_path, written_logs(made, times, with_spans=True)))
    assert certainty(whole) >= certainty(plain), whole.findings
    if certainty(plain) and plain.verdict != sc.NONE:
        assert whole.verdict == plain.verdict


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SCENES)), st.sampled_from(TIMES), st.booleans())
def test_copies_of_logs_change_nothing(
    tmp_path: Path, name: str, times: str, with_spans: bool
) -> None:
    """The same log twice, under another name, gives the same verdict."""
    logs = written_logs(SCENES[name].make(), times, with_spans=with_spans)
    once = judge(read_logs(tmp_path, logs))
    copies = {**logs, **{f"copy-of-{log}": text for log, text in logs.items()}}
    twice = judge(read_logs(tmp_path, copies))
    assert (twice.verdict, certainty(twice)) == (once.verdict, certainty(once))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(HEALTHY)), st.sampled_from(TIMES), st.booleans(), st.integers(1, 15))
def test_divided_logs_of_healthy_runs_accuse_nobody(
    tmp_path: Path, name: str, times: str, with_spans: bool, at: int
) -> None:
    """A log that is divided at any line makes no fault of what works."""
    logs = written_logs(HEALTHY[name].make(), times, with_spans=with_spans)
    found = judge(read_logs(tmp_path, divided(logs, at)))
    assert [finding.code for finding in found.findings if finding.is_fault] == []


@pytest.mark.parametrize("at", range(1, 16))
@pytest.mark.parametrize("times", TIMES)
def test_a_divided_read_is_one_read(times: str, at: int, tmp_path: Path) -> None:
    """A worker's log in two files, divided at any line, never shows another fault or none."""
    healthy = HEALTHY["a first deployment and a read"].make()
    stale = FAULTY["the replaced build is still active, and nothing else is recorded of it"].make()
    for made, verdict in ((healthy, sc.NONE), (stale, sc.STALE_BUILD)):
        logs = written_logs(made, times)
        worker = {name: text for name, text in logs.items() if name == "worker-1"}
        others = {name: text for name, text in logs.items() if name != "worker-1"}
        found = judge(read_logs(tmp_path, {**others, **divided(worker, at)}))
        assert found.verdict == verdict, found.findings


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(SCENES)),
    st.sampled_from(TIMES),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_a_log_divided_anywhere_gives_the_same_verdict(
    tmp_path: Path,
    name: str,
    times: str,
    with_spans: bool,
    is_later_first: bool,
    data: st.DataObject,
) -> None:
    """One log of a run may lie in two files, in either order, divided at any line.

    Where only the reads of one worker relate the clocks, two files may be of two workers.
    """
    logs = written_logs(SCENES[name].make(), times, with_spans=with_spans)
    divisible = sorted(log for log, text in logs.items() if text.count("\n") > 1)
    if not divisible:
        return
    whole = judge(read_logs(tmp_path, logs))
    log = data.draw(st.sampled_from(divisible))
    lines = logs.pop(log).splitlines(keepends=True)
    border = data.draw(st.integers(1, len(lines) - 1))
    parts = ["".join(lines[:border]), "".join(lines[border:])]
    numbers = "21" if is_later_first else "12"
    logs |= {f"{log}-{n}": part for n, part in zip(numbers, parts, strict=True)}
    found = judge(read_some(tmp_path, logs))
    allowed = {(whole.verdict, certainty(whole))}
    if name == BY_OWN_CLOCK:
        allowed.add((sc.INCONCLUSIVE, 0))
    assert (found.verdict, certainty(found)) in allowed, found.findings


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.sets(st.integers(1, 18), min_size=2, max_size=3))
def test_a_mapping_divided_anywhere_is_compared(
    tmp_path: Path, is_later_first: bool, borders: set[int]
) -> None:
    """Other URLs than were written are found, or the all-clear is withheld."""
    logs = written_logs(FAULTY["a read holds other URLs"].make(), ZONED, with_spans=True)
    lines = logs.pop("cli-1").splitlines(keepends=True)
    cuts = [0, *sorted(border for border in borders if border < len(lines)), len(lines)]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        logs[f"cli-{9 - number if is_later_first else number}"] = "".join(lines[begin:end])
    # A file within a mapping holds no line of Flash, and no number to confirm the mapping by.
    is_lost = len(cuts) > 4 or any("[" not in text for text in logs.values())
    found = judge(read_some(tmp_path, logs))
    allowed = {sc.ENDPOINTS_DIFFER, sc.INCONCLUSIVE} if is_lost else {sc.ENDPOINTS_DIFFER}
    assert found.verdict in allowed, found.findings


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(TIMES), st.sets(st.integers(1, 18), min_size=2, max_size=6))
def test_a_healthy_deployment_in_many_files_is_not_accused(
    tmp_path: Path, times: str, borders: set[int]
) -> None:
    """Lines of a mapping may be lost between files: what is left makes no smaller mapping."""
    made = HEALTHY["a first deployment and a read"].make()
    logs = written_logs(made, times, with_spans=True)
    lines = logs.pop("cli-1").splitlines(keepends=True)
    cuts = [0, *sorted(border for border in borders if border < len(lines)), len(lines)]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        logs[f"cli-{number}"] = "".join(lines[begin:end])
    assert judge(read_some(tmp_path, logs)).verdict in (sc.NONE, sc.INCONCLUSIVE)


MANY: dict[str, dict[str, list[int]]] = {
    "two environments": {
        "cli-1": [], "worker-1": [1, 2, 6, 7], "cli-2": [4, 8, 11], "w2": [1, 6, 7, 8],
    },
    "staging takes over production's endpoints": {
        "cli-1": [4, 8, 12], "worker-1": [1, 3, 5], "cli-2": [], "w2": [1, 5],
    },
}  # fmt: skip


def cut_apart(text: str, borders: Iterable[int]) -> list[str]:
    """Return the parts of a text that end before the lines of these numbers."""
    lines = text.splitlines(keepends=True)
    cuts = [0, *sorted(border for border in borders if border < len(lines)), len(lines)]
    return ["".join(lines[begin:end]) for begin, end in pairwise(cuts)]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*MANY]),
    times=st.sampled_from(TIMES),
    with_spans=st.booleans(),
    borders=st.lists(st.sets(st.integers(1, 18), max_size=4), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
@example(name="two environments", times="zoned", with_spans=True, borders=[], seed=1)
@example(
    name="staging takes over production's endpoints",
    times="naive",
    with_spans=True,
    borders=[],
    seed=1,
)
def test_logs_in_many_files_give_no_other_fault(
    tmp_path: Path,
    name: str,
    times: str,
    with_spans: bool,
    borders: list[set[int]],
    seed: int,
) -> None:
    """What is lost between files may withhold a verdict, but makes no other fault of it."""
    logs = written_logs(SCENES[name].make(), times, with_spans=with_spans)
    whole = judge(read_some(tmp_path, logs)).verdict
    parts = [
        (f"{log}-{number}", part)
        for (log, text), own in zip(logs.items(), borders or MANY[name].values(), strict=True)
        for number, part in enumerate(cut_apart(text, own))
    ]
    random.Random(seed).shuffle(parts)  # noqa: S311 - repeatable, no secret
    found = judge(read_some(tmp_path, dict(parts)))
    assert found.verdict in (whole, sc.NONE, sc.INCONCLUSIVE), found.findings


def read_some(folder: Path, logs: dict[str, str]) -> list[SpanRecord]:
    """Read logs, some of which may hold no line of Flash."""
    found: list[SpanRecord] = []
    for name, text in logs.items():
        try:
            found += read_logs(folder, {name: text})
        except NothingFoundError:
            continue
    return found


def divided(logs: dict[str, str], at: int) -> dict[str, str]:
    """Divide each log in two, behind `at` sixteenths of its lines."""
    parts: dict[str, str] = {}
    for name, text in logs.items():
        lines = text.splitlines(keepends=True)
        border = len(lines) * at // 16
        parts |= {f"{name}-1": "".join(lines[:border]), f"{name}-2": "".join(lines[border:])}
    # A reader rejects a file without any line of Flash.
    return {name: text for name, text in parts.items() if "[" in text.replace('["', "")}


# --- masked and cut ids of spans ------------------------------------------------------------------

IDS: Final = (
    sc.BUILD_ID,
    sc.ENVIRONMENT_ID,
    sc.WORKER_ENVIRONMENT_ID,
    sc.WORKER_ENDPOINT_ID,
    sc.CODE_DEPLOYMENT_ID,
    sc.ACTIVE_DEPLOYMENT_ID,
    sc.ENDPOINTS_DIGEST,
    sc.ENDPOINT_URL,
)


MASKS: Final = ("***", "[REDACTED]", "xxxx", "x-***", "")
# Scenes in which no later record clears an earlier one.
SOUND: Final = [
    name
    for name, scene in HEALTHY.items()
    if all(record.status != "error" for record in scene.make())
    and name != "a server that answers the upload with nothing, and reads that hold it"
]


@pytest.mark.parametrize("name", SOUND)
def test_masked_ids_of_spans_accuse_nobody(name: str) -> None:
    """Ids that CI masks, or that a limit cuts (here to ten characters), prove no difference."""
    made = with_long_ids(HEALTHY[name].make())
    choices = [(key, mask, side) for key in IDS for mask in MASKS for side in (False, True)]
    chance = random.Random(name)  # noqa: S311 - the same in every run, no secret
    for key, mask, side in chance.sample(choices, 14):
        found = judge(
            [
                masked(record, key, mask) if shows_worker(record) is side else record
                for record in made
            ]
        )
        accused = [finding.code for finding in found.findings if finding.is_fault]
        assert accused == [], (key, mask, side)


@pytest.mark.parametrize("with_spans", [False, True])
# In the scene left out, the first deployment really has the fault that the second one mends.
@pytest.mark.parametrize(
    "name", sorted({*SOUND} - {"an old fault that a new deployment has cured"})
)
def test_a_log_that_lost_its_times_accuses_nobody(
    name: str, with_spans: bool, tmp_path: Path
) -> None:
    """Where a mask hides the times of one log, the others' times do not make it the oldest."""
    made = HEALTHY[name].make()
    timed = written_logs(made, ZONED, with_spans=with_spans)
    untimed = written_logs(made, UNTIMED, with_spans=with_spans)
    for masked_log in timed:
        found = judge(read_logs(tmp_path, {**timed, masked_log: untimed[masked_log]}))
        accused = [finding.code for finding in found.findings if finding.is_fault]
        assert accused == [], masked_log


def test_a_masked_id_that_fits_one_is_that_one() -> None:
    """What is left of an id decides where it fits just one of the recorded ids."""
    made = with_long_ids(FAULTY["a write is dropped, on one clock"].make())
    cut = [masked(record, sc.BUILD_ID, "") if shows_worker(record) else record for record in made]
    assert judge(cut).verdict == judge(made).verdict == sc.MANIFEST_NOT_PERSISTED


def test_a_masked_endpoint_is_not_that_of_another_environment() -> None:
    """What is left of a deployment's endpoint id fits another's, and proves no takeover."""
    name = "an environment that was created beside others"
    made = HEALTHY[name].make()
    of_latest = {record.trace_id for record in made if record.name == sc.ACTIVATE}
    for mask in ("gpu00…", "gpu00***", "[REDACTED]"):
        for trace_id in of_latest:
            cut = [
                masked(record, sc.ENDPOINT_ID, mask) if record.trace_id == trace_id else record
                for record in made
            ]
            found = judge(cut)
            assert sc.ENVIRONMENT_TAKEOVER not in [finding.code for finding in found.findings]


@pytest.mark.parametrize("limit", [25, 28, 31])
def test_urls_that_a_limit_cut_to_the_same_text_are_no_takeover(limit: int) -> None:
    """Only ids prove that two environments share an endpoint, or URLs that are surely whole."""

    def recorded(ids: tuple[str, str], limit: int | None) -> list[SpanRecord]:
        """Return two deployments whose ids of endpoints are known from URLs only."""
        made = HEALTHY["two environments"].make()
        first = next(r.trace_id for r in made if r.name == sc.ACTIVATE)
        return [
            replace(record, attributes={
                **record.attributes,
                sc.ENDPOINT_NAMES: ("web",),
                sc.ENDPOINT_COUNT: 1,
                sc.ENDPOINT_URLS: (
                    f"https://api.runpod.ai/v2/{ids[record.trace_id == first]}"[:limit],
                ),
            })
            if record.name in (sc.MANIFEST_UPLOAD, sc.PROVISION) else record
            for record in made
            if record.name != sc.PROVISION_ENDPOINT
        ]  # fmt: skip

    def codes(made: list[SpanRecord]) -> set[str]:
        return {finding.code for finding in judge(made).findings}

    assert sc.ENVIRONMENT_TAKEOVER not in codes(recorded(("abcdefg1", "abcdefg2"), limit))
    assert sc.ENVIRONMENT_TAKEOVER not in codes(recorded(("abcdefg1", "abcdefg2"), None))
    whole = recorded(("x7f3e11d25a6b4", "x7f3e11d25a6b4"), None)
    assert sc.ENVIRONMENT_TAKEOVER in codes(whole)
    short = recorded(("x7f3", "x7f3"), None)
    longer = [replace(r, attributes={**r.attributes, sc.TRUNCATED: ("x" * 40,)}) for r in short]
    assert sc.ENVIRONMENT_TAKEOVER not in codes(short)
    assert sc.ENVIRONMENT_TAKEOVER in codes(longer)


def with_long_ids(made: list[SpanRecord]) -> list[SpanRecord]:
    """Give ids the length that Flash's have."""
    return [
        replace(
            record,
            attributes={
                key: f"{str(value).replace('-', '')}0c069c1f9ac948ed"
                if key in IDS[:4] and value
                else value
                for key, value in record.attributes.items()
            },
        )
        for record in made
    ]


def masked(record: SpanRecord, key: str, mask: str) -> SpanRecord:
    value = record.attributes.get(key)
    if not isinstance(value, str):
        return record
    return replace(record, attributes={**record.attributes, key: mask or value[:10]})


# --- what a sentence may say ----------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_no_sentence_contradicts_the_tables(name: str, tmp_path: Path) -> None:
    """Where ids differ or a check fails, no verdict speaks of missing reads instead."""
    made = SCENES[name].make()
    for times in (None, *TIMES):
        found = judge(made if times is None else read_logs(tmp_path, written_logs(made, times)))
        shown = found.judged[0]
        differs = any(match.result == MISMATCH for match in shown.matches)
        fails = any(check.result == FAIL and check.phase == RUNTIME for check in shown.checks)
        if found.verdict == sc.INCONCLUSIVE and (differs or fails):
            sentence = found.findings[0].sentence
            missing = "No worker's read of its endpoints is recorded."
            assert missing not in sentence, (times, sentence)


# --- logs alone -----------------------------------------------------------------------------------


def redeployed(at: float) -> list[SpanRecord]:
    """Record two deployments, and a read of the first one's build after the second one."""
    return records(deployment(), second(), read(400 + at, held=TWO))


@pytest.mark.parametrize(
    ("times", "at", "verdict"),
    [
        (ZONED, 20, sc.STALE_BUILD),
        (ZONED, 7, sc.INCONCLUSIVE),
        (NAIVE, 20, sc.INCONCLUSIVE),
        (UNTIMED, 20, sc.INCONCLUSIVE),
    ],
)
def test_zoned_times_show_an_older_build(
    times: str, at: float, verdict: str, tmp_path: Path
) -> None:
    """Only times with a zone, further apart than the skew, put the read after the activation."""
    found = judge(read_logs(tmp_path, written_logs(redeployed(at), times)))
    assert found.verdict == verdict, found.findings
    assert found.findings[0].confidence == "likely" or verdict == sc.INCONCLUSIVE


@pytest.mark.parametrize(
    ("times", "at", "verdict"),
    [
        (ZONED, 4.0, sc.READ_BEFORE_WRITE),
        (ZONED, 60.0, sc.READ_INCOMPLETE),
        (UNTIMED, 4.0, sc.INCONCLUSIVE),
    ],
)
def test_zoned_times_show_a_read_in_the_window(
    times: str, at: float, verdict: str, tmp_path: Path
) -> None:
    """A later read holds the endpoints: the times decide what the earlier one was."""
    made = records(deployment(), read(at), read(310, number="2", held=TWO))
    found = judge(read_logs(tmp_path, written_logs(made, times)))
    assert found.verdict == verdict, found.findings


def test_one_log_is_one_clock(tmp_path: Path) -> None:
    """Times without a zone are compared within their own log, and only there."""
    made = records(deployment(previous=7), read(-60, build=7, held=TWO))
    logs = written_logs(made, NAIVE)
    apart = judge(read_logs(tmp_path, logs))
    together = judge(read_logs(tmp_path, {"all": logs["worker-1"] + logs["cli-1"]}))
    assert apart.verdict == sc.STALE_BUILD
    assert together.verdict == sc.INCONCLUSIVE


def test_reads_of_several_workers_are_judged_apart() -> None:
    """What one worker's reads allow narrows nothing of another worker's."""
    made = records(
        deployment(),
        without_carriers(read(7)),
        without_carriers(read(60, number="2", instance="worker-2")),
    )
    found = judge(made)
    assert found.verdict == sc.MANIFEST_NOT_PERSISTED
    finding = judge(records(deployment(), without_carriers(read(7)))).findings[0]
    assert set(finding.candidates) == {
        sc.MANIFEST_NOT_PERSISTED,
        sc.READ_BEFORE_WRITE,
        sc.READ_INCOMPLETE,
    }


def test_the_seconds_after_the_upload_are_named() -> None:
    """A read after the upload, on the same clock, is never called a race."""
    made = FAULTY["a stale replica answers after the write, on one clock"].make()
    (finding,) = judge(made).findings
    assert "2.2 s after the upload had ended" in finding.sentence


def test_a_build_of_the_same_source_is_named() -> None:
    """Where the active build was made from the deployed files, the sentence states it."""
    steps = deployment(previous=7)
    for fingerprint in ("ab12", "cd34"):
        steps["upload"] = changed(steps["upload"], manifest__source_fingerprint="ab12")
        reads = [
            changed(span, manifest__source_fingerprint=fingerprint)
            for span in read(20, build=7, held=TWO)
        ]
        (finding,) = judge(records(steps, reads)).findings
        assert finding.code == sc.STALE_BUILD
        assert ("the same source files" in finding.sentence) == (fingerprint == "ab12")


def test_a_rollback_is_named_as_the_alternative() -> None:
    """Long after the activation, somebody may have put the replaced build back."""
    made = FAULTY["the replaced build is active again, an hour after the deployment"].make()
    (finding,) = judge(made).findings
    assert any("put back by a later deployment" in shown.says for shown in finding.evidence)


def test_a_repeated_activation_is_noted() -> None:
    """An activation that found its own build active already is noted in the evidence."""
    (finding,) = judge(HEALTHY["a build that was active already"].make()).findings
    assert any("which was active already" in fact.says for fact in finding.evidence)


def test_a_clock_that_is_off_never_makes_a_build_older() -> None:
    """The order of builds is that of the machines that build: a worker's clock has no say."""
    later = read(60, build=7, held=TWO, generated=600.0)
    for seconds in (-3600.0, 0.0, 3600.0):
        reads = [moved(record, seconds) for record in later]
        assert judge(records(deployment(generated=0.5)), reads).verdict == sc.INCONCLUSIVE


def test_a_stripped_answer_is_open_without_the_servers_own() -> None:
    """Whether the endpoints were ever stored is open if the upload's response is not recorded."""
    steps = deployment()
    upload = changed(steps["upload"], persisted_endpoint_count=None, persisted_digest=None)
    found = judge(records({**steps, "upload": upload}, read(10)))
    assert found.verdict == sc.INCONCLUSIVE


def test_lines_of_a_span_that_leaves_out_the_manifests_keys(tmp_path: Path) -> None:
    """A healthy read is recorded without them, and its lines are still known to be its own."""
    made = read(10, held=TWO)
    assert not any(sc.MANIFEST_KEYS in span.attributes for span in made)
    logs = written_logs(made, with_spans=True)
    assert "Received manifest with keys: [" in "".join(logs.values())
    assert {span.key for span in read_logs(tmp_path, logs)} == {span.key for span in made}
