"""Select the spans that can affect the verdict on a deployment, by lookups in a store.

A verdict depends on the reads and calls of its deployment and on everything that they refer to by
id: who made a build, whose code a worker runs, who else holds an endpoint. Each of these questions
is a lookup with a limit, so that the selection does not grow with the recording.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from flash_otel import semconv as sc
from flash_otel.diagnosis.collect import collect
from flash_otel.diagnosis.deployments import MAKING
from flash_otel.diagnosis.environments import MOST_ATTEMPTS
from flash_otel.diagnosis.matching import endpoint_ids
from flash_otel.diagnosis.recorded import DEPLOYING, ODD, RUNNING
from flash_otel.records import text
from flash_otel.store import references as refs
from flash_otel.store.references import instance_of, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flash_otel.diagnosis.evidence import Deployment, Evidence
    from flash_otel.diagnosis.recorded import RecordedSpans
    from flash_otel.records import SpanRecord

MOST: Final = 2_000
"""Reads and calls of one lookup: the first ones, the last ones, and the odd ones among them."""

_MOST_OF_TRACES: Final = MOST * 5
_CANDIDATES: Final = 3  # the last deployments of an environment: one of them is in force
_MOST_BEFORE: Final = (MOST_ATTEMPTS + 1) * 3  # three spans of a deployment are found
_MOST_NEWEST: Final = 20
_MOST_OWNERS: Final = 500
_MOST_BESIDE: Final = 50
_BESIDE_NS: Final = 3_600 * 10**9
_MARGIN_NS: Final = 900 * 10**9  # the length of a read, and the cache that a call may live on
_FETCHES: Final = frozenset({sc.RUNTIME_FETCH, sc.MANIFEST_FETCH})

_IS_MAKING: Final = f"spans.name IN ('{sc.ACTIVATE}', '{sc.MANIFEST_UPLOAD}', '{sc.DEPLOY}')"
_IS_FETCH: Final = f"spans.name IN ('{sc.RUNTIME_FETCH}', '{sc.MANIFEST_FETCH}')"
_IS_ROOT: Final = f"AND spans.name = '{sc.DEPLOY}'"
# The last span of any kind, and of each kind that makes a deployment.
_KINDS: Final = ("", *(f"AND spans.name = '{name}'" for name in MAKING))

_FIRST: Final = "ORDER BY span LIMIT"
_LAST: Final = "ORDER BY span DESC LIMIT"


class RelatedSpans:
    """The spans that are loaded for one question.

    Args:
        spans: Everything that was recorded.
        skew_s: Greatest difference between clocks, in seconds.
    """

    def __init__(self, spans: RecordedSpans, skew_s: float) -> None:
        self._spans = spans
        self._skew_ns = int(skew_s * 1e9)
        self._records: dict[tuple[str, str], SpanRecord] = {}
        self._whole_traces: set[str] = set()
        self._read_traces: set[str] = set()
        self._deployment_ids: set[str] = set()
        self._evidence: tuple[int, Evidence] | None = None

    def evidence(self) -> Evidence:
        """Return the facts of everything that is loaded."""
        # A span is loaded once, so that the same number of them are the same ones.
        if self._evidence is None or self._evidence[0] != len(self._records):
            self._evidence = (len(self._records), collect(self._records.values()))
        return self._evidence[1]

    # --- the deployments of a question ------------------------------------------------------------

    def load_environment(self, environment: str, app: str | None = None) -> None:
        """Load the last deployments of an environment.

        Args:
            environment: Its id, or its name in each app.
            app: The app of a name; None for any.
        """
        found = self._last_of(environment)
        named = self._last(f"environment_name = ? AND {_IS_FETCH}", environment)
        self._take_reads(named)
        apps = self._apps(environment) if app is None else [app]
        found += [record for known in apps for record in self._last_at(environment, known)]
        # What is known by a name is looked up by its id as well, and the other way round.
        for environment_id in sorted(_values([*found, *named], sc.ENVIRONMENT_ID)):
            if environment_id != environment:
                found += self._last_of(environment_id)
        ids = _values(found, sc.ENVIRONMENT_ID)
        for environment_id in sorted(ids):
            is_named = f"environment_id = ? AND environment_name IS NOT NULL AND {_IS_FETCH}"
            named += self._last(is_named, environment_id, most=1)
        self._take_reads(named)
        known_apps = _values(found, sc.APP_NAME)
        for name in sorted(_values([*found, *named], sc.ENVIRONMENT_NAME)):
            # A name without an app is that of another deployment only if one app has it.
            for known in {"", *known_apps, *self._apps(name, _CANDIDATES)}:
                found += self._last_at(name, known)
        self._take_deployments(found)
        for known in sorted(known_apps):
            self.load_unplaced(known)

    def load_unplaced(self, app: str) -> None:
        """Load the last attempts of an app that know no environment, and what it has of those."""
        order = f"{self._spans.last} {_CANDIDATES}"
        found = self._spans.referring(reference(refs.UNPLACED, app), order=order)
        if not found:
            return
        # The attempts are of the app's environment if it has only one.
        places = (place.partition(":")[2] for place in self._spans.references(f"{refs.PLACE}:"))
        names = (place.removesuffix(f"/{app}") for place in places if place.endswith(f"/{app}"))
        for name in islice(names, _CANDIDATES):
            found += self._last_at(name, app)
        self._take_deployments(found)

    def load_environment_of(self, deployment: Deployment) -> None:
        """Load the last deployments of a deployment's environment."""
        environment = deployment.environment_id or deployment.environment_name
        if environment:
            self.load_environment(environment, deployment.app_name)
        elif deployment.app_name:
            self.load_unplaced(deployment.app_name)

    def _last_of(self, environment: str) -> list[SpanRecord]:
        """Return spans of the last deployments to an environment, by one id or name."""
        return [
            record
            for column in ("environment_id", "environment_name")
            for kind in _KINDS
            for record in self._last(f"{column} = ? AND {DEPLOYING} {kind}", environment)
        ]

    def _apps(self, name: str, most: int = _MOST_BESIDE) -> list[str]:
        """Return the apps that have an environment of this name; empty for an unknown app."""
        places = self._spans.references(reference(refs.PLACE, name, ""))
        return [place.rpartition("/")[2] for place in islice(places, most)]

    def _last_at(self, name: str, app: str) -> list[SpanRecord]:
        """Return spans of the last deployments to an environment of an app, by its name."""
        # The references of a place are in the order of insertion, which need not be that of time.
        here = f"environment_name = ? AND coalesce(app_name, '') = ? AND {_IS_MAKING}"
        # One that knows the id connects the name with it, even if all later ones do not.
        known = f"{here} AND environment_id IS NOT NULL AND {DEPLOYING}"
        latest = self._last(f"{here} AND {DEPLOYING}", name, app)
        return latest + self._last(known, name, app, most=1)

    def load_build(self, prefix: str) -> None:
        """Load the deployments and reads of builds whose ids begin with a prefix."""
        for kind in (refs.BUILD, refs.READ_BUILD):
            low = reference(kind, prefix)
            self._take_deployments(self._spans.referring_from(low, order=f"{_FIRST} {MOST}"))
            self._take_deployments(self._spans.referring_from(low, order=f"{_LAST} {MOST}"))

    def load_trace(self, prefix: str) -> None:
        """Load the traces whose ids begin with a prefix, and the deployments of their workers."""
        condition = "trace_id >= ? AND trace_id < ?"
        for order in (self._spans.first, self._spans.last):
            found = self._spans.where(condition, prefix, f"{prefix}g", order=f"{order} {MOST}")
            self._take_deployments(found)
        self._load_joined()

    def _load_joined(self) -> None:
        """Load the traces of the other side of each job, and of the jobs that they submit."""
        known: set[str] = set()
        while jobs := _values(self._records.values(), sc.FAAS_INVOCATION_ID) - known:
            known |= jobs
            wanted = [reference(refs.JOB, job) for job in sorted(jobs)[:_MOST_OWNERS]]
            self._take_deployments(self._spans.referring_to_any(wanted, f"{_LAST} {_MOST_OWNERS}"))
            if len(known) > _MOST_OWNERS:
                return

    def load_newest(self) -> None:
        """Load the newest deployments of all environments."""
        condition = f"{_IS_MAKING} AND {DEPLOYING}"
        newest = self._spans.where(condition, order=f"{self._spans.last} {_MOST_NEWEST}")
        self._take_deployments(newest)

    def load_runtime(self) -> None:
        """Load the reads and calls of all processes."""
        self._sample_columns(RUNNING)

    def load_runtime_of(self, environment: str) -> None:
        """Load the reads and calls that name an environment, by its id or name."""
        for column in ("environment_id", "environment_name"):
            self._sample_columns(f"{column} = ? AND {RUNNING}", environment)

    # --- everything around them -------------------------------------------------------------------

    def load(self, deployments: Iterable[Deployment]) -> None:
        """Load everything that can affect the verdicts on some deployments."""
        chosen = list(deployments)
        for deployment in chosen:
            self._load_reads(deployment)
            self._load_calls(deployment)
            self._load_beside(deployment)
            self._load_attempts(deployment)
        if any(deployment.in_log for deployment in chosen):
            self._load_lines()
        self._load_processes()
        self.load_owners()

    def load_owners(self) -> None:
        """Load the deployments that the loaded reads and calls refer to."""
        ran = [record for record in self._records.values() if record.name not in sc.DEPLOY_SIDE]
        made = [record for record in self._records.values() if record.name in sc.DEPLOY_SIDE]
        builds = _values(ran, sc.BUILD_ID) - _values(made, sc.BUILD_ID)
        codes = _values(ran, sc.CODE_DEPLOYMENT_ID) | _values(ran, sc.ACTIVE_DEPLOYMENT_ID)
        codes -= _values(made, sc.DEPLOYMENT_ID)
        for kind, values in ((refs.BUILD, builds), (refs.DEPLOYMENT, codes)):
            wanted = [reference(kind, value) for value in sorted(values)[:_MOST_OWNERS]]
            order = f"{_LAST} {_MOST_OWNERS}"
            self._take_deployments(self._spans.referring_to_any(wanted, order))
        places = {place for record in ran if record.name == sc.CALL and (place := _place(record))}
        for place in sorted(places)[:_MOST_OWNERS]:
            self._take_deployments(self._spans.referring(place, order=f"{_LAST} 1"))
        self._load_environments(_values(ran, sc.ENVIRONMENT_ID) - _values(made, sc.ENVIRONMENT_ID))

    def _load_environments(self, environment_ids: set[str]) -> None:
        # One in force, whose endpoints count, and the last of any, which knows the name.
        kinds = (f"spans.name = '{sc.ACTIVATE}'", _IS_MAKING)
        for environment_id in sorted(environment_ids)[:_MOST_OWNERS]:
            for kind in kinds:
                made_here = f"environment_id = ? AND {kind} AND {DEPLOYING}"
                self._take_deployments(self._last(made_here, environment_id, most=1))

    def _load_reads(self, deployment: Deployment) -> None:
        """Load samples of the reads that may be about a deployment."""
        begun = deployment.activation or deployment.root
        since_ns = 0
        if begun is not None and begun.start_ns and not deployment.process.naive:
            since_ns = max(0, begun.start_ns - self._skew_ns - _MARGIN_NS)
        # Lines without a clock start at 0.
        recent = f"{RUNNING} AND (start_ns >= {since_ns} OR start_ns = 0)"
        for environment in (deployment.environment_id, deployment.environment_name):
            if environment:
                self._sample_columns(f"environment_id = ? AND {recent}", environment)
        if deployment.build_id:
            self._sample_references(reference(refs.READ_BUILD, deployment.build_id))
        for alias in deployment.aliases:
            self._sample_references(reference(refs.CODE, alias))
        for endpoint_id in endpoint_ids(deployment):
            self._sample_references(reference(refs.READ_ENDPOINT, endpoint_id))

    def _load_calls(self, deployment: Deployment) -> None:
        """Load samples of the calls that name a deployment's place, or an undeployed one."""
        own = reference(refs.CALL, deployment.environment_name, deployment.app_name)
        self._sample_references(own)
        called = self._spans.references(reference(refs.CALL, ""))
        astray = (call for call in called if not self._is_deployed(call))
        for call in islice(astray, _MOST_BESIDE):
            self._sample_references(call)

    def _is_deployed(self, call: str) -> bool:
        place = f"{refs.PLACE}:{call.partition(':')[2]}"
        return bool(self._spans.referring(place, order="LIMIT 1"))

    def _load_beside(self, deployment: Deployment) -> None:
        """Load deployments that overlap this one, or hold its endpoints elsewhere."""
        activation, here = deployment.activation, deployment.environment_id
        if here and activation and activation.start_ns:
            low, high = activation.start_ns - _BESIDE_NS, activation.start_ns + _BESIDE_NS
            condition = (
                f"environment_id = ? AND start_ns BETWEEN {low} AND {high} "
                f"AND spans.name = '{sc.ACTIVATE}' AND {DEPLOYING}"
            )
            self._take_deployments(self._last(condition, here, most=_MOST_BESIDE))
        holders = {
            environment_id
            for endpoint_id in endpoint_ids(deployment)
            for environment_id in self._spans.environments_referring(
                reference(refs.ENDPOINT, endpoint_id), order=f"{_LAST} {MOST}"
            )
        }
        for environment_id in sorted(holders - {here})[:_MOST_BESIDE]:
            self.load_environment(environment_id)
        if deployment.created_environment and deployment.app_name:
            for place in self._spans.references(reference(refs.PLACE, "")):
                if place.endswith(f"/{deployment.app_name}"):
                    self._take(self._spans.referring(place, _IS_ROOT, order="LIMIT 1"))

    def _load_attempts(self, deployment: Deployment) -> None:
        """Load the attempts that failed directly before a deployment."""
        name, app = deployment.environment_name, deployment.app_name
        until_ns = deployment.start_ns or 0
        before = f"{_IS_MAKING} AND {DEPLOYING} AND start_ns <= {until_ns}"
        found = []
        if deployment.environment_id:
            condition = f"environment_id = ? AND {before}"
            found += self._last(condition, deployment.environment_id, most=_MOST_BEFORE)
        for known in {app, ""} if name else ():
            condition = f"environment_name = ? AND coalesce(app_name, '') = ? AND {before}"
            found += self._last(condition, name, known, most=_MOST_BEFORE)
        if app:
            unplaced, rest = reference(refs.UNPLACED, app), f"AND start_ns <= {until_ns}"
            order = f"{self._spans.last} {_MOST_BEFORE}"
            found += self._spans.referring(unplaced, rest, order=order)
        # The steps of a deployment know no app: those with another id are of another app.
        here = (None, deployment.environment_id)
        own = [record for record in found if text(record.attributes, sc.ENVIRONMENT_ID) in here]
        # What came before a success does not matter.
        succeeded = (
            record.start_ns
            for record in own
            if record.name in (sc.DEPLOY, sc.MANIFEST_UPLOAD)
            and record.attributes.get(sc.OUTCOME) == sc.RETURNED
            and (record.name == sc.DEPLOY or text(record.attributes, sc.ENVIRONMENT_ID))
            and record.start_ns < until_ns
        )
        since_ns = max(succeeded, default=0)
        self._take_deployments([record for record in own if record.start_ns >= since_ns])

    def _load_lines(self) -> None:
        """Load lines without a known environment: logs given together belong together."""
        loose = reference(refs.LOOSE_LINE)
        self._take(self._spans.referring(loose, order=f"{_LAST} {MOST}"))
        known = list(islice(self._spans.environments(), 2))
        for environment_id in known:
            condition = f"environment_id = ? AND {DEPLOYING}"
            self._take_deployments(self._last(condition, environment_id, most=1))
        if len(known) > 1:
            return  # such lines may belong to any of several environments
        foreign = "AND (environment_id IS NULL OR environment_id != ?)" if known else ""
        self._sample_references(reference(refs.READ_LINE), foreign, *known)

    def _load_processes(self) -> None:
        """Load what the same workers did otherwise, and what workers provisioned or wrote."""
        ran = [record for record in self._records.values() if record.name not in sc.DEPLOY_SIDE]
        instances = {instance_of(record) for record in ran}
        reading = {instance_of(record) for record in ran if record.name in _FETCHES}
        for instance in sorted(instances):
            own = reference(refs.PROCESS, instance)
            self._take_reads(self._spans.referring(own, order=f"{_LAST} {MOST}"))
            if instance not in reading:
                is_fetch = f"AND spans.name = '{sc.RUNTIME_FETCH}'"
                self._take(self._spans.referring(own, is_fetch, order=f"{_LAST} 1"))
        for name in (sc.PROVISION_ENDPOINT, sc.MANIFEST_UPLOAD):
            by_workers = reference(refs.BY_WORKER, name)
            self._take(self._spans.referring(by_workers, order=f"{_FIRST} {MOST}"))

    # --- samples ----------------------------------------------------------------------------------

    def _last(self, condition: str, *values: object, most: int = _CANDIDATES) -> list[SpanRecord]:
        return self._spans.where(condition, *values, order=f"{self._spans.last} {most}")

    def _sample_columns(self, condition: str, *values: object) -> None:
        self._sample(
            lambda rest, order: self._spans.where(f"{condition} {rest}", *values, order=order),
            self._spans.first,
            self._spans.last,
        )

    def _sample_references(self, made: str, condition: str = "", *values: object) -> None:
        self._sample(
            lambda rest, order: self._spans.referring(
                made, f"{condition} {rest}", *values, order=order
            ),
            _FIRST,
            _LAST,
        )

    def _sample(self, find: Callable[[str, str], list[SpanRecord]], first: str, last: str) -> None:
        """Load everything that is found or, if that is too much, a sample of it."""
        for rest, order in (("", first), ("", last), (f"AND {ODD}", first)):
            found = find(rest, f"{order} {MOST}")
            self._take_reads(found)
            if len(found) < MOST:
                return

    def _take(self, records: Iterable[SpanRecord]) -> None:
        self._records.update((record.key, record) for record in records)

    def _take_reads(self, records: list[SpanRecord]) -> None:
        """Keep spans with the attempts of their refreshes, and the refreshes of their attempts."""
        self._take(records)
        traces = {record.trace_id for record in records} - self._read_traces - self._whole_traces
        self._read_traces |= traces
        self._take(self._spans.in_traces(traces, f"AND {RUNNING}", f"LIMIT {_MOST_OF_TRACES}"))

    def _take_deployments(self, records: list[SpanRecord]) -> None:
        """Keep spans with all others of their traces and of their deployments."""
        self._take(records)
        self._take_whole(records)
        ids = _values(records, sc.DEPLOYMENT_ID) - self._deployment_ids
        self._deployment_ids |= ids
        wanted = [reference(refs.DEPLOYMENT, deployment_id) for deployment_id in sorted(ids)]
        self._take_whole(self._spans.referring_to_any(wanted, f"LIMIT {_MOST_OF_TRACES}"))

    def _take_whole(self, records: list[SpanRecord]) -> None:
        traces = {record.trace_id for record in records} - self._whole_traces
        self._whole_traces |= traces
        self._take(self._spans.in_traces(traces, order=f"LIMIT {_MOST_OF_TRACES}"))


def _place(record: SpanRecord) -> str | None:
    """Return the reference to the place that a span names."""
    name = text(record.attributes, sc.ENVIRONMENT_NAME)
    app = text(record.attributes, sc.APP_NAME)
    return reference(refs.PLACE, name, app) if name and app else None


def _values(records: Iterable[SpanRecord], attribute: str) -> set[str]:
    return {value for record in records if (value := text(record.attributes, attribute))}
