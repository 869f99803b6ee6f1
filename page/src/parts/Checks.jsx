import { Text } from "./Text.jsx";

/** The guide's list of what holds when everything works. */
export function Checks({ checks, words }) {
  if (checks.length === 0) return null;
  const failed = checks.filter((check) => check.result === "fail").length;
  return (
    <details class="fold" open={failed > 0}>
      <summary>
        <h2>Expected when everything works</h2>
        <span class="aside">{failed > 0 ? `${failed} of ${checks.length} fail` : ""}</span>
      </summary>
      <ul class="checks">
        {checks.map((check) => (
          <li class={check.result}>
            <span class="mark">{words.results[check.result]}</span>
            <span class="phase">{check.phase}</span>
            <span>
              <Text value={check.text} />
              {check.found && (
                <code>
                  <Text value={check.found} />
                </code>
              )}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
