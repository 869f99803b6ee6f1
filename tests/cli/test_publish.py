"""`flash-otel diagnose --publish`: the verdict goes to the endpoint, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from diagnosis.logs import written_logs
from diagnosis.recordings import deployment, records
from diagnosis.scenes import SCENES
from support.bad_endpoints import refusing
from support.scripted_collector import GrpcCollector, HttpCollector, Reply, partial

from flash_otel import semconv as sc
from flash_otel.cli.app import status_of as run
from flash_otel.cli.publish import evidence_links
from flash_otel.diagnosis import diagnose
from flash_otel.diagnosis.verdict_span import verdict_span
from flash_otel.otlp.encode import encode_json
from flash_otel.store.store import SpanStore

if TYPE_CHECKING:
    from pathlib import Path

    from support.scripted_collector import ScriptedCollector

RACE = SCENES["a read in the open window, on one clock"].make()
VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a faulty deployment, which is the user's own."""
    path = tmp_path / "spans.db"
    monkeypatch.setenv("FLASH_OTEL_RAISE", "1")
    monkeypatch.setenv("FLASH_OTEL_STORE", str(path))
    for name in (VARIABLE, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with SpanStore(path) as store:
        store.write(RACE)
    return path


def host(collector: ScriptedCollector) -> str:
    return collector.url.removeprefix("http://")


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_the_verdict_is_sent_once(
    kind: type[HttpCollector | GrpcCollector],
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Published twice it is one span, and the store holds no more than before.

    The report and the exit status are those without the option.
    """
    assert run(["diagnose", "--json"]) == 1
    plain = capsys.readouterr().out
    with kind() as collector:
        monkeypatch.setenv(VARIABLE, collector.url)
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc" if kind is GrpcCollector else "http/protobuf"
        )
        for _ in range(2):
            assert run(["diagnose", "--json", "--publish"]) == 1
            said = capsys.readouterr()
            assert said.out == plain
            assert said.err == f"{host(collector)}: 1 verdict sent\n"
        sent = collector.spans
    expected = verdict_span(diagnose(RACE).judged[0])
    assert expected is not None
    assert [(span.name, span.span_id.hex()) for span in sent] == 2 * [
        (sc.DIAGNOSIS, expected.span_id)
    ]
    assert sent[0] == sent[1]
    assert {link.span_id.hex() for link in sent[0].links} == {
        link.span_id for link in expected.links
    }
    with SpanStore(recorded) as store:
        assert sorted(span.key for span in store.spans()) == sorted(span.key for span in RACE)


def test_without_an_endpoint_nothing_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the variable, before any report."""
    assert run(["diagnose", "--publish"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "flash-otel: --publish needs an OTLP endpoint.\n"
        "Name one: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318\n"
    )


def test_a_dead_collector_costs_the_status_and_not_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with `push`: exit status 3, and the reason in words."""
    with refusing() as url:
        monkeypatch.setenv(VARIABLE, url)
        assert run(["diagnose", "--json", "--publish"]) == 3
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"] == sc.READ_BEFORE_WRITE
    place = url.removeprefix("http://")
    assert said.err == f"{place}: 1 verdict not sent (connection refused)\n"


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(400), "1 verdict rejected (HTTP 400 Bad Request)"),
        (partial(1, "too late"), "1 of 1 verdict rejected (too late)"),
    ],
    ids=["status", "partial success"],
)
def test_a_refusal_is_reported(
    reply: Reply,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A collector that does not take the verdict is no success."""
    with HttpCollector(reply) as collector:
        monkeypatch.setenv(VARIABLE, collector.url)
        assert run(["diagnose", "--json", "--publish"]) == 3
    assert capsys.readouterr().err == f"{host(collector)}: {sentence}\n"


def test_lines_have_no_trace_to_publish_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deployment that only bracketed lines show is judged, but nothing is sent."""
    log = tmp_path / "deploy.log"
    log.write_text("".join(written_logs(records(deployment())).values()), encoding="utf-8")
    with HttpCollector() as collector:
        monkeypatch.setenv(VARIABLE, collector.url)
        assert run(["diagnose", "--json", "--publish", str(log)]) == 3
        assert collector.spans == []
    assert "no verdict is published: no judged deployment has a trace" in capsys.readouterr().err


def test_a_published_verdict_in_a_file_is_no_part_of_its_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recording that a Collector wrote holds the verdict, too: no command shows or counts it."""
    verdict = verdict_span(diagnose(RACE).judged[0])
    assert verdict is not None
    found = []
    for number, made in enumerate((RACE, [*RACE, verdict])):
        file = tmp_path / f"{number}" / "spans.jsonl"
        file.parent.mkdir()
        file.write_text(json.dumps(encode_json(made)) + "\n", encoding="utf-8")
        for command in ("diagnose", "traces", "show"):
            run([command, "--json", "--from", str(file)])
            found.append(capsys.readouterr().out.replace(str(file.parent), ""))
    assert found[:3] == found[3:]


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("jaeger=http://jaeger.example:16686/", "http://jaeger.example:16686/trace/"),
        ("jaeger", "http://localhost:16686/trace/"),
        ("jaeger=http://user:canary@jaeger.example", None),
        ("store", None),
    ],
)
def test_the_link_to_the_evidence(source: str, address: str | None) -> None:
    """It leads to the Jaeger that was read; an address with credentials is not repeated."""
    links = evidence_links(
        diagnose(SCENES["a read in the open window, on one clock"].make()), [source]
    )
    assert "canary" not in "".join(links)
    assert [link.startswith(str(address)) for link in links] == ([True] if address else [])
