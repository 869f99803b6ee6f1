"""The files of an archive, the spans of the store, and what else is opened."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from flash_otel import semconv as sc
from flash_otel.diagnosis.readers import (
    NothingFoundError,
    ReaderError,
    StoreReader,
    archive,
    open_reader,
)
from flash_otel.records import SpanRecord
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LINE: Final = "[STATE MANAGER] environment_id=e-1 -> activeBuildId=b-1\n"
FILES: Final = {
    "job/": "",
    "b.txt": LINE * 2,
    "a.png": "\x89PNG\r\n\x1a\n\0\0",
    "job/a.txt": f"x\n{LINE}",
    "c.txt": "nothing of Flash\n",
    "B.txt": LINE,
}


def packed(path: Path, files: Mapping[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an archive of files."""
    with zipfile.ZipFile(path, "w", method) as made:
        for name, text in files.items():
            made.writestr(name, text.encode("latin-1"))
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_the_files_of_an_archive_are_read_in_the_order_of_their_names(
    tmp_path: Path, chunk: int, method: int
) -> None:
    """Each origin names its file, and progress counts all files, also those without a record."""
    path = packed(tmp_path / "logs.zip", FILES, method)
    seen: list[tuple[int, int]] = []
    reader = open_reader(path, chunk)
    assert reader.name == str(path)
    found = [
        (record.origin.removeprefix(f"{path}/"), len(seen))
        for record in reader.records(lambda *progress: seen.append(progress))
    ]
    assert found == [("B.txt:1", 0), ("b.txt:1", 2), ("b.txt:2", 2), ("job/a.txt:2", 4)]
    assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(("limit", "is_read"), [(3, True), (2, False)])
def test_an_archive_has_only_so_many_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, *, is_read: bool
) -> None:
    """Folders do not count."""
    monkeypatch.setattr(archive, "MOST_FILES", limit)
    files = {"a/": "", **{f"a/{at}.txt": LINE for at in range(3)}}
    path = packed(tmp_path / "logs.zip", files)
    reader = open_reader(path)
    if is_read:
        assert len(list(reader.records())) == 3
        return
    with pytest.raises(ReaderError) as raised:
        list(reader.records())
    assert str(raised.value) == f"{path} holds 3 files: unpack it first"


def test_an_archive_without_a_record_is_told(tmp_path: Path) -> None:
    """The error counts the files."""
    path = packed(tmp_path / "logs.zip", {"a/": "", "a/b": "nothing\n", "c": ""})
    with pytest.raises(NothingFoundError) as raised:
        list(open_reader(path).records())
    assert str(raised.value) == (
        f"{path} is a zip archive in which none of the files (2) holds a "
        "bracketed line or a span of flash_otel"
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_may_need_any_memory_is_refused(tmp_path: Path, method: int) -> None:
    """The error names the archive and what to do."""
    path = packed(tmp_path / "logs.zip", {"a.txt": LINE}, method)
    with pytest.raises(ReaderError) as raised:
        list(open_reader(path).records())
    assert str(raised.value) == (
        f"{path} cannot be read: only stored and deflated files can be read: unpack it first"
    )


def test_an_archive_that_is_no_file_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An archive is read from its end, which standard input and a part of one lack."""
    data = packed(tmp_path / "logs.zip", FILES).read_bytes()
    monkeypatch.setattr("sys.stdin", type("Standard", (), {"buffer": io.BytesIO(data)})())
    with pytest.raises(ReaderError, match="standard input is a zip archive"):
        open_reader("-")
    (tmp_path / "part.zip").write_bytes(data[:100])
    with pytest.raises(ReaderError, match=r"part\.zip is a zip archive"):
        open_reader(tmp_path / "part.zip")


def test_what_is_no_log_is_named_with_what_can_be_read(tmp_path: Path) -> None:
    """A store is read by another option, and its path is quoted for a shell."""
    path = tmp_path / "my spans.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(ReaderError) as raised:
        open_reader(path)
    assert str(raised.value) == f"{path} is an SQLite database"
    assert raised.value.next_step == (
        f"If it is flash_otel's store, read it with: --store '{path}'"
    )
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ReaderError) as raised:
        open_reader(path)
    assert str(raised.value) == (
        f"{path} is binary data; a log or an OTLP file (JSON or protobuf) can be read"
    )
    assert raised.value.next_step == ""


# --- the store -----------------------------------------------------------------------------------


def span(number: int) -> SpanRecord:
    """Return a span that begins at a number."""
    return SpanRecord(
        trace_id=f"{number + 1:032x}",
        span_id=f"{number + 1:016x}",
        parent_span_id=None,
        name=sc.ACTIVATE,
        kind="internal",
        start_ns=number,
        end_ns=number + 1,
        scope_name=sc.SCOPE_NAME,
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with two thousand spans."""
    path = tmp_path / "spans.db"
    with SpanStore(path) as opened:
        opened.write(map(span, range(2000)))
    return path


def test_the_spans_of_a_store_are_read_in_their_order_with_its_host(store: Path) -> None:
    """Progress is told now and then, and the number of all spans is not known."""
    reader = StoreReader(store)
    assert reader.name == "store"
    seen: list[tuple[int, int]] = []
    found = [
        (record, len(seen)) for record in reader.records(lambda *progress: seen.append(progress))
    ]
    assert [record.start_ns for record, _ in found] == list(range(2000))
    assert {record.resource["host.id"] for record, _ in found} == {f"store {store}"}
    assert [told for _, told in found] == [0] * 999 + [1] * 1000 + [2]
    assert seen == [(1000, 0), (2000, 0)]
    assert [record.start_ns for record in StoreReader(store, 1998).records()] == [1998, 1999]


def test_a_store_is_opened_for_lookups(store: Path) -> None:
    """They leave out what is older, too."""
    for since_ns, count in ((None, 2000), (1500, 500)):
        with StoreReader(store, since_ns).recorded() as recorded:
            assert len(recorded.where("1")) == count


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    """A place without a store holds nothing, and what is wrong with another is told."""
    missing = StoreReader(tmp_path / "no.db")
    with pytest.raises(NothingFoundError) as raised:
        list(missing.records())
    assert str(raised.value) == f"nothing is recorded in {tmp_path / 'no.db'}"
    with pytest.raises(NothingFoundError, match="nothing is recorded"), missing.recorded():
        pass
    other = tmp_path / "other"
    other.write_bytes(b"no database at all, but long enough to look at" * 9)
    with pytest.raises(ReaderError, match=r"other: file is not a database") as unreadable:
        list(StoreReader(other).records())
    assert not isinstance(unreadable.value, NothingFoundError)
    with pytest.raises(ReaderError, match=r"other/x\.db: Not a directory"):
        StoreReader(other / "x.db")
