// Where everything of the picture stands: marks in columns, in order, and the State Manager's states
// between them.

export const LABELS = 112; // the width of the lanes' names
const FOLD = 76; // the width of a long wait, or of the border of what has no known order
const EARLIER = 48;
const LEAST_COLUMN = 132;
const LEAST_WIDTH = 1216;

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Return whether a picture shows any state at all. */
export function hasState(picture) {
  const states = [picture.before, ...picture.marks.map((mark) => mark.state)];
  return states.some((state) => state && state.has_build !== null);
}

function foldBefore(mark, last) {
  if (mark.wait_seconds !== null) return { seconds: mark.wait_seconds };
  return !mark.is_ordered && last?.is_ordered ? { isBorder: true } : null;
}

/** Return the marks with their places, and the folds before them. */
function columns(marks) {
  const before = marks.map((mark, i) => foldBefore(mark, marks[i - 1]));
  const folded = before.filter(Boolean).length * FOLD;
  const width = Math.max(LEAST_WIDTH, LABELS + folded + marks.length * LEAST_COLUMN);
  const column = (width - LABELS - folded) / marks.length;
  const [places, folds] = [[], []];
  let x = LABELS;
  marks.forEach((mark, i) => {
    if (before[i]) {
      folds.push({ ...before[i], x, width: FOLD });
      x += FOLD;
    }
    places.push({ mark, x: x + 22, right: x + column });
    x += column;
  });
  return { places, folds, width, column };
}

/** Return the states as `{state, x, width, isLate}`: one for each change, in order. */
function statesOf(picture, places) {
  const ordered = places.filter(({ mark }) => mark.is_ordered);
  const end = ordered.at(-1)?.right ?? LABELS;
  const found = [{ state: picture.before, x: LABELS }];
  for (const { mark, x } of ordered) {
    const last = found.at(-1);
    if (!mark.state || same(mark.state, last.state)) continue;
    // What only a read shows began at some time before it.
    found.push({ state: mark.state, x: mark.state.as_read ? x - EARLIER : x });
  }
  let wasDeployed = false;
  return found.map((each, i) => {
    const isLate = wasDeployed && !each.state.is_deployed;
    wasDeployed ||= each.state.is_deployed;
    return { ...each, width: (found[i + 1]?.x ?? end) - each.x, isLate };
  });
}

/** Return the layout of a picture: `{width, column, places, folds, states}`. */
export function layoutOf(picture) {
  const { places, ...rest } = columns(picture.marks);
  return { ...rest, places, states: statesOf(picture, places) };
}
