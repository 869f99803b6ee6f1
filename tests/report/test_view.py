"""How a trace is shown: which evidence and which ids, and how its notes are broken."""

from __future__ import annotations

from typing import Final

import pytest
from support.samples import OTHER, TRACE, span

from flash_otel import semconv as sc
from flash_otel.report.layout import ASCII, UNICODE, Page, Part
from flash_otel.report.overview import Mark, Overview
from flash_otel.report.view import View, view_of

TERMINAL: Final = Page(80, 12, UNICODE)
PIPE: Final = Page(None, 12, UNICODE)
ONE, TWO, THREE = (f"{number:08}-an-id-that-is-long" for number in (1, 2, 3))
RECORD: Final = span(1, None, "x", 0, 1)


def mark(code: str, says: str, number: int = 1) -> Mark:
    """Return evidence."""
    return Mark(TRACE, f"{number:016x}", code, says, shows_fault=False)


@pytest.mark.parametrize("is_running", [True, False])
def test_what_marks_a_span(*, is_running: bool) -> None:
    """All of its evidence in order; while the deployment runs, no doubts."""
    fault, more = mark("stale_build", "first"), mark("stale_build", "second")
    doubt, other = mark(sc.INCONCLUSIVE, "unknown"), mark("unauthorized", "other", 2)
    overview = Overview(sc.NONE, "", is_running=is_running, marks=(fault, doubt, other, more))
    first = [fault, more] if is_running else [fault, doubt, more]
    assert view_of(PIPE, [RECORD], overview).marks == {
        (TRACE, f"{1:016x}"): first,
        (TRACE, f"{2:016x}"): [other],
    }
    assert view_of(PIPE, [RECORD]).marks == {}


def test_a_view_has_what_it_was_made_of() -> None:
    """The page, the present, whether responses are shown, and the traces."""
    overview = Overview(sc.NONE, "")
    records = [RECORD, span(2, 1, "y", 0, 1, trace_id=OTHER)]
    view = view_of(PIPE, records, overview, has_answers=True, now_ns=7)
    assert (view.page, view.overview, view.has_answers, view.now_ns) == (PIPE, overview, True, 7)
    assert view.traces == {TRACE, OTHER}
    plain = view_of(PIPE, records)
    assert (plain.overview, plain.has_answers, plain.now_ns) == (None, False, None)


@pytest.mark.parametrize("key", [sc.ENVIRONMENT_ID, sc.BUILD_ID, sc.PREVIOUS_BUILD_ID])
def test_ids_of_spans_are_short_on_a_terminal(key: str) -> None:
    """A pipe gets them whole, as does a terminal those that nothing names as an id."""
    records = [span(1, None, "x", 0, 1, attributes={key: ONE, "other": TWO})]
    text = f"{ONE} and {TWO}"
    assert view_of(TERMINAL, records).clean(text) == f"00000001 and {TWO}"
    assert view_of(PIPE, records).clean(text) == text


def test_ids_of_the_deployment_are_short_on_a_terminal() -> None:
    """Also if no span carries them."""
    overview = Overview(sc.NONE, "", environment_id=ONE, build_id=TWO)
    view = view_of(TERMINAL, [], overview)
    assert view.clean(f"{ONE} {TWO} {THREE}") == f"00000001 00000002 {THREE}"
    assert view_of(TERMINAL, [], Overview(sc.NONE, "", build_id=TWO)).clean(TWO) == "00000002"


def test_values_are_printed_in_the_encoding_of_the_page() -> None:
    """Control characters, and those that it lacks, are spelled out."""
    assert View(Page(None, 0, ASCII, "ascii")).clean("é\n") == r"\xe9\n"
    assert View(PIPE).clean(12) == "12"


@pytest.mark.parametrize(
    ("width", "lead", "texts"),
    [
        pytest.param(None, "|  ", ["one two three four fives six"], id="a pipe"),
        pytest.param(31, "|  ", ["one two three four fives six"], id="room for all"),
        pytest.param(30, "|  ", ["one two three four fives", "six"], id="not for all"),
        pytest.param(22, "|  ", ["one two three four fives", "six"], id="narrow"),
        pytest.param(60, "|" * 40, ["one two three four fives", "six"], id="deep"),
        pytest.param(33, "模" * 3, ["one two three four fives", "six"], id="a wide lead"),
        pytest.param(34, "模" * 3, ["one two three four fives six"], id="just enough"),
    ],
)
def test_a_note_stands_behind_its_lead(width: int | None, lead: str, texts: list[str]) -> None:
    """Each of its lines does, with twenty-four cells at least, however deep its span lies."""
    note = [Part("one two three four fives six", "dim")]
    found = list(View(Page(width, 0, UNICODE)).note(lead, note))
    assert found == [(Part(lead), Part(text, "dim")) for text in texts]
