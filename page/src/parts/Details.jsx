import { causeOf, durationOf, keyOf, plainValue } from "../model/spans.js";
import { clean, count, duration, moment } from "../text.js";
import { Copy } from "./Copy.jsx";
import { processName } from "./Processes.jsx";
import { Id, Text, Value } from "./Text.jsx";

const KINDS = ["", "internal", "server", "client", "producer", "consumer"];
const MOST = 200; // attributes, events or links of one span

/** Attributes of an OTLP object as a table of names and values. */
export function Attributes({ of }) {
  const attributes = of?.attributes ?? [];
  return (
    <dl class="attributes">
      {attributes.slice(0, MOST).map(({ key, value }) => (
        <Attribute name={key} value={plainValue(value)} />
      ))}
    </dl>
  );
}

function Attribute({ name, value }) {
  const text = clean(Array.isArray(value) ? value.join("\n") : value, true);
  return (
    <div>
      <dt>
        <Name text={name} />
      </dt>
      <dd>
        <Value value={value} name={name} />
        <Copy text={text} name={clean(name)} />
      </dd>
    </div>
  );
}

/** A name of an attribute, which may break behind its dots and underscores. */
function Name({ text }) {
  return text.split(/(?<=[._])/).map((part) => (
    <>
      <Text value={part} />
      <wbr />
    </>
  ));
}

function Part({ title, children }) {
  return (
    <section>
      <h4>{title}</h4>
      {children}
    </section>
  );
}

/** A way to another span, or its ids if it is not in this document. */
function Way({ traceId, spanId, trace, onJump }) {
  const target = trace.byKey.get(keyOf(traceId, spanId));
  if (!target) return <Id value={traceId} name="trace id" isShort />;
  return (
    <button type="button" class="jump" onClick={() => onJump(target.key)}>
      <Text value={target.raw.name} /> <code>{spanId.slice(0, 8)}</code>
    </button>
  );
}

function Links({ span, trace, onJump }) {
  const links = span.raw.links ?? [];
  if (links.length === 0 && span.linkedFrom.length === 0) return null;
  return (
    <Part title="Links">
      <ul class="ways">
        {links.slice(0, MOST).map((link) => (
          <li>
            to <Way traceId={link.traceId} spanId={link.spanId} trace={trace} onJump={onJump} />
            <Attributes of={link} />
          </li>
        ))}
        {span.linkedFrom.slice(0, MOST).map(({ raw }) => (
          <li>
            from <Way traceId={raw.traceId} spanId={raw.spanId} trace={trace} onJump={onJump} />
          </li>
        ))}
      </ul>
    </Part>
  );
}

function Events({ span, base }) {
  const events = span.raw.events ?? [];
  if (events.length === 0) return null;
  return (
    <Part title="Events">
      {events.slice(0, MOST).map((event) => {
        const time = Number(BigInt(event.timeUnixNano ?? 0) - base) - span.start;
        return (
          <div class="event">
            <b>
              <Text value={event.name} />
            </b>{" "}
            {!Number.isNaN(time) && <small>{duration(time)} after the start</small>}
            <Attributes of={event} />
          </div>
        );
      })}
      {events.length > MOST && <p>and {count(events.length - MOST, "more event")}.</p>}
    </Part>
  );
}

function Identity({ span }) {
  const { raw } = span;
  const start = BigInt(raw.startTimeUnixNano);
  return (
    <dl class="attributes">
      {!span.isRebuilt && (
        <>
          <Attribute name="span id" value={raw.spanId} />
          <Attribute name="trace id" value={raw.traceId} />
        </>
      )}
      {start !== 0n && <Attribute name="start" value={moment(start).utc} />}
      {KINDS[raw.kind] && <Attribute name="kind" value={KINDS[raw.kind]} />}
    </dl>
  );
}

/** Everything that is known of one span. */
export function Details({ span, trace, onJump, onProcess, onClose }) {
  const cause = span.outcome === "returned" ? "" : causeOf(span);
  return (
    <aside class="details" aria-label="Span" tabIndex={0}>
      <header>
        <h3>
          <Text value={span.raw.name} />{" "}
          <small>
            <Text value={span.label} />
          </small>
        </h3>
        <button type="button" class="tool" onClick={onClose} aria-label="Close the details">
          ×
        </button>
      </header>
      <p class="outcome-line">
        <span class={`outcome ${span.outcome}`}>{span.outcome}</span>
        {!Number.isNaN(durationOf(span)) && <span>{duration(durationOf(span))}</span>}
      </p>
      {cause && (
        <p class="cause">
          <Value value={cause} name="cause" />
        </p>
      )}
      <Identity span={span} />
      <Part title="Attributes">
        <Attributes of={span.raw} />
      </Part>
      <Events span={span} base={trace.base} />
      <Links span={span} trace={trace} onJump={onJump} />
      <Part title="Process">
        <button type="button" class="jump" onClick={() => onProcess(span.process)}>
          <Text value={processName(span.process)} />
        </button>
      </Part>
    </aside>
  );
}
