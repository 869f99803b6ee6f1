const AGES = [
  ["", "any time"],
  ["3600", "the last hour"],
  ["86400", "the last day"],
  ["604800", "the last week"],
];
const FIELDS = ["app", "env", "fault", "failed", "since_s", "where", "limit"];

/** Return the filters that are set, as parameters of an address. */
export function asked(filters) {
  const set = FIELDS.filter((name) => filters[name]);
  return Object.fromEntries(set.map((name) => [name, filters[name]]));
}

function Field({ name, label, filters, onChange, ...rest }) {
  return (
    <label>
      {label}
      <input
        value={filters[name] ?? ""}
        onChange={(event) => onChange({ ...filters, [name]: event.currentTarget.value.trim() })}
        autocomplete="off"
        spellcheck={false}
        {...rest}
      />
    </label>
  );
}

function Choice({ name, label, choices, filters, onChange }) {
  return (
    <label>
      {label}
      <select
        value={filters[name] ?? ""}
        onChange={(event) => onChange({ ...filters, [name]: event.currentTarget.value })}
      >
        {choices.map(([value, text]) => (
          <option value={value}>{text}</option>
        ))}
      </select>
    </label>
  );
}

/** The filters of `flash-otel traces`. */
export function Filters({ filters, codes, onChange }) {
  const both = { filters, onChange };
  return (
    <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <Field name="app" label="App" {...both} />
      <Field name="env" label="Environment" {...both} />
      <Choice
        name="fault"
        label="Verdict"
        choices={[["", "any"], ...Object.entries(codes)]}
        {...both}
      />
      <Choice name="since_s" label="Since" choices={AGES} {...both} />
      <Field name="where" label="Where" placeholder="attribute=value" {...both} />
      <label class="check">
        <input
          type="checkbox"
          checked={filters.failed === "1"}
          onChange={(event) =>
            onChange({ ...filters, failed: event.currentTarget.checked ? "1" : "" })
          }
        />
        Only failed
      </label>
    </form>
  );
}
