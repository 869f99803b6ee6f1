"""The generations of Flash: the package, the command and the manifest of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel.flash_versions import release

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Generation:
    """What the versions of Flash up to a successor have in common.

    Attributes:
        package: The distribution.
        script: The console script.
        deploy: The arguments of the script that deploy.
        manifest: Name of the manifest in an artifact.
        manifest_variable: The variable that tells a worker where its manifest is.
        environment: The environment that a deployment creates if none is named.
        vendored: The packages that a deployment installs into its artifact.
    """

    package: str
    script: str
    deploy: tuple[str, ...]
    manifest: str
    manifest_variable: str
    environment: str
    vendored: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a person types to deploy."""
        words = (word for word in self.deploy if not word.startswith("-"))
        return " ".join((self.script, *words))

    def manifest_place(self, app: Path) -> Path:
        """Return the value of the manifest's variable, for the folder of an unpacked artifact."""
        return app if self.manifest_variable.endswith("_DIR") else app / self.manifest


FLASH_1: Final = Generation(
    "runpod-flash",
    "flash",
    ("deploy", "--no-deps"),
    "flash_manifest.json",
    "FLASH_MANIFEST_PATH",
    "production",
)
RUNPOD_2: Final = Generation(
    "runpod",
    "rp",
    ("flash", "deploy"),
    "runpod_manifest.json",
    "RUNPOD_APP_DIR",
    "default",
    # RUNTIME_REQUIREMENTS and API_RUNTIME_REQUIREMENTS of `runpod.apps.build` (2.0.0rc2).
    (
        *("aiohttp", "aiohttp-retry", "backoff", "cloudpickle", "py-cpuinfo", "requests", "tomli"),
        *("tomlkit", "tqdm-loggable", "fastapi", "uvicorn"),
    ),
)
MANIFESTS: Final = (FLASH_1.manifest, RUNPOD_2.manifest)


def generation_of(version: str) -> Generation:
    """Return the generation of a version of Flash."""
    return RUNPOD_2 if release(version) >= (2,) else FLASH_1
