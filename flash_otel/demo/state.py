"""What the stand-in control plane knows: plain records of apps, environments, builds, endpoints.

Nothing here knows of HTTP, GraphQL or faults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flash_otel.demo.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Planted in every answer that carries a credential on the real platform, so that a test can
# look for them wherever a trace goes.
AI_KEY_CANARY: Final = "canary-ai-key-"
SIGNATURE_CANARY: Final = "canary0signature0"
CREDENTIAL_CANARY: Final = "CANARYCREDENTIAL"

Json = dict[str, Any]
_Record = TypeVar("_Record")


@dataclass
class App:
    """A Flash app: the name's owner of environments and builds."""

    id: str
    name: str


@dataclass
class Environment:
    """An environment of an app, with the build that is active in it."""

    id: str
    app_id: str
    name: str
    active_build_id: str | None = None


@dataclass
class Build:
    """A finalized artifact and the manifest that the State Manager holds for it."""

    id: str
    app_id: str
    object_key: str
    manifest: Json | None


@dataclass
class Template:
    """An endpoint's template; its `env` is what a worker is started with."""

    id: str
    fields: Json = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """The template's environment variables as a dictionary."""
        return {pair["key"]: pair["value"] for pair in self.fields.get("env") or []}


@dataclass
class Endpoint:
    """A serverless endpoint as `saveEndpoint` last left it."""

    id: str
    ai_key: str
    template_id: str
    fields: Json = field(default_factory=dict)
    version: int = 1

    @property
    def name(self) -> str:
        """The endpoint's name, without the suffix that old versions of Flash add."""
        return str(self.fields.get("name", "")).removesuffix("-fb")

    @property
    def environment_id(self) -> str | None:
        """Id of the Flash environment that the endpoint belongs to."""
        value = self.fields.get("flashEnvironmentId")
        return None if value is None else str(value)


@dataclass
class State:
    """Everything that one stand-in control plane stores.

    Attributes:
        ids: Where new ids come from.
        base_url: Where the server is reached, for the presigned URLs in its answers.
        apps: Apps by id; the other collections likewise.
        environments: Environments of all apps.
        builds: Finalized builds of all apps.
        endpoints: Serverless endpoints, whichever environment they belong to.
        templates: Templates of the endpoints.
        artifacts: Uploaded artifacts by object key.
    """

    ids: Ids = field(default_factory=Ids)
    base_url: str = ""
    apps: dict[str, App] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)

    def app_named(self, name: str) -> App | None:
        """Return the app called `name`, or None."""
        return _first(app for app in self.apps.values() if app.name == name)

    def environments_of(self, app_id: str) -> list[Environment]:
        """Return an app's environments in the order of their creation."""
        return [one for one in self.environments.values() if one.app_id == app_id]

    def environment_named(self, app_id: str, name: str) -> Environment | None:
        """Return an app's environment called `name`, or None."""
        return _first(one for one in self.environments_of(app_id) if one.name == name)

    def endpoints_of(self, environment_id: str) -> list[Endpoint]:
        """Return the endpoints that belong to an environment."""
        return [one for one in self.endpoints.values() if one.environment_id == environment_id]

    def endpoint_named(self, environment_id: str, name: str) -> Endpoint | None:
        """Return an environment's endpoint called `name`, or None."""
        return _first(one for one in self.endpoints_of(environment_id) if one.name == name)

    def create_app(self, name: str) -> App:
        """Store a new app."""
        app = App(self.ids.record(f"app {name}"), name)
        self.apps[app.id] = app
        return app

    def create_environment(self, app_id: str, name: str) -> Environment:
        """Store a new environment that has no active build yet."""
        environment = Environment(self.ids.record(f"environment {name}"), app_id, name)
        self.environments[environment.id] = environment
        return environment

    def create_build(self, app_id: str, object_key: str, manifest: Json | None) -> Build:
        """Store a new build."""
        build = Build(self.ids.record("build"), app_id, object_key, manifest)
        self.builds[build.id] = build
        return build

    def save_endpoint(self, fields: Mapping[str, Any]) -> Endpoint:
        """Create an endpoint, or update the one that `fields["id"]` names.

        The endpoint's template is created with it, as `saveEndpoint` does when the input holds
        a template and no template id.
        """
        known = self.endpoints.get(str(fields.get("id")))
        template_id = fields.get("templateId") or (known and known.template_id)
        if not template_id:
            template_id = self.save_template(fields.get("template") or {}, fields).id
        if known is None:
            name = str(fields.get("name"))
            ai_key = f"{AI_KEY_CANARY}{self.ids.hexadecimal(f'ai key {name}', 12)}"
            known = Endpoint(self.ids.endpoint(name), ai_key, template_id)
            self.endpoints[known.id] = known
        else:
            known.version += 1
        known.fields.update({key: fields[key] for key in fields if key not in ("id", "template")})
        return known

    def save_template(
        self, fields: Mapping[str, Any], endpoint: Mapping[str, Any] | None = None
    ) -> Template:
        """Create a template, or update the one that `fields["id"]` names.

        A load balancer's template gets the variables that the platform adds once, at its
        creation; Flash carries them over on every later update.
        """
        known = self.templates.get(str(fields.get("id")))
        if known is None:
            known = Template(self.ids.template(str(fields.get("name"))), {"env": []})
            self.templates[known.id] = known
        known.fields.update({key: fields[key] for key in fields if key != "id"})
        if endpoint and endpoint.get("type") == "LB":
            known.fields["env"] = [*(known.fields["env"] or []), *_PLATFORM_ENV]
        return known


_PLATFORM_ENV: Final = (
    {"key": "PORT", "value": "80"},
    {"key": "PORT_HEALTH", "value": "80"},
)


def _first(records: Iterable[_Record]) -> _Record | None:
    return next(iter(records), None)
