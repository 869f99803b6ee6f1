import { useEffect, useState } from "preact/hooks";
import { changes } from "../data.js";

/** A button that reloads a served page, once the recording has changed since it was sent. */
export function Changed({ version }) {
  const [hasChanged, setChanged] = useState(false);
  useEffect(() => changes(version, () => setChanged(true)), []);
  return (
    <span role="status">
      {hasChanged && (
        <button type="button" class="tool" onClick={() => location.reload()}>
          Show new spans
        </button>
      )}
    </span>
  );
}
