/** Tests of metrics: each file is bundled, so that TypeScript needs no further tool, and Node's own runner runs it. */

import { readdir } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import esbuild from "esbuild";
import { BuildError } from "./build.js";

const BUNDLES = "target/tests";

/** Bundles every test below `folders`, again on each change if `watch`; the files to run. */
export async function bundleTests(folders, watch) {
  const sources = (await Promise.all(folders.map(testsBelow))).flat().sort();
  if (sources.length === 0) throw new Error(`no *.test.ts or *.test.js below ${folders.join(", ")}`);
  const entryPoints = sources.map((source) => ({ in: source, out: relative("", source).replaceAll(/[./\\]/g, "-") }));
  const context = await esbuild.context({
    entryPoints,
    outdir: BUNDLES,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    packages: "bundle",
    external: ["esbuild", "componentize-qjs"],
    logLevel: "warning",
  });
  // Esbuild tells what is wrong itself. Its process would live on, and this one with it, unless it is let go.
  const isSound = await context.rebuild().then(
    () => true,
    () => false,
  );
  if (watch) await context.watch();
  else await context.dispose();
  if (!isSound && !watch) throw new BuildError("the tests cannot be bundled: see above");
  return entryPoints.map(({ out }) => join(BUNDLES, `${out}.mjs`));
}

async function testsBelow(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ["node_modules", "target"].includes(entry.name) ? [] : testsBelow(path);
    return /\.test\.[mc]?[tj]s$/.test(entry.name) ? [resolve(path)] : [];
  });
  return (await Promise.all(found)).flat();
}
