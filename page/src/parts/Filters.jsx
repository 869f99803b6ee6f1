const AGES = [
  ["", "any time"],
  ["3600", "the last hour"],
  ["86400", "the last day"],
  ["604800", "the last week"],
];
const FIELDS = ["app", "env", "fault", "failed", "since_s", "where", "limit"];

const FAULTS = [
  "environment_mismatch",
  "stale_build",
  "manifest_not_persisted",
  "read_before_write",
  "manifest_never_written",
  "endpoints_missing",
  "endpoints_differ",
  "read_incomplete",
  "state_manager_unavailable",
  "unauthorized",
  "environment_unknown",
  "environment_unset",
  "stale_cache",
  "code_not_rolled",
  "function_unknown",
  "remote_calls_undetected",
  "call_target_unknown",
  "call_target_mismatch",
  "worker_provisions",
  "upload_failed",
  "provisioning_failed",
  "nothing_deployed",
  "overlapping_deploys",
  "environment_takeover",
  "none",
  "inconclusive",
];

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
export function Filters({ filters, onChange }) {
  const both = { filters, onChange };
  const codes = FAULTS.map((code) => [code, code === "none" ? "No fault" : code]);
  return (
    <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
      <Field name="app" label="App" {...both} />
      <Field name="env" label="Environment" {...both} />
      <Choice name="fault" label="Verdict" choices={[["", "any"], ...codes]} {...both} />
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
