import { Component } from "preact";
import { barsOf, durationsOf } from "../model/repeats.js";
import { attribute, durationOf, foreignIds } from "../model/spans.js";
import { clean, duration, short } from "../text.js";

/** The height of a row in CSS pixels: fixed, so that rows that are not seen need not exist. */
export const ROW = 28;

const DEEPEST = 24; // levels of indentation
const LONGEST = 120; // characters of a name

const percent = (part) => `${(part * 100).toFixed(3)}%`;
const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

function Bars({ node, axis }) {
  if (axis.isEmpty) return null;
  const bars = node.repeats ? barsOf(node.repeats, axis) : [axis.bar(node.span)];
  return bars
    .filter(Boolean)
    .map((bar) => (
      <span
        class={`span-bar ${node.span.outcome}`}
        style={{ left: percent(bar.x), width: percent(bar.width) }}
      />
    ));
}

/** What distinguishes a span from its siblings; of several, how many they are. */
function Special({ node }) {
  const { span, repeats, isRest } = node;
  const text = repeats
    ? `×${repeats.length.toLocaleString("en")}${isRest ? " more" : ""}`
    : cut(clean(span.label));
  return text && <b> {text}</b>;
}

/** How long the spans of a row took that repeat. */
function Limits({ durations }) {
  if (!durations) return null;
  const text = Object.entries(durations).map(([name, took]) => `${name} ${duration(took)}`);
  return (
    <small class="limits" title={text.join(", ")}>
      {text.join(", ")}
    </small>
  );
}

/** That a span is evidence: where the fault is visible, or what is compared with that. */
function Mark({ mark }) {
  if (!mark) return null;
  return (
    <span
      class={mark.shows_fault ? "chip fault" : "chip"}
      title={`${clean(mark.code)}: ${clean(mark.says)}`}
    >
      {mark.shows_fault ? "fault" : "evidence"}
    </span>
  );
}

/** Ids that are not the deployment's. */
function Foreign({ span, deployment }) {
  const ids = foreignIds(span, deployment);
  if (ids.length === 0) return null;
  return (
    <span class="foreign" title={ids.map(([name, id]) => `other ${name}: ${clean(id)}`).join("\n")}>
      {ids.map(([name, id]) => `${name} ${short(id)}`).join(", ")}
    </span>
  );
}

/** The process of a span that does not run in its parent's; spans that repeat may run anywhere. */
function Where({ node }) {
  if (node.repeats) return null;
  const { process } = node.span;
  if (process === node.parent?.span.process || (!node.parent && node.index === 0)) return null;
  const name = attribute(process.resource, "service.name");
  return name ? <small class="where">{cut(clean(name))}</small> : null;
}

const CHANGING = ["node", "position", "axis", "isOpen", "isActive", "isSelected", "isHit"];

/** A span as a row of the waterfall. While rows scroll, those that stay are not rendered again. */
export class Row extends Component {
  shouldComponentUpdate(next) {
    return CHANGING.some((name) => next[name] !== this.props[name]);
  }

  render(props) {
    return <Cells {...props} />;
  }
}

function Cells({ node, position, axis, isOpen, isActive, isSelected, isHit, mark, ...props }) {
  const { span } = node;
  const hasChildren = node.children.length > 0;
  const inside = node.size - (node.repeats?.length ?? 1);
  const durations = node.repeats && durationsOf(node.repeats);
  const took = node.repeats ? (durations?.median ?? NaN) : durationOf(span);
  return (
    <div
      role="row"
      id={isActive ? "active-row" : undefined}
      class={`row ${span.outcome} ${isHit ? "hit" : ""} ${mark?.shows_fault ? "guilty" : ""}`}
      style={{ top: `${position * ROW}px` }}
      aria-level={node.depth + 1}
      aria-posinset={node.place}
      aria-setsize={node.siblings}
      aria-rowindex={position + 2}
      aria-expanded={hasChildren ? isOpen : undefined}
      aria-selected={isSelected}
      onClick={() => props.onSelect(node)}
    >
      <span
        role="gridcell"
        class="name"
        style={{ paddingLeft: `${Math.min(node.depth, DEEPEST) * 16}px` }}
      >
        {hasChildren ? (
          <span
            class={isOpen ? "toggle open" : "toggle"}
            aria-hidden="true"
            onClick={(event) => {
              event.stopPropagation();
              props.onToggle(node);
            }}
          />
        ) : (
          <span class="leaf" />
        )}
        <bdi class="label">
          {cut(clean(span.raw.name))}
          <Special node={node} />
        </bdi>
        {node.repeats?.length > 1 && <Limits durations={durations} />}
        {hasChildren && !isOpen && inside > 0 && <small class="folded">+{inside}</small>}
        <Where node={node} />
        {span.outcome !== "returned" && (
          <span class={`outcome ${span.outcome}`}>{span.outcome}</span>
        )}
        <Mark mark={mark} />
        <Foreign span={span} deployment={props.deployment} />
      </span>
      <span role="gridcell" class="took">
        {Number.isNaN(took) ? "–" : duration(took)}
      </span>
      <span role="gridcell" class="track" aria-label="on the time axis">
        <Bars node={node} axis={axis} />
      </span>
    </div>
  );
}
