// The shape of a trace: spans into a forest, the forest into rows. Nothing recurses, because a trace
// may be deeper than the stack, and each span is shown once, even if its parents form a circle.

import { withRepeats } from "./repeats.js";
import { attribute, keyOf } from "./spans.js";

const NONE = Object.freeze([]); // the children of most spans
const CONSUMER = 5; // of SpanKind
const MOST_OPEN = 200; // rows of a trace that starts unfolded
const MOST_HEALTHY = 8; // spans of a healthy branch that starts unfolded in a larger trace

/**
 * A row: a span, or the first of siblings that are folded into one (`repeats`).
 *
 * `size` counts the spans of its subtree, `length` the rows, and `place` it among its siblings.
 */
class Node {
  constructor(span, repeats = null, isRest = false) {
    this.span = span;
    this.repeats = repeats;
    this.isRest = isRest; // others like the repeats have rows of their own
    this.key = repeats ? `${span.key}-repeats` : span.key;
    this.parent = null;
    this.children = repeats ?? NONE;
    this.depth = 0;
    this.size = repeats ? 0 : 1;
    this.length = 1;
    this.index = 0;
    this.place = 1;
    this.siblings = 1;
    this.isHealthy = true;
    this.isOrphan = false;
  }
}

// Spans that start together, such as those of a log without times, stay in the document's order.
const byStart = (one, other) => (one.span.start || 0) - (other.span.start || 0);

const JOB_ID = "faas.invocation_id";

/** Return the calls of queue-based endpoints by the ids of their jobs. */
function callsByJob(spans) {
  const calls = new Map();
  for (const { node, raw } of spans) {
    const job = raw.name === "flash.call" && attribute(raw, JOB_ID);
    if (job && !calls.has(job)) calls.set(job, node);
  }
  return calls;
}

function attach({ spans, byKey }, mainTraceId) {
  const roots = [];
  const calls = callsByJob(spans);
  for (const { node, raw } of spans) {
    // No header reaches the worker of a queue: its job is in a trace of its own.
    const isJob = raw.kind === CONSUMER && raw.traceId !== mainTraceId;
    const parent = raw.parentSpanId
      ? byKey.get(keyOf(raw.traceId, raw.parentSpanId))?.node
      : isJob && calls.get(attribute(raw, JOB_ID));
    node.isOrphan = Boolean(raw.parentSpanId) && !parent;
    if (!parent || isBelow(parent, node)) roots.push(node);
    else {
      if (parent.children === NONE) parent.children = [];
      parent.children.push(node);
      node.parent = parent;
    }
  }
  return roots;
}

/** Return whether a node lies below another, which it must not become the parent of. */
function isBelow(node, other) {
  if (other.children.length === 0) return false;
  for (let above = node; above !== null; above = above.parent) if (above === other) return true;
  return false;
}

function count(siblings) {
  siblings.forEach((node, i) => {
    node.place = i + 1;
    node.siblings = siblings.length;
  });
}

const rankOf = (mainTraceId) => (node) => (node.span.raw.traceId === mainTraceId ? 0 : 1);

/** Sort siblings, of the main trace first; return all nodes, parents before their children. */
function sorted(roots, mainTraceId) {
  const rank = rankOf(mainTraceId);
  roots.sort((a, b) => rank(a) - rank(b) || byStart(a, b));
  const order = [...roots];
  for (let at = 0; at < order.length; at += 1) {
    const { children } = order[at];
    if (children === NONE) continue;
    children.sort(byStart);
    for (const child of children) order.push(child);
  }
  return order;
}

/** Give each node whether all of its subtree returned, and is no evidence. */
function judge(nodes, isMarked) {
  for (let i = nodes.length - 1; i >= 0; i -= 1) {
    const node = nodes[i];
    node.isHealthy &&= node.span.outcome === "returned" && !isMarked(node);
    if (node.parent !== null) node.parent.isHealthy &&= node.isHealthy;
  }
}

/** Fold the siblings that repeat, everywhere; return the roots. */
function folded(roots, mainTraceId, nodes, isMarked) {
  const fold = (repeats, isRest) => {
    const node = new Node(repeats[0].span, repeats, isRest);
    node.parent = repeats[0].parent;
    node.isHealthy = repeats[0].isHealthy;
    for (const each of repeats) each.parent = node;
    return node;
  };
  for (const node of nodes) node.children = withRepeats(node.children, isMarked, fold);
  // A trace that only links to the main one is never folded into a row of it.
  const rank = rankOf(mainTraceId);
  const [own, linked] = [0, 1].map((each) => roots.filter((node) => rank(node) === each));
  return [...withRepeats(own, isMarked, fold), ...withRepeats(linked, isMarked, fold)];
}

/** Return all nodes in the order of rows: behind a node follow those below it. */
function inOrder(roots) {
  count(roots);
  const waiting = [...roots].reverse();
  const order = [];
  while (waiting.length > 0) {
    const node = waiting.pop();
    node.index = order.length;
    node.depth = node.parent === null ? 0 : node.parent.depth + 1;
    order.push(node);
    if (node.children === NONE) continue;
    count(node.children);
    for (let i = node.children.length - 1; i >= 0; i -= 1) waiting.push(node.children[i]);
  }
  for (let i = order.length - 1; i >= 0; i -= 1) {
    const { parent, size, length } = order[i];
    if (parent === null) continue;
    parent.size += size;
    parent.length += length;
  }
  return order;
}

/** Return the rows of a trace's spans in their order; `evidence` holds the keys of marked spans. */
export function buildTree(trace, mainTraceId, evidence) {
  for (const span of trace.spans) span.node = new Node(span);
  const isMarked = (node) => evidence.has(node.span.key);
  const roots = attach(trace, mainTraceId);
  const nodes = sorted(roots, mainTraceId);
  judge(nodes, isMarked);
  return inOrder(folded(roots, mainTraceId, nodes, isMarked));
}

/** Return the rows that start folded: repeats, and large healthy branches of a large trace. */
export function initiallyFolded(order) {
  const isLarge = order.length > MOST_OPEN;
  const isFolded = (node) =>
    node.repeats || (isLarge && node.isHealthy && node.size > MOST_HEALTHY && node.parent !== null);
  return new Set(order.filter(isFolded));
}

/** Return the rows that show: all but those below folded nodes. */
export function unfoldedRows(order, folded) {
  const rows = [];
  for (let i = 0; i < order.length; ) {
    rows.push(order[i]);
    i += folded.has(order[i]) ? order[i].length : 1;
  }
  return rows;
}

/** Return the rows of a search: what was found, and the way to it. */
export function foundRows(order, found) {
  const shown = new Set();
  for (const node of found) {
    for (let each = node; each !== null && !shown.has(each); each = each.parent) shown.add(each);
  }
  return order.filter((node) => shown.has(node));
}
