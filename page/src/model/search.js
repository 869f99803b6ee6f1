// A search through spans, in slices, so that no keystroke waits for 20,000 spans.

const SLICE_MS = 8;

function textHas(value, wanted) {
  if (Array.isArray(value)) return value.some((each) => textHas(each, wanted));
  return String(value).toLowerCase().includes(wanted);
}

function anyHas(any, wanted) {
  if (any.arrayValue) return (any.arrayValue.values ?? []).some((each) => anyHas(each, wanted));
  for (const kind in any) if (textHas(any[kind], wanted)) return true;
  return false;
}

const attributesHave = (object, wanted) =>
  object.attributes?.some(({ key, value }) => textHas(key, wanted) || anyHas(value, wanted));

/** Return whether a span's name, ids, outcome, attributes or events hold a text (lower case). */
export function matches(span, wanted) {
  const { raw } = span;
  return (
    textHas([raw.name, raw.spanId, raw.traceId, span.outcome, raw.status?.message ?? ""], wanted) ||
    attributesHave(raw, wanted) ||
    raw.events?.some((event) => textHas(event.name, wanted) || attributesHave(event, wanted))
  );
}

/**
 * Search nodes for a text. Calls `done` with those found, later; returns a function that stops the
 * search, so that the next one can take its place.
 */
export function search(order, text, done) {
  const wanted = text.trim().toLowerCase();
  const found = [];
  let [at, isStopped] = [0, false];
  function slice() {
    if (isStopped) return;
    const until = performance.now() + SLICE_MS;
    while (at < order.length && performance.now() < until) {
      for (const last = Math.min(order.length, at + 50); at < last; at += 1) {
        const node = order[at];
        if (!node.repeats && matches(node.span, wanted)) found.push(node);
      }
    }
    if (at < order.length) setTimeout(slice);
    else done(found);
  }
  slice();
  return () => {
    isStopped = true;
  };
}
