"""Writes docs/variables.md: sets each variable, and checks if it changes flash_otel's provider.

Run it after the table in `flash_otel/doctor/variables.py` has changed:
`PYTHONPATH=tests python tests/docs/variables.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support import plugins
from support.environments import ForkServer

from flash_otel.doctor.variables import SPECIFIED, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = Path(__file__).parents[2] / "docs" / "variables.md"

# Everything is configured, so that a variable that is read has something to change.
_AROUND: Final = {
    "OTEL_TRACES_EXPORTER": "otlp,console",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    "OTEL_TRACES_SAMPLER": "traceidratio",
    "OTEL_BSP_MAX_QUEUE_SIZE": "1024",
}
_WITHOUT_SCHEME: Final = {
    **_AROUND,
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:9",
}
_BY_ENDING: Final = {
    "_ENDPOINT": "http://127.0.0.1:19",
    "_PROTOCOL": "http/json",
    "_HEADERS": "name=value",
    "_COMPRESSION": "gzip",
    "_TIMEOUT": "7",
    "_CLIENT_KEY": "/dev/null",
    "_CERTIFICATE": "/dev/null",
    "_INSECURE": "true",
    "_EXPORTER": "console",
    "_PROVIDER": "sdk_tracer_provider",
    "_DELAY": "7",
    "_INTERVAL": "7",
    "_SIZE": "7",
    "_LIMIT": "7",
    "_PORT": "7",
    "_FILE": "/dev/null",
}
_BY_NAME: Final = {
    "OTEL_SDK_DISABLED": "true",
    "OTEL_RESOURCE_ATTRIBUTES": "name=value",
    "OTEL_PROPAGATORS": "tracecontext",
    "OTEL_TRACES_SAMPLER": "always_off",
    "OTEL_TRACES_SAMPLER_ARG": "0.5",
    "OTEL_METRICS_EXEMPLAR_FILTER": "always_on",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "plugin",
    "OTEL_PYTHON_ID_GENERATOR": "plugin",
    "OTEL_PYTHON_CONTEXT": "plugin",
    "OTEL_PYTHON_METER_PROVIDER": "default_meter_provider",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
}

_SPECIFICATION: Final = (
    "https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"
)
_HEAD: Final = f"""# Every variable of OpenTelemetry

[The specification]({_SPECIFICATION})
does not require a library to support every variable. The tables show which variables flash_otel's
own provider honours. It is used unless the application has set a provider. The tables are measured:
a test sets each variable, and checks whether the provider changes.

An empty value counts as unset. An invalid value raises no exception and is ignored: the default of
the specification applies. The same holds for a component of another package that fails, or exits
the process, when it is loaded, made or first used. There are two exceptions: an unknown exporter
gets no spans, and spans wait if an address or a certificate file cannot be used.
`flash-otel doctor` shows each ignored value with the reason. If spans are lost, one line at exit
reports it.

An application's provider reads the variables itself. If it may have cut a value to its length
limit, the value is marked as partial in the store, and proves no difference. If under its limits it
can start no span, flash_otel's own provider starts it.
"""


def sample(name: str) -> str:
    """Return a valid value that is not the default."""
    endings = (value for ending, value in _BY_ENDING.items() if name.endswith(ending))
    return _BY_NAME.get(name) or next(endings, "shop")


def measured(folder: Path) -> dict[str, bool]:
    """Return for each variable whether it has an effect on flash_otel's own provider."""
    path = plugins.install(folder / "plugins")
    (folder / "homes").mkdir()
    with ForkServer(folder / "homes", path=path) as server:
        return {name: _has_effect(server, name) for name in SPECIFIED}


def _has_effect(server: ForkServer, name: str) -> bool:
    around: Mapping[str, str] = _WITHOUT_SCHEME if name.endswith("_INSECURE") else _AROUND
    without = server.describe({key: value for key, value in around.items() if key != name})
    return server.describe({**around, name: sample(name)}) != without


def render(effects: Mapping[str, bool]) -> str:
    """Return the document's text."""
    own = {name: "" for name in VARIABLES if name not in SPECIFIED}
    standard = {name: has for name, has in effects.items() if not _is_of_python(name)}
    python = {name: has for name, has in effects.items() if name not in standard}
    return (
        f"{_HEAD}\n## Defined by the specification\n\n{_table(standard)}"
        f"\n## Specific to OpenTelemetry for Python\n\n{_table(python)}"
        "\n## Specific to flash_otel\n\n| variable | meaning |\n|---|---|\n"
        + "".join(f"| `{name}` | {VARIABLES[name].about} |\n" for name in own)
    )


def _is_of_python(name: str) -> bool:
    return "_PYTHON_" in name or name == "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"


def _table(effects: Mapping[str, bool]) -> str:
    rows = "".join(
        f"| `{name}` | {'yes' if has_effect else 'no'} | {SPECIFIED[name].about} |\n"
        for name, has_effect in effects.items()
    )
    return f"| variable | honoured | effect, or reason |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = measured(Path(temporary))
    PATH.write_text(render(found), encoding="utf-8")
    sys.exit(0 if found == {name: each.is_read for name, each in SPECIFIED.items()} else 1)
