import { hasState, LABELS, layoutOf } from "../model/picture.js";
import { keyOf } from "../model/spans.js";
import { clean, count, duration, short } from "../text.js";

// The lanes from top to bottom, in units of the drawing.
const DEPLOYMENT = 70;
const BAND = { top: 100, height: 50 };
const WORKERS = 186;
const LINE = 16;
const CHARACTER = 6.6; // the usual width of one, of this size
const MOST_LINES = 3;
const LEAST_TEXT = 8; // characters, or the text of a state is left out

const UUID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;

/** Break text into lines of a width; a mark shows what is left out. */
function broken(text, width) {
  const most = Math.max(8, Math.floor(width / CHARACTER));
  const lines = [];
  for (const word of clean(text).replace(UUID, short).split(" ")) {
    const cut = word.length > most ? `${word.slice(0, most - 1)}…` : word;
    if (lines.length > 0 && lines.at(-1).length + cut.length < most)
      lines.push(`${lines.pop()} ${cut}`);
    else lines.push(cut);
  }
  return lines.length > MOST_LINES ? [...lines.slice(0, MOST_LINES - 1), "…"] : lines;
}

function timeOf(mark) {
  if (mark.seconds === null) return "";
  if (mark.seconds === 0) return "0 s";
  const sign = mark.seconds < 0 ? "−" : "+";
  return `${mark.same_clock ? "" : "~"}${sign}${duration(Math.abs(mark.seconds) * 1e9)}`;
}

function textOf(mark) {
  return mark.count > 1 ? `${mark.text} ×${mark.count}` : mark.text;
}

const stateTexts = (state) => state.says.map((text) => clean(text).replace(UUID, short));

function toneOf(state, isLate, written) {
  if (!state.has_build) return "unknown";
  if (isLate) return "late";
  if (!state.is_deployed) return "older";
  return state.endpoint_count === written ? "complete" : "partial";
}

/** What a person hears of a mark. */
function spoken(mark, words) {
  const who = mark.lane === "deployment" ? "Deployment" : "Worker";
  const differs = mark.is_marked
    ? mark.differs.map((name) => words.differences[name]).join(", ")
    : "";
  return [who, timeOf(mark), textOf(mark), differs && `fault: ${differs}`]
    .filter(Boolean)
    .map(clean)
    .join(", ");
}

function Lines({ x, y, lines, isTimed = false }) {
  return lines.map((line, i) => (
    <text x={x} y={y + i * LINE} class={isTimed && i === 0 ? "time" : undefined}>
      {line}
    </text>
  ));
}

function State({ each, written }) {
  const { state, x, width, isLate } = each;
  const most = Math.floor(width / CHARACTER) - 2;
  const texts = (most < LEAST_TEXT ? [] : stateTexts(state)).map((text) =>
    text.length > most ? `${text.slice(0, most - 1)}…` : text,
  );
  return (
    <g class={`state ${toneOf(state, isLate, written)} ${state.as_read ? "as-read" : ""}`}>
      <title>{stateTexts(state).filter(Boolean).join(", ")}</title>
      <rect x={x} y={BAND.top} width={Math.max(2, width)} height={BAND.height} rx="5" />
      <Lines x={x + 10} y={BAND.top + (texts[1] ? 21 : 29)} lines={texts.filter(Boolean)} />
    </g>
  );
}

function Arrow({ x, from, to, isBroken }) {
  return (
    <g class={isBroken ? "arrow broken" : "arrow"}>
      <path d={`M${x} ${from}V${to}`} />
      <path d={isBroken ? `M${x - 4} ${to - 4}l8 8m0 -8l-8 8` : `M${x - 4} ${to - 5}l4 5l4 -5`} />
    </g>
  );
}

/** The arrow of a mark: what it wrote, or what it read; a read of another environment has none. */
function ArrowOf({ mark, x, isChange }) {
  if (mark.lane === "deployment") {
    return isChange ? <Arrow x={x} from={DEPLOYMENT + 7} to={BAND.top} /> : null;
  }
  if (mark.kind !== "read" || mark.differs.includes("environment_id")) return null;
  const isBroken = mark.build_id === null && mark.endpoint_count === null;
  return <Arrow x={x} from={BAND.top + BAND.height} to={WORKERS - 8} isBroken={isBroken} />;
}

function MarkOf({ place, words, column, isChange, isKnown, onJump }) {
  const { mark, x } = place;
  const isDeployment = mark.lane === "deployment";
  const y = isDeployment ? DEPLOYMENT : WORKERS;
  const time = timeOf(mark);
  const lines = [...(time ? [time] : []), ...broken(textOf(mark), column - 16)];
  const first = isDeployment ? y + 2 - lines.length * LINE : y + 24;
  const top = isDeployment ? first - LINE : y - LINE / 2;
  const differs = mark.is_marked ? (words.differences[mark.differs[0]] ?? "fault") : "";
  const jump = () => onJump(keyOf(mark.trace_id, mark.span_id));
  const act = isKnown && {
    role: "button",
    tabindex: 0, // names in SVG have one case
    "aria-label": spoken(mark, words),
    onClick: jump,
    onKeyDown: (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        jump();
      }
    },
  };
  return (
    <g class={`mark ${mark.is_marked ? "marked" : ""} ${isKnown ? "jumps" : ""}`} {...act}>
      <title>{clean(textOf(mark))}</title>
      <rect class="area" x={x - 10} y={top} width={column - 8} height={(lines.length + 2) * LINE} />
      <ArrowOf mark={mark} x={x} isChange={isChange} />
      <circle cx={x} cy={y} r="6" />
      <Lines x={x - 6} y={first} lines={lines} isTimed={time !== ""} />
      {differs && (
        <text x={x - 6} y={first + lines.length * LINE + 2} class="differs">
          {differs}
        </text>
      )}
    </g>
  );
}

function Lane({ y, name, width }) {
  return (
    <g class="lane">
      <path d={`M${LABELS} ${y}H${width}`} />
      <text x="0" y={y + 4}>
        {name}
      </text>
    </g>
  );
}

function Fold({ fold, words }) {
  const text = fold.isBorder ? words.unknown_order : `${duration(fold.seconds * 1e9)} later`;
  const [middle, top, bottom] = [fold.x + fold.width / 2 - 8, DEPLOYMENT - 16, WORKERS + 16];
  return (
    <g class="fold-mark">
      <path d={`M${middle - 6} ${top}V${bottom}M${middle + 6} ${top}V${bottom}`} />
      <text x={middle} y={bottom + 16} text-anchor="middle">
        {text}
      </text>
    </g>
  );
}

/** The picture of a fault: deployment and workers against what the State Manager held, in order. */
export function Picture({ picture, words, trace, onJump }) {
  if (!picture || !hasState(picture)) return null;
  const { width, column, places, folds, states } = layoutOf(picture);
  const height = picture.marks.some((mark) => mark.lane === "runtime") ? 276 : 222;
  const changes = new Set(states.map(({ x }) => x));
  return (
    <section>
      <h2 id="picture">What the State Manager held, and who read it</h2>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="picture">
        <svg
          class="picture"
          role="group"
          aria-labelledby="picture"
          viewBox={`0 0 ${width} ${height}`}
          style={{ minWidth: `${Math.round(width * 0.72)}px` }}
        >
          <Lane y={DEPLOYMENT} name="Deployment" width={width} />
          <Lane y={WORKERS} name="Workers" width={width} />
          <text x="0" y={BAND.top + 29} class="lane-name">
            State Manager
          </text>
          {!picture.marks.some((mark) => mark.lane === "runtime") && (
            <text x={LABELS + 16} y={WORKERS + 20} class="lane-name">
              no read is recorded
            </text>
          )}
          {states.map((each) => (
            <State each={each} written={picture.endpoint_count} />
          ))}
          {folds.map((fold) => (
            <Fold fold={fold} words={words} />
          ))}
          {places.map((place) => (
            <MarkOf
              place={place}
              words={words}
              column={column}
              isChange={changes.has(place.x)}
              isKnown={trace.byKey.has(keyOf(place.mark.trace_id, place.mark.span_id))}
              onJump={onJump}
            />
          ))}
        </svg>
      </div>
      {picture.marks.some((mark) => mark.seconds !== null && !mark.same_clock) && (
        <p class="aside">~ by another machine’s clock</p>
      )}
      {picture.left_out > 0 && (
        <p class="aside">{count(picture.left_out, "more read")} not shown</p>
      )}
    </section>
  );
}
