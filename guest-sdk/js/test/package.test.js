/** What the package ships: the contract as it is, and modules that the runtime of components takes. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { State, fold, integer, tumbling } from "../src/index.js";
import { moduleOf } from "../src/module.js";

test("the contract is that of the project", async () => {
  // In the package alone there is nothing to compare with.
  const project = await readFile("../../wit/metric.wit", "utf8").catch(() => null);
  if (project !== null) assert.equal(await readFile("wit/metric.wit", "utf8"), project);
});

test("a module says the same of itself always, and is configured once", () => {
  const metric = fold({
    ...{ name: "count", version: "1.0.0", key: "data.k", window: tumbling("1m"), output: { count: integer } },
    ...{
      state: class Count extends State({ count: integer }) {},
      update: (state, rows) => void (state.count += rows.length),
    },
    settings: { limit: integer },
  });
  const module = moduleOf(metric);
  assert.equal(module.describe(), module.describe());
  assert.throws(
    () => module.configure('{"limit": "x"}'),
    (thrown) => thrown === 'limit: "x" is not a whole number',
  );
  module.configure('{"limit": 5}');
  assert.throws(
    () => module.configure('{"limit": 5}'),
    (thrown) => thrown === "configured already",
  );
  assert.throws(() => moduleOf({}), /the file's default export must be fold/);
});

test("tests that cannot be bundled end with a message", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidemark-metric-"));
  try {
    await writeFile(join(folder, "broken.test.ts"), 'import "./nowhere.js";\n');
    const run = spawnSync(process.execPath, ["bin/tidemark-metric.js", "test", folder], { timeout: 60_000 });
    assert.equal(run.status, 1);
    assert.match(run.stderr.toString(), /nowhere\.js[^]*cannot be bundled/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
