import { durationOf } from "../model/spans.js";
import { clean, duration } from "../text.js";

/** The height of a row in CSS pixels: fixed, so that rows that are not seen need not exist. */
export const ROW = 28;

const DEEPEST = 24; // levels of indentation
const LONGEST = 120; // characters of a name

const percent = (part) => `${(part * 100).toFixed(3)}%`;
const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

function Bar({ span, axis }) {
  const bar = axis.isEmpty ? null : axis.bar(span);
  if (bar === null) return null;
  return (
    <span
      class={`span-bar ${span.outcome}`}
      style={{ left: percent(bar.x), width: percent(bar.width) }}
    />
  );
}

/** What a screen reader hears of a row, besides its cells. */
function Mark({ evidence }) {
  if (!evidence) return null;
  return (
    <span class="evidence-mark" title={clean(evidence)}>
      evidence
    </span>
  );
}

/** A span as a row of the waterfall. */
export function Row(props) {
  const { node, position, place, siblings, axis, isOpen, isActive, isSelected, isHit, evidence } = props;
  const { span } = node;
  const hasChildren = node.children.length > 0;
  const took = durationOf(span);
  return (
    <div
      role="row"
      id={isActive ? "active-row" : undefined}
      class={`row ${span.outcome} ${isHit ? "hit" : ""} ${evidence ? "evident" : ""}`}
      style={{ top: `${position * ROW}px` }}
      aria-level={node.depth + 1}
      aria-posinset={place}
      aria-setsize={siblings}
      aria-rowindex={position + 2}
      aria-expanded={hasChildren ? isOpen : undefined}
      aria-selected={isSelected}
      onClick={props.onSelect}
    >
      <span role="gridcell" class="name" style={{ paddingLeft: `${Math.min(node.depth, DEEPEST) * 16}px` }}>
        {hasChildren ? (
          <span
            class={isOpen ? "toggle open" : "toggle"}
            aria-hidden="true"
            onClick={(event) => {
              event.stopPropagation();
              props.onToggle();
            }}
          />
        ) : (
          <span class="leaf" />
        )}
        <bdi class="label">
          {cut(clean(span.raw.name))}
          {span.label && <b> {cut(clean(span.label))}</b>}
        </bdi>
        {hasChildren && !isOpen && <small class="folded">+{node.size - 1}</small>}
        <Mark evidence={evidence} />
        {span.outcome !== "returned" && <span class={`outcome ${span.outcome}`}>{span.outcome}</span>}
      </span>
      <span role="gridcell" class="took">
        {Number.isNaN(took) ? "–" : duration(took)}
      </span>
      <span role="gridcell" class="track" aria-label="on the time axis">
        <Bar span={span} axis={axis} />
      </span>
    </div>
  );
}
