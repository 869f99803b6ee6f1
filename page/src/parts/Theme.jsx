import { useState } from "preact/hooks";

const KEPT = "flash-otel-theme";
const root = document.documentElement;

function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // a browser that keeps nothing for files
  }
}

function keep(theme) {
  try {
    localStorage.setItem(KEPT, theme);
  } catch {
    // The choice lasts as long as the page.
  }
}

/** Use the theme that was chosen before, or else the system's. */
export function startTheme() {
  const theme = kept();
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
}

const isDark = () =>
  root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

export function ThemeButton() {
  const [dark, setDark] = useState(isDark());
  const onClick = () => {
    root.dataset.theme = dark ? "light" : "dark";
    keep(root.dataset.theme);
    setDark(!dark);
  };
  return (
    <button type="button" class="tool" onClick={onClick}>
      {dark ? "Light" : "Dark"}
    </button>
  );
}
