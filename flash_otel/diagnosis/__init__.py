"""Diagnosis: evidence from any source, and the fault that it proves."""

from flash_otel.diagnosis.case import Limits
from flash_otel.diagnosis.collect import collect
from flash_otel.diagnosis.diagnose import diagnose
from flash_otel.diagnosis.evidence import Evidence
from flash_otel.diagnosis.findings import Exhibit, Finding
from flash_otel.diagnosis.judge import Diagnosis, Judged

__all__ = [
    "Diagnosis",
    "Evidence",
    "Exhibit",
    "Finding",
    "Judged",
    "Limits",
    "collect",
    "diagnose",
]
