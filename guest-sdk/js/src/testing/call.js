/** Calls to the metric, through the very functions that a component exports, and what they answer. */

import { isDeepStrictEqual } from "node:util";
import { Writer } from "../bytes.js";
import { encodeText } from "../text.js";

/** Byte strings as the contract has them. */
function byteStrings(strings) {
  const ends = [];
  let length = 0;
  for (const string of strings) ends.push((length += string.length));
  const bytes = new Uint8Array(length);
  strings.forEach((string, index) => bytes.set(string, ends[index] - string.length));
  return { ends, bytes };
}

const at = ({ ends, bytes }, index) => bytes.slice(index === 0 ? 0 : ends[index - 1], ends[index]);

const CASES = { boolean: "booleans", integer: "integers", float: "floats", text: "texts", json: "texts" };

/** A column as the runtime of components passes it in: bytes are bytes, other numbers an array. */
function columnOf(type, values) {
  const validity = new Uint8Array(values.includes(null) ? Math.ceil(values.length / 8) : 0);
  if (validity.length > 0) values.forEach((value, row) => (validity[row >> 3] |= Number(value !== null) << (row & 7)));
  const val = {
    booleans: () => Uint8Array.from(values, Number),
    integers: () => values.map((value) => value ?? 0),
    floats: () => values.map((value) => value ?? 0),
    texts: () => byteStrings(values.map((value) => encodeText(value ?? ""))),
  }[CASES[type]]();
  return { validity, values: { tag: CASES[type], val } };
}

/** The value of an emitted row. */
function cellOf({ validity, values: { tag, val } }, row) {
  if (validity.length > 0 && ((validity[row >> 3] >> (row & 7)) & 1) === 0) return null;
  if (tag === "texts") return new TextDecoder().decode(at(val, row));
  if (tag === "booleans") return val[row] === 1;
  if (tag === "floats") return val[row];
  const number = Number(val[row]);
  return Number.isSafeInteger(number) ? number : val[row];
}

/**
 * Calls of groups. A group has `key`, `window` (start and end), `time`, `state` and `records`; an answer its new
 * `state`, the `timers` that it set, its `rows`, and the `failure` if it failed.
 */
export class Caller {
  rows = [];
  failures = [];
  #metric;
  #facts;
  #hasTimers;

  constructor(metric, hasTimers) {
    this.#metric = metric;
    this.#facts = metric.facts;
    this.#hasTimers = hasTimers;
  }

  /** `update`, or `close` where there is a reason. One answer per group. */
  call(groups, reason) {
    if (groups.length === 0) return [];
    const answers = this.#answers(groups, reason);
    groups.forEach((group, index) => {
      if (!isDeepStrictEqual(this.#answers([group], reason)[0], answers[index])) {
        throw new Error(`key ${group.key}: the answer depends on the other groups of the call, or on earlier calls`);
      }
    });
    groups.forEach((group, index) => this.#keep(group, answers[index]));
    return answers;
  }

  /** `merge` of two states of `key`. */
  merge(key, left, right) {
    const folded = this.#metric.merge(byteStrings([left]), byteStrings([right]));
    if (folded.failures.length === 0) return at(folded.states, 0);
    this.failures.push(`${key}: ${folded.failures[0].message}`);
    return left;
  }

  #keep({ key, window, time }, { rows, failure }) {
    if (failure !== null) this.failures.push(`${key}: ${failure}`);
    const [window_start, window_end] = window;
    const names = this.#facts.output.map(({ name }) => name);
    for (const cells of rows) {
      const columns = Object.fromEntries(names.map((name, index) => [name, cells[index]]));
      this.rows.push({ key, window_start, window_end, event_time: time, ...columns });
    }
  }

  #answers(groups, reason) {
    const batch = this.#batch(groups);
    const folded = reason === undefined ? this.#metric.update(batch) : this.#metric.close(batch, reason);
    if (folded.timers.length > 0 && !this.#hasTimers) throw new Error("only key windows have timers");
    return groups.map((group, index) => answerOf(folded, group, index));
  }

  #batch(groups) {
    const records = groups.flatMap((group) => group.records);
    let rows = 0;
    return {
      columns: this.#facts.inputs.map(({ type }, index) =>
        columnOf(
          type,
          records.map(({ cells }) => cells[index]),
        ),
      ),
      eventTimes: records.map(({ timeMs }) => timeMs),
      groups: {
        keys: byteStrings(groups.map(({ key }) => encodeText(key))),
        windowStarts: groups.map(({ window }) => Math.max(window[0], -(2 ** 63))),
        windowEnds: groups.map(({ window }) => Math.min(window[1], 2 ** 63)),
        times: groups.map(({ time }) => time),
        rowEnds: groups.map((group) => (rows += group.records.length)),
        states: byteStrings(groups.map(({ state }) => state)),
      },
    };
  }
}

function answerOf({ states, emitted, timers, failures }, before, group) {
  const failure = failures.find((failure) => failure.group === group);
  if (failure !== undefined) return { state: before.state, timers: [], rows: [], failure: failure.message };
  const rows = [...emitted.groups.keys()].filter((row) => emitted.groups[row] === group);
  return {
    state: at(states, group),
    timers: timers.filter((timer) => timer.group === group).map(({ time }) => time),
    rows: rows.map((row) => emitted.columns.map((column) => cellOf(column, row))),
    failure: null,
  };
}

export const NO_STATE = new Writer().finish();
