"""The recording of a run as one OTLP file, and where a pipeline finds it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flash_otel.records import SpanRecord


def export(records: Sequence[SpanRecord], target: str) -> None:
    """Write spans to a file as OTLP JSON, for `flash-otel diagnose --from FILE` or any collector.

    A file that cannot be written is told in one line: the deployment's status stays its own.
    """
    from flash_otel.otlp.encode import encode_json

    try:
        Path(target).write_text(json.dumps(encode_json(records)) + "\n", encoding="utf-8")
    except OSError as error:
        _tell(f"could not write {target}: {error.strerror}")
    else:
        _tell(f"trace {records[0].trace_id} ({len(records)} spans) written to {target}")


def tell_place(trace_id: str, store: str | None) -> None:
    """In a pipeline (CI is set), say where the recording is: nobody can look for it later."""
    from flash_otel.runtime import options
    from flash_otel.store.paths import default_path

    if os.environ.get("CI", "").strip().lower() in {"", "0", "false"}:
        return
    where = options.resolve(store=store).store
    if where is not False:
        place = where or default_path()
        _tell(f"trace {trace_id} recorded in {place}; --export FILE keeps it as an artifact")


def _tell(said: str) -> None:
    print(f"flash-otel: {said}", file=sys.stderr)
