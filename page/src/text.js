// Text for people: hostile characters made visible, durations, times, ids.

// Control and format characters (bidirectional overrides among them), private use, surrogates, and
// the separators that begin a line: the same as flash_otel.report.words.clean.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const HIDDEN_BUT_LINES = /(?![\n\t])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
const NAMED = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

export function spelled(character) {
  if (character in NAMED) return NAMED[character];
  const code = character.codePointAt(0);
  const [mark, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${mark}${code.toString(16).padStart(digits, "0")}`;
}

/** Return text with its invisible characters spelled out; `keepLines` keeps line ends and tabs. */
export function clean(value, keepLines = false) {
  return String(value).replace(keepLines ? HIDDEN_BUT_LINES : HIDDEN, spelled);
}

/** Split text into pieces `[text, isSpelled]`, so that a spelled character can look like one. */
export function pieces(value, keepLines = false) {
  const text = String(value);
  const found = [];
  let at = 0;
  for (const match of text.matchAll(keepLines ? HIDDEN_BUT_LINES : HIDDEN)) {
    if (match.index > at) found.push([text.slice(at, match.index), false]);
    found.push([spelled(match[0]), true]);
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push([text.slice(at), false]);
  return found;
}

const floored = (value) => (Math.floor(value * 100) / 100).toFixed(2);

/** Format nanoseconds in the unit that fits them, rounded down: 999.99 ms must not be 1000 ms. */
export function duration(ns) {
  if (ns === null || ns === undefined || Number.isNaN(ns)) return "?";
  if (ns < 0) return `-${duration(-ns)}`;
  const ms = ns / 1e6;
  if (ms < 10) return `${floored(ms)} ms`;
  if (ms < 1000) return `${Math.floor(ms)} ms`;
  const seconds = ns / 1e9;
  if (seconds < 60) return `${floored(seconds)} s`;
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours >= 48) return `${Math.floor(hours / 24)} days`;
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** Format a time on an axis: no more digits than tell neighbouring ticks apart. */
export function tick(ns) {
  const size = Math.abs(ns);
  if (size === 0) return "0";
  if (size < 1e9) return `${Number((ns / 1e6).toPrecision(3))} ms`;
  if (size < 60e9) return `${Number((ns / 1e9).toPrecision(4))} s`;
  return duration(ns);
}

/** Format nanoseconds since the epoch (BigInt) in the reader's zone, and in UTC. */
export function moment(ns) {
  const date = new Date(Number(ns / 1000000n));
  if (Number.isNaN(date.getTime())) return { local: `${ns} ns`, utc: `${ns} ns` };
  const local = date.toLocaleString("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  });
  return { local, utc: date.toISOString() };
}

const SHORT = 8;

/** Return the beginning of a long id, with a mark of the cut. */
export function short(id) {
  const text = clean(id);
  return text.length > SHORT + 4 ? `${text.slice(0, SHORT)}…` : text;
}

/** Return a number with its noun: `1 span`, `20,000 spans`. */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
