/** The text of `describe`, `wit/describe.md` has its format. Mistakes of the author are thrown when it is made. */

import { schemaOf } from "./settings.js";
import { checkPath, filterOf } from "./window.js";

/** Columns that every row has anyway. */
const TAKEN = [
  ...["key", "window_start", "window_end", "event_time", "module", "version", "digest", "config_digest", "epoch"],
  "row_id",
];
const KINDS = ["tumbling", "sliding", "session", "key", "interval-join"];

/** What a metric says of itself, as an object; `inputs` are its input columns with their side. */
export function description(facts, inputs, { stateVersion, mergeable }) {
  const { name, version, doc = "", key, filter = {}, window, settings } = facts;
  check(
    /^[a-z][a-z0-9-]*$/.test(name),
    `name: ${JSON.stringify(name)} must have lower-case letters, digits and hyphens`,
  );
  check(
    /^\d+\.\d+\.\d+/.test(version),
    `version: ${JSON.stringify(version)} must be a semantic version, such as "1.0.0"`,
  );
  check(KINDS.includes(window?.kind), "window: write tumbling(…), sliding(…), session(…), keyed(…) or interval({…})");
  checkPath(key, "key");
  return {
    describe: 1,
    name,
    version,
    doc,
    inputs: inputs.map(inputColumn),
    filter: filterOf(filter, "filter"),
    key,
    window,
    output: Object.entries(facts.output ?? {}).map(outputColumn),
    state_version: stateVersion,
    config_schema: schemaOf(settings),
    mergeable,
  };
}

function inputColumn({ name, column, side }) {
  const is = typeof column?.path === "string" && column.type?.column !== undefined;
  check(is, `the input ${name} must be a type at a path, such as float("data.fps")`);
  checkPath(column.path, `the input ${name}`);
  return { name, path: column.path, type: column.type.column, ...(side === undefined ? {} : { side }) };
}

function outputColumn([name, type]) {
  check(/^[a-z][a-z0-9_]*$/.test(name), `the output ${name}: names have lower-case letters, digits and underscores`);
  check(!TAKEN.includes(name), `the output ${name}: every row has a column of that name anyway`);
  check(type?.column !== undefined, `the output ${name} must have a type of columns, such as float or nullable(float)`);
  return { name, type: type.column, nullable: type.isNullable };
}

export function check(is, message) {
  if (!is) throw new TypeError(message);
}
