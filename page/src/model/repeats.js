// Siblings that repeat: more than a few alike become one row, which opens to the spans themselves.
// The rules are those of the terminal (flash_otel/report/tree.py).

import { attribute, causeOf, durationOf } from "./spans.js";

const MOST_REPEATS = 3; // similar siblings that get a row each
const KEYS = ["flash.environment_id", "flash.build_id", "flash.endpoint_count"];
const CELLS = 240; // of the axis, to which the bars of a row are rounded

/** Return what siblings must share to be folded; a read of another build is never hidden. */
function likeness({ span, isHealthy }) {
  const cause = isHealthy ? "" : causeOf(span);
  const ids = KEYS.map((name) => attribute(span.raw, name));
  return JSON.stringify([span.raw.name, span.outcome, isHealthy, cause, ids]);
}

/** Return how many of siblings that are alike get rows of their own. */
function separate(alike) {
  if (alike.length <= MOST_REPEATS) return alike.length;
  return alike[0].isHealthy ? 0 : MOST_REPEATS;
}

/**
 * Return siblings with those that repeat replaced by what `fold` makes of them; it also gets whether
 * others like them stay beside them.
 */
export function withRepeats(siblings, isMarked, fold) {
  if (siblings.length <= MOST_REPEATS) return siblings;
  const groups = new Map();
  for (const node of siblings) {
    const like = isMarked(node) ? node : likeness(node);
    if (groups.has(like)) groups.get(like).push(node);
    else groups.set(like, [node]);
  }
  if (groups.size === siblings.length) return siblings;
  const replaced = new Map(); // the first of each fold, and what stands in its place
  const hidden = new Set();
  for (const alike of groups.values()) {
    const open = separate(alike);
    if (open === alike.length) continue;
    const rest = alike.slice(open);
    replaced.set(rest[0], fold(rest, open > 0));
    for (const node of rest.slice(1)) hidden.add(node);
  }
  return siblings.filter((node) => !hidden.has(node)).map((node) => replaced.get(node) ?? node);
}

/** Return the least, the middle and the greatest duration of nodes; null without clocks. */
export function durationsOf(nodes) {
  const known = nodes.map(({ span }) => durationOf(span)).filter((took) => !Number.isNaN(took));
  if (known.length === 0) return null;
  known.sort((one, other) => one - other);
  return { min: known[0], median: known[(known.length - 1) >> 1], max: known.at(-1) };
}

/** Return the bars of nodes on an axis, joined where they touch: at most as many as it has cells. */
export function barsOf(nodes, axis) {
  const cells = new Uint8Array(CELLS + 1);
  for (const { span } of nodes) {
    const bar = axis.bar(span);
    if (bar === null) continue;
    const last = Math.min(CELLS, Math.floor((bar.x + bar.width) * CELLS));
    cells.fill(1, Math.floor(bar.x * CELLS), last + 1);
  }
  const bars = [];
  for (let at = 0; at <= CELLS; at += 1) {
    if (!cells[at]) continue;
    const start = at;
    while (cells[at + 1]) at += 1;
    bars.push({ x: start / CELLS, width: (at - start) / CELLS });
  }
  return bars;
}
