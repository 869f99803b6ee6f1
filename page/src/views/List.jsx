import { useEffect, useRef, useState } from "preact/hooks";
import { changes, load } from "../data.js";
import { asked, Filters } from "../parts/Filters.jsx";
import { History } from "../parts/History.jsx";
import { Text } from "../parts/Text.jsx";
import { ThemeButton } from "../parts/Theme.jsx";
import { toneOfEntry } from "../parts/Verdict.jsx";
import { clean, count, duration, moment, short } from "../text.js";

const TRACE = "trace?trace_id=";

/** Return entries that follow the filters and the changes of the recording. */
function useEntries(first, filters, known) {
  const [found, setFound] = useState({ ...first, error: "" });
  const [version, setVersion] = useState(0);
  const isFirst = useRef(true);
  useEffect(() => changes(known, () => setVersion((number) => number + 1)), []);
  useEffect(() => {
    let isWanted = true;
    const show = (value) => {
      if (!isWanted) return;
      setFound(value);
      // Of a large store, each answer holds as much of the list as was ready.
      if (value.is_partial) ask();
    };
    const ask = () =>
      load("entries", asked(filters)).then(
        (value) => show({ ...value, error: "" }),
        (error) => show({ entries: [], error: error.message }),
      );
    if (!isFirst.current || first.is_partial) ask();
    isFirst.current = false;
    return () => {
      isWanted = false;
    };
  }, [filters, version]);
  return found;
}

/** The recorded traces: deployments per environment over time, and all of them as a table. */
export function ListView({ page, entries: first }) {
  const [filters, setFilters] = useState(page.parameters);
  const {
    entries,
    is_cut: isCut,
    is_empty: isEmpty,
    is_partial: isPartial,
    error,
  } = useEntries(first, filters, page.version);
  const change = (value) => {
    history.replaceState(null, "", `?${new URLSearchParams(asked(value))}`);
    setFilters(value);
  };
  return (
    <>
      <nav class="top" aria-label="Page">
        <b class="trace-id">flash_otel</b>
        <ThemeButton />
      </nav>
      <main>
        <h1 class="page-title">Recorded deployments</h1>
        <Filters filters={filters} codes={page.codes} onChange={change} />
        <p class="aside" role="status">
          {error ? `This could not be read: ${clean(error)}` : count(entries.length, "trace")}
          {isPartial && ", more are being read"}
          {isCut && "; older traces were not searched: narrow the search by app or environment"}
        </p>
        {isEmpty && (
          <p>
            Nothing is recorded yet. Record a deployment:{" "}
            <code>flash-otel run -- flash deploy</code>
          </p>
        )}
        <History entries={entries} address={TRACE} />
        {entries.length > 0 && <Table entries={entries} />}
      </main>
      <footer>flash_otel {page.flash_otel}</footer>
    </>
  );
}

function Table({ entries }) {
  const [chosen, setChosen] = useState([]);
  const choose = (id) =>
    setChosen(
      chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id].slice(-2),
    );
  const [second, first] = [...chosen].sort(
    (one, other) => placeOf(entries, one) - placeOf(entries, other),
  );
  return (
    <section aria-labelledby="traces">
      <div class="bar">
        <h2 id="traces">Traces</h2>
        {chosen.length === 2 ? (
          <a class="tool" href={`compare?first=${first}&second=${second}`}>
            Compare the two chosen deployments
          </a>
        ) : (
          <small>Choose two deployments to compare them.</small>
        )}
      </div>
      <div class="scroll" tabIndex={0} role="group" aria-label="Table of traces">
        <table class="ids traces">
          <thead>
            <tr>
              {[
                "Compare",
                "Trace",
                "Started",
                "What",
                "App",
                "Environment",
                "Build",
                "Verdict",
                "Took",
              ].map((name) => (
                <th scope="col">{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {entries.map((entry) => (
              <Row
                key={entry.trace_id}
                entry={entry}
                isChosen={chosen.includes(entry.trace_id)}
                onChoose={() => choose(entry.trace_id)}
              />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const placeOf = (entries, id) => entries.findIndex((entry) => entry.trace_id === id);

function Row({ entry, isChosen, onChoose }) {
  const { local, utc } = moment(BigInt(Math.round(entry.start_ns)));
  return (
    <tr class={toneOfEntry(entry)}>
      <td>
        {entry.deployment_id && (
          <input
            type="checkbox"
            checked={isChosen}
            onChange={onChoose}
            aria-label={`Compare ${clean(entry.short_id)}`}
          />
        )}
      </td>
      <th scope="row">
        <a href={TRACE + encodeURIComponent(entry.trace_id)}>
          <code>{clean(entry.short_id)}</code>
        </a>
      </th>
      <td>
        {entry.start_ns > 0 && (
          <time dateTime={utc} title={utc}>
            {local}
          </time>
        )}
      </td>
      <td>{clean(entry.kind)}</td>
      <td>
        <Text value={entry.app_name ?? ""} />
      </td>
      <td title={clean(entry.environment_id ?? "")}>
        <Text value={entry.environment_name ?? short(entry.environment_id ?? "")} />
      </td>
      <td title={clean(entry.build_id ?? "")}>
        <code>{short(entry.build_id ?? "")}</code>
      </td>
      <td class="label-cell" title={clean(entry.sentence)}>
        <Text value={entry.label} />
      </td>
      <td>{entry.deployment_duration_ns !== null && duration(entry.deployment_duration_ns)}</td>
    </tr>
  );
}
