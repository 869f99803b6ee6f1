// The shape of a trace: spans into a forest, the forest into rows. Nothing recurses, because a trace
// may be deeper than the stack, and each span is shown once, even if its parents form a circle.

import { keyOf } from "./spans.js";

const NONE = Object.freeze([]); // the children of most spans
const MOST_OPEN = 200; // rows of a trace that starts unfolded
const MOST_HEALTHY = 8; // spans of a healthy branch that starts unfolded in a larger trace

/** A span among others: `size` counts the spans of its subtree, `place` it among its siblings. */
class Node {
  constructor(span) {
    this.span = span;
    this.parent = null;
    this.children = NONE;
    this.depth = 0;
    this.size = 1;
    this.index = 0;
    this.place = 1;
    this.siblings = 1;
    this.isHealthy = true;
    this.isOrphan = false;
  }
}

// Spans that start together, such as those of a log without times, stay in the document's order.
const byStart = (one, other) => (one.span.start || 0) - (other.span.start || 0);

function attach({ spans, byKey }) {
  const roots = [];
  for (const { node, raw } of spans) {
    const parent = raw.parentSpanId && byKey.get(keyOf(raw.traceId, raw.parentSpanId))?.node;
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

/** Return all nodes, parents before their children, roots of the main trace first. */
function inOrder(roots, mainTraceId) {
  const rank = (node) => (node.span.raw.traceId === mainTraceId ? 0 : 1);
  roots.sort((a, b) => rank(a) - rank(b) || byStart(a, b));
  count(roots);
  const waiting = roots.reverse();
  const order = [];
  while (waiting.length > 0) {
    const node = waiting.pop();
    node.index = order.length;
    node.depth = node.parent === null ? 0 : node.parent.depth + 1;
    order.push(node);
    if (node.children === NONE) continue;
    node.children.sort(byStart);
    count(node.children);
    for (let i = node.children.length - 1; i >= 0; i -= 1) waiting.push(node.children[i]);
  }
  return order;
}

/** Give each node the size of its subtree and whether all of it returned. */
function summarize(order) {
  for (let i = order.length - 1; i >= 0; i -= 1) {
    const node = order[i];
    node.isHealthy &&= node.span.outcome === "returned";
    if (node.parent === null) continue;
    node.parent.size += node.size;
    node.parent.isHealthy &&= node.isHealthy;
  }
}

/** Return the nodes of a trace's spans in the order of rows: behind a node follow those below it. */
export function buildTree(trace, mainTraceId) {
  for (const span of trace.spans) span.node = new Node(span);
  const order = inOrder(attach(trace), mainTraceId);
  summarize(order);
  return order;
}

/** Return the nodes that start folded: large healthy branches, but nothing that is evidence. */
export function initiallyFolded(order, evidence) {
  const folded = new Set();
  if (order.length <= MOST_OPEN) return folded;
  const kept = new Set();
  for (const node of order) {
    if (!evidence.has(node.span.key)) continue;
    for (let above = node.parent; above !== null; above = above.parent) kept.add(above);
  }
  for (const node of order) {
    const isLarge = node.size > MOST_HEALTHY && node.parent !== null;
    if (node.isHealthy && isLarge && !kept.has(node)) folded.add(node);
  }
  return folded;
}

/** Return the rows that show: all but those below folded nodes. */
export function unfoldedRows(order, folded) {
  const rows = [];
  for (let i = 0; i < order.length; ) {
    rows.push(order[i]);
    i += folded.has(order[i]) ? order[i].size : 1;
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
