/** Tests of metrics without a runtime: a driver that plays the host. Its types are in `types/testing.d.ts`. */

import { Aligned } from "./aligned.js";
import { Caller } from "./call.js";
import { Event } from "./event.js";
import { Keyed } from "./keyed.js";
import { Pairs } from "./pairs.js";
import { Sessions } from "./session.js";

const GROUPINGS = { tumbling: Aligned, sliding: Aligned, session: Sessions, key: Keyed, "interval-join": Pairs };

export class MetricTestDriver {
  #facts;
  #caller;
  #grouping;
  #window;
  #watermark = -Infinity;
  #events = 0;

  constructor(metric, { settings = {}, window = metric.facts.window, allowedLatenessMs = 0 } = {}) {
    this.#facts = metric.facts;
    this.#window = window;
    const areJoins = [window, metric.facts.window].map(({ kind }) => kind === "interval-join");
    if (areJoins[0] !== areJoins[1]) throw new Error("a join stays a join");
    this.#grouping = new GROUPINGS[window.kind](window, allowedLatenessMs);
    this.#caller = new Caller(metric, this.#grouping.hasTimers);
    metric.configure(JSON.stringify(settings));
  }

  event(event) {
    this.events([event]);
  }

  events(events) {
    const lines = typeof events === "string" ? events.split("\n").filter((line) => line.trim() !== "") : [...events];
    const read = lines.map((event) => new Event(event, ++this.#events));
    const records = read.filter((event) => event.passes(this.#facts.filter)).flatMap((event) => this.#records(event));
    records.sort((a, b) => a.timeMs - b.timeMs || a.sequence - b.sequence);
    this.#grouping.fold(this.#caller, records, this.#watermark);
  }

  advanceWatermark(eventTimeMs) {
    if (eventTimeMs <= this.#watermark) return;
    this.#watermark = eventTimeMs;
    this.#grouping.advance(this.#caller, eventTimeMs);
  }

  finish() {
    this.advanceWatermark(Infinity);
  }

  get rows() {
    return this.#caller.rows;
  }

  rowsAsEvents() {
    const columns = this.#facts.output.map(({ name }) => name);
    return this.rows.map((row) => ({
      type: `metric.${this.#facts.name}`,
      timestamp: row.event_time,
      data: { ...Object.fromEntries(columns.map((name) => [name, row[name]])), key: row.key },
    }));
  }

  get failures() {
    return this.#caller.failures;
  }

  get late() {
    return this.#grouping.late;
  }

  /** An event as a row of input: one, or for a join one per side that wants it. */
  #records(event) {
    const key = event.value(this.#facts.key, "text");
    if (key === null || key === "") return [];
    const { kind, left, right } = this.#window;
    const wanted = Object.entries({ left, right }).filter(([, filter]) => filter !== undefined && event.passes(filter));
    const sides = kind === "interval-join" ? wanted.map(([side]) => side) : [undefined];
    return sides.map((side) => {
      const cells = this.#facts.inputs.map((input) =>
        input.side === side ? event.value(input.path, input.type) : null,
      );
      return { key, side, timeMs: event.timeMs, sequence: event.sequence, cells };
    });
  }
}
