/** Session windows: states are merged as rows close the gaps, as in `runtime/dataflow/src/session.rs`. */

import { NO_STATE } from "./call.js";

export class Sessions {
  late = 0;
  hasTimers = false;
  #gap;
  /** Open sessions: key, window, state. */
  #open = [];

  constructor({ gap_ms }) {
    this.#gap = gap_ms;
  }

  fold(caller, records, watermark) {
    for (const record of records) {
      const alone = [record.timeMs, record.timeMs + this.#gap];
      // Sessions that only touch are one.
      const absorbed = this.#open
        .filter(({ key, window }) => key === record.key && window[0] <= alone[1] && alone[0] <= window[1])
        .sort((a, b) => a.window[0] - b.window[0]);
      const window = [
        Math.min(alone[0], ...absorbed.map((session) => session.window[0])),
        Math.max(alone[1], ...absorbed.map((session) => session.window[1])),
      ];
      if (window[1] - 1 <= watermark) {
        this.late++;
        continue;
      }
      const states = absorbed.map(({ state }) => state);
      const merged =
        states.length === 0 ? NO_STATE : states.reduce((left, right) => caller.merge(record.key, left, right));
      const session = { key: record.key, window, time: window[1] - 1, state: merged };
      const [{ state }] = caller.call([{ ...session, records: [record] }]);
      this.#open = [...this.#open.filter((open) => !absorbed.includes(open)), { ...session, state }];
    }
  }

  advance(caller, watermark) {
    const isDue = ({ time }) => time <= watermark;
    const due = this.#open.filter(isDue);
    due.sort((a, b) => a.time - b.time || a.window[0] - b.window[0] || (a.key < b.key ? -1 : 1));
    this.#open = this.#open.filter((session) => !isDue(session));
    caller.call(
      due.map((session) => ({ ...session, records: [] })),
      "window-end",
    );
  }
}
