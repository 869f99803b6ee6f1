"""The links of collector/jaeger-ui.json, expanded by the rules of Jaeger's UI.

The UI looks a placeholder of a tag's pattern up in the span and its process, and that of a
process's pattern in the process; it encodes values (jaeger-ui, `link-patterns`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from support import loopback
from support.real_collector import BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERFACE: Final = json.loads((BUNDLE / "jaeger-ui.json").read_text("utf-8"))
MENU: Final = {item["label"]: item["url"] for item in INTERFACE["menu"][0]["items"]}
PATTERNS: Final = {pattern["key"]: pattern for pattern in INTERFACE["linkPatterns"]}


def spans_of(url: str, trace_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the spans of traces, with their tags and those of their processes as mappings."""
    found = []
    for trace_id in trace_ids:
        answer = loopback.get(f"{url}/api/traces/{trace_id}", timeout=30).json()
        for trace in answer.get("data") or ():
            for span in trace["spans"]:
                process = trace["processes"][span["processID"]]
                span["own"], span["process"] = mapping(span), mapping(process)
                found.append(span)
    return found


def mapping(holder: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of a span or a process by their keys."""
    return {tag["key"]: tag["value"] for tag in holder.get("tags", ())}


def expanded(pattern: dict[str, str], span: dict[str, Any]) -> str | None:
    """Return the address that a pattern makes of a span; None if it has no such link."""
    known = span["process"] if pattern["type"] == "process" else {**span["process"], **span["own"]}
    if pattern["key"] not in (span["process"] if pattern["type"] == "process" else span["own"]):
        return None
    names = re.findall(r"#\{([\w.]+)\}", pattern["url"])
    if not set(names) <= known.keys():
        return None
    return re.sub(
        r"#\{([\w.]+)\}", lambda found: quote(str(known[found[1]]), safe=""), pattern["url"]
    )
