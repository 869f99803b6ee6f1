import { Id, Text } from "../parts/Text.jsx";
import { ThemeButton } from "../parts/Theme.jsx";
import { toneOf } from "../parts/Verdict.jsx";
import { clean, duration, moment } from "../text.js";

const NAMES = ["First", "Second"];

/** Two deployments: their steps, the endpoints of their manifests, the facts about them. */
export function ComparisonView({ page, comparison }) {
  const { deployments, steps, endpoints, facts } = comparison;
  return (
    <>
      <nav class="top" aria-label="Page">
        <a class="trace-id" href="./">
          All recorded deployments
        </a>
        <ThemeButton />
      </nav>
      <main>
        <h1 class="page-title">Two deployments</h1>
        <Rows name="Deployments" of={DEPLOYMENT} values={deployments} />
        <Section name="Steps" head="Step">
          {steps.map(({ name, step, values }) => (
            <tr key={name}>
              <th scope="row">{clean(step)}</th>
              {values.map((value) => (
                <td>
                  <Step value={value} />
                </td>
              ))}
              <td class="result">{difference(values)}</td>
            </tr>
          ))}
        </Section>
        <Values name="Endpoints in the manifest" head="Endpoint" rows={endpoints} />
        <Values name="Facts" head="Fact" rows={facts} />
      </main>
      <footer>flash_otel {page.flash_otel}</footer>
    </>
  );
}

const DEPLOYMENT = [
  [
    "Trace",
    ({ trace_id: id }) => (
      <a href={`trace?trace_id=${encodeURIComponent(id)}`}>
        <code>{clean(id)}</code>
      </a>
    ),
  ],
  ["Started", ({ start_ns: ns }) => ns && moment(BigInt(Math.round(ns))).local],
  [
    "Verdict",
    ({ verdict, label }) => (
      <span class={toneOf(verdict)}>
        <span class="label-cell">{clean(label)}</span>
      </span>
    ),
  ],
  ["Outcome", ({ outcome }) => clean(outcome)],
  ["Build", ({ build_id: id }) => <Id value={id} name="build id" />],
];

function Rows({ name, of, values }) {
  return (
    <Section name={name} head="">
      {of.map(([label, show]) => (
        <tr key={label}>
          <th scope="row">{label}</th>
          {values.map((value) => (
            <td>{show(value)}</td>
          ))}
          <td />
        </tr>
      ))}
    </Section>
  );
}

function Section({ name, head, children }) {
  return (
    <section aria-label={name}>
      <h2>{name}</h2>
      <div class="scroll" tabIndex={0} role="group" aria-label={`Table: ${name}`}>
        <table class="ids compared">
          <thead>
            <tr>
              {head ? <th scope="col">{head}</th> : <td />}
              {NAMES.map((each) => (
                <th scope="col">{each}</th>
              ))}
              <th scope="col">Difference</th>
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </div>
    </section>
  );
}

function Values({ name, head, rows }) {
  if (rows.length === 0) return null;
  return (
    <Section name={name} head={head}>
      {rows.map(({ name: label, values, is_same: isSame }) => (
        <tr key={label} class={isSame ? "" : "differs"}>
          <th scope="row">
            <Text value={label} />
          </th>
          {values.map((value) => (
            <td>
              {value === null ? (
                <span class="none">–</span>
              ) : (
                <code>
                  <Text value={value} />
                </code>
              )}
            </td>
          ))}
          <td class="result">{isSame ? "" : "differs"}</td>
        </tr>
      ))}
    </Section>
  );
}

function Step({ value }) {
  if (value === null) return <span class="none">–</span>;
  const times = value.count > 1 ? ` ×${value.count}` : "";
  const ending = value.outcome === "returned" ? "" : `, ${clean(value.outcome)}`;
  return `${duration(value.duration_ns)}${times}${ending}`;
}

/** Say how much longer the second one took. */
function difference([first, second]) {
  if (!first || !second || first.duration_ns === null || second.duration_ns === null) return "";
  const longer = second.duration_ns - first.duration_ns;
  if (longer === 0) return "";
  return `${longer < 0 ? "−" : "+"}${duration(Math.abs(longer))}`;
}
