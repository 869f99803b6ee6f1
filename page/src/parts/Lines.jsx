import { keyOf } from "../model/spans.js";
import { clean, count } from "../text.js";
import { Copy } from "./Copy.jsx";
import { Text } from "./Text.jsx";

const MOST = 500; // lines that are shown; the clipboard gets all

/** The bracketed lines of the old diagnostic guide, each a way to its span. */
export function Lines({ lines, trace, onJump }) {
  if (lines.length === 0) return null;
  return (
    <details class="fold">
      <summary>
        <h2>Bracketed lines</h2>
        <span class="aside">{count(lines.length, "line")}, as the guide’s greps expect them</span>
      </summary>
      <p>
        <Copy
          text={lines.map((line) => clean(line.text, true)).join("\n")}
          name="all bracketed lines"
          label="copy all"
        />
      </p>
      <ol class="lines">
        {lines.slice(0, MOST).map((line) => {
          const key = keyOf(line.trace_id, line.span_id);
          return (
            <li>
              {trace.byKey.has(key) && (
                <button type="button" class="jump" onClick={() => onJump(key)}>
                  <code>{line.span_id.slice(0, 8)}</code>
                </button>
              )}
              <code>
                <Text value={line.text} keepLines />
              </code>
            </li>
          );
        })}
      </ol>
      {lines.length > MOST && <p>and {count(lines.length - MOST, "more line")}.</p>}
    </details>
  );
}
