"""Of very many records, those that the judgement of one environment can depend on.

A judgement asks for what belongs to a deployment, and looks up by id what that refers to: who made
a build, whose code a worker runs, who else holds an endpoint. Each of these questions is a lookup
here, with a bound, so that what is loaded does not grow with what is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.collect import DEPLOY_SIDE, collect
from flash_otel.diagnosis.facts import instance_of
from flash_otel.diagnosis.matching import endpoint_ids
from flash_otel.diagnosis.spool_rows import FETCHES, alias, endpoint
from flash_otel.diagnosis.values import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flash_otel.diagnosis.evidence import Deployment, Evidence
    from flash_otel.diagnosis.spool import Spool
    from flash_otel.records import SpanRecord

MOST: Final = 2_000
"""Reads and calls of one question: so many of the first, of the last, and of the conspicuous."""

_CANDIDATES: Final = 3  # the last deployments of an environment: one of them is in force
_OWNERS: Final = 500
_BESIDE: Final = 50
_BESIDE_S: Final = 3_600
_MARGIN_S: Final = 900  # a read's own length, and the cache that a call may live on
_MAKING: Final = (sc.ACTIVATE, sc.MANIFEST_UPLOAD, sc.DEPLOY)

_LAST: Final = "ORDER BY start DESC, file DESC, line DESC LIMIT"
SAMPLES: Final = (
    f"ORDER BY start, file, line LIMIT {MOST}",
    f"{_LAST} {MOST}",
    f"AND odd ORDER BY start, file, line LIMIT {MOST}",
)

_CALLS: Final = f"NOT deploying AND name = '{sc.CALL}'"


class Neighbourhood:
    """What is loaded around the deployments of one question.

    Args:
        spool: Everything that was recorded.
        skew_s: How far clocks may differ, in seconds.
    """

    def __init__(self, spool: Spool, skew_s: float) -> None:
        self._spool = spool
        self._skew_ns = int(skew_s * 1e9)
        self._records: dict[tuple[str, str, str], SpanRecord] = {}
        self._traces: set[str] = set()

    def take(self, records: Iterable[SpanRecord]) -> list[SpanRecord]:
        """Keep records; return them."""
        found = list(records)
        for one in found:
            # Records of one span may differ: which one counts is decided where all are known.
            self._records[one.key[0], one.key[1], f"{one.origin} {one.end_ns}"] = one
        return found

    def take_whole(self, records: Iterable[SpanRecord]) -> None:
        """Keep records and all others of their traces and deployments."""
        found = self.take(records)
        traces = {one.trace_id for one in found} - self._traces
        self._traces |= traces
        self.take(self._spool.among("trace", traces, f"LIMIT {MOST * 5}"))
        told = {str(one.attributes.get(sc.DEPLOYMENT_ID) or "") for one in found} - {""}
        self.take(self._spool.among("deployment", told, f"AND deploying LIMIT {MOST * 5}"))

    def evidence(self) -> Evidence:
        """Return the facts of what is loaded."""
        return collect(self._records.values())

    def load_environment(self, environment: str) -> None:
        """Load the last deployments of an environment, by its id or its name."""
        for column in ("environment", "label"):
            for name in _MAKING:
                rest = f"AND deploying AND name = '{name}' {_LAST} {_CANDIDATES}"
                self.take_whole(self._spool.among(column, [environment], rest))
            rest = f"AND deploying {_LAST} {_CANDIDATES}"
            self.take_whole(self._spool.among(column, [environment], rest))

    def load_codes(self) -> None:
        """Load the deployments whose code the workers run that are loaded so far."""
        self._load_owners()

    def load_reads(self, environments: Iterable[str]) -> None:
        """Load reads and calls of environments."""
        self._sample("environment", environments, "AND NOT deploying")

    def surround(self, chosen: Iterable[Deployment]) -> None:
        """Load what the judgement of some deployments can depend on."""
        deployments = list(chosen)
        for one in deployments:
            self._load_reads(one)
            self._load_beside(one)
        if any(one.by_lines for one in deployments):
            self._load_lines()
        self._load_processes()
        self._load_owners()

    def _load_reads(self, deployment: Deployment) -> None:
        """Load reads and calls that may be about a deployment, of each question a sample."""
        told = [deployment.environment_id, deployment.environment_name]
        begun = deployment.activation or deployment.root
        cut = 0
        if begun is not None and begun.start_ns and not deployment.process.naive:
            cut = max(0, begun.start_ns - self._skew_ns - int(_MARGIN_S * 1e9))
        recent = f"AND NOT deploying AND (start = 0 OR start >= {cut})"
        self._sample("environment", filter(None, told), recent)
        self._sample("build", filter(None, [deployment.build_id]), "AND NOT deploying")
        for column in ("code", "active"):
            self._sample(column, deployment.aliases, "AND NOT deploying")
        held = list(map(endpoint, endpoint_ids(deployment)))
        self._sampled(lambda sample: self._spool.named(held, f"AND NOT deploying {sample}"))
        named = (deployment.app_name, deployment.environment_name)
        for place in (named, *self._spool.rows("SELECT app, label FROM astray LIMIT ?", _BESIDE)):
            self._load_calls(place)

    def _load_calls(self, place: tuple[object, ...]) -> None:
        """Load calls that go to an environment by its names."""
        where = f"app = ? AND label = ? AND {_CALLS}"
        self._sampled(lambda sample: self._spool.where(f"{where} {sample}", *place))

    def _sample(self, column: str, values: Iterable[str], rest: str) -> None:
        given = list(values)
        self._sampled(lambda sample: self._spool.among(column, given, f"{rest} {sample}"))

    def _sampled(self, find: Callable[[str], Iterator[SpanRecord]]) -> None:
        """Load what is found or, if that is too much, the first, the last, the conspicuous."""
        for sample in SAMPLES:
            found = self.take(find(sample))
            self._siblings(found)
            if len(found) < MOST:
                return

    def _siblings(self, found: Iterable[SpanRecord]) -> None:
        """Load the attempts of refreshes, and the refreshes of attempts."""
        traces = {one.trace_id for one in found} - self._traces
        self._traces |= traces
        self.take(self._spool.among("trace", traces, "AND NOT deploying"))

    def _load_beside(self, deployment: Deployment) -> None:
        """Load deployments that overlap this one, or hold its endpoints elsewhere."""
        activation = deployment.activation
        here = deployment.environment_id
        if here and activation and activation.start_ns:
            low, high = (activation.start_ns + sign * _BESIDE_S * 10**9 for sign in (-1, 1))
            rest = (
                f"AND name = '{sc.ACTIVATE}' AND start BETWEEN {low} AND {high} {_LAST} {_BESIDE}"
            )
            self.take_whole(self._spool.among("environment", [here], rest))
        held = map(endpoint, endpoint_ids(deployment))
        shared = self._spool.named(held, f"AND deploying AND environment != '' {_LAST} {MOST}")
        places = {str(one.attributes.get(sc.ENVIRONMENT_ID)) for one in shared} - {here}
        for place in sorted(places)[:_BESIDE]:
            self.load_environment(place)
        if deployment.created_environment and deployment.app_name:
            others = f"app = ? AND label IS NOT NULL AND name = '{sc.DEPLOY}' GROUP BY label"
            rest = f"{others} LIMIT {MOST}"
            self.take(self._spool.where(rest, deployment.app_name))

    def _load_lines(self) -> None:
        """Load lines that name no known environment: logs given together belong together."""
        self.take(self._spool.where(f"deploying AND lines AND build IS NULL {_LAST} {MOST}"))
        known = "SELECT value FROM environments"
        others = list(self._spool.rows(f"{known} LIMIT 2"))
        for (environment,) in others:
            rest = f"AND deploying {_LAST} 1"
            self.take_whole(self._spool.among("environment", [environment], rest))
        if len(others) > 1:
            return  # of several environments, nothing tells to which such lines belong
        foreign = f"(environment IS NULL OR environment NOT IN ({known}))"
        where = f"lines AND NOT deploying AND {foreign}"
        self._sampled(lambda sample: self._spool.where(f"{where} {sample}"))

    def _load_processes(self) -> None:
        """Load what the same workers did otherwise, and what workers provisioned or wrote."""
        ran = [one for one in self._records.values() if one.name not in DEPLOY_SIDE]
        instances = {instance_of(one) for one in ran}
        self._siblings(self.take(self._spool.among("instance", instances, f"{_LAST} {MOST}")))
        asking = {instance_of(one) for one in self._records.values() if one.name in FETCHES}
        for instance in sorted(instances - asking)[:MOST]:
            rest = f"instance = ? AND NOT deploying AND name = '{sc.RUNTIME_FETCH}' {_LAST} 1"
            self.take(self._spool.where(rest, instance))
        self.take(self._spool.strays(MOST))

    def _load_owners(self) -> None:
        """Load the deployments that reads and calls refer to, by build, by code or by place."""
        ran = [one for one in self._records.values() if one.name not in DEPLOY_SIDE]
        made = [one for one in self._records.values() if one.name in DEPLOY_SIDE]
        rest = f"AND deploying {_LAST} {_OWNERS}"
        builds = _said(ran, sc.BUILD_ID) - _said(made, sc.BUILD_ID)
        self.take_whole(self._spool.among("build", sorted(builds)[:_OWNERS], rest))
        codes = _said(ran, sc.CODE_DEPLOYMENT_ID) | _said(ran, sc.ACTIVE_DEPLOYMENT_ID)
        missing = sorted(codes - _said(made, sc.DEPLOYMENT_ID))[:_OWNERS]
        self.take_whole(self._spool.among("deployment", missing, rest))
        self.take_whole(self._spool.named(map(alias, missing), rest))
        calls = [one.attributes for one in ran if one.name == sc.CALL]
        places = {(text(one, sc.APP_NAME), text(one, sc.ENVIRONMENT_NAME)) for one in calls}
        for one in sorted((app, name) for app, name in places if app and name)[:_OWNERS]:
            where = f"app = ? AND label = ? AND deploying {_LAST} 1"
            self.take_whole(self._spool.where(where, *one))
        asked = _said(ran, sc.ENVIRONMENT_ID) - _said(made, sc.ENVIRONMENT_ID)
        for environment in sorted(asked)[:_OWNERS]:
            where = f"environment = ? AND deploying AND name = '{sc.ACTIVATE}' {_LAST} 1"
            self.take_whole(self._spool.where(where, environment))


def _said(records: Iterable[SpanRecord], attribute: str) -> set[str]:
    return {value for one in records if (value := text(one.attributes, attribute))}
