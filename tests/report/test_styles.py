"""The styles of reports: each is one of Rich's, which ignores any other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnosis.recordings import NOW_NS
from diagnosis.scenes import SCENES
from report.terminals import assert_styles
from verify.cases import CASES

from flash_otel.diagnosis import Limits, diagnose
from flash_otel.report import words
from flash_otel.report.diagnosis import diagnosis_lines
from flash_otel.report.layout import ASCII, FAULT_STYLE, UNICODE, Page
from flash_otel.report.overview import overview_of
from flash_otel.report.picture import picture_lines
from flash_otel.report.trace import trace_lines
from flash_otel.report.verification import verification_lines
from flash_otel.report.view import view_of
from flash_otel.verify.verdict import judge

PAGES = (Page(100, 40, UNICODE), Page(None, 20, ASCII))


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene(scene: str) -> None:
    """The report of its diagnosis, and the tree of its spans."""
    records = SCENES[scene].make()
    found = diagnose(records, limits=Limits(now_ns=NOW_NS))
    for page in PAGES:
        assert_styles(diagnosis_lines(found, page))
        if found.judged and records:
            overview = overview_of(found.judged[0], records)
            assert_styles(trace_lines(records, view_of(page, records, overview), "command"))


def test_a_picture_that_leaves_reads_out() -> None:
    """Its note counts them."""
    scene = SCENES["a worker asks for an environment that exists"]
    [judged, *_] = diagnose(scene.make(), limits=Limits(now_ns=NOW_NS)).judged
    assert judged.picture is not None
    many = replace(judged, picture=replace(judged.picture, left_out=3))
    lines = list(picture_lines(many, PAGES[0]))
    assert_styles(lines)
    assert "  3 more reads not shown" in ["".join(part.text for part in line) for line in lines]


@pytest.mark.parametrize("case", CASES)
def test_a_verification(case: str) -> None:
    """The report of `verify`."""
    subject, recorded, version = CASES[case].subject, CASES[case].recorded, CASES[case].version
    assert_styles(verification_lines(judge(subject, recorded, version)))


@pytest.mark.parametrize("scene", SCENES)
def test_a_fault_has_the_style_of_faults(scene: str) -> None:
    """Its code stands out; what is only doubted does not look like a fault."""
    diagnosis = diagnose(SCENES[scene].make(), limits=Limits(now_ns=NOW_NS))
    lines = diagnosis_lines(diagnosis, PAGES[0])
    for finding in diagnosis.findings:
        heading = f"{words.verdict(finding.code, finding.confidence)}: "
        styles = {line[0].style for line in lines if line and line[0].text == heading}
        if finding.is_fault and styles:
            assert styles == {FAULT_STYLE}
        else:
            assert FAULT_STYLE not in styles
