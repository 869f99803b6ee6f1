import { clean } from "../text.js";
import { Copy } from "./Copy.jsx";
import { Text } from "./Text.jsx";

const TONES = { none: "good", inconclusive: "odd" };

export const toneOf = (code) => TONES[code] ?? "bad";

const ENTRIES = { "no fault": "good", returned: "good" };
const OPEN = ["inconclusive", "no read yet", "running", "cancelled", "unknown", "unfinished"];

/** The tone of an entry of a list, as on the terminal: by its verdict, or else how it ended. */
export const toneOfEntry = ({ label }) => ENTRIES[label] ?? (OPEN.includes(label) ? "odd" : "bad");

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const IDS = /(\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)/;

function Sentence({ text }) {
  return text
    .split(IDS)
    .map((part, i) => (i % 2 === 0 ? <Text value={part} /> : <code class="uuid">{part}</code>));
}

/** Text with `commands` between backquotes as code, and with ids that do not break. */
export function Prose({ text }) {
  return text.split("`").map((part, i) => {
    if (i % 2 === 0) return <Sentence text={part} />;
    return (
      <code>
        <Text value={part} />
      </code>
    );
  });
}

function Command({ text }) {
  return (
    <span class="command">
      <code>
        <Text value={text} />
      </code>
      <Copy text={clean(text)} name="command" />
    </span>
  );
}

/** The decisive finding: the first one with the verdict's code. */
export const decisive = (diagnosis) =>
  diagnosis.findings.find((finding) => finding.code === diagnosis.verdict) ?? diagnosis.findings[0];

/** The verdict in words, what it rests on, and what to do. */
export function Verdict({ diagnosis, report }) {
  const finding = decisive(diagnosis);
  const isSure = !finding || finding.confidence === "certain";
  const isEnded = !report.is_running; // while it runs, evidence is missing everywhere
  const hasRemedy = finding && finding.code !== "none" && isEnded;
  return (
    <section
      class={`verdict ${report.has_failed ? "bad" : toneOf(diagnosis.verdict)}`}
      aria-labelledby="verdict"
    >
      <p class="code">
        {report.label && <code>{clean(report.label)}</code>}
        {!isSure && <span>{clean(finding.confidence)}</span>}
      </p>
      <h1 id="verdict">
        <Text value={capital(report.title)} />
      </h1>
      {finding && isEnded && (
        <p class="sentence">
          <Prose text={finding.sentence} />
        </p>
      )}
      <dl class="steps">
        {report.readers && <Step name="Workers" text={<Text value={capital(report.readers)} />} />}
        {hasRemedy && <Step name="What to do" text={<Prose text={finding.remedy.deployer} />} />}
        {(isEnded ? diagnosis.missing : []).map((missing) => (
          <Step name="Missing" text={<Prose text={missing} />} />
        ))}
        {isEnded && diagnosis.next_command && (
          <Step name="Next" text={<Command text={diagnosis.next_command} />} />
        )}
      </dl>
    </section>
  );
}

function Step({ name, text }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </div>
  );
}
