"""What a comparison is made of, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.evidence import Origin
from flash_otel.diagnosis.findings import Exhibit, Finding
from flash_otel.diagnosis.order import CERTAIN
from flash_otel.verify.local import PATH
from flash_otel.verify.snapshot import ORIGIN

if TYPE_CHECKING:
    from flash_otel.verify.local import LocalManifest
    from flash_otel.verify.snapshot import Reading

PASS: Final = "pass"  # noqa: S105 - the guide's word, no secret
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"

READ_BACK: Final = Origin(file=ORIGIN)
LOCAL: Final = Origin(file=PATH.as_posix())


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared.

    Attributes:
        reading: What was read back.
        expected_build: The build that should be active, or its first characters; None if unsaid.
        local: The manifest in the working folder, or None.
    """

    reading: Reading
    expected_build: str | None = None
    local: LocalManifest | None = None

    @property
    def place(self) -> str:
        """The environment, in words."""
        environment = self.reading.environment
        return f"environment {environment.name} ({environment.id})"


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        name: What a machine calls it.
        result: pass, fail or unknown.
        says: What was found.
        finding: The fault that a failure is.
    """

    name: str
    result: str
    says: str
    finding: Finding | None = None


def failed(
    name: str, code: str, says: str, confidence: str = CERTAIN, origin: Origin = READ_BACK
) -> Check:
    """Say that a comparison failed, and which fault that is."""
    finding = Finding(code, _sentence(says), (Exhibit(origin, says),), confidence)
    return Check(name, FAIL, says, finding)


def undecided(name: str, codes: tuple[str, ...], says: str) -> Check:
    """Say that a comparison failed, and between which faults it cannot tell."""
    missing = ("the record of the deployment",)
    command = "flash-otel run -- flash deploy"
    finding = Finding(
        sc.INCONCLUSIVE,
        _sentence(says),
        (Exhibit(READ_BACK, says),),
        candidates=codes,
        missing=missing,
        command=command,
    )
    return Check(name, FAIL, says, finding)


def _sentence(says: str) -> str:
    end = "" if says.endswith("?") else "."
    return f"{says[:1].upper()}{says[1:]}{end}"


def plain(name: str) -> str:
    """Return an endpoint's name without the suffix that Flash adds for FlashBoot."""
    return name.removesuffix("-fb")
