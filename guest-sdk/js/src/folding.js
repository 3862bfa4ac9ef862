/** The answer to one call, as it grows group by group, and what a metric can ask and do while it handles one group. */

import { Writer, packed } from "./bytes.js";
import { ColumnBuilder } from "./columns.js";
import { Texts } from "./text.js";

/** The ends of time, which only key windows have. */
const NEVER = -(2 ** 63);

const orInfinity = (timeMs) => (timeMs <= NEVER ? -Infinity : timeMs >= -NEVER ? Infinity : timeMs);

/** The output columns that a metric declares. */
export class OutputColumns {
  #names;
  #types;

  constructor(output) {
    this.#names = Object.keys(output);
    this.#types = Object.values(output);
  }

  builders() {
    return this.#types.map((type) => new ColumnBuilder(type));
  }

  /** The values of a row as columns take them. Throws where one is not of its column's type. */
  cells(row) {
    const cells = [];
    let absent = 0;
    for (let index = 0; index < this.#names.length; index++) {
      const type = this.#types[index];
      const value = row[this.#names[index]];
      if (value === undefined) absent++;
      const cell = value === undefined || value === null ? null : type.check(value);
      if (cell === undefined || (cell === null && !type.isNullable)) this.#refuse(index, value);
      cells.push(cell);
    }
    if (absent > 0 || Object.keys(row).length > cells.length) this.#refuseUnknown(row);
    return cells;
  }

  #refuse(index, value) {
    const [name, type] = [this.#names[index], this.#types[index]];
    if (value === undefined || value === null) throw new Error(`${name} is not nullable, but is ${value} here`);
    throw new Error(`${name}: ${typeof value === "bigint" ? `${value}n` : JSON.stringify(value)} is no ${type.name}`);
  }

  #refuseUnknown(row) {
    const unknown = Object.keys(row).find((name) => !this.#names.includes(name));
    if (unknown !== undefined) throw new Error(`there is no output ${unknown}; there are ${this.#names.join(", ")}`);
  }
}

/** The group in hand, and what is emitted for it. One object serves all groups of a call. */
export class Context {
  #groups;
  #keys;
  #folding;
  #settings;
  group = 0;

  constructor(groups, folding, settings) {
    this.#groups = groups;
    this.#keys = new Texts(groups.keys);
    this.#folding = folding;
    this.#settings = settings;
  }

  get settings() {
    return this.#settings;
  }

  get key() {
    return this.#keys.get(this.group);
  }

  get windowStartMs() {
    return orInfinity(this.#groups.windowStarts[this.group]);
  }

  get windowEndMs() {
    return orInfinity(this.#groups.windowEnds[this.group]);
  }

  get eventTimeMs() {
    return orInfinity(this.#groups.times[this.group]);
  }

  emit(row) {
    this.#folding.emit(this.group, row);
  }

  timerAt(eventTimeMs) {
    if (!Number.isSafeInteger(eventTimeMs)) throw new Error(`${eventTimeMs} is no time in whole milliseconds`);
    this.#folding.timers.push({ group: this.group, time: eventTimeMs });
  }

  forget() {
    this.#folding.isForgotten = true;
  }
}

/**
 * The answer to one call. Groups stand one behind the other: each is handled between `begin` and `end`, and keeps a
 * state or fails in between.
 */
export class Folding {
  timers = [];
  isForgotten = false;
  #output;
  #builders;
  #emitted = [];
  #failures = [];
  #states = new Writer();
  #stateEnds = [];
  #begin = 0;

  constructor(output) {
    this.#output = output;
    this.#builders = output.builders();
  }

  emit(group, row) {
    const cells = this.#output.cells(row);
    for (let index = 0; index < cells.length; index++) this.#builders[index].push(cells[index]);
    this.#emitted.push(group);
  }

  begin() {
    this.isForgotten = false;
    this.#begin = this.#states.length;
  }

  keep(Type, state) {
    if (!this.isForgotten) Type.write(this.#states, state);
  }

  /** The group in hand fails of what was thrown. */
  fail(error) {
    this.#states.length = this.#begin;
    this.#failures.push({ group: this.#stateEnds.length, message: messageOf(error) });
  }

  end() {
    this.#stateEnds.push(this.#states.length);
  }

  finish() {
    const columns = this.#emitted.length === 0 ? [] : this.#builders.map((builder) => builder.finish());
    return {
      states: { ends: packed(Uint32Array, this.#stateEnds), bytes: this.#states.finish() },
      emitted: { groups: packed(Uint32Array, this.#emitted), columns },
      timers: this.timers,
      failures: this.#failures,
    };
  }
}

/** The answer of a call in which each of `groups` groups failed for one reason. */
export function allFailed(groups, message) {
  return {
    states: { ends: new Array(groups).fill(0), bytes: new Uint8Array() },
    emitted: { groups: [], columns: [] },
    timers: [],
    failures: Array.from({ length: groups }, (_, group) => ({ group, message })),
  };
}

/** What was thrown, for a person. An error that nobody meant to throw tells where, too. */
function messageOf(error) {
  if (!(error instanceof Error)) return String(error);
  if (error.constructor === Error) return error.message;
  const place = /^\s*at (.*)$/m.exec(error.stack ?? "")?.[1].replace("componentize-qjs:user.js", "the bundle");
  return `${error.name}: ${error.message}${place === undefined ? "" : ` (at ${place})`}`;
}
