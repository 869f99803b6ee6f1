import { keyOf } from "../model/spans.js";
import { Text } from "./Text.jsx";
import { Prose, toneOf } from "./Verdict.jsx";

const MOST = 20; // findings that are shown in full

/** The place of a piece of evidence: a button that jumps to its span, or a file and its line. */
function Place({ exhibit, trace, onJump }) {
  const { trace_id: traceId, span_id: spanId, place } = exhibit;
  const span = trace.byKey.get(keyOf(traceId, spanId));
  if (span) {
    return (
      <button type="button" class="jump" onClick={() => onJump(span.key)}>
        <Text value={span.raw.name} /> <code>{spanId.slice(0, 8)}</code>
      </button>
    );
  }
  return <code>{place ? <Text value={place} /> : `span ${spanId ?? "unknown"}`}</code>;
}

/** What the verdict rests on: every finding with its evidence, each piece a way to its span. */
export function Findings({ diagnosis, trace, onJump }) {
  const findings = diagnosis.findings.filter((finding) => finding.evidence.length > 0);
  if (findings.length === 0) return null;
  return (
    <section aria-labelledby="evidence">
      <h2 id="evidence">Evidence</h2>
      {findings.slice(0, MOST).map((finding) => (
        <article class={`finding ${finding.is_fault ? toneOf(finding.code) : "odd"}`}>
          {findings.length > 1 && (
            <h3>
              <code>
                <Text value={finding.code} />
              </code>
              <span class="sentence">
                <Prose text={finding.sentence} />
              </span>
            </h3>
          )}
          <ul>
            {finding.evidence.map((exhibit) => (
              <li>
                <Place exhibit={exhibit} trace={trace} onJump={onJump} />
                <span>
                  <Prose text={exhibit.says} />
                </span>
              </li>
            ))}
          </ul>
          {finding.is_fault && finding.remedy.maintainer && (
            <p class="aside">
              <b>For Flash’s maintainers</b> <Prose text={finding.remedy.maintainer} />
            </p>
          )}
        </article>
      ))}
      {findings.length > MOST && <p>and {findings.length - MOST} more findings.</p>}
    </section>
  );
}
