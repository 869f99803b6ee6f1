import { attribute, durationOf } from "../model/spans.js";
import { clean, duration, moment } from "../text.js";
import { Id, Text } from "./Text.jsx";

function When({ ns }) {
  if (ns === 0n) return <span class="none">no time was recorded</span>;
  const { local, utc } = moment(ns);
  return (
    <time dateTime={utc} title={utc}>
      {local}
    </time>
  );
}

const named = (object, names) => names.map((name) => attribute(object, name)).find(Boolean);

/** What was deployed, by which versions, when and where. */
export function Facts({ deployment, root }) {
  const { raw, process } = root;
  const environment = deployment?.environment_name ?? named(raw, ["deployment.environment.name"]);
  const environmentId = deployment?.environment_id ?? named(raw, ["flash.environment_id"]);
  const flash =
    deployment?.flash_version ?? named(process.resource, ["flash.version", "service.version"]);
  const host = named(process.resource, ["host.name"]);
  const pid = named(process.resource, ["process.pid"]);
  return (
    <dl class="facts" aria-label="Deployment">
      <Fact name="App" value={deployment?.app_name ?? named(raw, ["flash.app_name"])} />
      <Fact name="Environment" value={environment}>
        <Id value={environmentId} name="environment id" isShort />
      </Fact>
      <Fact name="Build">
        <Id
          value={deployment?.build_id ?? named(raw, ["flash.build_id"])}
          name="build id"
          isShort
        />
      </Fact>
      <Fact name="Flash" value={flash} />
      <Fact
        name="flash_otel"
        value={named(process.resource, ["telemetry.distro.version"]) ?? root.scope?.version}
      />
      <Fact name="When">
        <When ns={BigInt(raw.startTimeUnixNano)} />
      </Fact>
      <Fact
        name="Took"
        value={Number.isNaN(durationOf(root)) ? null : duration(durationOf(root))}
      />
      <Fact name="Where" value={host && (pid ? `${clean(host)}, process ${pid}` : host)} />
    </dl>
  );
}

function Fact({ name, value, children }) {
  if (!value && !children) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value && <Text value={value} />} {children}
      </dd>
    </div>
  );
}
