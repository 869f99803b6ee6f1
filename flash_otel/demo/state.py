"""What the stand-in control plane stores: apps, builds, endpoints, their ids, and its requests.

HTTP, GraphQL and faults are other modules' job.
"""

from __future__ import annotations

import random
import string
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Planted wherever the real platform answers with a credential: tests look for them in traces.
AI_KEY_CANARY: Final = "canary-ai-key-"
SIGNATURE_CANARY: Final = "canary0signature0"
CREDENTIAL_CANARY: Final = "CANARYCREDENTIAL"

Json = dict[str, Any]
IdStyle = Literal["uuid", "short"]

_SECRET_KEYS: Final = frozenset({"aiKey", "RUNPOD_API_KEY"})
_REDACTED: Final = "***"
_ALPHABET: Final = string.ascii_lowercase + string.digits
_ENDPOINT_ID_LENGTH: Final = 14
_TEMPLATE_ID_LENGTH: Final = 10
_SHORT_ID_LENGTH: Final = 9
_Record = TypeVar("_Record")


class Ids:
    """Makes random ids in the forms that Runpod uses, new in every run or repeatable from a seed.

    With a seed, an id depends on its label and on the number of ids with that label before it, not
    on the order of requests: Flash saves its endpoints concurrently.

    Args:
        seed: Makes the ids repeatable; None for new ids in every run.
        style: Form of the ids of apps, environments and builds. Flash's documentation calls a
            build id a UUID; the guide's examples are short words.
    """

    def __init__(self, seed: int | None = None, style: IdStyle = "uuid") -> None:
        self._seed = seed
        self._style = style
        self._made: Counter[str] = Counter()

    def record(self, label: str) -> str:
        """Return an id for the app, environment or build called `label`, in the chosen style."""
        return self.uuid(label) if self._style == "uuid" else self._short(label, _SHORT_ID_LENGTH)

    def endpoint(self, label: str) -> str:
        """Return an endpoint id: 14 letters and digits."""
        return self._short(f"endpoint {label}", _ENDPOINT_ID_LENGTH)

    def template(self, label: str) -> str:
        """Return a template id: 10 letters and digits."""
        return self._short(f"template {label}", _TEMPLATE_ID_LENGTH)

    def uuid(self, label: str) -> str:
        """Return a random (version 4) UUID."""
        return str(uuid.UUID(int=self._source(label).getrandbits(128), version=4))

    def hexadecimal(self, label: str, length: int) -> str:
        """Return `length` random hexadecimal digits."""
        return f"{self._source(label).getrandbits(4 * length):0{length}x}"

    def _short(self, label: str, length: int) -> str:
        source = self._source(label)
        rest = (source.choice(_ALPHABET) for _ in range(length - 1))
        return source.choice(string.ascii_lowercase) + "".join(rest)

    def _source(self, label: str) -> random.Random:
        if self._seed is None:
            return random.SystemRandom()
        self._made[label] += 1
        return random.Random(f"{self._seed}/{label}/{self._made[label]}")  # noqa: S311 - ids, no secrets


@dataclass
class StoredApp:
    """A Flash app, the owner of environments and builds."""

    id: str
    name: str


@dataclass
class StoredEnvironment:
    """An environment of an app, with the build that is active in it."""

    id: str
    app_id: str
    name: str
    active_build_id: str | None = None


@dataclass
class StoredBuild:
    """A finalized artifact and the manifest that the ControlPlaneState Manager holds for it."""

    id: str
    app_id: str
    object_key: str
    manifest: Json | None


@dataclass
class StoredTemplate:
    """An endpoint's template; workers start with its `env`."""

    id: str
    fields: Json = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The template's environment variables."""
        return {pair["key"]: pair["value"] for pair in self.fields.get("env") or []}


@dataclass
class StoredEndpoint:
    """A serverless endpoint as the last `saveEndpoint` left it."""

    id: str
    ai_key: str
    template_id: str
    fields: Json = field(default_factory=dict)
    version: int = 1

    @property
    def name(self) -> str:
        """The endpoint's name, without the suffix that old versions of Flash append."""
        return str(self.fields.get("name", "")).removesuffix("-fb")

    @property
    def environment_id(self) -> str | None:
        """Id of its Flash environment."""
        value = self.fields.get("flashEnvironmentId")
        return None if value is None else str(value)


@dataclass
class ControlPlaneState:
    """Everything that one stand-in control plane stores.

    Attributes:
        ids: Source of new ids.
        base_url: URL of the server, for the presigned URLs in its answers.
        apps: Apps by id, like the other collections.
        environments: Environments of all apps.
        builds: Finalized builds of all apps.
        endpoints: Serverless endpoints of all environments.
        templates: Templates of the endpoints.
        artifacts: Uploaded artifacts by object key.
        jobs: Submitted jobs, as they end.
        worker_logs: Lines of the log of each worker, by endpoint id and worker id.
    """

    ids: Ids = field(default_factory=Ids)
    base_url: str = ""
    apps: dict[str, StoredApp] = field(default_factory=dict)
    environments: dict[str, StoredEnvironment] = field(default_factory=dict)
    builds: dict[str, StoredBuild] = field(default_factory=dict)
    endpoints: dict[str, StoredEndpoint] = field(default_factory=dict)
    templates: dict[str, StoredTemplate] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, Json] = field(default_factory=dict)
    worker_logs: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def app_named(self, name: str) -> StoredApp | None:
        """Return the app called `name`, or None."""
        return _first(app for app in self.apps.values() if app.name == name)

    def environments_of(self, app_id: str) -> list[StoredEnvironment]:
        """Return an app's environments in the order of their creation."""
        return [found for found in self.environments.values() if found.app_id == app_id]

    def environment_named(self, app_id: str, name: str) -> StoredEnvironment | None:
        """Return an app's environment called `name`, or None."""
        return _first(found for found in self.environments_of(app_id) if found.name == name)

    def endpoints_of(self, environment_id: str) -> list[StoredEndpoint]:
        """Return the endpoints that belong to an environment."""
        return [
            found for found in self.endpoints.values() if found.environment_id == environment_id
        ]

    def endpoint_named(self, environment_id: str, name: str) -> StoredEndpoint | None:
        """Return an environment's endpoint called `name`, or None."""
        return _first(found for found in self.endpoints_of(environment_id) if found.name == name)

    def create_app(self, name: str) -> StoredApp:
        """Store a new app."""
        app = StoredApp(self.ids.record(f"app {name}"), name)
        self.apps[app.id] = app
        return app

    def create_environment(self, app_id: str, name: str) -> StoredEnvironment:
        """Store a new environment that has no active build yet."""
        environment = StoredEnvironment(self.ids.record(f"environment {name}"), app_id, name)
        self.environments[environment.id] = environment
        return environment

    def create_build(self, app_id: str, object_key: str, manifest: Json | None) -> StoredBuild:
        """Store a new build."""
        build = StoredBuild(self.ids.record("build"), app_id, object_key, manifest)
        self.builds[build.id] = build
        return build

    def save_endpoint(self, fields: Mapping[str, Any]) -> StoredEndpoint:
        """Create an endpoint, or update the endpoint that `fields["id"]` names.

        Without a template id the template is created, too, as the platform's `saveEndpoint` does;
        an update changes the endpoint's own template.
        """
        known = self.endpoints.get(str(fields.get("id")))
        template_id = fields.get("templateId") or (known and known.template_id)
        if not template_id:
            template_id = self.save_template(fields.get("template") or {}, fields).id
        if known is None:
            name = str(fields.get("name"))
            ai_key = f"{AI_KEY_CANARY}{self.ids.hexadecimal(f'ai key {name}', 12)}"
            known = StoredEndpoint(self.ids.endpoint(name), ai_key, template_id)
            self.endpoints[known.id] = known
        else:
            known.version += 1
            if fields.get("template"):
                self.save_template({**fields["template"], "id": template_id})
        known.fields.update({key: fields[key] for key in fields if key not in ("id", "template")})
        return known

    def keep_log(self, endpoint_id: str, worker_id: str, log: str) -> None:
        """Store the log of a worker, each line behind its time, as Runpod shows it."""
        now = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        lines = [f"{now} {line}" for line in log.splitlines()]
        self.worker_logs.setdefault(endpoint_id, {})[worker_id] = lines

    def save_template(
        self, fields: Mapping[str, Any], endpoint: Mapping[str, Any] | None = None
    ) -> StoredTemplate:
        """Create a template, or update the template that `fields["id"]` names."""
        known = self.templates.get(str(fields.get("id")))
        if known is None:
            known = StoredTemplate(self.ids.template(str(fields.get("name"))), {"env": []})
            self.templates[known.id] = known
        known.fields.update({key: fields[key] for key in fields if key != "id"})
        # The platform adds them when it creates a load balancer; Flash keeps them in later updates.
        if endpoint and endpoint.get("type") == "LB":
            known.fields["env"] = [*(known.fields["env"] or []), *_PLATFORM_ENV]
        return known


_PLATFORM_ENV: Final = (
    {"key": "PORT", "value": "80"},
    {"key": "PORT_HEALTH", "value": "80"},
)


def _first(records: Iterable[_Record]) -> _Record | None:
    return next(iter(records), None)


@dataclass
class JournalEntry:
    """One request to the control plane.

    Attributes:
        method: HTTP method.
        path: Path without the query string (a presigned query is a credential).
        operation: GraphQL operation, or the stand-in's name for another route.
        variables: GraphQL variables, or the JSON body and routing headers of a call.
        bearer: Whether the request had a bearer token.
        status: HTTP status of the answer; 0 if the connection was closed without an answer.
    """

    method: str
    path: str
    operation: str
    variables: dict[str, Any]
    bearer: bool
    status: int = 0


@dataclass
class Journal:
    """All requests in order of arrival, with the values of secret keys removed."""

    entries: list[JournalEntry] = field(default_factory=list)

    def record(
        self, method: str, path: str, operation: str, variables: dict[str, Any], *, bearer: bool
    ) -> JournalEntry:
        """Append a request and return its entry, whose status the caller sets."""
        entry = JournalEntry(method, path, operation, _without_secrets(variables), bearer)
        self.entries.append(entry)
        return entry

    @property
    def operations(self) -> list[str]:
        """Names of the operations in order of arrival."""
        return [entry.operation for entry in self.entries]

    def of(self, operation: str) -> list[JournalEntry]:
        """Return the requests of one operation."""
        return [entry for entry in self.entries if entry.operation == operation]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("key") in _SECRET_KEYS and "value" in value:  # an entry of a template's env
        return {**value, "value": _REDACTED}
    return {
        key: _REDACTED if key in _SECRET_KEYS else _without_secrets(item)
        for key, item in value.items()
    }
