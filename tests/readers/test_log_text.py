"""From the lines of a log to bracketed lines: their places, and texts over several lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import log_text
from flash_otel.diagnosis.readers.log_entry import Unwrapped
from flash_otel.diagnosis.readers.log_text import LoggedLine, LogLines
from flash_otel.lines.format import ParsedLine
from flash_otel.otlp.encode import encode_log_line
from flash_otel.records import SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flash_otel.diagnosis.readers.log_text import Logged

TIME: Final = "2026-11-28T12:00:09Z"
TIME_NS: Final = 1_795_867_209 * 10**9
ZONED: Final[dict[str, Any]] = {"time_ns": TIME_NS, "zoned": True}
UUID: Final = "0c069c1f-9ac9-48ed-9f76-d79799af0cc2"
QUERYING: Final = "[RUNTIME SYNC] Querying State Manager with environment_id=e-1"
ACTIVATED: Final = "[DEPLOY] Environment prod activated with build_id=b-1"
SUCCEEDED: Final = f"[STATE MANAGER] GraphQL mutation succeeded for build_id={UUID}"
MAPPING: Final = "[DEPLOY SYNC] resources_endpoints mapping: {"
PART: Final = {"gpu": "https://a"}
GPU: Final = '  "gpu": "https://a",'
CPU: Final = '  "cpu": "https://b"'
BEGUN: Final = MAPPING[len("[DEPLOY SYNC]") :]
BEGUN_GPU: Final = f"{BEGUN}\n{GPU.strip()}"
SPAN: Final = SpanRecord(
    trace_id="ab" * 16,
    span_id="cd" * 8,
    parent_span_id=None,
    name=sc.RUNTIME_FETCH,
    kind="internal",
    start_ns=1,
    end_ns=2,
    attributes={sc.ENVIRONMENT_ID: "e-1"},
    scope_name=sc.SCOPE_NAME,
)
OTLP: Final = encode_log_line(SPAN).rstrip("\n")


class Entries:
    """A container of entries, each behind its number."""

    description = "entries"

    def __init__(self, *entries: tuple[int, Unwrapped]) -> None:
        self._entries = entries

    def entries(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, Unwrapped]]:
        """Yield the entries, whatever the chunks hold."""
        del chunks
        yield from self._entries


def read(*lines: str, end: str = "\n", **options: Any) -> list[Logged]:
    """Return what a log of these lines holds."""
    return list(LogLines(**options).read([("\n".join(lines) + end).encode()]))


def querying(number: int, *cut: str, **place: Any) -> LoggedLine:
    """Return a worker's question as it is read."""
    fields = {"environment_id": "e-1"}
    return LoggedLine(number, ParsedLine("querying", fields, frozenset(cut)), **place)


def succeeded(number: int, **place: Any) -> LoggedLine:
    """Return the answer to an upload as it is read."""
    return LoggedLine(number, ParsedLine("mutation", {"build_id": UUID}), **place)


def mapping(number: int, endpoints: dict[str, str], *cut: str, **place: Any) -> LoggedLine:
    """Return a mapping as it is read."""
    return LoggedLine(
        number, ParsedLine("mapping", {"endpoints": endpoints}, frozenset(cut)), **place
    )


BOTH: Final = {"gpu": "https://a", "cpu": "https://b"}

# --- single lines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (QUERYING, {}),
        (f"w-1  | {QUERYING}", {"stream": "w-1"}),
        (f"{TIME} {QUERYING}", {"time_ns": TIME_NS, "zoned": True}),
        ("w-1  | 2026-11-28 12:00:09 " + QUERYING, {"stream": "w-1", "time_ns": TIME_NS}),
        (f"\x1b[1m{QUERYING}\x1b[0m", {}),
        (QUERYING.replace("]", "\x1b[1m]\x1b[0m"), {}),
        (QUERYING.replace("Manager", "\x1b[1mManager\x1b[0m"), {}),
        (f"{QUERYING}\r", {}),
    ],
)
def test_a_line_with_its_place(line: str, place: dict[str, Any]) -> None:
    """Its number, its writer and its time are read; colours are no part of its text."""
    assert read("noise", "", line) == [querying(3, **place)]


def test_an_escape_that_is_cut_before_a_mark() -> None:
    """It takes nothing of the mark."""
    assert read(f"\x1b[{QUERYING[1:]}", f"\x1b[1m\x1b[{QUERYING}") == [querying(1), querying(2)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{QUERYING}{QUERYING}", [querying(1, "environment_id"), querying(2)]),
        (f"{QUERYING} [{QUERYING}", [querying(1, "environment_id"), querying(2)]),
        (f"[DEPLOY] nothing known {QUERYING}", [querying(1)]),
        (f"{QUERYING}[DEPLOY] nothing known", [querying(1, "environment_id")]),
        (f"{OTLP}", [(1, SPAN)]),
        (f"{OTLP} {QUERYING} {OTLP}", [(1, SPAN), (1, SPAN), querying(1)]),
        (f"{TIME} stderr F {OTLP}", [(1, SPAN)]),
        ("[DEPLOY] nothing known", []),
        ("DEPLOY", []),
    ],
)
def test_several_marks_in_a_line(line: str, expected: list[Logged]) -> None:
    """Each begins a line; the value in front of another mark may have lost its end."""
    assert read(line) == expected


def test_an_id_in_front_of_another_mark() -> None:
    """Its last letter is its own, and the bracket of the mark is not."""
    first, second = read(f"{QUERYING}X[{QUERYING}")
    assert second == querying(2)
    assert first == LoggedLine(
        1, ParsedLine("querying", {"environment_id": "e-1X"}, frozenset({"environment_id"}))
    )


@pytest.mark.parametrize(
    ("longest", "expected"), [(0, False), (len(QUERYING), True), (len(QUERYING) + 1, False)]
)
def test_the_longest_line_is_marked(longest: int, *, expected: bool) -> None:
    """No line of the log's beginning is longer than it."""
    assert read(QUERYING, longest=longest) == [querying(1, is_longest=expected)]


def test_only_the_end_of_the_longest_line_is_its_end() -> None:
    """A line in front of another one, and a shorter line behind it, are not marked."""
    first, second, third = read(f"{QUERYING}{QUERYING}", QUERYING, longest=len(QUERYING) + 1)
    assert [line.is_longest for line in (first, second, third)] == [False, True, False]  # type: ignore[union-attr]  # lines


@pytest.mark.parametrize(
    ("end", "is_cut"),
    [
        ("", False),
        (" [truncated]", True),
        ("…", True),
        (" ... (12 more bytes truncated)", True),
        ("[cut]", True),
        ("<snip>", True),
        (" [Truncated by the service]", True),
        (" (12 lines omitted) " + " " * 150, True),
        (" [truncated]" + "." * 200, False),
        (" [trunk]", False),
    ],
)
def test_a_line_that_a_service_truncated(end: str, *, is_cut: bool) -> None:
    """What services write behind the part that they keep is no part of the line."""
    assert read(f"{QUERYING}{end}") == [querying(1, *["environment_id"] * is_cut)]


def test_a_mapping_at_the_end_of_a_log_is_whole() -> None:
    """Its own end shows it."""
    assert read(f"{MAPPING}}}", end="") == [mapping(1, {})]


@pytest.mark.parametrize(("end", "is_cut"), [("\n", False), ("", True), ("\nnoise", False)])
def test_the_end_of_a_log_may_have_cut_a_line(end: str, *, is_cut: bool) -> None:
    """A line end proves that a value is whole."""
    assert read(QUERYING, end=end) == [querying(1, *["environment_id"] * is_cut)]


def test_a_container_knows_what_was_cut() -> None:
    """Each line of an entry has the entry's number, writer and time, and its own cut."""
    lines = LogLines(
        Entries(
            (4, Unwrapped(f"noise\r\n{QUERYING}\r\n{QUERYING}", "pod", TIME_NS, zoned=True)),
            (6, Unwrapped(QUERYING, cut=True)),
            (8, Unwrapped(f'{{"message": "{QUERYING}\\r\\n{SUCCEEDED}"}}\r\nx | {QUERYING}')),
        )
    )
    place = {"stream": "pod", "time_ns": TIME_NS, "zoned": True}
    assert list(lines.read([])) == [
        querying(4, **place),
        querying(5, **place),
        querying(6, "environment_id"),
        querying(8),
        succeeded(8),
        querying(9, stream="x"),
    ]
    assert lines.entries == 3
    text = "\n".join(f'{TIME} {{pod="{pod}"}} {QUERYING}' for pod in "ab")
    assert list(LogLines(Entries((1, Unwrapped(text)))).read([])) == [
        querying(number, stream=f'pod="{pod}"', **ZONED) for number, pod in ((1, "a"), (2, "b"))
    ]
    assert LogLines().entries == 0


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_id_at_a_line_end_within_an_entry(end: str) -> None:
    """It is whole, whatever its last letter."""
    text = f"{QUERYING}X{end}{QUERYING}X{end}"
    for entry in (text, json.dumps({"message": text})):
        found = list(LogLines(Entries((1, Unwrapped(entry)))).read([]))
        ids = [line.parsed.fields for line in found if isinstance(line, LoggedLine)]
        assert ids == [{"environment_id": "e-1X"}] * 2


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 9], [1, 2, 9]),
        ([3, 3, 3], [3, 4, 5]),
        ([3, 3, 4, 9], [3, 4, 5, 9]),
        ([3, 3, 5, 5], [3, 4, 5, 6]),
        ([9, 3, 3], [9, 3, 4]),
    ],
)
def test_operations_of_one_entry_are_numbered(numbers: list[int], expected: list[int]) -> None:
    """The first line of each has a number above that of the one before; others keep theirs."""
    entries = [(number, Unwrapped(f"{QUERYING}\n{SUCCEEDED}")) for number in numbers]
    found = LogLines(Entries(*entries)).read([])
    assert list(found) == [
        line
        for number, own in zip(expected, numbers, strict=True)
        for line in (querying(number), succeeded(own))
    ]


# --- mappings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([MAPPING, GPU, CPU, "}"], [mapping(1, BOTH)]),
        ([f"{MAPPING}}}"], [mapping(1, {})]),
        ([MAPPING, GPU, "", f"{TIME} ", CPU, "12:00:09", "}"], [mapping(1, BOTH)]),
        ([MAPPING, GPU, GPU, CPU, CPU, "}"], [mapping(1, BOTH)]),
        ([MAPPING, f"\x1b[1m{GPU}\x1b[0m", CPU, "}"], [mapping(1, BOTH)]),
        ([MAPPING, "> " + GPU, "> " + CPU, "> }"], [mapping(1, BOTH)]),
        ([f"w | {MAPPING}", GPU, CPU, "}"], [mapping(1, BOTH, stream="w")]),
        ([f"{TIME} {MAPPING}", GPU, CPU, "}"], [mapping(1, BOTH, time_ns=TIME_NS, zoned=True)]),
        (
            [f"{TIME} {MAPPING}"] * 2 + [GPU, CPU, "}"],
            [mapping(1, BOTH, time_ns=TIME_NS, zoned=True)],
        ),
        (
            [MAPPING, MAPPING, GPU, CPU, "}"],
            [mapping(1, {}, "endpoints", begun=BEGUN), mapping(2, BOTH)],
        ),
        ([MAPPING, GPU], [mapping(1, PART, "endpoints", begun=BEGUN_GPU)]),
        ([MAPPING, "}"], [mapping(1, {}, "endpoints", begun=BEGUN)]),
        (
            [MAPPING, GPU, "noise", CPU, "}", QUERYING],
            [
                mapping(1, PART, "endpoints", begun=BEGUN_GPU),
                querying(6),
            ],
        ),
        (
            [MAPPING, GPU, QUERYING],
            [
                mapping(1, PART, "endpoints", begun=BEGUN_GPU),
                querying(3),
            ],
        ),
        ([MAPPING, GPU, "...", "}"], [mapping(1, PART, "endpoints")]),
        ([MAPPING, '  "gpu": "https://a"', CPU, "}"], [mapping(1, {}, "endpoints")]),
        (
            [MAPPING, f'  "gpu": "{"x" * 70_000}",', CPU, "}"],
            [mapping(1, {}, "endpoints", begun=BEGUN)],
        ),
    ],
)  # fmt: skip
def test_a_mapping_over_several_lines(lines: list[str], expected: list[Logged]) -> None:
    """Its entries are put together; what is between them, or was lost, ends it unless blank."""
    assert read(*lines) == expected


@pytest.mark.parametrize(("longest", "is_entry"), [(len(CPU), True), (len(CPU) - 1, False)])
def test_an_entry_of_a_mapping_is_not_too_long(
    monkeypatch: pytest.MonkeyPatch, longest: int, *, is_entry: bool
) -> None:
    """A line that is longer is no name with its URL."""
    monkeypatch.setattr(log_text, "_LONGEST_ENTRY", longest)
    found = [mapping(1, {"cpu": "https://b"})]
    assert read(MAPPING, CPU, "}") == (
        found if is_entry else [mapping(1, {}, "endpoints", begun=BEGUN)]
    )


def test_mappings_of_several_writers() -> None:
    """The entries of each go by their writer; of no writer, to the only open mapping."""
    lines = [f"a | {MAPPING}", f"b | {MAPPING}", f"b | {GPU}", f"a | {GPU}", f"a | {CPU}", "a | }"]
    rest = [f"{CPU}", "}", f"c | {QUERYING}"]
    assert read(*lines, *rest) == [
        mapping(1, BOTH, stream="a"),
        mapping(2, BOTH, stream="b"),
        querying(9, stream="c"),
    ]
    assert read(*lines[:3], CPU, "b | }") == [
        mapping(2, PART, "endpoints", stream="b"),
        mapping(1, {}, "endpoints", stream="a", begun=BEGUN),
    ]
    assert read(f"a | {MAPPING}}} ", f"b | {QUERYING}") == [
        mapping(1, {}, stream="a"),
        querying(2, stream="b"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_beginning_of_a_mapping_has_no_line_ends_of_its_own(end: str) -> None:
    """What is kept of it for another log is the same whatever its entry has at the line ends."""
    text = f"{MAPPING}{end}{GPU}{end}"
    for entry in (text, json.dumps({"message": text})):
        lines = LogLines(Entries((1, Unwrapped(entry)))).read([])
        assert list(lines) == [mapping(1, PART, "endpoints", begun=BEGUN_GPU)]


def test_a_mapping_is_given_up_after_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that prints no more is not waited for."""
    monkeypatch.setattr(log_text, "_MAX_FOLLOWED", 3)
    waited = [f"a | {MAPPING}", *["b | noise"] * 3]
    assert read(*waited, f"a | {GPU}", "a | }")[0] == mapping(
        1, {}, "endpoints", stream="a", begun=BEGUN
    )
    found = read(*waited[:-1], f"a | {GPU}", f"b | {MAPPING}", f"b | {GPU}", f"b | {CPU}", "b | }")
    assert found == [
        mapping(1, PART, "endpoints", stream="a", begun=BEGUN_GPU),
        mapping(5, BOTH, stream="b"),
    ]


def test_so_many_mappings_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of too many is given up; those behind it are read."""
    monkeypatch.setattr(log_text, "_MAX_UNFINISHED", 2)
    heads = [f"{writer} | {MAPPING}" for writer in "abc"]
    rests = [f"{writer} | {line}" for writer in "bc" for line in (GPU, CPU, "}")]
    assert read(*heads, *rests) == [
        mapping(1, {}, "endpoints", stream="a", begun=BEGUN),
        mapping(2, BOTH, stream="b"),
        mapping(3, BOTH, stream="c"),
    ]
    assert read(*heads[1:], *rests) == [mapping(1, BOTH, stream="b"), mapping(2, BOTH, stream="c")]


@pytest.mark.parametrize(
    ("lines", "before"),
    [
        ([GPU, CPU, "}"], f"{GPU.strip()}\n{CPU.strip()}\n}}"),
        ([CPU], CPU.strip()),
        (["}"], "}"),
        ([CPU, "}", "}", GPU], f"{CPU.strip()}\n}}"),
        ([CPU, "noise", "}"], CPU.strip()),
        (["noise", CPU, "}"], ""),
        ([], ""),
    ],
)
def test_the_rest_of_a_mapping_in_another_log(lines: list[str], before: str) -> None:
    """The entries that a log begins with are kept beside its first line."""
    at = len(lines) + 1
    assert read(*lines, QUERYING, QUERYING) == [querying(at, before=before), querying(at + 1)]


WITHOUT_ID: Final = LoggedLine(2, ParsedLine("mutation", {}), **ZONED)
CUT: Final = LoggedLine(
    2,
    ParsedLine("querying", {"environment_id": "e"}, frozenset({"environment_id"})),
    **ZONED,
)

# --- lines that a container runtime split --------------------------------------------------------


def parts(*texts: str, flags: str, times: str = "999999999") -> list[str]:
    """Return the parts of a line as Kubernetes writes them."""
    return [
        f"2026-11-28T12:00:0{digit}Z stderr {flag} {text}"
        for text, flag, digit in zip(texts, flags, times, strict=False)
    ]


def test_so_many_split_lines_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of one that is given up is not proven."""
    monkeypatch.setattr(log_text, "_MAX_UNFINISHED", 1)
    split = {"log": QUERYING, "stream": "stderr", "time": TIME}
    lines = [f"{writer} | {json.dumps(split)}" for writer in "ab"]
    assert read(*lines) == [
        querying(number, "environment_id", stream=writer, **ZONED)
        for number, writer in ((1, "a"), (2, "b"))
    ]


SPLIT: Final = (SUCCEEDED[:30], SUCCEEDED[30:60], SUCCEEDED[60:])
SHORT: Final = (QUERYING[:30], QUERYING[30:])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (parts(*SPLIT, flags="PPF"), [succeeded(1, **ZONED)]),
        (parts(*SHORT, flags="PF"), [querying(1, **ZONED)]),
        (parts(*SHORT, flags="PP"), [querying(1, "environment_id", **ZONED)]),
        ([*parts(*SHORT, flags="PP"), "noise"], [querying(1, "environment_id", **ZONED)]),
        (
            [*parts(*SHORT, flags="PP"), QUERYING],
            [querying(1, "environment_id", **ZONED), querying(3)],
        ),
        (parts(OTLP[:60], OTLP[60:], flags="PF"), [(1, SPAN)]),
        (parts(*(f"{MAPPING}", "}"), flags="PF"), [mapping(1, {}, **ZONED)]),
        (parts("noise", *SPLIT, flags="FPPF"), [succeeded(2, **ZONED)]),
    ],
)  # fmt: skip
def test_a_line_in_parts(lines: list[str], expected: list[Logged]) -> None:
    """Its parts are joined up to the last one; without it, the end is not proven."""
    assert read(*lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (parts(*SPLIT[::-1], flags="FPP"), [succeeded(3, **ZONED)]),
        (parts(*SPLIT, flags="PPF"), [succeeded(1, **ZONED)]),
        (parts(OTLP[60:], OTLP[:60], flags="FP"), [(2, SPAN)]),
        # An id that may go on does not prove that the parts were in this order.
        (parts("-1", QUERYING[:-2], flags="FP"), [CUT]),
        (parts(QUERYING[:-2], "-1", flags="PF"), [replace(CUT, number=1)]),
        (parts("noise", *SPLIT[::-1], flags="FFPP"), [succeeded(4, **ZONED)]),
        (parts(*SPLIT[::-1], flags="FPP", times="899"), []),
        (parts("noise", SUCCEEDED, flags="FF"), [succeeded(2, **ZONED)]),
        # What is no last part, or holds a mark, is not the rest of a line.
        (parts(UUID, SUCCEEDED[:-36], flags="PP"), [WITHOUT_ID]),
        (parts(f"{UUID} DEPLOY", SUCCEEDED[:-36], flags="FP"), [WITHOUT_ID]),
    ],
)
def test_a_line_in_parts_from_the_end(lines: list[str], expected: list[Logged]) -> None:
    """In a log that is read from its end, its last part comes first, or in its own order."""
    entries = [(number, Unwrapped(line)) for number, line in enumerate(lines, 1)]
    assert list(LogLines(Entries(*entries), joins=False).read([])) == expected
