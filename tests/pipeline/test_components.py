"""The components of our own provider: which value of which variable makes which."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource, ResourceDetector
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from flash_otel import pipeline
from flash_otel._version import __version__
from flash_otel.pipeline import components, provider, resource
from flash_otel.runtime import environment, process
from flash_otel.runtime.options import Options
from flash_otel.runtime.sdk import sdk_version

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULTS = {
    "max_queue_size": 2048,
    "max_export_batch_size": 512,
    "schedule_delay_millis": 5000,
    "export_timeout_millis": 30_000,
}


@pytest.fixture(autouse=True)
def remembered() -> Iterator[None]:
    """Begin and end without remembered values."""
    environment.forget()
    yield
    environment.forget()


def ignored() -> list[tuple[str, str, str]]:
    """Return name, reason and default of the values that were not used."""
    return [(entry.name, entry.reason, entry.default) for entry in environment.ignored()]


@pytest.mark.parametrize(
    ("variables", "changes", "names"),
    [
        ({}, {}, []),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "1", "OTEL_BSP_SCHEDULE_DELAY": "1"},
            {"max_queue_size": 1, "max_export_batch_size": 1, "schedule_delay_millis": 1},
            [],
        ),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"},
            {"max_queue_size": 100, "max_export_batch_size": 100},
            [],
        ),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "101"},
            {"max_queue_size": 100, "max_export_batch_size": 100},
            ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
        ),
        (
            {"OTEL_BSP_SCHEDULE_DELAY": "0", "OTEL_BSP_EXPORT_TIMEOUT": "0"},
            {"schedule_delay_millis": 1, "export_timeout_millis": 2**31 - 1},
            [],
        ),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "1000000"}, {"max_queue_size": 1_000_000}, []),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "1000001"}, {}, ["OTEL_BSP_MAX_QUEUE_SIZE"]),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, {}, ["OTEL_BSP_MAX_QUEUE_SIZE"]),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "-1"}, {}, ["OTEL_BSP_EXPORT_TIMEOUT"]),
    ],
)
def test_the_settings_of_batches(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    changes: dict[str, int],
    names: list[str],
) -> None:
    """Values within the bounds count; others are ignored by name, with the default."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert components.batch_settings() == {**DEFAULTS, **changes}
    assert [name for name, _, _ in ignored()] == names


SAMPLERS: dict[str, Any] = {
    "": sampling.DEFAULT_ON,
    "always_on": sampling.ALWAYS_ON,
    "ALWAYS_OFF": sampling.ALWAYS_OFF,
    "parentbased_always_on": sampling.DEFAULT_ON,
    "parentbased_always_off": sampling.DEFAULT_OFF,
    "no such sampler": sampling.DEFAULT_ON,
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_sampler(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each standard name makes its sampler; an unknown one is ignored by name."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    assert components.sampler() is SAMPLERS[name]
    assert [found for found, _, _ in ignored()] == ["OTEL_TRACES_SAMPLER"] * name.startswith("no")


@pytest.mark.parametrize(("argument", "rate"), [("0.25", 0.25), ("", 1.0), ("1", 1.0), ("2", 1.0)])
def test_the_samplers_with_a_ratio(
    monkeypatch: pytest.MonkeyPatch, argument: str, rate: float
) -> None:
    """The ratio is the argument; one that is no probability is ignored."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    own = components.sampler()
    assert isinstance(own, sampling.TraceIdRatioBased)
    assert own.rate == rate
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    assert isinstance(components.sampler(), sampling.ParentBasedTraceIdRatio)
    names = {found for found, _, _ in ignored()}
    assert names == ({"OTEL_TRACES_SAMPLER_ARG"} if argument == "2" else set())


def test_a_sampler_of_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the argument; a component of another kind, or none, is ignored with the reason."""
    made: list[Any] = []

    def factory(argument: str) -> Any:
        made.append(argument)
        return {"own": sampling.ALWAYS_OFF, "other": "text"}[argument]

    monkeypatch.setattr(environment, "plugin", lambda *_, **__: factory)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "Mine")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "own")
    assert components.sampler() is sampling.ALWAYS_OFF
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "other")
    assert components.sampler() is sampling.DEFAULT_ON
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "fails")
    assert components.sampler() is sampling.DEFAULT_ON
    assert made == ["own", "other", "fails"]
    assert ("OTEL_TRACES_SAMPLER", "mine makes no Sampler", "the default") in ignored()


@pytest.mark.parametrize(
    ("name", "kind"), [("", None), ("random", None), ("no such", None), ("mine", RandomIdGenerator)]
)
def test_the_generator_of_ids(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type | None
) -> None:
    """The SDK's own is None; that of an entry point is made."""
    if name == "mine":
        monkeypatch.setattr(environment, "plugin", lambda *_, **__: RandomIdGenerator)
    monkeypatch.setenv("OTEL_PYTHON_ID_GENERATOR", name)
    made = components.ids()
    assert made is None if kind is None else isinstance(made, kind)
    assert [found for found, _, _ in ignored()] == ["OTEL_PYTHON_ID_GENERATOR"] * (
        name == "no such"
    )


def test_a_tracer_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a meter provider that the environment names is blamed; else the error is raised."""

    class Broken(TracerProvider):
        def get_tracer(self, *_args: Any, **_kwargs: Any) -> Any:
            raise RuntimeError("no meters")

    with pytest.raises(RuntimeError, match="no meters"):
        components.tracer_of(Broken(shutdown_on_exit=False))
    monkeypatch.setenv("OTEL_PYTHON_METER_PROVIDER", "mine")
    assert components.tracer_of(Broken(shutdown_on_exit=False)) is None
    reason = "a tracer cannot be made with it"
    assert ignored() == [("OTEL_PYTHON_METER_PROVIDER", reason, "flash_otel's own provider")]


def test_a_rehearsal_names_all_that_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of the set-up is read, and nothing of an earlier reading is left."""
    environment.ignore("EARLIER", "reason", "default")
    wrong = {
        "FLASH_OTEL_PROPAGATION": "sideways",
        "FLASH_OTEL_EXIT_BUDGET": "soon",
        "FLASH_OTEL_REQUEST_BUDGET": "later",
        "OTEL_TRACES_SAMPLER": "no such",
        "OTEL_PYTHON_ID_GENERATOR": "no such",
        "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "no such",
        "OTEL_RESOURCE_ATTRIBUTES": "no pairs",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    found = {entry.name for entry in provider.rehearse()}
    assert "EARLIER" not in found
    assert wrong.keys() - found == set()


@pytest.mark.parametrize(
    ("named", "expected"),
    [("", False), ("otel", False), ("process", True), ("*", True), ("otel, process", True)],
)
def test_detectors_by_name(monkeypatch: pytest.MonkeyPatch, named: str, *, expected: bool) -> None:
    """The detectors that are named are run, and all of them for a star."""
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", named)
    attributes = resource.create().attributes
    assert ("process.runtime.name" in attributes) is expected
    assert attributes["service.name"] == "flash-cli"
    assert ignored() == []


@pytest.mark.parametrize("kind", ["no such", "that fails"])
def test_a_detector_that_is_not_there_or_fails(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """It is ignored by name, and the others are run."""
    if kind == "that fails":
        real = environment.plugin
        monkeypatch.setattr(
            resource,
            "plugin",
            lambda *given, **more: real(*given, **more) if "process" in given else lambda: 1 / 0,
        )
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", f"{kind},process")
    assert "process.runtime.name" in resource.create().attributes
    ((name, _, default),) = ignored()
    assert (name, default) == ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "no detector")


def test_attributes_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are unquoted; what is no pair is ignored; the service's own variable wins."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", " a%20b = c%2Cd ,=x,,bad,service.name=one")
    assert resource._from_variables() == {"a b": "c,d", "service.name": "one"}
    pairs = ("OTEL_RESOURCE_ATTRIBUTES", "it takes name=value,name=value", "the valid pairs")
    assert ignored() == [pairs]
    monkeypatch.setenv("OTEL_SERVICE_NAME", "two")
    assert resource._from_variables() == {"a b": "c,d", "service.name": "two"}


def test_a_detector_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set-up goes on without it once the common time is over, and its name is kept."""
    blocked = threading.Event()

    class Slow(ResourceDetector):
        def detect(self) -> Resource:
            blocked.wait(60)
            return Resource({})

    monkeypatch.setattr(resource, "plugin", lambda *_, **__: Slow)
    monkeypatch.setattr(resource, "_DETECTORS_S", 0.05)
    monkeypatch.setenv("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "slow")
    try:
        assert resource._named() == {}
    finally:
        blocked.set()
    reason = "slow takes longer than 0.05 s"
    assert ignored() == [("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", reason, "no detector")]


def test_the_sdk_and_the_distribution_are_described() -> None:
    """The standard attributes name OpenTelemetry's SDK for Python, and flash_otel beside it."""
    attributes = resource.create().attributes
    assert {name: attributes[name] for name in attributes if name.startswith("telemetry.")} == {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        "telemetry.distro.name": "flash-otel",
        "telemetry.distro.version": __version__,
    }


def test_a_rehearsal_ends_its_exporters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each exporter is shut down, also behind one whose end fails."""
    ended: list[str] = []

    class Exporter:
        def __init__(self, name: str) -> None:
            self.name = name

        def shutdown(self) -> None:
            ended.append(self.name)
            raise RuntimeError(self.name)

    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    monkeypatch.setattr(provider, "create_exporters", lambda: [Exporter("a"), Exporter("b")])
    provider.rehearse()
    assert ended == ["a", "b"]


class Failing(TracerProvider):
    """A provider, and an exporter, whose end fails; a factory of processors that fails, too."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)

    def shutdown(self) -> None:
        """Raise."""
        raise RuntimeError("broken")


def failing_factory(_options: object) -> Any:
    """Raise."""
    raise RuntimeError("broken")


def end_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the provider that the environment names."""
    monkeypatch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "failing")
    monkeypatch.setattr(environment, "plugin", lambda *_, **__: Failing)
    components.named_provider()
    assert ignored() == []


def end_of_an_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the exporters."""
    monkeypatch.setattr(provider, "create_exporters", lambda: [Failing()])
    provider.rehearse()


def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the processors, of which one cannot be made."""
    monkeypatch.setattr(provider, "recording", failing_factory)
    assert provider.make_processors(Options(legacy_logs=False, summary=False)) == []


def sample(_monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample a span with a sampler that raises."""
    sampler = provider.AlwaysRecord(BrokenSampler(sampling.Decision.DROP))
    decision = sampler.should_sample(None, 1, "flash.deploy").decision
    assert decision is sampling.Decision.RECORD_AND_SAMPLE


def end_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process: an action fails, and then the end of the pipeline does."""
    monkeypatch.setattr(pipeline, "_before_exit", [lambda: failing_factory(None)])
    monkeypatch.setattr(pipeline, "deconfigure", lambda: failing_factory(None))
    pipeline._at_exit()


@pytest.mark.parametrize(
    ("act", "steps"),
    [
        (end_of_a_provider, ["the end of a provider"]),
        (end_of_an_exporter, ["the end of an exporter"]),
        (set_up, ["the set-up of failing_factory"]),
        (sample, ["the sampler"]),
        (end_at_exit, ["an action before exit", "the end of the pipeline"]),
    ],
)
def test_the_log_names_the_step_that_failed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, act: Any, steps: list[str]
) -> None:
    """An internal error is swallowed, and the debug log has its step."""
    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    process.reset()
    caplog.set_level(logging.DEBUG, logger="flash_otel")
    act(monkeypatch)
    logged = [entry.message for entry in caplog.records if "internal error" in entry.message]
    assert logged == [f"flash_otel: internal error in {step} (ignored)" for step in steps]


@pytest.mark.parametrize(("given", "expected"), [(None, 0.25), (7.0, 7.0), (0.0, 0.0)])
def test_the_time_for_a_flush(
    monkeypatch: pytest.MonkeyPatch, given: float | None, expected: float
) -> None:
    """It is the given one, else the exit budget; the store's is counted from now."""
    seen: list[float] = []

    class Flushed:
        def flush(self, seconds: float) -> bool:
            seen.append(seconds)
            return False

        def flush_store(self, deadline: float) -> bool:
            seen.append(round(deadline - 1000.0, 6))
            return False

    monkeypatch.setenv("FLASH_OTEL_EXIT_BUDGET", "0.25")
    monkeypatch.setattr(pipeline._pipeline, "value", Flushed())
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    assert not pipeline.flush(given)
    assert not pipeline.flush_store(expected)
    assert seen == [expected, expected]
    monkeypatch.setattr(pipeline._pipeline, "value", None)
    assert pipeline.flush(given)
    assert pipeline.flush_store(expected)


class BrokenSampler(sampling.StaticSampler):
    """A sampler that raises."""

    def should_sample(self, *_args: Any, **_kwargs: Any) -> sampling.SamplingResult:
        """Raise."""
        raise ValueError("broken")


def test_a_sampler_that_raises_records_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment's span is worth more than a sampler's word."""
    monkeypatch.delenv("FLASH_OTEL_RAISE", raising=False)
    sampler = provider.AlwaysRecord(BrokenSampler(sampling.Decision.DROP))
    result = sampler.should_sample(None, 1, "flash.deploy", attributes={"a": 1})
    assert result.decision is sampling.Decision.RECORD_AND_SAMPLE
    assert dict(result.attributes or {}) == {"a": 1}


def test_a_sampler_is_described_with_what_it_wraps() -> None:
    """The description names the wrapped sampler."""
    assert provider.AlwaysRecord(sampling.ALWAYS_OFF).get_description() == (
        "AlwaysRecord{AlwaysOffSampler}"
    )


def test_a_rehearsal_names_a_context_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_PYTHON_CONTEXT` belongs to the API; a wrong value is remembered, not raised."""
    monkeypatch.setenv("OTEL_PYTHON_CONTEXT", "no_such_context")
    components.named_context()
    assert [name for name, _, _ in ignored()] == ["OTEL_PYTHON_CONTEXT"]
    environment.forget()
    monkeypatch.setenv("OTEL_PYTHON_CONTEXT", "contextvars_context")
    components.named_context()
    assert ignored() == []
