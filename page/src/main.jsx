// The entry: loads the documents of the page, and renders the view that they are for.
import "./page.css";
import { render } from "preact";
import { load } from "./data.js";
import { startTheme } from "./parts/Theme.jsx";
import { clean } from "./text.js";
import { ComparisonView } from "./views/Comparison.jsx";
import { ListView } from "./views/List.jsx";
import "./views/list.css";
import { TraceView } from "./views/Trace.jsx";

/** For each kind of page its view, and the documents that the view needs besides `page`. */
const VIEWS = {
  trace: [TraceView, ["report", "trace", "diagnosis"]],
  list: [ListView, ["entries"]],
  comparison: [ComparisonView, ["comparison"]],
};

const root = document.getElementById("root");

function show(View, documents) {
  const plain = [...root.childNodes]; // what the page shows without scripts
  const draw = (isPrinted) => render(<View {...documents} isPrinted={isPrinted} />, root);
  try {
    root.replaceChildren();
    draw(false);
  } catch (error) {
    root.replaceChildren(...plain);
    throw error;
  }
  // Paper has no window to scroll, so every row is rendered before the browser lays out pages.
  const paper = matchMedia("print");
  paper.addEventListener("change", () => draw(paper.matches));
  addEventListener("beforeprint", () => draw(true));
  addEventListener("afterprint", () => draw(false));
}

function showFailure(error) {
  const failure = (
    <p class="failure" role="alert">
      {clean(error.message)}
    </p>
  );
  render(failure, root);
}

function start() {
  startTheme();
  const page = load("page");
  const [View, names] = VIEWS[page.kind];
  const loaded = names.map((name) => load(name, page.parameters));
  const finish = (values) =>
    show(View, { page, ...Object.fromEntries(names.map((name, i) => [name, values[i]])) });
  // Embedded documents are there at once: the first paint is the page, not a placeholder.
  if (loaded.some((value) => value instanceof Promise))
    Promise.all(loaded).then(finish, showFailure);
  else finish(loaded);
}

start();
