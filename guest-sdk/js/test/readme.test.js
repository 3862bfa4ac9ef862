/** The README's metric and test are those of an example, which is run. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

test("the README shows the example as it is", async () => {
  const readme = await readFile("README.md", "utf8");
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
  const files = ["metric.ts", "metric.test.ts"].map((file) => readFile(`examples/slow-requests/${file}`, "utf8"));
  assert.deepEqual(blocks, await Promise.all(files));
});
