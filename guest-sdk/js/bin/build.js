/** A metric becomes a component: bundled by esbuild, tried out in Node, put into QuickJS by componentize-qjs. */

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { componentize } from "componentize-qjs";
import esbuild from "esbuild";

const WIT = fileURLToPath(new URL("../wit/metric.wit", import.meta.url));
const MODULE = fileURLToPath(new URL("../src/module.js", import.meta.url));
const PURE = fileURLToPath(new URL("../src/pure.js", import.meta.url));

/** A mistake in what is built, for its author. */
export class BuildError extends Error {}

/** Builds the metric in `path`; the component is `folder/<the metric's name>.wasm`. */
export async function build(path, folder) {
  const started = performance.now();
  const source = resolve(path);
  const imports = [PURE, source, MODULE].map((file) => JSON.stringify(file));
  const entry = `import ${imports[0]}; import author from ${imports[1]}; import { moduleOf } from ${imports[2]};
    export const metric = moduleOf(author);`;
  process.setSourceMapsEnabled(true);
  const script = await bundle(entry, dirname(source), "es2023");
  const { name } = await tryOut(source);

  const componentized = componentize({ witPath: WIT, jsSource: script, stubWasi: true, sync: true });
  const { component } = await componentized.catch((error) => {
    throw new BuildError(`${path}: ${error.message}`);
  });
  const file = join(folder, `${name}.wasm`);
  await mkdir(folder, { recursive: true });
  await writeFile(file, component);
  // What failures of groups call "the bundle", for who looks up their lines.
  await writeFile(join(folder, `${name}.js`), script);
  return { file, bytes: component.length, milliseconds: Math.round(performance.now() - started) };
}

async function bundle(contents, resolveDir, target, sourcemap = false) {
  try {
    const { outputFiles } = await esbuild.build({
      stdin: { contents, resolveDir, sourcefile: "component.js" },
      bundle: true,
      format: "esm",
      target,
      sourcemap,
      write: false,
      logLevel: "silent",
    });
    return outputFiles[0].text;
  } catch (error) {
    const messages = await esbuild.formatMessages(error.errors ?? [], { kind: "error" });
    throw messages.length === 0 ? error : new BuildError(messages.join("\n"));
  }
}

/** Loads the metric here first: Node tells the line of a mistake, QuickJS in its snapshot does not. */
async function tryOut(source) {
  const script = await bundle(`export { default } from ${JSON.stringify(source)}`, dirname(source), "node20", "inline");
  const folder = await mkdtemp(join(tmpdir(), "tidemark-metric-"));
  const file = join(folder, "metric.mjs");
  await writeFile(file, script);
  try {
    const { default: metric } = await import(pathToFileURL(file).href);
    if (metric?.facts?.name === undefined) throw new TypeError("the default export must be fold({…}) or join({…})");
    return metric.facts;
  } catch (error) {
    // The topmost place in the author's own file.
    const place = error.stack?.split("\n").find((line) => line.includes(basename(source)));
    const [, line] = /:(\d+):\d+\)?$/.exec(place ?? "") ?? [];
    throw new BuildError(`${relative("", source)}${line === undefined ? "" : `:${line}`}: ${error.message}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
