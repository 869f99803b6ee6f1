from __future__ import annotations

import ast
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.editions import CHANGED, IMAGES, UNSEEN_CALL, UNSEEN_FUNCTION

from flash_otel.demo.processes import bracketed_lines, worker_spans
from flash_otel.demo.project import (
    ALONE,
    WHOLE,
    carried_trace_id,
    unpack,
    write_project,
)
from flash_otel.semconv import CARRIER_KEY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("version", "style", "files"),
    [
        ("1.2.0", "LiveServerless", ["api.py", "gpu_worker.py", "main.py"]),
        ("1.3.0", "LiveServerless", ["api.py", "gpu_worker.py"]),
        ("1.6.0", "LiveServerless", ["api.py", "gpu_worker.py"]),
        ("1.6.1", "Endpoint", ["api.py", "gpu_worker.py"]),
        ("1.21.0", "Endpoint", ["api.py", "gpu_worker.py"]),
    ],
)
def test_project_speaks_its_versions_language(
    version: str, style: str, files: list[str], tmp_path: Path
) -> None:
    """Old versions get resource classes and, at first, a main module; new ones `Endpoint`."""
    folder = write_project(tmp_path / "app", version)
    assert sorted(file.name for file in folder.iterdir()) == files
    for name in files:
        ast.parse((folder / name).read_text(encoding="utf-8"))
    assert style in (folder / "gpu_worker.py").read_text(encoding="utf-8")


def test_older_state_of_the_project_has_no_gpu(tmp_path: Path) -> None:
    """The older state is the load-balanced endpoint alone, calling nothing."""
    folder = write_project(tmp_path / "app", "1.14.0", ALONE)
    assert [file.name for file in folder.iterdir()] == ["api.py"]
    assert "gpu_info" not in (folder / "api.py").read_text(encoding="utf-8")


def test_an_edition_replaces_the_one_before(tmp_path: Path) -> None:
    """A folder holds the modules of its last edition and no others; each of them is Python."""
    modules = {}
    editions = {
        "whole": WHOLE,
        "alone": ALONE,
        "changed": CHANGED,
        "unseen call": UNSEEN_CALL,
        "unseen function": UNSEEN_FUNCTION,
        "images": IMAGES,
    }
    for edition, files in editions.items():
        folder = write_project(tmp_path / "app", "1.14.0", files)
        modules[edition] = {
            str(file.relative_to(folder)): ast.parse(file.read_text(encoding="utf-8"))
            for file in folder.rglob("*.py")
        }
    assert {edition: sorted(found) for edition, found in modules.items()} == {
        "whole": ["api.py", "gpu_worker.py"],
        "alone": ["api.py"],
        "changed": ["api.py", "gpu_worker.py"],
        "unseen call": ["api.py", "gpu_worker.py"],
        "unseen function": ["api.py", "gpu/__init__.py"],
        "images": ["llm.py"],
    }
    sources = {ast.dump(found["api.py"]) for found in modules.values() if "api.py" in found}
    assert len(sources) == 5


def test_bracketed_lines_keep_their_mappings(tmp_path: Path) -> None:
    """A multi-line mapping belongs to its line; all other output is left out."""
    lines = [
        "noise",
        "[DEPLOY SYNC] resources_endpoints mapping: {",
        '  "api": "https://x"',
        "}",
        "[OTHER] noise",
        "[DEPLOY SYNC] Manifest contains resources_endpoints: {}",
        "  noise",
        "[STATE MANAGER] Uploaded 1 endpoints: ['api']",
        "[RUNTIME SYNC] resources_endpoints contains 0 entries: EMPTY",
    ]
    log = tmp_path / "log"
    log.write_text("\n".join(lines), encoding="utf-8")
    assert bracketed_lines(log) == [*lines[1:4], lines[5], *lines[7:]]


@given(st.binary(max_size=400))
def test_any_log_can_be_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever a log holds, reading its lines and its spans raises nothing."""
    log = tmp_path_factory.mktemp("log") / "log"
    log.write_bytes(content + b"\nflash_otel {\nflash_otel 1\nflash_otel \xff\n")
    bracketed_lines(log)
    assert list(worker_spans(log)) == []


def test_artifact_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    """An archive with a path that leads out of the folder is refused."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    folder = tmp_path / "app"
    folder.mkdir()
    with pytest.raises(tarfile.TarError):
        unpack(content.getvalue(), folder)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("carrier", "trace_id"),
    [
        (None, None),
        ({}, None),
        ({"traceparent": 1}, None),
        ({"traceparent": "x"}, None),
        ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "a" * 32),
    ],
)
def test_trace_id_of_an_artifact(carrier: object, trace_id: str | None, tmp_path: Path) -> None:
    """The trace id comes from the carrier in the manifest, if it is valid."""
    manifest = json.dumps({"resources": {}, CARRIER_KEY: carrier})
    (tmp_path / "flash_manifest.json").write_text(manifest, encoding="utf-8")
    assert carried_trace_id(tmp_path) == trace_id
