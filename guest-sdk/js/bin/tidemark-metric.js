#!/usr/bin/env node
/**
 * `tidemark-metric build FILE…`: metrics to components. `tidemark-metric test [FOLDER…]`: their tests, in TypeScript or
 * JavaScript, in this Node.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { BuildError, build } from "./build.js";
import { bundleTests } from "./tests.js";

const USAGE = `usage: tidemark-metric build FILE... [--out FOLDER]   each metric to FOLDER/<its name>.wasm (FOLDER: target)
       tidemark-metric test [FOLDER...] [--watch]     every *.test.ts and *.test.js below the folders (this one)`;

async function buildAll(paths, folder) {
  for (const path of paths) {
    const { file, bytes, milliseconds } = await build(path, folder);
    console.log(`${(bytes / 1000).toFixed(1).padStart(8)} kB  ${milliseconds} ms  ${file}`);
  }
  return 0;
}

async function test(folders, watch) {
  const files = await bundleTests(folders.length === 0 ? ["."] : folders, watch);
  const options = ["--enable-source-maps", "--test", ...(watch ? ["--watch"] : [])];
  const tests = spawn(process.execPath, [...options, ...files], { stdio: "inherit" });
  const [status] = await once(tests, "exit");
  return status ?? 1;
}

async function run() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: "string", default: "target" },
      watch: { type: "boolean", default: false },
      help: { type: "boolean", default: false, short: "h" },
    },
  });
  const [command, ...paths] = positionals;
  if (command === "build" && paths.length > 0) return buildAll(paths, values.out);
  if (command === "test") return test(paths, values.watch);
  console.error(USAGE);
  return values.help ? 0 : 2;
}

try {
  process.exitCode = await run();
} catch (error) {
  // What the author can mend needs no stack of this tool.
  const isTheirs = error instanceof BuildError || error.code?.startsWith("ERR_PARSE_ARGS");
  console.error(isTheirs ? error.message : error);
  process.exitCode = 1;
}
