import { useState } from "preact/hooks";
import { clean, count, moment, short } from "../text.js";
import { Text } from "./Text.jsx";
import { toneOfEntry } from "./Verdict.jsx";

const MOST = 12; // environments that are shown at first

/** Return the deployments by app and environment, each group with the newest first. */
function environmentsOf(entries) {
  const groups = new Map();
  for (const entry of entries) {
    if (!entry.deployment_id || entry.start_ns <= 0) continue;
    const { app_name: app, environment_id: id, environment_name: name } = entry;
    const key = JSON.stringify([app, id ?? name]);
    if (!groups.has(key))
      groups.set(key, { key, app, name: name ?? short(id ?? "unknown"), found: [] });
    groups.get(key).found.push(entry);
  }
  return [...groups.values()];
}

/** Deployments per environment on one axis of time, each with the tone of its verdict. */
export function History({ entries, address }) {
  const [isWhole, setWhole] = useState(false);
  const groups = environmentsOf(entries);
  if (groups.length === 0) return null;
  const starts = groups.flatMap(({ found }) => found.map((entry) => entry.start_ns));
  const [first, last] = [Math.min(...starts), Math.max(...starts)];
  const at = (ns) => (last === first ? 50 : 2 + (96 * (ns - first)) / (last - first));
  return (
    <section aria-labelledby="history">
      <h2 id="history">Deployments per environment</h2>
      <ul class="history">
        {groups.slice(0, isWhole ? groups.length : MOST).map(({ key, app, name, found }) => (
          <li key={key}>
            <span class="place">
              <Text value={app ?? "unknown app"} />{" "}
              <b>
                <Text value={name} />
              </b>
            </span>
            <span class="moments">
              {found.map((entry) => (
                <Deployment key={entry.trace_id} entry={entry} at={at} address={address} />
              ))}
            </span>
          </li>
        ))}
      </ul>
      {groups.length > MOST && (
        <button type="button" class="quiet" onClick={() => setWhole(!isWhole)}>
          {isWhole ? "show fewer" : `show all (${count(groups.length, "environment")})`}
        </button>
      )}
      <p class="ends aside">
        <span>{moment(BigInt(Math.round(first))).local}</span>
        <span>{last !== first && moment(BigInt(Math.round(last))).local}</span>
      </p>
    </section>
  );
}

function Deployment({ entry, at, address }) {
  const text = `${clean(entry.label)}, ${moment(BigInt(Math.round(entry.start_ns))).local}`;
  return (
    <a
      class={`dot ${toneOfEntry(entry)}`}
      style={{ left: `${at(entry.start_ns)}%` }}
      href={address + encodeURIComponent(entry.trace_id)}
      aria-label={text}
      title={text}
    />
  );
}
