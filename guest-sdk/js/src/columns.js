/**
 * Columns: the types that a value of an event or of a row may have, how each is read from the contract's buffers and
 * written to them. `float("data.fps")` is an input column, `float` an output column and, where it has an encoding, the
 * type of a field of a state.
 */

import { Writer, packed } from "./bytes.js";
import { bigintState, bool, f64, i64, nullableState, textState } from "./state.js";
import { textsOf } from "./text.js";

/** Values that JavaScript would round become this instead; a row that has one fails. */
export class Inexact {
  constructor(value) {
    this.value = value;
  }
}

/** The values of an input column as an array, null where there is none; `read` gives the value of a row, if they
 * differ. */
function valuesOf(values, validity, count, read) {
  // An empty bitmap says that there are no nulls.
  const hasNulls = validity.length > 0;
  if (!hasNulls && read === null) return values;
  const converted = [];
  for (let row = 0; row < count; row++) {
    const isNull = hasNulls && ((validity[row >> 3] >> (row & 7)) & 1) === 0;
    converted.push(isNull ? null : read === null ? values[row] : read(values, row));
  }
  return converted;
}

/**
 * A type of columns.
 *
 * - `tag`: the case of the contract's `values`; `column`: its name in `describe`
 * - `open`: what `read` gets, made of the case's value once a call
 * - `read`: the value of a row; null where `open` gives the values themselves
 * - `check`: what is kept of a value to be emitted; undefined if it has another type
 * - `empty`: what is kept in the place of null
 * - `pack`: the case's value, of all that was kept
 */
function columnType(facts, state = {}) {
  const { name, tag, column = name, open = (values) => values, read = null, check, empty, pack } = facts;
  const of = (path) => Object.freeze({ type: of, path });
  const readColumn = ({ validity, values }, count) => valuesOf(open(values.val), validity, count, read);
  const isColumn = ({ values }) => values.tag === tag;
  Object.defineProperty(of, "name", { value: name });
  const packColumn = (values) => ({ tag, val: pack(values) });
  return Object.freeze(
    Object.assign(of, state, { column, isColumn, readColumn, check, empty, packColumn, isNullable: false }),
  );
}

/** Texts as the contract's byte strings. */
function packTexts(texts) {
  const bytes = new Writer();
  const ends = new Uint32Array(texts.length);
  for (let index = 0; index < texts.length; index++) {
    bytes.utf8(texts[index]);
    ends[index] = bytes.length;
  }
  return { ends, bytes: bytes.finish() };
}

const BIG_LEAST = -(1n << 63n);
const BIG_MOST = (1n << 63n) - 1n;

export const boolean = columnType(
  {
    name: "boolean",
    tag: "booleans",
    read: (bytes, row) => bytes[row] !== 0,
    check: (value) => (typeof value === "boolean" ? Number(value) : undefined),
    empty: 0,
    pack: (values) => packed(Uint8Array, values),
  },
  bool,
);

export const integer = columnType(
  {
    name: "integer",
    tag: "integers",
    read: (values, row) => (Number.isSafeInteger(values[row]) ? values[row] : new Inexact(values[row])),
    check: (value) => {
      if (typeof value === "bigint") return value >= BIG_LEAST && value <= BIG_MOST ? value : undefined;
      return Number.isSafeInteger(value) ? BigInt(value) : undefined;
    },
    empty: 0n,
    pack: (values) => packed(BigInt64Array, values),
  },
  i64,
);

export const float = columnType(
  {
    name: "float",
    tag: "floats",
    check: (value) => (typeof value === "number" ? value : undefined),
    empty: 0,
    pack: (values) => packed(Float64Array, values),
  },
  f64,
);

const texts = {
  tag: "texts",
  open: textsOf,
  empty: "",
  pack: packTexts,
};

export const text = columnType(
  {
    ...texts,
    name: "text",
    check: (value) => (typeof value === "string" ? value : undefined),
  },
  textState,
);

/** Any JSON value, parsed. */
export const json = columnType({
  ...texts,
  name: "json",
  read: (values, row) => JSON.parse(values[row]),
  check: (value) => JSON.stringify(value),
});

/** A whole number of any size: a text column, whose digits are all there. */
export const bigint = columnType(
  {
    ...texts,
    name: "bigint",
    column: "text",
    read: (values, row) => (/^-?[0-9]+$/.test(values[row]) ? BigInt(values[row]) : null),
    check: (value) => (typeof value === "bigint" ? value.toString() : undefined),
  },
  bigintState,
);

/** A type that may be null: of an output column, or of a field of a state. */
export function nullable(of) {
  if (of?.column === undefined && of?.write === undefined)
    throw new TypeError("nullable() takes a type, such as float");
  const state = of.write === undefined ? {} : nullableState(of);
  const { name, column, check, empty, packColumn } = of;
  return Object.freeze({ name, column, check, empty, packColumn, isNullable: true, ...state });
}

/** An output column as it grows row by row. */
export class ColumnBuilder {
  #type;
  #values = [];
  #nulls = [];

  constructor(type) {
    this.#type = type;
  }

  /** Adds what the type's `check` made of a value; null is null. */
  push(value) {
    if (value === null) {
      this.#nulls.push(this.#values.length);
      value = this.#type.empty;
    }
    this.#values.push(value);
  }

  /** The column as the contract has it. */
  finish() {
    // Bit `row % 8` of byte `row / 8` says that the row is not null; an empty bitmap, that none is.
    const validity = new Uint8Array(this.#nulls.length === 0 ? 0 : Math.ceil(this.#values.length / 8)).fill(0xff);
    for (const row of this.#nulls) validity[row >> 3] &= ~(1 << (row & 7));
    if (validity.length > 0) validity[validity.length - 1] &= 0xff >> (validity.length * 8 - this.#values.length);
    return { validity, values: this.#type.packColumn(this.#values) };
  }
}
