import { useState } from "preact/hooks";

const SHOWN_MS = 1500;

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text); // no permission, or a page that counts as insecure
  }
}

/** A button that copies what is shown: a pasted escape sequence would still reach a terminal. */
export function Copy({ text, name, label = "" }) {
  const [isDone, setDone] = useState(false);
  const onClick = async (event) => {
    event.stopPropagation();
    await copy(text);
    setDone(true);
    setTimeout(() => setDone(false), SHOWN_MS);
  };
  return (
    <button type="button" class="copy" onClick={onClick} aria-label={`Copy ${name}`}>
      <Icon isDone={isDone} />
      {label}
      <span class="unseen" role="status">
        {isDone ? "copied" : ""}
      </span>
    </button>
  );
}

function Icon({ isDone }) {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      {isDone ? <path d="M3 8.5l3.2 3.2L13 5" /> : <path d="M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z" />}
    </svg>
  );
}
