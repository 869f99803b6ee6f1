import { useEffect, useMemo, useState } from "preact/hooks";
import { Axis } from "../model/axis.js";
import { keyOf, readTrace } from "../model/spans.js";
import { buildTree } from "../model/tree.js";
import { Changed } from "../parts/Changed.jsx";
import { Checks } from "../parts/Checks.jsx";
import { Copy } from "../parts/Copy.jsx";
import { Download } from "../parts/Download.jsx";
import { Facts } from "../parts/Facts.jsx";
import { Findings } from "../parts/Findings.jsx";
import { Ids } from "../parts/Ids.jsx";
import { Lines } from "../parts/Lines.jsx";
import { Picture } from "../parts/Picture.jsx";
import { Processes, processId } from "../parts/Processes.jsx";
import { ThemeButton } from "../parts/Theme.jsx";
import { Verdict } from "../parts/Verdict.jsx";
import { Waterfall } from "../parts/Waterfall.jsx";

/** Return the marks of spans that are evidence, by their keys: the one of the gravest finding. */
function evidenceOf(marks) {
  const found = new Map();
  for (const mark of marks) {
    const key = keyOf(mark.trace_id, mark.span_id);
    if (!found.has(key)) found.set(key, mark);
  }
  return found;
}

/** Read the documents once: everything that does not depend on what a person does. */
function prepare({ report, trace: document }) {
  const trace = readTrace(document);
  const evidence = evidenceOf(report.marks);
  const order = buildTree(trace, report.trace_id ?? trace.spans[0]?.raw.traceId, evidence);
  return { trace, order, axis: new Axis(trace.spans, report.words), evidence };
}

/** The span that the page's address names, so that the browser's Back returns to it. */
const addressed = () => location.hash.slice(1) || null;

/** Return the selected span's key and what selects: a jump is a step that Back undoes. */
function useSelection() {
  const [selected, setSelected] = useState(() => {
    const key = addressed();
    return key && { key, isJump: true };
  });
  useEffect(() => {
    const follow = () => {
      const key = addressed();
      setSelected(key && { key, isJump: true });
    };
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  const go = (key, isJump) => {
    const address = key ? `#${key}` : location.pathname + location.search;
    if (key !== addressed()) history[isJump ? "pushState" : "replaceState"](null, "", address);
    setSelected(key && { key, isJump });
  };
  return [selected, (key) => go(key, false), (key) => go(key, true)];
}

function showProcess(process) {
  document.getElementById("processes").open = true;
  document.getElementById(processId(process)).scrollIntoView({ block: "center" });
}

/** A trace: the verdict first, then what it rests on, then everything that was recorded. */
export function TraceView({ page, report, trace: document_, diagnosis, isPrinted }) {
  const { trace, order, axis, evidence } = useMemo(
    () => prepare({ report, trace: document_ }),
    [document_],
  );
  const [selected, select, jump] = useSelection();
  const deployment = diagnosis.deployments[0];
  const { words } = report;
  const root = order[0]?.span;
  const jumpAndShow = (key) => {
    jump(key);
    document.querySelector(".waterfall").scrollIntoView({ block: "start" });
    document.querySelector(".grid").focus({ preventScroll: true });
  };
  return (
    <>
      <nav class="top" aria-label="Page">
        {page.is_served ? <a href="./">All recorded deployments</a> : <b>flash_otel</b>}
        <span class="trace-id">
          {report.trace_id && (
            <>
              trace <code>{report.trace_id}</code> <Copy text={report.trace_id} name="trace id" />
            </>
          )}
        </span>
        {page.is_served && <Changed version={page.version} />}
        <Download of={document_} name={`trace-${(report.trace_id ?? "log").slice(0, 8)}.json`} />
        <ThemeButton />
      </nav>
      <main>
        <Verdict diagnosis={diagnosis} report={report} />
        {root && <Facts deployment={deployment} root={root} />}
        <Ids ids={deployment?.ids ?? []} words={words} />
        <Picture picture={deployment?.picture} words={words} trace={trace} onJump={jumpAndShow} />
        <Findings diagnosis={diagnosis} trace={trace} onJump={jumpAndShow} />
        <Waterfall
          order={order}
          axis={axis}
          trace={trace}
          evidence={evidence}
          deployment={deployment}
          selected={selected}
          onSelect={select}
          onJump={jump}
          onProcess={showProcess}
          isPrinted={isPrinted}
        />
        <Checks checks={deployment?.checks ?? []} words={words} />
        <Lines lines={report.lines} trace={trace} onJump={jumpAndShow} />
        <Processes processes={trace.processes} />
      </main>
      <footer>flash_otel {page.flash_otel}</footer>
    </>
  );
}
