/** Tumbling and sliding windows, as `runtime/dataflow/src/window.rs` has them. */

import { NO_STATE } from "./call.js";

const modulo = (value, by) => ((value % by) + by) % by;

export class Aligned {
  late = 0;
  hasTimers = false;
  #size;
  #slide;
  #offset;
  #lateness;
  /** Open panes by place: key, window, state, and whether it has fired. */
  #panes = new Map();

  constructor({ size_ms, slide_ms = size_ms, offset_ms }, allowedLatenessMs) {
    [this.#size, this.#slide, this.#lateness] = [size_ms, slide_ms, allowedLatenessMs];
    this.#offset = modulo(offset_ms, slide_ms);
  }

  /** Starts of the windows that a time belongs to. */
  #starts(timeMs) {
    const starts = [];
    const last = timeMs - modulo(timeMs - this.#offset, this.#slide);
    for (let start = last; timeMs - start < this.#size; start -= this.#slide) starts.push(start);
    return starts;
  }

  fold(caller, records, watermark) {
    const touched = new Map();
    for (const record of records) {
      const open = this.#starts(record.timeMs).filter((start) => start + this.#size - 1 + this.#lateness > watermark);
      this.late += Number(open.length === 0);
      for (const start of open) {
        const place = JSON.stringify([start + this.#size, record.key]);
        if (!this.#panes.has(place)) {
          const window = [start, start + this.#size];
          this.#panes.set(place, { key: record.key, window, time: window[1] - 1, state: NO_STATE, isFired: false });
        }
        touched.set(place, [...(touched.get(place) ?? []), record]);
      }
    }
    const panes = byEnd(
      [...touched.keys()].map((place) => ({ pane: this.#panes.get(place), records: touched.get(place) })),
    );
    const answers = caller.call(panes.map(({ pane, records }) => ({ ...pane, records })));
    panes.forEach(({ pane }, index) => Object.assign(pane, { state: answers[index].state, isFired: false }));
    this.#fire(
      caller,
      panes.filter(({ pane }) => pane.time <= watermark),
    );
  }

  advance(caller, watermark) {
    const due = [...this.#panes.values()].filter((pane) => !pane.isFired && pane.time <= watermark);
    this.#fire(caller, byEnd(due.map((pane) => ({ pane }))));
    for (const [place, { time }] of this.#panes) if (time + this.#lateness <= watermark) this.#panes.delete(place);
  }

  #fire(caller, panes) {
    const answers = caller.call(
      panes.map(({ pane }) => ({ ...pane, records: [] })),
      "window-end",
    );
    panes.forEach(({ pane }, index) => Object.assign(pane, { state: answers[index].state, isFired: true }));
  }
}

/** Panes that end first come first, then by key. */
function byEnd(panes) {
  return panes.sort(({ pane: a }, { pane: b }) => a.time - b.time || (a.key < b.key ? -1 : 1));
}
