"""What is cut off, broken or masked in a log is unknown, and never proves a difference."""

from __future__ import annotations

import re
import tempfile
import textwrap
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers.exports import EXPORTS
from readers.scenes import BUILD, ENVIRONMENT, SCENES, bare, deployment, judged, read, timed

from flash_otel import semconv as sc
from flash_otel.diagnosis.partial import resolved
from flash_otel.diagnosis.readers import open_reader
from flash_otel.diagnosis.readers.broken_lines import BrokenLines, width_of
from flash_otel.lines.format import parse
from flash_otel.lines.values import as_glob, matches, may_be_equal, read_id, write_id
from flash_otel.records import LINES_PARTIAL, LINES_SCOPE, SpanRecord

MASKS = [
    "***", "****", "*", "********", "[MASKED]", "[REDACTED]", "<redacted>", "[FILTERED]",
    "[Filtered]", "[secure]", "(sensitive value)", "[secret]", "<hidden>", "xxxx", "XXXXXXXX", "…",
    "•••", "####", "***REDACTED***", "...***REDACTED***...", "$SECRET", "%SECRET%", "{{SECRET}}",
    "REDACTED", "--redacted--", "__MASKED__", "\u2039redacted\u203a",
]  # fmt: skip
CUTS = [
    "", "…", "...", "[truncated]", " [truncated]", "(truncated)", "… (12 bytes truncated)", "<...>",
]  # fmt: skip


def verdict(*files: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return judged(Path(folder), *files)[0]


VERDICTS: Final = {
    "healthy": sc.NONE,
    "stale build": sc.STALE_BUILD,
    "another environment": sc.ENVIRONMENT_MISMATCH,
    "an endpoint is missing": sc.ENDPOINTS_MISSING,
    "no endpoints": sc.INCONCLUSIVE,
}


def allowed(scene: str) -> set[str]:
    """Return the verdicts that a part of a scene's logs may have."""
    healthy = {sc.NONE} if scene == "healthy" else set()
    return {sc.INCONCLUSIVE, VERDICTS[scene]} | healthy


@pytest.mark.parametrize("secret", [BUILD, ENVIRONMENT, "gpu"])
@pytest.mark.parametrize("scene", list(SCENES))
@given(
    mask=st.sampled_from(["__SECRET__", "00000000", "nnnn", "hidden", "0" * 32 + "0", "(b)"])
    | st.from_regex(r"[A-Za-z0-9_]{1,40}", fullmatch=True).filter(lambda text: text != "cpu"),
    side=st.sampled_from([0, 1]),
)
@settings(max_examples=12)
def test_a_mask_that_looks_like_an_id_proves_no_difference(
    scene: str, secret: str, mask: str, side: int
) -> None:
    """Where one side has a UUID and the other a word, or names differ alone, nothing is proved."""
    files = [bare(timed(texts)) for texts in SCENES[scene]]
    files[side] = files[side].replace(secret.encode(), mask.encode())
    assert verdict(*files) in allowed(scene)


def test_what_is_whole_though_it_is_not_a_uuid(tmp_path: Path) -> None:
    """The id of an endpoint, and the name of an environment, are whole: workers ask for them."""
    for asked in ("ep1x2y3z", "production", "abc"):
        texts = [text.replace(ENVIRONMENT, asked) for text in read()]
        found = judged(tmp_path, bare(timed(deployment())), bare(timed(texts)))
        assert found[0] == sc.ENVIRONMENT_MISMATCH
    ids = [text.replace(BUILD, "build-1") for text in deployment()], read("build-2")
    assert judged(tmp_path, *(bare(timed(texts)) for texts in ids))[0] == sc.STALE_BUILD


def test_a_name_that_replaced_another_is_not_missing(tmp_path: Path) -> None:
    """As many endpoints with another name leave open whether a log hides the name."""
    logs = deployment(), read(names=("gpu", "cpu2"))
    found, codes, _ = judged(tmp_path, *(bare(timed(texts)) for texts in logs))
    assert (found, codes) == (sc.INCONCLUSIVE, (sc.ENDPOINTS_MISSING,))


@pytest.mark.parametrize("scene", list(SCENES))
def test_the_scenes_have_their_verdicts(scene: str) -> None:
    """Each scene is decided, so that the tests below can lose something."""
    assert verdict(*(bare(timed(texts)) for texts in SCENES[scene])) == VERDICTS[scene]


@st.composite
def secrets(draw: st.DrawFn) -> str:
    """Draw a secret that is a part of an id, of a name or of a number of the logs."""
    value = draw(st.sampled_from([BUILD, ENVIRONMENT, "production", "gpu", "cpu", "ep1x2y3z", "2"]))
    begin = draw(st.integers(0, len(value) - 1))
    return value[begin : draw(st.integers(begin + 1, len(value)))]


# What a line is recognised by is left alone: without it, the line itself is lost.
VALUES = re.compile(
    r"(?<=_id=)[\w-]+|(?<=BuildId=)[\w-]+|(?<=_ID=)[\w-]+|(?<=build )[\w-]+|\bproduction\b"
    r"|\b[gc]pu\b|v2/\w+|\b\d(?= e)"
)


@pytest.mark.parametrize("scene", list(SCENES))
@given(secret=secrets(), mask=st.sampled_from(MASKS), side=st.sampled_from([0, 1, None]))
@settings(max_examples=60)
def test_a_masked_secret_accuses_nobody(
    scene: str, secret: str, mask: str, side: int | None
) -> None:
    """A mask at any place of any value, in either log or both, proves no fault."""
    logs = []
    for number, texts in enumerate(SCENES[scene]):
        text = bare(timed(texts)).decode()
        if side in (number, None):
            text = VALUES.sub(lambda found: found[0].replace(secret, mask), text)
        logs.append(text.encode())
    assert verdict(*logs) in allowed(scene)


@pytest.mark.parametrize("scene", list(SCENES))
@given(data=st.data(), mark=st.sampled_from(CUTS))
@settings(max_examples=60)
def test_a_cut_line_accuses_nobody(scene: str, data: Any, mark: str) -> None:
    """A line that a limit cut, or the file's end, proves no fault."""
    logs = [[line for _, line in timed(texts)] for texts in SCENES[scene]]
    log = data.draw(st.sampled_from(logs))
    # A log without its last steps is another log, whose end is not in question here.
    at = data.draw(st.integers(1 if mark else len(log) - 2, len(log) - 1))
    log[at] = log[at][: data.draw(st.integers(0, len(log[at])))] + mark
    if not mark:
        del log[at + 1 :]
    end = "\n" if mark else ""
    files = ["\n".join(lines) + (end if lines is log else "\n") for lines in logs]
    assert verdict(*(text.encode() for text in files)) in allowed(scene)


@pytest.mark.parametrize("limit", [60, 80, 90, 100, 120])
@pytest.mark.parametrize("scene", list(SCENES))
def test_lines_cut_at_a_limit_accuse_nobody(scene: str, limit: int) -> None:
    """Lines that all end at one length, as `cut -c` leaves them, prove no fault by their ends."""
    files = [
        "".join(f"{line[:limit]}\n" for _, line in timed(texts)).encode() for texts in SCENES[scene]
    ]
    assert verdict(*files) in allowed(scene)


# Ids that do not show where they end, as Runpod's own do not.
SHORT: Final = {
    "healthy": (deployment("cmf3k2x9v0001l", "env7qk2m"), read("cmf3k2x9v0001l", "env7qk2m")),
    "stale build": (deployment("cmf3k2x9v0001l", "env7qk2m"), read("cx9zz8y7000aa3", "env7qk2m")),
    "another environment": (
        deployment("cmf3k2x9v0001l", "env7qk2m"),
        read("cx9zz8y7000aa3", "xyz0pp3r"),
    ),
}


@pytest.mark.parametrize("width", range(40, 132))
@pytest.mark.parametrize("scene", list(SHORT))
def test_ids_of_any_form_accuse_nobody(scene: str, width: int) -> None:
    """Also ids that do not look cut prove nothing where a limit or a width may have cut them."""
    logs = [bare(timed(texts)).decode() for texts in SHORT[scene]]
    assert verdict(*(broken(text, width).encode() for text in logs)) in allowed(scene)
    limited = ["".join(f"{line[:width]}\n" for line in text.splitlines()) for text in logs]
    assert verdict(*(text.encode() for text in limited)) in allowed(scene)


def broken(text: str, width: int, end: str = "\n") -> str:
    lines = text.rstrip("\n").split("\n")
    return "".join(
        line[at : at + width] + end for line in lines for at in range(0, max(len(line), 1), width)
    )


@pytest.mark.parametrize("width", [*range(40, 132)])
@pytest.mark.parametrize("scene", ["healthy", "stale build"])
def test_lines_broken_at_a_width_accuse_nobody(scene: str, width: int) -> None:
    """A console's width breaks ids and lists; what is decided stays right."""
    files = [broken(bare(timed(texts)).decode(), width).encode() for texts in SCENES[scene]]
    assert verdict(*files) in allowed(scene)


MANNERS = {
    "at words": lambda text, width: "\n".join(
        part for line in text.split("\n") for part in textwrap.wrap(line, width) or [""]
    ),
    "quoted": lambda text, width: re.sub("(?m)^", "> ", broken(text, width)),
    "trimmed": lambda text, width: re.sub(" +\n", "\n", broken(text, width)),
    "in a column": lambda text, width: re.sub("(?m)^", " " * 20, broken(text, width)),
}


@pytest.mark.parametrize("manner", list(MANNERS))
@pytest.mark.parametrize("scene", list(SCENES))
def test_lines_broken_in_any_manner_accuse_nobody(scene: str, manner: str) -> None:
    """Word by word, in a quoted mail, without trailing spaces, indented: nothing is accused."""
    for width in range(41, 130, 7):
        files = [
            MANNERS[manner](bare(timed(texts)).decode(), width).encode() for texts in SCENES[scene]
        ]
        assert verdict(*files) in allowed(scene), width


@pytest.mark.parametrize("width", [80, 100, 119, 120])
def test_lines_broken_at_a_console_s_width_are_joined(width: int) -> None:
    """At the widths that consoles have, nothing is lost."""
    for scene in ("healthy", "stale build", "an endpoint is missing"):
        files = [broken(bare(timed(texts)).decode(), width).encode() for texts in SCENES[scene]]
        assert verdict(*files) == VERDICTS[scene]


RECORD = """\
At line:1 char:1
+ flash deploy --env production *> deploy.log
+ ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : NotSpecified: ([DEPLOY] Environment...d:String) [], RemoteException
    + FullyQualifiedErrorId : NativeCommandError

"""


def powershell(texts: list[str], width: int) -> bytes:
    """Return a log as Windows PowerShell 5.1 redirects it."""
    first, *rest = bare(timed(texts)).decode().splitlines(keepends=True)[1:]
    head = broken(f"flash.exe : {first}", width)
    return (head + RECORD + broken("".join(rest), width)).replace("\n", "\r\n").encode("utf-16")


@pytest.mark.parametrize("width", [80, 100, 104, 119, 120, 200])
@pytest.mark.parametrize("scene", list(SCENES))
def test_a_log_redirected_by_powershell(scene: str, width: int) -> None:
    """The head of an error record and its position lines are no part of a line."""
    assert verdict(*(powershell(texts, width) for texts in SCENES[scene])) in allowed(scene)


@pytest.mark.parametrize("at", ["env-", "env-prod-"])
def test_an_id_that_is_wrapped_at_a_hyphen(at: str, tmp_path: Path) -> None:
    """Mail and editors wrap lines there, at any width: the id goes on in the next line."""
    environment = "env-prod-eu"
    written = "\n".join(deployment(environment=environment)).replace(at, f"{at}\n")
    got = bare(timed(read(environment=environment)))
    longer = "-" * 200
    verdict, *_ = judged(tmp_path, f"{written}\n{longer}\n".encode(), got)
    assert verdict in (sc.NONE, sc.INCONCLUSIVE)


def test_an_id_may_end_with_a_hyphen() -> None:
    """Written, it is told from one that was wrapped there."""
    assert read_id("env-") == ("env-", True)
    assert read_id(write_id("env-")) == ("env-", False)


def test_an_unbroken_log_has_no_width() -> None:
    """The longest line of a log is not broken for being the longest."""
    for scene in SCENES.values():
        for texts in scene:
            assert width_of(bare(timed(texts)).decode()) is None
            assert width_of(EXPORTS["plain"](timed(texts)).decode()) is None
    assert width_of("") is None


@pytest.mark.parametrize("noise", ["es", "5x", "a"])
@pytest.mark.parametrize("colour", [("", ""), ("\x1b[1m", "\x1b[0m")])
def test_a_short_line_behind_the_longest_is_no_end_of_its_id(
    colour: tuple[str, str], noise: str, tmp_path: Path
) -> None:
    """Whether it is one is not known, also in colours: the id is partial."""
    begin, end = colour
    lines = [line for text in deployment(environment="env-prod") for line in text.split("\n")]
    at = next(number for number, line in enumerate(lines) if line.endswith("env-prod"))
    coloured = [f"{begin}{line}{end}" for line in lines]
    path = tmp_path / "log"
    path.write_text("\n".join([*coloured[: at + 1], noise, *coloured[at + 1 :]]) + "\n")
    (upload,) = (span for span in open_reader(path).records() if span.name == sc.MANIFEST_UPLOAD)
    whole = sc.ENVIRONMENT_ID not in upload.attributes.get(LINES_PARTIAL, ())  # type: ignore[operator]  # a tuple of names
    assert not whole or upload.attributes[sc.ENVIRONMENT_ID] == "env-prod"


@given(st.binary(max_size=300), st.integers(1, 60))
def test_any_bytes_are_joined_without_an_error(data: bytes, width: int) -> None:
    """Any bytes may be taken for broken lines."""
    list(BrokenLines(width).entries([data]))
    width_of(data.decode("utf-8", "replace"))


# --- the values --------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", list(SCENES))
@given(
    begin=st.floats(0, 1, exclude_max=True),
    length=st.integers(2, 12),
    mask=st.sampled_from(MASKS),
    name=st.sampled_from(["plain", "docker", "grafana csv", "github actions", "logfmt"]),
    is_of_worker=st.booleans(),
)
@settings(max_examples=20)
def test_a_mask_anywhere_accuses_nobody(
    scene: str, begin: float, length: int, mask: str, name: str, is_of_worker: bool
) -> None:
    """A secret may be a part of a time, of a word of the lines, or of an export's own."""
    logs = [EXPORTS[name](entries).decode() for entries in map(timed, SCENES[scene])]
    text = logs[is_of_worker]
    at = int(begin * len(text))
    secret = text[at : at + length]
    if secret.strip() and "\n" not in secret:
        logs[is_of_worker] = text.replace(secret, mask)
    assert verdict(*(log.encode() for log in logs)) in allowed(scene)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("form", ["{}", "0{}f-1", "{}f-1", "0{}"])
def test_a_masked_id_has_what_is_known_of_it(mask: str, form: str) -> None:
    """A mask within an id is one unknown part; the text behind it still belongs to the line."""
    text = form.format(mask)
    line = f"[DEPLOY SYNC] Uploading manifest - build_id={text}, environment_id=e-1"
    line = line.replace(" -", " to State Manager -")
    parsed = parse(line)
    assert parsed is not None
    assert parsed.fields["environment_id"] == "e-1"
    build_id = parsed.fields["build_id"]
    assert "build_id" in parsed.cut or as_glob(build_id) is not None
    assert matches(as_glob(build_id) or build_id, form.format("secret"))


@pytest.mark.parametrize("mask", ["***", "1***", "***1", "[REDACTED]", "…"])
def test_a_masked_count_is_unknown(mask: str) -> None:
    """A number of which a part is masked is no number."""
    for line in (
        f"[STATE MANAGER] Uploaded {mask} endpoints: ['gpu']",
        f"[STATE MANAGER] Manifest has {mask} endpoints: ['gpu']",
        f"[RUNTIME SYNC] resources_endpoints contains {mask} entries: ['gpu']",
    ):
        parsed = parse(line)
        assert parsed is not None
        assert parsed.fields["endpoint_count"] is None
        assert parsed.cut == {"endpoint_count"}
        assert parsed.fields["endpoint_names"] == ("gpu",)


@pytest.mark.parametrize(
    "text",
    ["{", "{}x", '{"a": "b"', '{"a": "b", c', '{"line": {"a": "b"}}', '{"a": "b"} }', "{ : }"],
)
def test_only_a_closed_mapping_is_whole(text: str) -> None:
    """A mapping is whole if it is one of strings, up to its own brace."""
    parsed = parse(f"[DEPLOY SYNC] resources_endpoints mapping: {text}")
    assert parsed is not None
    is_closed = text in ("{}x", '{"a": "b"} }')
    assert ("endpoints" in parsed.cut) is not is_closed
    assert set(parsed.fields["endpoints"]) <= {"a"}


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([], None),
        (['  "gpu": "https://a",'], None),
        (['  "gpu": "https://a"', '  "cpu": "https://b"'], None),
        (['  "gpu": "https://a",', '  "cpu": "https://b"'], 2),
        (['  "gpu": "https://a",', '  "gpu": "https://a",', '  "cpu": "https://b"'], 2),
    ],
)
def test_a_mapping_that_lost_lines_is_unknown(
    tmp_path: Path, entries: list[str], found: int | None
) -> None:
    """Lines of a mapping that are missing, or in another order, make its endpoints unknown."""
    head = "[DEPLOY SYNC] resources_endpoints mapping: {"
    path = tmp_path / "deploy.log"
    path.write_text("\n".join([head, *entries, "}", "ready"]), encoding="utf-8")
    (upload,) = open_reader(path).records()
    assert upload.attributes.get(sc.ENDPOINT_COUNT) == found


def test_pieces_of_an_upload_that_contradict_each_other() -> None:
    """A mapping that has lost an entry makes no fault of a read that holds both endpoints."""
    texts = [line for _, line in timed(deployment())]
    mappings = [at for at, line in enumerate(texts) if line.endswith("{")]
    lost = {mappings[0] + 1, *range(mappings[1], mappings[1] + 4)}
    rest = [line for at, line in enumerate(texts) if at not in lost]
    assert verdict("\n".join(rest).encode(), bare(timed(read()))) == sc.NONE


@given(st.text("ab*", max_size=6), st.text("ab", max_size=6))
def test_a_glob_matches_what_it_may_be(glob: str, whole: str) -> None:
    """`*` stands for any text; whatever matches may be equal, in either order."""
    expected = re.fullmatch(glob.replace("*", ".*"), whole) is not None
    assert matches(glob, whole) == expected
    assert may_be_equal(glob, whole) == may_be_equal(whole, glob) == expected


def record(number: int, attributes: dict[str, Any], name: str = sc.ACTIVATE) -> SpanRecord:
    return SpanRecord(
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        parent_span_id=None,
        name=name,
        kind="client",
        start_ns=0,
        end_ns=0,
        attributes=attributes,
        scope_name=LINES_SCOPE,
    )


@pytest.mark.parametrize(
    ("glob", "known", "expected"),
    [
        ("abcd*", ["abcdef", "xyz"], "abcdef"),
        ("abcd*", ["abcdef", "abcdxyz"], None),
        ("abcd*", ["xyz"], None),
        ("*", ["abcdef"], None),
        ("abc*", ["abcdef"], None),
        ("ab*ef", ["abcdef"], "abcdef"),
        # The end of the longest line: perhaps whole, perhaps cut.
        ("abcd", ["abcdef", "xyz"], "abcdef"),
        ("abcd", ["abcd", "abcdef"], "abcd"),
        ("abcd", ["abcdef", "abcdxyz"], None),
        ("abcd", ["xyz"], "abcd"),
        ("a", ["abcdef"], None),
    ],
)
def test_a_partial_value_is_the_only_one_that_fits(
    glob: str, known: list[str], expected: str | None
) -> None:
    """It is the whole value of its kind that it fits, if there is just one and enough is known."""
    others = [record(at + 2, {sc.BUILD_ID: value}) for at, value in enumerate(known)]
    partial = record(1, {sc.BUILD_ID: glob, LINES_PARTIAL: (sc.BUILD_ID,)})
    first, *rest = resolved([partial, *others])
    assert first.attributes.get(sc.BUILD_ID) == expected
    assert rest == others


def test_a_read_of_an_unknown_build_is_left_out() -> None:
    """A read whose build or environment stays unknown would seem to agree with anything."""
    written = record(1, {sc.BUILD_ID: "abcdef", sc.ENVIRONMENT_ID: "e-1"})
    for name in (sc.BUILD_ID, sc.ENVIRONMENT_ID):
        known = {sc.BUILD_ID: "abcdef", sc.ENVIRONMENT_ID: "e-1"}
        partial = known | {name: "x*", LINES_PARTIAL: (name,)}
        assert resolved([written, record(2, partial, sc.MANIFEST_FETCH)]) == [written]
    # What asked for another environment is evidence, whatever build it got.
    other = {sc.BUILD_ID: "x*", sc.ENVIRONMENT_ID: "e-2", LINES_PARTIAL: (sc.BUILD_ID,)}
    _, read = resolved([written, record(2, other, sc.MANIFEST_FETCH)])
    assert read.attributes == {sc.ENVIRONMENT_ID: "e-2"}
