from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import DOUBTFUL, FAULTY, HEALTHY, SCENES, Scene

from flash_otel import semconv as sc
from flash_otel.diagnosis import Diagnosis, Limits, diagnose
from flash_otel.diagnosis.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flash_otel.diagnosis.faults import Fault

LIMITS = Limits(now_ns=NOW_NS)


def judge(scene: Scene, faults: Mapping[str, Fault] = FAULTS) -> Diagnosis:
    return diagnose(scene.make(), limits=LIMITS, faults=faults)


def meets(scene: Scene, found: Diagnosis) -> bool:
    codes = [finding.code for finding in found.findings]
    candidates = {code for finding in found.findings for code in finding.candidates}
    return (
        found.verdict == scene.verdict
        and codes == [*sorted({scene.verdict, *scene.also}, key=list(FAULTS).index)]
        and candidates == {*scene.candidates}
    )


@pytest.mark.parametrize("name", FAULTY)
def test_each_fault_is_named(name: str) -> None:
    """A scene of a fault gets that fault as verdict, and nothing that is only its consequence."""
    scene = FAULTY[name]
    found = judge(scene)
    assert found.verdict == scene.verdict, found.findings
    codes = [finding.code for finding in found.findings]
    assert codes == sorted({scene.verdict, *scene.also}, key=list(FAULTS).index)
    assert found.findings[0].confidence == scene.confidence
    assert {*found.findings[0].candidates} == {*scene.candidates}
    assert bool(found.missing) == bool(scene.candidates)


@pytest.mark.parametrize("name", HEALTHY)
def test_no_healthy_scene_is_accused(name: str) -> None:
    """What works gets the verdict none, whatever it looks like at first sight."""
    scene = HEALTHY[name]
    found = judge(scene)
    assert found.verdict == sc.NONE, found.findings
    assert [finding.code for finding in found.findings if finding.is_fault] == []
    assert {finding.code for finding in found.findings} == {sc.NONE, *scene.also}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_cannot_be_told_is_not_told(name: str) -> None:
    """Evidence that allows several faults names them all, and what would decide."""
    scene = DOUBTFUL[name]
    found = judge(scene)
    assert found.verdict == sc.INCONCLUSIVE, found.findings
    assert {code for finding in found.findings for code in finding.candidates} == {
        *scene.candidates
    }
    assert found.missing
    assert found.command.startswith("flash-otel verify --app ")


def test_every_code_has_a_scene() -> None:
    """Each code of the contract is a row of the table, and some scene asks for it."""
    asked = {code for scene in SCENES.values() for code in (scene.verdict, *scene.also)}
    assert set(FAULTS) == set(sc.FAULTS) == asked


@pytest.mark.parametrize("code", FAULTS)
def test_no_row_of_the_table_can_be_missed(code: str) -> None:
    """Without any one of its rows, the table fails at some scene."""
    rest = {name: row for name, row in FAULTS.items() if name != code}
    asking = [scene for scene in SCENES.values() if code in (scene.verdict, *scene.also)]
    assert not all(meets(scene, judge(scene, rest)) for scene in asking)


@pytest.mark.parametrize("name", FAULTY)
def test_every_accusation_is_proved_and_has_remedies(name: str) -> None:
    """A finding names where its evidence stands, what it says, and what helps whom."""
    for finding in judge(FAULTY[name]).findings:
        assert finding.sentence.endswith((".", "?"))
        assert finding.evidence, finding
        assert all(each.origin.span_id and each.says for each in finding.evidence)
        assert finding.remedy_deployer
        assert finding.remedy_maintainer
