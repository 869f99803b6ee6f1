// The axis of time: phases side by side at one scale, with the long waits between them folded.

import { duration } from "../text.js";
import { attribute } from "./spans.js";

const MOST_FOLDS = 8;
const FOLD_SHARE = 0.08; // of the axis, for one fold
const MOST_SHARE = 0.4; // of the axis, for all folds together
const LONG = 0.2; // a wait this much as long as all that was busy is folded
const LEAST_PHASE = 0.1; // of the axis, so that a short read beside a long deployment is seen

/** Return the spans' times as `[start, end]`, merged where they overlap, in order. */
function busyTimes(spans) {
  const timed = spans.filter((span) => !Number.isNaN(span.start));
  const latest = timed.reduce((most, span) => Math.max(most, span.end || span.start), -Infinity);
  const times = timed.map((span) => [span.start, Math.max(span.start, span.end || latest)]);
  times.sort((one, other) => one[0] - other[0]);
  const merged = [];
  for (const [start, end] of times) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** Return the phases: busy times, joined where the wait between them is not worth a fold. */
function phasesOf(busy) {
  const total = busy.reduce((sum, [start, end]) => sum + end - start, 0);
  const waits = busy.slice(1).map(([start], i) => ({ i: i + 1, length: start - busy[i][1] }));
  const long = waits.filter(({ length }) => length > LONG * Math.max(total, 1));
  long.sort((one, other) => other.length - one.length);
  const cuts = new Set(long.slice(0, MOST_FOLDS).map(({ i }) => i));
  const phases = [];
  busy.forEach(([start, end], i) => {
    if (phases.length === 0 || cuts.has(i)) phases.push({ start, end });
    else phases.at(-1).end = end;
  });
  return phases;
}

/** Give each phase its place on the axis, as fractions `x` and `width`. */
function place(phases) {
  const folds = phases.length - 1;
  const fold = Math.min(FOLD_SHARE, MOST_SHARE / Math.max(1, folds));
  const room = 1 - folds * fold;
  const total = phases.reduce((sum, { start, end }) => sum + end - start, 0) || 1;
  const least = Math.min(LEAST_PHASE, 0.6 / phases.length);
  const weights = phases.map(({ start, end }) => Math.max((end - start) / total, least));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  let x = 0;
  phases.forEach((phase, i) => {
    phase.x = x;
    phase.width = (room * weights[i]) / sum;
    x += phase.width + fold;
  });
}

const READS = new Set(["flash.runtime.fetch", "flash.manifest.fetch"]);

const hostOf = (span) => attribute(span.process.resource, "host.name");
const earliest = (spans) => spans.reduce((one, other) => (other.start < one.start ? other : one));

/** Say what comes how long after the last phase: its first read, or else its first span. */
function waitText(spans, phase, since, words) {
  const within = spans.filter(({ start }) => start >= phase.start && start <= phase.end);
  const reads = within.filter(({ raw }) => READS.has(raw.name));
  const first = earliest(reads.length > 0 ? reads : within);
  const served = words.arrivals[attribute(first.raw, "faas.trigger")];
  const what = words.arrivals[first.raw.name] ?? served ?? words.other_arrival;
  const clock = hostOf(first) === hostOf(spans[0]) ? "" : `, ${words.by_own_clock}`;
  return `${what} ${duration(first.start - since)} later${clock}`;
}

/** The axis of spans: where a time lies, what is folded, and where marks with a time stand. */
export class Axis {
  constructor(spans, words) {
    this.phases = phasesOf(busyTimes(spans));
    place(this.phases);
    this.folds = this.phases.slice(1).map((phase, i) => {
      const before = this.phases[i];
      const x = before.x + before.width;
      return { x, width: phase.x - x, text: waitText(spans, phase, before.end, words) };
    });
  }

  get isEmpty() {
    return this.phases.length === 0;
  }

  /** Return the place of a time on the axis, from 0 to 1. */
  at(time) {
    let last = this.phases[0];
    for (const phase of this.phases) if (phase.start <= time) last = phase;
    const length = last.end - last.start || 1;
    const within = Math.min(1, Math.max(0, (time - last.start) / length));
    return last.x + within * last.width;
  }

  /** Return the place and the width of a span's bar; null if its time is not known. */
  bar(span) {
    if (Number.isNaN(span.start)) return null;
    const x = this.at(span.start);
    const end = Number.isNaN(span.end) ? this.phases.at(-1).end : span.end;
    return { x, width: Math.max(0, this.at(end) - x) };
  }

  /** Return at most about `most` marks `{x, time}`, at round times since `origin`. */
  marks(origin, most) {
    return this.phases.flatMap((phase) => phaseMarks(phase, origin, most));
  }
}

function phaseMarks(phase, origin, mostOfAll) {
  const marks = [{ x: phase.x, time: phase.start - origin }];
  const [length, most] = [phase.end - phase.start, Math.floor(phase.width * mostOfAll)];
  if (most < 2 || length <= 0) return marks;
  const step = roundStep(length / most);
  const first = Math.ceil((phase.start - origin) / step + 0.5) * step;
  for (let time = first; time < phase.end - origin - step * 0.4; time += step) {
    marks.push({ x: phase.x + ((time + origin - phase.start) / length) * phase.width, time });
  }
  return marks;
}

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= least);
}
