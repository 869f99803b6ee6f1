"""Logs as the exporters that people use write them.

Each export takes entries, (nanoseconds since the epoch, text), and returns a file's bytes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import struct
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Entry = tuple[int, str]
Export = "Callable[[Sequence[Entry]], bytes]"


def utc(time_ns: int) -> str:
    """Return a time as ISO 8601 with nanoseconds and `Z`."""
    whole = datetime.fromtimestamp(time_ns // 10**9, timezone.utc)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"


def _lines(values: Sequence[Any]) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def _text(lines: Sequence[str], end: str = "\n") -> bytes:
    return "".join(f"{line}{end}" for line in lines).encode()


def _grafana(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {"line": text, "timestamp": str(at), "date": utc(at), "fields": {"pod": "w-1"}}
        for at, text in entries
    ]


def _cloudwatch(entries: Sequence[Entry]) -> dict[str, Any]:
    events = [
        {
            "logStreamName": "w/1",
            "timestamp": at // 10**6,
            "message": text,
            "ingestionTime": 1,
            "eventId": str(number),
        }
        for number, (at, text) in enumerate(entries)
    ]
    return {"events": events, "searchedLogStreams": []}


def _insights_json(entries: Sequence[Entry]) -> bytes:
    rows = [
        [
            {"field": "@timestamp", "value": utc(at)[:23].replace("T", " ")},
            {"field": "@message", "value": text},
            {"field": "@ptr", "value": "CloK"},
        ]
        for at, text in entries
    ]
    return json.dumps({"results": rows, "status": "Complete"}).encode()


def _google(entries: Sequence[Entry], kind: str) -> list[dict[str, Any]]:
    return [
        {
            "insertId": str(number),
            **({"textPayload": text} if kind == "text" else {"jsonPayload": {"message": text}}),
            "resource": {"labels": {"pod_name": "w-1"}, "type": "k8s_container"},
            "sourceLocation": {"file": "a.py", "line": "42"},
            "timestamp": utc(at),
        }
        for number, (at, text) in enumerate(entries)
    ]


def _loki(entries: Sequence[Entry]) -> dict[str, Any]:
    values = [[str(at), text] for at, text in entries]
    result = [{"stream": {"pod": "w-1", "job": "x"}, "values": values}]
    return {"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}}


def _elastic(entries: Sequence[Entry]) -> dict[str, Any]:
    hits = [
        {
            "_index": "logs",
            "_id": str(number),
            "_source": {
                "@timestamp": utc(at),
                "message": text,
                "log": {"file": {"path": "/x.log"}},
                "host": {"name": "h-1"},
                "tags": ["a", "b"],
            },
            "sort": [at // 10**6],
        }
        for number, (at, text) in enumerate(entries)
    ]
    return {"took": 1, "hits": {"total": {"value": len(hits)}, "hits": hits}}


def _datadog(entries: Sequence[Entry]) -> dict[str, Any]:
    data = [
        {
            "id": str(number),
            "type": "log",
            "attributes": {
                "timestamp": utc(at),
                "host": "h-1",
                "service": "w",
                "tags": ["env:prod"],
                "message": text,
                "attributes": {"level": "info"},
            },
        }
        for number, (at, text) in enumerate(entries)
    ]
    return {"data": data, "meta": {"page": {}}}


def _datadog_download(entries: Sequence[Entry]) -> bytes:
    return json.dumps(
        [
            {"id": "1", "content": {"timestamp": utc(at), "host": "h-1", "message": text}}
            for at, text in entries
        ]
    ).encode()


def _table(header: list[str], rows: Sequence[Sequence[str]], **form: Any) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, **form)
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()


def _insights_csv(entries: Sequence[Entry]) -> bytes:
    rows = [(utc(at)[:-1].replace("T", " "), text, "w/1") for at, text in entries]
    return _table(["@timestamp", "@message", "@logStream"], rows, quoting=csv.QUOTE_ALL)


def _logfmt(entries: Sequence[Entry]) -> bytes:
    return _text(
        [f"time={utc(at)} level=info msg={json.dumps(text)} caller=a.py:1" for at, text in entries]
    )


def _journal(entries: Sequence[Entry], message: Callable[[str], Any]) -> list[dict[str, Any]]:
    return [
        {
            "__CURSOR": "s=1",
            "__REALTIME_TIMESTAMP": str(at // 1000),
            "_HOSTNAME": "vm",
            "SYSLOG_IDENTIFIER": "flash",
            "_PID": "42",
            "MESSAGE": message(text),
        }
        for at, text in entries
    ]


def _as_bytes(text: str) -> list[int]:
    return list(f"\x1b[32m{text}\x1b[0m".encode())


def _docker(entries: Sequence[Entry]) -> bytes:
    return _lines(
        [{"log": f"{text}\n", "stream": "stderr", "time": utc(at)} for at, text in entries]
    )


def _docker_split(entries: Sequence[Entry], size: int = 60) -> bytes:
    """Split each line, as Docker does after 16 KiB."""
    return _lines(
        [
            {"log": f"{text}\n"[at : at + size], "stream": "stderr", "time": utc(time_ns)}
            for time_ns, text in entries
            for at in range(0, len(text) + 1, size)
        ]
    )


def _cri(entries: Sequence[Entry], size: int = 1 << 20) -> bytes:
    return _text(
        [
            f"{utc(time_ns)} stderr {'P' if at + size < len(text) else 'F'} {text[at : at + size]}"
            for time_ns, text in entries
            for at in range(0, max(len(text), 1), size)
        ]
    )


def _rfc3164(entries: Sequence[Entry]) -> bytes:
    lines = []
    for at, text in entries:
        when = f"{datetime.fromtimestamp(at // 10**9, timezone.utc):%b %d %H:%M:%S}"
        lines.append(f"<14>{when} vm flash[42]: {text}")
    return _text(lines)


def _rfc5424(entries: Sequence[Entry]) -> bytes:
    data = '[meta sequenceId="1" note="a \\"b\\" \\]"]'
    return _text(
        [f"<14>1 {utc(at)[:26]}Z vm flash 42 ID1 {data} \ufeff{text}" for at, text in entries]
    )


def _github(entries: Sequence[Entry]) -> bytes:
    begin = f"{utc(entries[0][0])} ##[group]Run flash deploy"
    return _text([f"\ufeff{begin}", *(f"{utc(at)[:-3]}Z {text}" for at, text in entries)])


def _otlp_logs(entries: Sequence[Entry]) -> bytes:
    records = [
        {
            "timeUnixNano": str(at),
            "body": {"stringValue": text},
            "attributes": [{"key": "log.iostream", "value": {"stringValue": "stderr"}}],
        }
        for at, text in entries
    ]
    scopes = [{"scope": {}, "logRecords": records}]
    return _lines([{"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": scopes}]}])


def _concatenated(entries: Sequence[Entry]) -> bytes:
    return "\n".join(json.dumps(value, indent=2) for value in _grafana(entries)).encode()


def _unquoted(entries: Sequence[Entry]) -> bytes:
    return _text(["timestamp,message", *(f"{utc(at)},{text}" for at, text in entries)])


def _day(time_ns: int, form: str) -> str:
    return f"{datetime.fromtimestamp(time_ns // 10**9, timezone.utc):{form}}"


def journal_export(entries: Sequence[Entry], *, is_binary: bool = False) -> bytes:
    parts = []
    for at, text in entries:
        head = f"__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP={at // 1000}\n_HOSTNAME=vm\n_PID=42\n"
        data = text.encode()
        message = b"MESSAGE=" + data
        if is_binary or b"\n" in data:
            message = b"MESSAGE\n" + struct.pack("<Q", len(data)) + data
        parts.append(head.encode() + message + b"\nSYSLOG_IDENTIFIER=flash\n\n")
    return b"".join(parts)


def _journal_verbose(entries: Sequence[Entry]) -> bytes:
    return "".join(
        f"{_day(at, '%a %Y-%m-%d %H:%M:%S')}.{at % 10**9 // 1000:06d} UTC [s=a;i=1;b=c]\n"
        f"    PRIORITY=6\n    _HOSTNAME=vm\n    MESSAGE={text}\n    _PID=42\n"
        for at, text in entries
    ).encode()


def _logplex(at: int, text: str) -> str:
    return f"<190>1 {utc(at)[:26]}+00:00 host app worker.1 - {text}\n"


def _azure_tables(entries: Sequence[Entry]) -> dict[str, Any]:
    columns = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "LogMessage"}]
    rows = [[utc(at), text] for at, text in entries]
    return {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]}


def _frames(entries: Sequence[Entry]) -> dict[str, Any]:
    fields = [{"name": "labels"}, {"name": "Time", "type": "time"}, {"name": "Line"}]
    values = [
        [{}] * len(entries),
        [at // 10**6 for at, _ in entries],
        [text for _, text in entries],
    ]
    frame = {"schema": {"refId": "A", "fields": fields}, "data": {"values": values}}
    return {"results": {"A": {"status": 200, "frames": [frame]}}}


def _bigquery(entries: Sequence[Entry]) -> dict[str, Any]:
    rows = [{"f": [{"v": utc(at)}, {"v": text}]} for at, text in entries]
    return {"schema": {"fields": [{"name": "timestamp"}, {"name": "textPayload"}]}, "rows": rows}


def teamcity(at: int, text: str) -> str:
    """Return a service message, in which a bar escapes."""
    barred = re.sub(r"[|'\[\]]", lambda found: f"|{found[0]}", text).replace("\n", "|n")
    barred = re.sub(r"[^\x00-\x7f]", lambda found: f"|0x{ord(found[0]):04x}", barred)
    return f"{utc(at)} ##teamcity[message text='{barred}' status='NORMAL']"


def _epoch(at: int) -> str:
    return f"{at // 10**9}.{at % 10**9:09d}"


NAIVE: Final = frozenset(
    {"logs insights json", "logs insights csv", "csv, date and time", "csv, day first", "csv, 12 h"}
)
"""Exports whose times have no zone."""

EXPORTS: Final[dict[str, Callable[[Sequence[Entry]], bytes]]] = {
    "plain": lambda entries: _text([f"{utc(at)} {text}" for at, text in entries]),
    "logcli": lambda entries: _text([f'{utc(at)} {{pod="w-1"}} {text}' for at, text in entries]),
    "logcli jsonl": lambda entries: _lines(
        [{"labels": {"pod": "w-1"}, "line": text, "timestamp": utc(at)} for at, text in entries]
    ),
    "grafana": lambda entries: json.dumps(_grafana(entries)).encode(),
    "grafana, pretty": lambda entries: json.dumps(_grafana(entries), indent=2).encode(),
    "grafana, ascii only": lambda entries: json.dumps(_grafana(entries)).encode("ascii"),
    "grafana, a line each": lambda entries: (
        b"[\n" + b",\n".join(json.dumps(value).encode() for value in _grafana(entries)) + b"\n]\n"
    ),
    "grafana csv": lambda entries: _table(
        ["Time", "Line", "tsNs", "labels"],
        [(str(at // 10**6), text, str(at), '{"pod":"w-1"}') for at, text in entries],
    ),
    "jq output": _concatenated,
    "datadog api": lambda entries: json.dumps(_datadog(entries)).encode(),
    "datadog download": _datadog_download,
    "datadog csv": lambda entries: _table(
        ["Date", "Host", "Service", "Content"],
        [(utc(at), "h-1", "w", text) for at, text in entries],
    ),
    "cloudwatch filter-log-events": lambda entries: json.dumps(
        _cloudwatch(entries), indent=4
    ).encode(),
    "cloudwatch get-log-events": lambda entries: json.dumps(
        _cloudwatch(entries) | {"nextForwardToken": "f/1"}
    ).encode(),
    "logs insights json": _insights_json,
    "logs insights csv": _insights_csv,
    "google textPayload": lambda entries: json.dumps(_google(entries, "text"), indent=2).encode(),
    "google jsonPayload": lambda entries: _lines(_google(entries, "json")),
    "google csv": lambda entries: _table(
        ["insertId", "jsonPayload.message", "timestamp"],
        [("1", text, utc(at)) for at, text in entries],
    ),
    "loki query_range": lambda entries: json.dumps(_loki(entries)).encode(),
    "loki query_range, pretty": lambda entries: json.dumps(_loki(entries), indent=1).encode(),
    "elasticsearch": lambda entries: json.dumps(_elastic(entries), indent=2).encode(),
    "elasticsearch, a line": lambda entries: json.dumps(_elastic(entries)).encode(),
    "kibana csv": lambda entries: _table(
        ["@timestamp", "message"], [(utc(at), text) for at, text in entries]
    ),
    "fluent-bit": lambda entries: _lines(
        [{"date": at / 10**9, "log": text, "kubernetes": {"pod_name": "w"}} for at, text in entries]
    ),
    "vector": lambda entries: _lines(
        [{"host": "h", "message": text, "timestamp": utc(at)} for at, text in entries]
    ),
    "splunk": lambda entries: _lines(
        [{"preview": False, "result": {"_raw": text, "_time": utc(at)}} for at, text in entries]
    ),
    "json in json": lambda entries: _lines(
        [
            {"message": json.dumps({"msg": text, "level": "info"}), "timestamp": utc(at)}
            for at, text in entries
        ]
    ),
    "array of json in json": lambda entries: json.dumps(
        [{"log": json.dumps({"message": text}), "time": utc(at)} for at, text in entries]
    ).encode(),
    "tsv": lambda entries: _table(
        ["timestamp", "host", "message"],
        [(utc(at), "h", text) for at, text in entries],
        dialect="excel-tab",
    ),
    "excel csv": lambda entries: (
        b"\xef\xbb\xbfsep=;\r\n"
        + _table(["Time", "Message"], [(utc(at), text) for at, text in entries], delimiter=";")
    ),
    "csv without quotes": _unquoted,
    "logfmt": _logfmt,
    "gelf": lambda entries: b"".join(
        json.dumps(
            {"version": "1.1", "host": "h", "short_message": text, "timestamp": at / 10**9}
        ).encode()
        + b"\0"
        for at, text in entries
    ),
    "journald": lambda entries: _lines(_journal(entries, str)),
    "journald, bytes": lambda entries: _lines(_journal(entries, _as_bytes)),
    "journald, pretty": lambda entries: b"\n".join(
        json.dumps(value, indent=8).encode() for value in _journal(entries, _as_bytes)
    ),
    "journal, export": journal_export,
    "journal, export of bytes": lambda entries: journal_export(entries, is_binary=True),
    "journal, verbose": _journal_verbose,
    "journal, server-sent events": lambda entries: b"".join(
        b"data: " + json.dumps(value).encode() + b"\n\n" for value in _journal(entries, str)
    ),
    "papertrail": lambda entries: _text(
        [
            f"17\t{utc(at)[:26]}Z\t{utc(at)[:26]}Z\t3\tvm\t::1\tUser\tInfo\tw\t{t}"
            for at, t in entries
        ]
    ),
    "csv, unknown names": lambda entries: _table(
        ["When it was", "Level", "Details"], [(utc(at), "INFO", text) for at, text in entries]
    ),
    "csv, no names": lambda entries: _table(
        [utc(entries[0][0]), "flash", "starting"], [(utc(at), "w", text) for at, text in entries]
    ),
    "csv, text first": lambda entries: _table(
        ["starting", utc(entries[0][0])],
        [(text, utc(at)) for at, text in entries],
        quoting=csv.QUOTE_ALL,
    ),
    "csv, date and time": lambda entries: _table(
        ["Date", "Time", "Message"],
        [(utc(at)[:10], utc(at)[11:26], text) for at, text in entries],
    ),
    "csv, day first": lambda entries: _table(
        ["Date", "Time", "Level", "Message"],
        [(_day(at, "%d/%m/%Y"), utc(at)[11:26], "I", text) for at, text in entries],
    ),
    "csv, 12 h": lambda entries: _table(
        ["Date", "Time", "Message"],
        [
            (_day(at, "%m/%d/%Y"), f"{_day(at, '%I:%M:%S')}.{at % 10**9:09d} AM", text)
            for at, text in entries
        ],
    ),
    "azure csv": lambda entries: _table(
        ["TimeGenerated [UTC]", "ContainerName_s", "Log_s"],
        [(utc(at)[:26], "w", text) for at, text in entries],
    ),
    "azure query": lambda entries: json.dumps(_azure_tables(entries)).encode(),
    "azure blob": lambda entries: _lines(
        [{"time": utc(at), "category": "x", "properties": {"log": t}} for at, t in entries]
    ),
    "heroku": lambda entries: _text(
        [f"{utc(at)[:26]}+00:00 app[worker.1]: {text}" for at, text in entries]
    ),
    "logplex": lambda entries: "".join(_logplex(at, text) for at, text in entries).encode(),
    "logplex, with lengths": lambda entries: "".join(
        f"{len(_logplex(at, text).encode())} {_logplex(at, text)}" for at, text in entries
    ).encode(),
    "kubectl": lambda entries: _text([f"[pod/w-1/app] {utc(at)} {text}" for at, text in entries]),
    "fluent-bit stdout": lambda entries: _text(
        [
            f'[{number}] kube.w: [[{_epoch(at)}, {{}}], {{"log"=>{json.dumps(text)}, "n"=>"e"}}]'
            for number, (at, text) in enumerate(entries)
        ]
    ),
    "buildkite": lambda entries: _text(
        [f"\x1b_bk;t={at // 1_000_000}\x07{text}" for at, text in entries], "\r\n"
    ),
    "fluent-bit file": lambda entries: _text(
        [f'kube.w: [{_epoch(at)}, {{"log":{json.dumps(text)},"n":1}}]' for at, text in entries]
    ),
    "fluentd": lambda entries: _text(
        [
            f'{utc(at)}\tkube.w\t{{"log":{json.dumps(text)},"stream":"stderr"}}'
            for at, text in entries
        ]
    ),
    "fluent-bit array": lambda entries: json.dumps(
        [{"date": at / 10**9, "log": text, "stream": "stderr"} for at, text in entries]
    ).encode(),
    "grafana frames": lambda entries: json.dumps(_frames(entries)).encode(),
    "bigquery": lambda entries: json.dumps(_bigquery(entries)).encode(),
    "sumo logic": lambda entries: json.dumps(
        {"messages": [{"map": {"_messagetime": str(at // 10**6), "_raw": t}} for at, t in entries]}
    ).encode(),
    "coralogix": lambda entries: _lines(
        [{"timestamp": utc(at), "userData": json.dumps({"message": t})} for at, t in entries]
    ),
    "logcli, coloured": lambda entries: _text(
        [f'\x1b[34m{utc(at)}\x1b[0m \x1b[32m{{pod="w-1"}}\x1b[0m {t}' for at, t in entries]
    ),
    "teamcity": lambda entries: _text([teamcity(at, text) for at, text in entries]),
    "json of streams": lambda entries: _lines(
        [{"time": utc(at), "n": 1, "stderr": text} for at, text in entries]
    ),
    "ecs": lambda entries: _lines(
        [{"@timestamp": utc(at), "event": {"original": t}} for at, t in entries]
    ),
    "gitlab": lambda entries: _text([f"{utc(at)[:26]}Z 01O {text}" for at, text in entries]),
    "github cli": lambda entries: _text(
        [f"deploy\tRun flash\t{utc(at)[:-3]}Z {text}" for at, text in entries]
    ),
    "strings": lambda entries: _lines([f"{utc(at)} {text}" for at, text in entries]),
    "docker": _docker,
    "docker, split": _docker_split,
    "cri": _cri,
    "cri, split": lambda entries: _cri(entries, 50),
    "github actions": _github,
    "rfc 3164": _rfc3164,
    "rfc 5424": _rfc5424,
    "systemd": lambda entries: _text([f"{utc(at)} vm flash[42]: {text}" for at, text in entries]),
    "otlp logs": _otlp_logs,
    "utf-16": lambda entries: "".join(f"{utc(at)} {text}\r\n" for at, text in entries).encode(
        "utf-16"
    ),
    "grafana, utf-16": lambda entries: (
        json.dumps(_grafana(entries)).encode().decode().encode("utf-16")
    ),
    "gzip": lambda entries: gzip.compress(json.dumps(_grafana(entries)).encode(), mtime=0),
    "crlf": lambda entries: _text([f"{utc(at)} {text}" for at, text in entries], "\r\n"),
    "coloured": lambda entries: _text(
        [f"\x1b[2m{utc(at)}\x1b[0m \x1b[1m{text}\x1b[0m" for at, text in entries]
    ),
}

# An event of these holds all lines of a text; in all others each line is an event.
WHOLE: Final = frozenset({"logcli jsonl", "grafana", "kibana csv", "logfmt", "journald", "vector"})
