// Builds flash_otel/report/page: one script and one style sheet, the same bytes from the same lock
// file. `node build.js FOLDER` writes them elsewhere, for the test that compares.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const target = path.resolve(process.argv[2] ?? path.join(here, "../flash_otel/report/page"));
const preact = path.join(here, "node_modules/preact");
const { version } = JSON.parse(await readFile(path.join(preact, "package.json"), "utf8"));
const licence = (await readFile(path.join(preact, "LICENSE"), "utf8")).trim();

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.jsx" },
  outdir: target,
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: ["chrome123", "firefox120", "safari17.5"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  // The licence of what is inside travels with every page that holds the bundle.
  banner: { js: `/*! flash_otel, Apache-2.0, with preact ${version}:\n${licence}\n*/` },
});
for (const file of outputFiles) {
  await writeFile(file.path, file.contents);
}
