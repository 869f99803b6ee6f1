// Where a view's documents come from: elements of the page, or else the server that sent the page.
//
// A file holds every document that its view needs. A served page holds only `page`, which names the
// view; the other documents are fetched beside it, under `documents/`.

/** Return a document that the page holds, or undefined. Its text is freed: it may be large. */
function embedded(name) {
  const element = document.getElementById(`document-${name}`);
  if (element === null) return undefined;
  const value = JSON.parse(element.textContent);
  element.remove();
  return value;
}

async function fetched(name, parameters) {
  const query = new URLSearchParams(parameters).toString();
  const address = `documents/${name}${query && `?${query}`}`;
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({}));
    throw new Error(error ?? `${name}: ${answer.status} ${answer.statusText}`);
  }
  return answer.json();
}

/** Call `done` after each change since a version; returns a function that stops that. */
export function changes(version, done) {
  const source = new EventSource(`events?${new URLSearchParams({ version })}`);
  source.addEventListener("change", done);
  return () => source.close();
}

/**
 * Return a document by its name: `page`, `report`, `trace` (what `show --json` prints) or `diagnosis`
 * (what `diagnose --json` prints).
 * Synchronous if the page holds it, so that the first paint shows it; else a promise.
 */
export function load(name, parameters = {}) {
  return embedded(name) ?? fetched(name, parameters);
}
