import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { search } from "../model/search.js";
import { foundRows, initiallyFolded, unfoldedRows } from "../model/tree.js";
import { count } from "../text.js";
import { Details } from "./Details.jsx";
import { ROW, Row } from "./Row.jsx";
import { Ground, Scale } from "./Scale.jsx";

const OVERSCAN = 16; // rows beyond the edges, so that scrolling shows no gap
const STEP = 8; // rows of scrolling between two renderings
const HEAD = 44; // the height of the scale, in CSS pixels, which stays while rows scroll
const MARK = 190; // CSS pixels of the waterfall for a mark of its axis
const MOST_PRINTED = 2000;
const SEARCH_DELAY_MS = 120;

/** Return what was found, null without a search, and the text that it was searched for. */
function useSearch(order, text) {
  const [result, setResult] = useState({ found: null, searched: "" });
  useEffect(() => {
    if (text.trim() === "") {
      setResult({ found: null, searched: text });
      return undefined;
    }
    let stop = () => {};
    const timer = setTimeout(() => {
      stop = search(order, text, (found) => setResult({ found, searched: text }));
    }, SEARCH_DELAY_MS);
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [order, text]);
  return result;
}

/** Return the first and the last row to render, by the scrolled part of the viewport; its width. */
function useWindow(viewport, total) {
  const [[top, height, width], setSeen] = useState([0, 0, 800]);
  useLayoutEffect(() => {
    const element = viewport.current;
    const measure = () => {
      const first = Math.floor(element.scrollTop / ROW / STEP) * STEP;
      setSeen((seen) =>
        seen[0] === first && seen[1] === element.clientHeight && seen[2] === element.clientWidth
          ? seen
          : [first, element.clientHeight, element.clientWidth],
      );
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, [viewport]);
  const shown = Math.ceil((height || 600) / ROW) + STEP;
  return [Math.max(0, top - OVERSCAN), Math.min(total, top + shown + OVERSCAN), width];
}

/** Return the marks of the axis, as many as fit the width of the waterfall. */
function useMarks(axis, origin, width) {
  const most = Math.round(width / MARK);
  return useMemo(
    () => (axis.isEmpty ? [] : axis.marks(origin || axis.phases[0].start, most)),
    [axis, origin, most],
  );
}

/** Return the rows that show (on paper, which nothing unfolds, all), and what folds them. */
function useRows(order, found, isPrinted) {
  const [folded, setFolded] = useState(() => initiallyFolded(order));
  const rows = useMemo(() => {
    if (found) return foundRows(order, found);
    return isPrinted ? order : unfoldedRows(order, folded);
  }, [order, folded, found, isPrinted]);
  const setOpen = (node, isOpen) =>
    setFolded((before) => {
      const next = new Set(before);
      if (isOpen ?? before.has(node)) next.delete(node);
      else next.add(node);
      return next;
    });
  const foldAll = () =>
    setFolded(
      new Set(order.filter((node) => node.children.length > 0 && (node.depth > 0 || node.repeats))),
    );
  const reveal = (node) => {
    const next = new Set(folded);
    for (let above = node.parent; above !== null; above = above.parent) next.delete(above);
    if (next.size !== folded.size) setFolded(next);
  };
  const unfoldAll = () => setFolded(new Set());
  return { rows, folded, setOpen, foldAll, unfoldAll, reveal };
}

/** Where a key moves the cursor: a position among the rows. */
const MOVES = {
  ArrowDown: (at) => at + 1,
  ArrowUp: (at) => at - 1,
  PageDown: (at) => at + 15,
  PageUp: (at) => at - 15,
  Home: () => 0,
  End: (_, last) => last,
};

/** The waterfall: a tree of spans that folds, on one axis of time, with a search and details. */
export function Waterfall({
  order,
  axis,
  trace,
  evidence,
  deployment,
  selected,
  onSelect,
  onJump,
  onProcess,
  isPrinted,
}) {
  const [text, setText] = useState("");
  const [grid, input] = [useRef(null), useRef(null)];
  const { found, searched } = useSearch(order, text);
  const isHitWanted = useRef(false);
  const hits = useMemo(() => found && new Set(found), [found]);
  const { rows, folded, setOpen, foldAll, unfoldAll, reveal } = useRows(order, found, isPrinted);
  const [cursor, setCursor] = useState(order[0]);
  const at = Math.max(0, rows.indexOf(cursor));
  const seen = useWindow(grid, rows.length);
  const marks = useMarks(axis, order[0]?.span.start, seen[2]);
  const [first, last] = isPrinted ? [0, Math.min(rows.length, MOST_PRINTED)] : seen;
  const target = selected && trace.byKey.get(selected.key)?.node;

  // A selected span is unfolded, and then scrolled to, once its row exists.
  useLayoutEffect(() => {
    if (!target) return;
    if (hits && !rows.includes(target)) setText("");
    reveal(target);
    setCursor(target);
  }, [selected]);
  useLayoutEffect(() => {
    if (target && selected.isJump) scrollTo(rows.indexOf(target), "center");
  }, [selected, rows]);
  useLayoutEffect(toFirstHit, [searched, rows]);
  useEffect(() => onKeys(input), []);

  function scrollTo(position, where = "nearest") {
    const element = grid.current;
    const [top, room] = [position * ROW, element.clientHeight - HEAD];
    if (position < 0) return;
    if (where === "center") element.scrollTop = top - room / 2;
    else if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW > element.scrollTop + room) element.scrollTop = top + ROW - room;
  }

  function moveTo(position) {
    const next = Math.min(rows.length - 1, Math.max(0, position));
    setCursor(rows[next]);
    scrollTo(next);
  }

  // The same functions in every rendering, for rows that are not rendered again.
  const onToggle = useCallback((node) => setOpen(node), []);
  const onRow = useCallback((node) => {
    setCursor(node);
    choose(node);
  }, []);

  /** Show a span's details; of a row of several spans, the spans. */
  function choose(node) {
    if (node.repeats) setOpen(node);
    else onSelect(node.span.key);
  }

  function onKeyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || rows.length === 0) return;
    const node = rows[at];
    const isOpen = node.children.length > 0 && !folded.has(node);
    if (event.key in MOVES) moveTo(MOVES[event.key](at, rows.length - 1));
    else if (event.key === "ArrowRight" && isOpen) moveTo(at + 1);
    else if (event.key === "ArrowRight" && node.children.length > 0) setOpen(node, true);
    else if (event.key === "ArrowLeft" && isOpen && !hits) setOpen(node, false);
    else if (event.key === "ArrowLeft" && node.parent) moveTo(rows.indexOf(node.parent));
    else if (event.key === "Enter" || event.key === " ") choose(node);
    else if (event.key === "Escape") onSelect(null);
    else return;
    event.preventDefault();
  }

  function onSearchKey(event) {
    if (event.key === "Escape") setText("");
    else if ((event.key === "Enter" || event.key === "ArrowDown") && rows.length > 0) {
      isHitWanted.current = true;
      toFirstHit();
      grid.current.focus();
      event.preventDefault();
    }
  }

  // A fast typist presses Enter before the search has ended.
  function toFirstHit() {
    if (!isHitWanted.current || searched !== text) return;
    isHitWanted.current = false;
    const hit = hits ? rows.find((node) => hits.has(node)) : rows[at];
    if (hit) moveTo(rows.indexOf(hit));
  }

  return (
    <section
      class="waterfall"
      aria-labelledby="spans"
      style={{ "--row": `${ROW}px`, "--head": `${HEAD}px` }}
    >
      <header class="bar">
        <h2 id="spans">Spans</h2>
        <span class="aside" role="status">
          {hits
            ? `${found.length.toLocaleString("en")} of ${count(trace.spans.length, "span")}`
            : count(trace.spans.length, "span")}
        </span>
        <input
          ref={input}
          type="search"
          placeholder="Search names, ids, attributes"
          aria-label="Search spans"
          aria-keyshortcuts="/"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onSearchKey}
        />
        <button type="button" class="tool" onClick={unfoldAll}>
          Unfold all
        </button>
        <button type="button" class="tool" onClick={foldAll}>
          Fold all
        </button>
      </header>
      <div class={selected ? "panes with-details" : "panes"}>
        <div
          ref={grid}
          class="grid"
          role="treegrid"
          aria-labelledby="spans"
          aria-rowcount={rows.length + 1}
          aria-activedescendant={rows.length > 0 ? "active-row" : undefined}
          tabIndex={0}
          onKeyDown={onKeyDown}
        >
          <Scale axis={axis} marks={marks} />
          <div
            class="rows"
            role="rowgroup"
            style={{ height: `${(isPrinted ? last : rows.length) * ROW}px` }}
          >
            <Ground axis={axis} marks={marks} />
            {windowed(rows, first, last, at).map((position) => {
              const node = rows[position];
              return (
                <Row
                  key={node.key}
                  node={node}
                  position={position}
                  axis={axis}
                  isOpen={hits || isPrinted ? true : !folded.has(node)}
                  isActive={position === at}
                  isSelected={node === target}
                  isHit={hits?.has(node)}
                  mark={node.repeats ? undefined : evidence.get(node.key)}
                  deployment={deployment}
                  onToggle={onToggle}
                  onSelect={onRow}
                />
              );
            })}
          </div>
          {isPrinted && rows.length > last && <p>and {count(rows.length - last, "more row")}.</p>}
        </div>
        {selected && target && (
          <Details
            key={target.span.key}
            span={target.span}
            trace={trace}
            onJump={onJump}
            onProcess={onProcess}
            onClose={() => {
              onSelect(null);
              grid.current.focus();
            }}
          />
        )}
      </div>
    </section>
  );
}

/** The positions to render: the window, and the active row, which assistive technology follows. */
function windowed(rows, first, last, active) {
  const positions = [];
  if (active < first && active < rows.length) positions.push(active);
  for (let i = first; i < last; i += 1) positions.push(i);
  if (active >= last && active < rows.length) positions.push(active);
  return positions;
}

/** Let `/` begin a search from anywhere on the page; returns what ends that. */
function onKeys(input) {
  const listener = (event) => {
    const isTyping = event.target.matches?.("input, textarea, select");
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.current.focus();
    input.current.select();
  };
  document.addEventListener("keydown", listener);
  return () => document.removeEventListener("keydown", listener);
}
