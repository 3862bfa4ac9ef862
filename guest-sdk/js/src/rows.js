/** Input rows: plain objects, made of the columns of a call. */

import { Inexact, integer } from "./columns.js";

/** The input columns that a metric declares, ready to read the columns of a call. */
export class InputColumns {
  #entries;
  #rowOf;
  /** Which of them can be inexact. */
  #integers;

  /** `input` has a column by name. */
  constructor(input) {
    this.#entries = Object.entries(input);
    this.#rowOf = rowFunction(this.#entries.map(([name]) => name));
    this.#integers = [...this.#entries.keys()].filter((index) => this.#entries[index][1].type === integer);
  }

  get length() {
    return this.#entries.length;
  }

  /** A function from a row's index to the row. Throws where a column is missing or has another type than described. */
  open(columns, eventTimes) {
    const values = this.#entries.map(([, { type, path }], index) => {
      if (columns[index] === undefined || !type.isColumn(columns[index])) {
        throw new Error(`the column of \`${path}\` is missing or has another type than described`);
      }
      return type.readColumn(columns[index], eventTimes.length);
    });
    const rowOf = this.#rowOf(eventTimes, ...values);
    const isInexact = (value) => value instanceof Inexact;
    const inexact = this.#integers.filter((index) => values[index].some(isInexact));
    if (inexact.length === 0) return rowOf;
    return (row) => {
      for (const index of inexact) if (values[index][row] instanceof Inexact) this.#refuseInexact(index);
      return rowOf(row);
    };
  }

  #refuseInexact(index) {
    const [name, { path }] = this.#entries[index];
    throw new Error(`${name} is beyond ±2^53, where numbers are not exact: read it with bigint("${path}")`);
  }
}

/**
 * `(eventTimes, …columns) => (row) => ({ eventTimeMs: eventTimes[row], name: column[row], … })`, as code of its own: an
 * object literal is made several times faster than an object to which names are added one by one.
 */
function rowFunction(names) {
  const columns = names.map((_, index) => `column${index}`);
  const members = names.map((name, index) => `${JSON.stringify(name)}: column${index}[row]`);
  const literal = ["eventTimeMs: eventTimes[row]", ...members].join(", ");
  return new Function("eventTimes", ...columns, `return (row) => ({ ${literal} });`);
}
