/** Key windows: state by key, timers, and a time to live. */

import { NO_STATE } from "./call.js";

export class Keyed {
  late = 0;
  hasTimers = true;
  #ttl;
  /** State and newest time by key. */
  #states = new Map();
  /** What is due when: the metric's own timers come before the expiry of the same moment. */
  #timers = [];

  constructor({ ttl_ms = null }) {
    this.#ttl = ttl_ms;
  }

  fold(caller, records, watermark) {
    const keys = [...new Set(records.map(({ key }) => key))].sort();
    const groups = keys.map((key) => {
      const own = records.filter((record) => record.key === key);
      return this.#group(key, own.at(-1).timeMs, own);
    });
    caller.call(groups).forEach((answer, index) => {
      const { key, time } = groups[index];
      const newest = Math.max(this.#states.get(key)?.newest ?? -Infinity, time);
      if (this.#ttl !== null) this.#set(newest + this.#ttl, "expired", key);
      this.#keep(key, newest, answer);
    });
    this.advance(caller, watermark);
  }

  advance(caller, watermark) {
    // A call may set a timer that is due at once, so this goes on until there is none.
    while (this.#timers.length > 0 && this.#timers[0].time <= watermark) {
      const { time, reason, key } = this.#timers.shift();
      const known = this.#states.get(key);
      if (known === undefined || (reason === "expired" && known.newest + this.#ttl > time)) continue;
      const [answer] = caller.call([this.#group(key, time, [])], reason);
      if (reason === "timer") this.#keep(key, known.newest, answer);
      else this.#states.delete(key);
    }
  }

  #group(key, time, records) {
    return { key, window: [-Infinity, Infinity], time, state: this.#states.get(key)?.state ?? NO_STATE, records };
  }

  #keep(key, newest, { state, timers }) {
    timers.forEach((time) => this.#set(time, "timer", key));
    if (state.length === 0 && timers.length === 0) this.#states.delete(key);
    else this.#states.set(key, { state, newest });
  }

  #set(time, reason, key) {
    // Setting one twice is setting it once.
    if (this.#timers.some((timer) => timer.time === time && timer.reason === reason && timer.key === key)) return;
    this.#timers.push({ time, reason, key });
    const rank = (timer) => Number(timer.reason === "expired");
    this.#timers.sort((a, b) => a.time - b.time || rank(a) - rank(b) || (a.key < b.key ? -1 : 1));
  }
}
