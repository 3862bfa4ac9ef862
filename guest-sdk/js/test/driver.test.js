/** The test driver: its windows are those of the runtime, and it finds impure metrics. The cases of `guest-sdk/rust`.
 * */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  State,
  bigint,
  boolean,
  float,
  fold,
  integer,
  interval,
  join,
  json,
  keyed,
  list,
  nullable,
  optional,
  session,
  sliding,
  text,
  tumbling,
} from "../src/index.js";
import { MetricTestDriver } from "../src/testing/index.js";

class Seen extends State({ numbers: list(integer) }) {}

/** The numbers of a key, joined. */
const facts = {
  name: "numbers",
  version: "1.0.0",
  key: "data.k",
  window: tumbling("10ms"),
  input: { n: integer("data.n") },
  state: Seen,
  output: { numbers: text, reason: text },
  update(seen, rows, context) {
    for (const { n } of rows) {
      // In key windows, numbers over 100 are timers, and 0 forgets.
      if (n === null) throw new Error("no number");
      else if (n >= 100) context.timerAt(n);
      else if (n === 0) context.forget();
      else seen.numbers.push(n);
    }
  },
  close: (seen, reason, context) => context.emit({ numbers: seen.numbers.join(" "), reason }),
  merge: (seen, later) => seen.numbers.push(...later.numbers),
};
const numbers = fold(facts);

const number = (k, timestamp, n) => ({ type: "number", timestamp, data: { k, n } });
const rowsOf = ({ rows }) => rows.map((row) => [row.key, row.window_start, row.event_time, row.numbers, row.reason]);

test("a batch is in event-time order, and windows close by end and key", () => {
  const driver = new MetricTestDriver(numbers);
  driver.events([number("b", 15, 5), number("b", 9, 3), number("a", 9, 4), number("b", 1, 2), number("a", 1, 1)]);
  driver.finish();
  const expected = [
    ["a", 0, 9, "1 4", "window-end"],
    ["b", 0, 9, "2 3", "window-end"],
    ["b", 10, 19, "5", "window-end"],
  ];
  assert.deepEqual(rowsOf(driver), expected);
});

test("a window within the allowed lateness fires again", () => {
  const driver = new MetricTestDriver(numbers, { allowedLatenessMs: 5 });
  driver.event(number("a", 1, 1));
  driver.advanceWatermark(13);
  driver.event(number("a", 2, 2));
  assert.deepEqual(
    rowsOf(driver).map((row) => row[3]),
    ["1", "1 2"],
  );
  driver.advanceWatermark(14);
  driver.event(number("a", 3, 3));
  driver.finish();
  assert.deepEqual([driver.rows.length, driver.late], [2, 1]);
});

test("a row is in each sliding window that covers it", () => {
  const driver = new MetricTestDriver(numbers, { window: sliding("10ms", { every: "5ms" }) });
  driver.event(number("a", 7, 1));
  driver.finish();
  assert.deepEqual(
    rowsOf(driver).map((row) => row[1]),
    [0, 5],
  );
});

test("sessions merge with the earlier one first", () => {
  const driver = new MetricTestDriver(numbers, { window: session(10) });
  [number("a", 20, 3), number("a", 0, 1), number("a", 50, 9), number("a", 10, 2)].forEach((event) =>
    driver.event(event),
  );
  driver.advanceWatermark(29);
  assert.deepEqual(rowsOf(driver), [["a", 0, 29, "1 3 2", "window-end"]]);
  driver.event(number("a", 12, 7));
  driver.finish();
  assert.deepEqual([driver.rows.length, driver.late], [2, 1]);
});

test("a key has timers and a time to live", () => {
  const driver = new MetricTestDriver(numbers, { window: keyed({ ttl: "1s" }) });
  [number("a", 1, 7), number("a", 2, 200), number("a", 3, 150), number("b", 4, 100)].forEach((event) =>
    driver.event(event),
  );
  driver.advanceWatermark(150);
  assert.deepEqual(rowsOf(driver), [
    ["b", -Infinity, 100, "", "timer"],
    ["a", -Infinity, 150, "7", "timer"],
  ]);
  driver.event(number("a", 400, 8));
  driver.finish();
  const later = [
    ["a", -Infinity, 200, "7 8", "timer"],
    ["b", -Infinity, 1004, "", "expired"],
  ];
  assert.deepEqual(rowsOf(driver).slice(2), [...later, ["a", -Infinity, 1400, "7 8", "expired"]]);
});

test("what is thrown fails one group, and its state stays", () => {
  const driver = new MetricTestDriver(numbers);
  driver.event(number("a", 1, 1));
  driver.events([number("a", 2, null), number("b", 2, 5)]);
  driver.finish();
  assert.deepEqual(driver.failures, ["a: no number"]);
  assert.deepEqual(
    rowsOf(driver).map((row) => [row[0], row[3]]),
    [
      ["a", "1"],
      ["b", "5"],
    ],
  );
});

test("a join has every pair, and rows alone", () => {
  const window = interval({ lower: 0, upper: 10, left: { type: "l" }, right: { type: "r" }, unmatched: "both" });
  const emit = (left, right, context) => context.emit({ pair: `${left?.n ?? "-"} ${right?.n ?? "-"}` });
  const pairs = join({
    ...{ name: "pairs", version: "1.0.0", key: "data.k", window, output: { pair: text } },
    ...{ left: { n: integer("data.n") }, right: { n: integer("data.n") }, matched: emit },
    unmatchedLeft: (left, context) => emit(left, null, context),
    unmatchedRight: (right, context) => emit(null, right, context),
  });
  const event = (type, timestamp, n) => ({ type, timestamp, data: { k: "k", n } });
  const driver = new MetricTestDriver(pairs);
  [event("l", 5, 1), event("r", 5, 2), event("r", 15, 3), event("r", 16, 4), event("l", 30, 5)].forEach((e) =>
    driver.event(e),
  );
  driver.finish();
  assert.deepEqual(
    driver.rows.map((row) => row.pair),
    ["1 2", "1 3", "5 -", "- 4"],
  );
});

test("a metric that remembers something beside its state is found", () => {
  let calls = 0;
  const impure = fold({ ...facts, close: (_, __, context) => context.emit({ numbers: `${calls++}`, reason: "" }) });
  const driver = new MetricTestDriver(impure);
  driver.event(number("a", 1, 1));
  assert.throws(
    () => driver.finish(),
    /key a: the answer depends on the other groups of the call, or on earlier calls/,
  );
});

test("values are read by the rules of the runtime, exactly or not at all", () => {
  const all = fold({
    ...{ name: "all", version: "1.0.0", key: "data.k", window: tumbling("1s") },
    input: {
      b: boolean("data.v"),
      i: integer("data.v"),
      f: float("data.v"),
      t: text("data.v"),
      g: bigint("data.v"),
      j: json("data.v"),
    },
    output: { read: text },
    update: (_, [row], context) => {
      const { eventTimeMs, g, j, ...read } = row;
      context.emit({ read: JSON.stringify([...Object.values(read), String(g), j === null ? "-" : typeof j]) });
    },
  });
  const read = (value) => {
    const driver = new MetricTestDriver(all);
    driver.event(`{"type": "e", "timestamp": 5, "data": {"k": "k", "v": ${value}}}`);
    return driver.failures[0] ?? JSON.parse(driver.rows[0].read);
  };
  assert.deepEqual(read("true"), [true, null, null, "true", "null", "boolean"]);
  assert.deepEqual(read("7"), [null, 7, 7, "7", "7", "number"]);
  assert.deepEqual(read('"7"'), [null, 7, 7, "7", "7", "string"]);
  assert.deepEqual(read("2.50"), [null, null, 2.5, "2.50", "null", "number"]);
  assert.deepEqual(read('"x"'), [null, null, null, "x", "null", "string"]);
  assert.deepEqual(read("[1]"), [null, null, null, null, "null", "object"]);
  assert.deepEqual(read("null"), [null, null, null, null, "null", "-"]);
  assert.deepEqual(read("123456789012345678901234567890")[4], "123456789012345678901234567890");
  assert.match(read("9007199254740993"), /k: i is beyond ±2\^53.*bigint\("data.v"\)/);
});

test("settings are checked against their types", () => {
  const set = fold({
    ...facts,
    settings: { limit: integer, unit: optional(text, "ms"), shares: optional(list(float), []) },
  });
  const refused = (settings) => assert.throws.bind(null, () => new MetricTestDriver(set, { settings }));
  refused({})(/limit is missing/);
  refused({ limit: 0.5 })(/limit: 0.5 is not a whole number/);
  refused({ limit: 1, limt: 2 })(/there is no setting limt; there are limit, unit, shares/);
  refused({ limit: 1, shares: [1, "x"] })(/shares: item 1: "x" is not a number/);
  assert.doesNotThrow(() => new MetricTestDriver(set, { settings: { limit: 1 } }));
  assert.deepEqual(set.facts.config_schema, {
    type: "object",
    properties: {
      limit: { type: "integer" },
      unit: { type: "string", default: "ms" },
      shares: { type: "array", items: { type: "number" }, default: [] },
    },
    required: ["limit"],
    additionalProperties: false,
  });
});

test("an emitted row must be of its columns", () => {
  const emitted = (row) => {
    const emitting = fold({
      ...facts,
      output: { n: integer, f: nullable(float) },
      close: (_, __, context) => context.emit(row),
    });
    const driver = new MetricTestDriver(emitting);
    driver.event(number("a", 1, 1));
    driver.finish();
    return driver.failures[0] ?? [driver.rows[0].n, driver.rows[0].f];
  };
  assert.deepEqual(emitted({ n: 1 }), [1, null]);
  assert.deepEqual(emitted({ n: 2n ** 62n, f: -0 }), [2n ** 62n, -0]);
  assert.equal(emitted({ f: 1 }), "a: n is not nullable, but is undefined here");
  assert.equal(emitted({ n: 0.5 }), "a: n: 0.5 is no integer");
  assert.equal(emitted({ n: 1, f: "1" }), 'a: f: "1" is no float');
  assert.equal(emitted({ n: 1, ff: 1 }), "a: there is no output ff; there are n, f");
});

test("mistakes in the facts are found when the metric is made", () => {
  const made = (changes) => assert.throws.bind(null, () => fold({ ...facts, ...changes }));
  made({ name: "Numbers" })(/name: "Numbers" must have lower-case letters, digits and hyphens/);
  made({ version: "1" })(/version: "1" must be a semantic version/);
  made({ key: "k" })(/key: the path k must begin with one of id, type/);
  made({ input: { n: integer } })(/the input n must be a type at a path/);
  made({ output: { key: text } })(/the output key: every row has a column of that name anyway/);
  made({ filter: { type: 5 } })(/filter: the condition on type must be a text/);
  made({ window: session(5), merge: undefined })(/sessions grow together/);
  made({ updat() {} })(/a metric has no updat; there are name, /);
  assert.throws(() => tumbling("60x"), /"60x" is no duration/);
  assert.throws(() => interval({ lower: "5s", upper: "1s" }), /no time lies between these bounds/);
});
