// Spans of an OTLP JSON document: what the views need of each, beside the document's own object.

const FAILED = 2; // the status code of OTLP
const OUTCOMES = new Set(["failed", "cancelled", "unknown"]);
const REBUILT = "flash_otel.lines"; // the scope of spans that were rebuilt from bracketed lines

const NONE = Object.freeze([]); // most spans have no links and no children

/** The attribute that tells spans of one name apart. */
const LABELS = {
  "flash.provision.endpoint": "flash.resource_name",
  "flash.call": "flash.function_name",
  "flash.graphql": "graphql.operation.name",
};

/** Return the value of an OTLP AnyValue: text, a number, a boolean, or a list of them. */
export function plainValue(any) {
  if (any === undefined || any === null) return "";
  if ("arrayValue" in any) return (any.arrayValue.values ?? []).map(plainValue);
  // 64-bit integers stay text, as the document has them: a number would lose digits.
  return any.stringValue ?? any.intValue ?? any.doubleValue ?? any.boolValue ?? JSON.stringify(any);
}

/** Return an attribute of an OTLP object, or undefined. */
export function attribute(object, name) {
  const found = object?.attributes?.find((each) => each.key === name);
  return found && plainValue(found.value);
}

export const keyOf = (traceId, spanId) => `${traceId}-${spanId}`;

function outcomeOf(raw) {
  if (raw.endTimeUnixNano === undefined) return "unfinished";
  const recorded = attribute(raw, "flash.outcome");
  if (OUTCOMES.has(recorded)) return recorded;
  // A read that is bad, whoever's fault it is, did return: a diagnosis names the fault.
  const isOpen = attribute(raw, "flash.fault.candidates") && !attribute(raw, "flash.fault");
  if (isOpen && recorded === "returned") return recorded;
  return raw.status?.code === FAILED ? "failed" : "returned";
}

/** Return why a span failed: its fault, else its exception, else its status. */
export function causeOf(span) {
  const { raw } = span;
  const exception = raw.events?.findLast((event) => event.name === "exception");
  const kind = String(attribute(exception, "exception.type") ?? "")
    .split(".")
    .at(-1);
  const message = String(attribute(exception, "exception.message") ?? "").trim();
  const raised = [kind, message].filter(Boolean).join(": ");
  return attribute(raw, "flash.fault") ?? (raised || raw.status?.message || "");
}

function spanOf(raw, process, scope) {
  return {
    raw,
    process,
    scope,
    key: keyOf(raw.traceId, raw.spanId),
    label: attribute(raw, LABELS[raw.name] ?? "") ?? "",
    outcome: outcomeOf(raw),
    // Spans that were rebuilt from lines have made-up ids, which are not shown.
    isRebuilt: scope?.name === REBUILT,
    start: NaN,
    end: NaN,
    linkedFrom: NONE,
    node: null, // its place in the tree
  };
}

/** Return the nanoseconds from a time to another; both are decimal digits, too many for a number. */
function nanosecondsFrom(base, time) {
  if (base.length <= 9 || time.length <= 9) return Number(BigInt(time) - BigInt(base));
  const seconds = Number(time.slice(0, -9)) - Number(base.slice(0, -9));
  return seconds * 1e9 + Number(time.slice(-9)) - Number(base.slice(-9));
}

const hasClock = ({ raw }) => raw.startTimeUnixNano !== "0";

/** Set the times of spans in nanoseconds since `base`; those of logs without a clock stay NaN. */
function setTimes(spans, base) {
  for (const span of spans) {
    if (!hasClock(span)) continue;
    const { startTimeUnixNano: start, endTimeUnixNano: end } = span.raw;
    span.start = nanosecondsFrom(base, start);
    span.end = end === undefined ? NaN : nanosecondsFrom(base, end);
  }
}

/** Return each span once: the finished one, where a document has it twice. */
function unique(spans) {
  const known = new Map();
  for (const span of spans) {
    const seen = known.get(span.key);
    if (!seen || (seen.outcome === "unfinished" && span.outcome !== "unfinished")) {
      known.set(span.key, span);
    }
  }
  return known;
}

/**
 * Read an OTLP JSON document.
 *
 * Returns `{spans, byKey, processes, base}`: spans in the document's order, the resources that
 * produced them, and the time (nanoseconds since the epoch, BigInt) that span times count from.
 */
export function readTrace(document) {
  const found = [];
  const processes = [];
  for (const group of document.resourceSpans ?? []) {
    const process = { index: processes.length, resource: group.resource ?? {}, size: 0 };
    processes.push(process);
    for (const { scope, spans } of group.scopeSpans ?? []) {
      for (const raw of spans ?? []) found.push(spanOf(raw, process, scope));
    }
  }
  const byKey = unique(found);
  const spans = [...byKey.values()];
  const base = spans.find(hasClock)?.raw.startTimeUnixNano ?? "0";
  setTimes(spans, base);
  for (const span of spans) {
    span.process.size += 1;
    for (const link of span.raw.links ?? NONE) {
      const target = byKey.get(keyOf(link.traceId, link.spanId));
      if (target) target.linkedFrom = [...target.linkedFrom, span];
    }
  }
  return { spans, byKey, processes, base: BigInt(base) };
}

const IDS = { environment_id: "environment", build_id: "build" };

/** Return the ids of a span that are not the deployment's, each as `[name, id]`. */
export function foreignIds(span, deployment) {
  return Object.entries(IDS)
    .map(([field, name]) => [name, attribute(span.raw, `flash.${field}`), deployment?.[field]])
    .filter(([, own, deployed]) => own && deployed && own !== deployed);
}

export const durationOf = (span) => span.end - span.start;
