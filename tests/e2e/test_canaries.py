"""Ten planted secrets, and a search of everything that leaves, is stored, or is printed."""

from __future__ import annotations

import gzip
import json
import subprocess
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest
from support.scripted_collector import HttpCollector
from support.site import APP, Site

from flash_otel.demo.control_plane import CANARY_API_KEY
from flash_otel.demo.project import write_project
from flash_otel.demo.scenarios import WRITE, FaultPlan, Rule
from flash_otel.demo.state import AI_KEY_CANARY, CREDENTIAL_CANARY, SIGNATURE_CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.site import Child
    from support.warm import WarmEnvironments

    from flash_otel.demo.control_plane import ControlPlane

pytestmark = pytest.mark.flash

BEARER: Final = "canary-bearer-0a1b2c3d4e5f"
HF_TOKEN: Final = "hf_CANARYtokenOFtheRESOURCE0123456789"
URL_PASSWORD: Final = "canary-url-password-77"
DATABASE_PASSWORD: Final = "canary-database-password-88"
HEADER: Final = "canary-header-of-the-exporter-99"
RESOURCE_TOKEN: Final = "canary-token-in-the-resource-66"
NAMED: Final = "canary-value-of-a-variable-55"

SECRETS: Final = {
    "the API key, in the environment and in each request's header": CANARY_API_KEY,
    "a bearer token, in an exception's text": BEARER,
    "the signature of a presigned URL": SIGNATURE_CANARY,
    "the credential of a presigned URL": CREDENTIAL_CANARY,
    "an aiKey in the manifest": AI_KEY_CANARY,
    "a token in a resource's environment, and in GraphQL variables": HF_TOKEN,
    "a password in a URL, in a resource's environment": DATABASE_PASSWORD,
    "a password in the collector's URL": URL_PASSWORD,
    "a header of the exporter": HEADER,
    "a token among the user's resource attributes": RESOURCE_TOKEN,
    "any value of a variable with a secret-looking name": NAMED,
}
# An error message that quotes everything the server received, and more.
REFUSAL: Final = (
    f"key {CANARY_API_KEY} and Authorization: Bearer {BEARER}: aiKey={AI_KEY_CANARY}0123456789ab, "
    f"env {{'HF_TOKEN': '{HF_TOKEN}', 'DB': 'postgres://me:{DATABASE_PASSWORD}@db/x'}} refused at "
    f"https://s3.example/a?X-Amz-Credential={CREDENTIAL_CANARY}&X-Amz-Signature={SIGNATURE_CANARY} "
    f"({NAMED}; {HF_TOKEN})"
)
PRINTED: Final = (
    ("traces",),
    ("show", "last"),
    ("show", "last", "--json"),
    ("show", "last", "--html", "show.html"),
    ("diagnose",),
    ("diagnose", "--json"),
    ("status",),
    ("status", "--json"),
    ("verify",),
    ("verify", "--json"),
    ("push", "--all"),
)
READ: Final = """
    import asyncio
    import flash_otel
    from runpod_flash.runtime.service_registry import ServiceRegistry

    flash_otel.instrument(legacy_logs=True, capture_graphql=True)
    try:
        print(asyncio.run(ServiceRegistry().get_routing_info("gpu_info")))
    except Exception as error:
        print(type(error).__name__)
"""
COMMANDS: Final = """
    import os, sys
    from flash_otel.cli.app import status_of

    for command in {commands}:
        print("$", *command, flush=True)
        print("=", status_of(list(command)), flush=True)
"""
# A gate that lets everything through, put in its place before anything else is imported.
NO_GATE: Final = """
from flash_otel import redaction
redaction._scrub = lambda text: text
redaction.scrub_value = lambda value: value if isinstance(value, (str, bool, int, float)) else None
"""
ENVIRONMENT: Final = (
    f'env={{"HF_TOKEN": "{HF_TOKEN}", "DB": "postgres://me:{DATABASE_PASSWORD}@db/x"}}, '
)


@dataclass
class Places:
    """Everything that the processes of one site have let out, by where it was found."""

    site: Site
    collector: HttpCollector
    gate: bool = True
    printed: dict[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return what the processes have in their environment, secrets included."""
        url = self.collector.url.replace("http://", f"http://me:{URL_PASSWORD}@")
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-team={HEADER}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_RESOURCE_ATTRIBUTES": f"team.token={RESOURCE_TOKEN},team.name=core",
            "SOME_SECRET": NAMED,
            "FLASH_OTEL_EXIT_BUDGET": "30",
            "FLASH_OTEL_RAISE": "",
            "COLUMNS": "300",
        }

    def run(self, name: str, arguments: Sequence[str], **more: str) -> int:
        """Run something on the developer's machine, and keep what it prints."""
        variables = self.site.variables(**self.variables(), **more)
        if not self.gate:
            planted = self.site.folder / "planted"
            planted.mkdir(exist_ok=True)
            (planted / "sitecustomize.py").write_text(NO_GATE)
            variables["PYTHONPATH"] = f"{planted}:{variables['PYTHONPATH']}"
        done = subprocess.run(
            [str(self.site.environment.python), *arguments],
            cwd=self.site.project,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        self.printed[name] = _ours((done.stdout + done.stderr).decode())
        return done.returncode

    def deploy(self, name: str, *, refusal: str = "") -> int:
        """Deploy with the launcher; with `refusal`, the server answers with this error."""
        rules = (Rule(WRITE, error=refusal),) if refusal else ()
        self.site.plane.faults = FaultPlan(rules)
        ours = ("-m", "flash_otel", "run", "--legacy-logs", "--capture-graphql")
        file = str(self.site.folder / f"{name}.otlp.json")
        return self.run(name, (*ours, "--export", file, "--", "flash", "deploy", "--no-deps"))

    def work(self, name: str, *rules: Rule, exporting: bool) -> None:
        """Let a worker read the State Manager, and keep what it prints."""
        self.site.plane.faults = FaultPlan(rules)
        variables = self.variables()
        if not exporting:
            del variables["OTEL_EXPORTER_OTLP_ENDPOINT"]
        run: Child = self.site.worker(READ, variables)
        assert run.exit_code == 0, run.output
        self.printed[name] = _ours(run.output)

    def everything(self) -> Iterator[tuple[str, str]]:
        """Yield each place with what is in it."""
        yield from self.printed.items()
        kept = [*self.site.folder.glob("*.otlp.json"), *self.site.project.glob("show.html")]
        for file in (*kept, *self.site.store.parent.glob(f"{self.site.store.name}*")):
            yield file.name, file.read_bytes().decode("latin-1")
        for number, raw in enumerate(self.collector.bodies):
            yield f"request {number}, as sent", raw.decode("latin-1")
            if raw[:2] == b"\x1f\x8b":
                yield f"request {number}", gzip.decompress(raw).decode("latin-1")

    def found(self) -> set[tuple[str, str]]:
        """Return each secret that is somewhere, and where; a part of it is as bad."""
        return {
            (secret, place)
            for place, text in self.everything()
            for secret, value in SECRETS.items()
            if value[: len(value) * 2 // 3].lower() in text.lower()
        }


def _ours(output: str) -> str:
    """Leave out what Flash itself prints of a failure: its own lines are its own matter."""
    ours = ("flash_otel", "[", "$", "=")
    lines = output.splitlines()
    report = next((n for n, line in enumerate(lines) if "flash.deploy" in line), len(lines))
    return "\n".join([*(line for line in lines[:report] if line.startswith(ours)), *lines[report:]])


@pytest.fixture
def places(
    warm_env: WarmEnvironments, control_plane: ControlPlane, tmp_path: Path
) -> Iterator[Places]:
    """A project whose resources hold secrets, and a collector that keeps all it gets."""
    site = Site(tmp_path, warm_env("1.14.0"), control_plane)
    project = write_project(tmp_path / APP, "1.14.0")
    for module in project.glob("*.py"):
        text = module.read_text()
        module.write_text(text.replace("Endpoint(name=", f"Endpoint({ENVIRONMENT}name="))
    with HttpCollector() as collector:
        yield Places(site, collector)


def test_ten_secrets_are_nowhere(places: Places) -> None:
    """Deployments and workers, good and failing, and every command: no secret gets out."""
    assert places.deploy("deployment") == 0
    state = places.site.plane.state
    assert HF_TOKEN in json.dumps([template.env for template in state.templates.values()])
    places.work("worker", exporting=True)
    places.work("worker without a collector", exporting=False)
    failing = Rule("getFlashBuild", error=REFUSAL)
    places.work("failing worker", failing, exporting=True)
    places.work("failing worker without a collector", failing, exporting=False)
    assert places.deploy("failing deployment", refusal=REFUSAL) == 1
    places.site.plane.faults = FaultPlan()
    assert places.run("commands", ("-c", dedent(COMMANDS.format(commands=PRINTED)))) == 0

    assert places.found() == set()
    assert "[redacted]" in dict(places.everything())["spans.db"]
    assert all(f"$ {' '.join(name)}" in places.printed["commands"] for name in PRINTED)
    assert "= 2" not in places.printed["commands"]
    assert "flash_otel {" in places.printed["worker without a collector"]
    assert "[redacted]" in places.printed["failing worker without a collector"]
    seen = " ".join(place for place, _ in places.everything())
    for place in ("deployment.otlp.json", "show.html", "request 0, as sent", "request 0 "):
        assert place in seen
    assert HEADER in str(places.collector.headers)


def test_without_the_gate_they_are_found(places: Places) -> None:
    """The search is one that finds: with the gate open, the same deployment lets secrets out."""
    places.gate = False
    assert places.deploy("failing deployment", refusal=REFUSAL) == 1
    found = places.found()
    assert {secret for secret, _ in found} >= {
        name for name, value in SECRETS.items() if value in REFUSAL
    }
    where = {place for _, place in found}
    assert {"failing deployment", "spans.db", "request 0"} & where
