import { attribute } from "../model/spans.js";
import { count } from "../text.js";
import { Attributes } from "./Details.jsx";
import { Text } from "./Text.jsx";

export const processId = (process) => `process-${process.index + 1}`;

/** Return what a person calls a process: its service, and where it ran. */
export function processName({ resource, index }) {
  const service = attribute(resource, "service.name") ?? `process ${index + 1}`;
  const host = attribute(resource, "host.name");
  const pid = attribute(resource, "process.pid");
  return [service, host && `on ${host}`, pid && `(${pid})`].filter(Boolean).join(" ");
}

/** The resource of each process, once. */
export function Processes({ processes }) {
  return (
    <details class="fold" id="processes">
      <summary>
        <h2>Processes</h2>
        <span class="aside">{count(processes.length, "resource")}</span>
      </summary>
      {processes.map((process) => (
        <section id={processId(process)} class="process">
          <h3>
            <Text value={processName(process)} /> <small>{count(process.size, "span")}</small>
          </h3>
          <Attributes of={process.resource} />
        </section>
      ))}
    </details>
  );
}
