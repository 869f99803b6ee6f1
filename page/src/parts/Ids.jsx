import { clean } from "../text.js";
import { Id } from "./Text.jsx";

const inWords = (name) => clean(name).replaceAll("_", " ");

/** The ids side by side: what the deployment wrote, what a worker read, and whether they agree. */
export function Ids({ ids, words }) {
  if (ids.length === 0) return null;
  return (
    <section>
      <h2 id="ids">Written and read</h2>
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="ids">
        <table class="ids">
          <thead>
            <tr>
              <td />
              <th scope="col">deployed</th>
              <th scope="col">read by the worker</th>
              <th scope="col">result</th>
            </tr>
          </thead>
          <tbody>
            {ids.map((row) => (
              <tr class={row.result}>
                <th scope="row">{inWords(row.name)}</th>
                <td>
                  <Id value={row.deployed} name={`deployed ${inWords(row.name)}`} />
                </td>
                <td>
                  <Id value={row.read} name={`read ${inWords(row.name)}`} />
                </td>
                <td>
                  <span class="result">{words.results[row.result] ?? row.result}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
