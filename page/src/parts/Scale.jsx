import { tick } from "../text.js";

const percent = (part) => `${(part * 100).toFixed(3)}%`;

const NEAR_END = 0.8; // from here on, a text ends at the axis's end rather than beyond it

function placed(name, x) {
  return x > NEAR_END ? { class: `${name} ending` } : { class: name, style: { left: percent(x) } };
}

/** The head of the waterfall: the times of the axis, and the waits that are folded. */
export function Scale({ axis, marks }) {
  return (
    <div class="scale" role="rowgroup">
      <div role="row" aria-rowindex={1} class="head">
        <span role="columnheader" class="name">
          span
        </span>
        <span role="columnheader" class="took">
          took
        </span>
        <span role="columnheader" class="track" aria-label="time">
          {axis.folds.map((fold) => (
            <span {...placed("wait", fold.x + fold.width / 2)}>{fold.text}</span>
          ))}
          {marks.map((mark) => (
            <span {...placed("mark", mark.x)}>{tick(mark.time)}</span>
          ))}
        </span>
      </div>
    </div>
  );
}

/** The lines of the marks and the folded waits, behind the bars of all rows. */
export function Ground({ axis, marks }) {
  return (
    <div class="ground" aria-hidden="true">
      <div class="track">
        {marks.map((mark) => (
          <i class="line" style={{ left: percent(mark.x) }} />
        ))}
        {axis.folds.map((fold) => (
          <i class="fold-band" style={{ left: percent(fold.x), width: percent(fold.width) }} />
        ))}
      </div>
    </div>
  );
}
