/** What TypeScript infers, and what it refuses. Checked by `npm run types`, never run. */

import {
  State,
  boolean,
  fold,
  integer,
  interval,
  join,
  json,
  keyed,
  list,
  nullable,
  optional,
  text,
  tumbling,
  float,
  latestText,
} from "@tidemark/metric";

class Stage extends State({ ended: nullable(integer) }) {}
class Seen extends State({ stages: list(Stage), last: latestText, first: Stage }) {
  get isOver(): boolean {
    return this.stages.every((stage) => stage.ended !== null) && this.first.ended === 5;
  }
}

fold({
  name: "typed",
  version: "1.0.0",
  key: "data.k",
  window: keyed({ ttl: "1h" }),
  input: { n: integer("data.n"), flag: boolean("data.flag"), any: json("data") },
  state: Seen,
  output: { n: integer, t: nullable(text) },
  settings: { limit: integer, unit: optional(text, "ms"), may: optional(float), deep: { shares: list(float) } },
  update(seen, rows, context) {
    for (const row of rows) {
      const n: number | null = row.n;
      const time: number = row.eventTimeMs;
      // @ts-expect-error: there is no such column
      row.m;
      // @ts-expect-error: it may be null
      const sure: number = row.n;
      seen.last.offer(time, `${n}`);
    }
    const limit: number = context.settings.limit;
    const may: number | null = context.settings.may;
    const shares: number[] = context.settings.deep.shares;
    // @ts-expect-error: there is no such setting
    context.settings.limt;
    context.emit({ n: limit + (may ?? shares.length) });
    context.emit({ n: 5n, t: null });
    // @ts-expect-error: n is missing
    context.emit({ t: "x" });
    // @ts-expect-error: there is no such column
    context.emit({ n: 1, u: 1 });
    // @ts-expect-error: of another type
    context.emit({ n: "1" });
  },
  close(seen, reason) {
    if (reason === "expired") seen.stages.length = 0;
    // @ts-expect-error: there is no such reason
    if (reason === "end") return;
    seen.isOver.valueOf();
  },
  merge(seen, later) {
    seen.stages.push(...later.stages);
  },
});

fold({
  name: "x",
  version: "1.0.0",
  key: "id",
  // @ts-expect-error: an interval is for join
  window: interval({ lower: 0, upper: 1 }),
  input: {},
  state: Stage,
  output: {},
  update() {},
});

// @ts-expect-error: no duration
tumbling("60 seconds");

join({
  name: "typed-join",
  version: "1.0.0",
  key: "data.k",
  window: interval({ lower: "-1s", upper: "1s" }),
  left: { a: integer("data.a") },
  right: { b: text("data.b") },
  output: { a: nullable(integer), b: nullable(text) },
  matched: (left, right, context) => context.emit({ a: left.a, b: right.b }),
});
