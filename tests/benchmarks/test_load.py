"""The load generator: fresh copies of recorded deployments, and a correct count of the answers."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from load.__main__ import main
from load.copies import HEALTHY, Copies, Shape, shapes
from load.generator import FAULTY_EVERY, Load, batches, run
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.bad_endpoints import refusing
from support.scripted_collector import KINDS, HttpCollector, Reply, partial

from flash_otel.export import destination

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_NS = 1_900_000_000 * 10**9


def spans_of(body: bytes) -> list[Any]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def attribute_of(span: Any, key: str) -> str | None:
    return next(
        (attribute.value.string_value for attribute in span.attributes if attribute.key == key),
        None,
    )


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.scenario)
def test_copies_differ_and_belong_together(shape: Shape) -> None:
    """No id of the recording is left; workers differ, and point to their own deployment alone."""
    copies = Copies(shape, random.Random(1))  # noqa: S311 - the same ids in every run
    seen: set[bytes] = set()
    for _ in range(3):
        deployment = copies.deployment(NOW_NS)
        workers = [copies.worker(), copies.worker()]
        for body, template in (
            (deployment, shape.deployment),
            *((worker, shape.worker) for worker in workers),
        ):
            assert len(body) == len(template.body)
            assert len(spans_of(body)) == template.spans
            assert not [value for value in (*shape.shared, *shape.own) if value in body]
            assert not [value for value in shape.shared if value.hex().encode() in body]
        written, read = spans_of(deployment), [span for body in workers for span in spans_of(body)]
        ids = [span.span_id for span in (*written, *read)]
        assert len({*ids}) == len(ids)
        assert not {*ids} & seen
        seen |= {*ids}
        roots = {span.trace_id.hex() for span in written}
        pointing = {attribute_of(span, "flash.deploy.trace_id") for span in read} - {None}
        assert pointing <= roots
        assert pointing
        assert {link.trace_id.hex() for span in read for link in span.links} & roots
        assert min(span.start_time_unix_nano for span in written) == NOW_NS
        assert all(
            span.end_time_unix_nano >= span.start_time_unix_nano for span in (*written, *read)
        )


def test_the_recording_holds_what_samplers_and_metrics_ask_for() -> None:
    """A first read is marked, a later one is not, and some faults are seen on the span itself."""
    healthy = shapes()[0]
    assert healthy.scenario == HEALTHY
    reads = [span for span in spans_of(healthy.worker.body) if span.name == "flash.runtime.fetch"]
    assert sorted(
        any(attribute.key == "faas.coldstart" for attribute in read.attributes) for read in reads
    ) == [False, True]
    found = {
        attribute_of(span, "flash.fault")
        for shape in shapes()
        for span in spans_of(shape.worker.body)
    }
    assert {"environment_unset", "environment_unknown"} <= found


def test_batches_hold_everything_once() -> None:
    """Requests that are strung together hold what each of them held; each twentieth has a fault."""
    load = Load(deployments=FAULTY_EVERY, workers=3, batch=50)
    made = list(batches(load))
    assert sum(batch.deployments for batch in made) == load.deployments
    assert sum(batch.workers for batch in made) == load.deployments * load.workers
    assert all(batch.spans >= load.batch for batch in made[:-1])
    for batch in made:
        assert len(spans_of(batch.body)) == batch.spans
    names = [span.name for batch in made for span in spans_of(batch.body)]
    # The twentieth is the first with a fault: two deployments, one of them to another environment.
    assert names.count("flash.deploy") == load.deployments + 1
    assert len(list(batches(Load(deployments=3, workers=2, batch=1)))) == 3 * (1 + 2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_taken_is_counted(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything arrives, each span once, and the report counts it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", kind.protocol)
    with kind() as collector:
        report = run(Load(deployments=5, workers=4), destination.at(collector.url))
        assert len({*collector.keys}) == len(collector.keys) == report.acknowledged == report.sent
    assert (report.deployments, report.workers) == (5, 20)
    assert (report.refused, report.unanswered, report.reason) == (0, 0, "")
    assert report.bytes > 0


# Each row: answers of the endpoint; numbers of acknowledged, refused and repeated in the report.
ANSWERS: list[tuple[list[Reply], Callable[[int], tuple[int, int, int]]]] = [
    ([Reply(400)], lambda sent: (0, sent, 0)),
    ([partial(3, "too old")], lambda sent: (sent - 3, 3, 0)),
    ([Reply(503), Reply(429)], lambda sent: (sent, 0, 2)),
]


@pytest.mark.parametrize(("replies", "counted"), ANSWERS)
def test_what_is_refused_is_counted(
    replies: list[Reply], counted: Callable[[int], tuple[int, int, int]]
) -> None:
    """Refusals are counted as such, and retryable requests are repeated."""
    with HttpCollector(*replies) as collector:
        report = run(Load(deployments=1, workers=1), destination.at(collector.url))
    found = (report.acknowledged, report.refused, report.repeated)
    assert found == counted(report.sent)
    assert report.unanswered == 0
    assert report.reason


def test_an_endpoint_that_never_takes_anything(capsys: pytest.CaptureFixture[str]) -> None:
    """Time bounds it; unanswered spans are counted as such, and the status is 3."""
    with HttpCollector(judge=lambda _: Reply(503)) as collector:
        assert main(["--endpoint", collector.url, "--seconds", "0.5", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["acknowledged"] == 0
    assert report["unanswered"] == report["sent"] > 0
    assert report["repeated"] > 0
    assert "503" in report["reason"]


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A refused connection is a reason like any other, and no traceback."""
    with refusing() as url:
        assert main(["--endpoint", url, "--seconds", "0.3"]) == 3
    printed = capsys.readouterr()
    assert "last reason: connection refused" in printed.out
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("wrong", [["--workers", "-1"], ["--seconds", "0"], ["--batch", "many"]])
def test_bounds(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What has no bound or no meaning is a usage error."""
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err
