import { useState } from "preact/hooks";
import { clean, pieces, short } from "../text.js";
import { Copy } from "./Copy.jsx";

const LONGEST = 600; // characters of a value that are shown at first
const BLOCK = 4000; // characters that a browser lays out at once

/** Text from a recording: one direction, invisible characters spelled out and marked. */
export function Text({ value, keepLines = false }) {
  return (
    <bdi>
      {pieces(value, keepLines).map(([text, isSpelled]) =>
        isSpelled ? <span class="spelled">{text}</span> : text,
      )}
    </bdi>
  );
}

function blocksOf(text) {
  const blocks = [];
  for (let at = 0; at < text.length; at += BLOCK) blocks.push(text.slice(at, at + BLOCK));
  return blocks;
}

/** A value of any length: cut at first, whole on demand, in blocks that are laid out when seen. */
export function Value({ value, name }) {
  const [isWhole, setWhole] = useState(false);
  const text = Array.isArray(value) ? value.join("\n") : String(value);
  if (text.length <= LONGEST) {
    return <Text value={text} keepLines />;
  }
  const amount = `${text.length.toLocaleString("en")} characters`;
  return (
    <>
      {isWhole ? (
        <div class="whole" tabIndex={0} role="group" aria-label={`${name}, ${amount}`}>
          {blocksOf(clean(text, true)).map((block) => (
            <bdi class="block">{block}</bdi>
          ))}
        </div>
      ) : (
        <>
          <Text value={text.slice(0, LONGEST)} keepLines />
          <span class="cut">…</span>
        </>
      )}
      <button type="button" class="quiet" onClick={() => setWhole(!isWhole)}>
        {isWhole ? "show less" : `show all (${amount})`}
      </button>
    </>
  );
}

/** An id: its beginning where there is little room, whole in its title and for the clipboard. */
export function Id({ value, name, isShort = false }) {
  if (value === null || value === undefined || value === "") return <span class="none">–</span>;
  const text = clean(value);
  return (
    <span class="id">
      <code title={text}>{isShort ? short(text) : text}</code>
      <Copy text={text} name={name} />
    </span>
  );
}
