/**
 * What a metric remembers of a group between calls, and how it becomes bytes: `wit/state.md`.
 *
 * A type of state says how a value begins (`initial`), is written (`write`) and is read (`read`). `State({...})` makes
 * a class of such types, which is one itself.
 */

import { Malformed } from "./bytes.js";
import { EarliestText, LatestText } from "./pick.js";
import { compareTexts } from "./text.js";

const type = (initial, write, read) => Object.freeze({ initial, write, read });

/** The greatest whole number up to which a `number` is exact. */
const MOST = Number.MAX_SAFE_INTEGER;

/** A whole number of these bounds. What does not fit is refused when it is written: it would come back as another. */
function whole(least, greatest, write, read) {
  const checked = (writer, value) => {
    if (!Number.isInteger(value) || value < least || value > greatest) {
      throw new Error(`${value} is not a whole number from ${least} to ${greatest}`);
    }
    write(writer, value);
  };
  return type(() => 0, checked, read);
}

/** A number that was read from 64 bits. One that JavaScript had to round is refused. */
function exact(number) {
  if (!Number.isSafeInteger(number)) throw new Error("a number is beyond ±2^53: use bigU64 or bigI64");
  return number;
}

const write8 = (writer, value) => writer.u8(value);
const write16 = (writer, value) => writer.u16(value);
const write32 = (writer, value) => writer.u32(value);
const write64 = (writer, value) => writer.i64(value);

export const u8 = whole(0, 0xff, write8, (reader) => reader.u8());
export const u16 = whole(0, 0xffff, write16, (reader) => reader.u16());
export const u32 = whole(0, 0xffff_ffff, write32, (reader) => reader.u32());
export const u64 = whole(0, MOST, write64, (reader) => exact(reader.u64()));
export const i8 = whole(-0x80, 0x7f, write8, (reader) => reader.i8());
export const i16 = whole(-0x8000, 0x7fff, write16, (reader) => reader.i16());
export const i32 = whole(-0x8000_0000, 0x7fff_ffff, write32, (reader) => reader.i32());
export const i64 = whole(-MOST, MOST, write64, (reader) => exact(reader.i64()));

function wholeBig(least, greatest, read) {
  const write = (writer, value) => {
    if (typeof value !== "bigint" || value < least || value > greatest) {
      throw new Error(`${value} is not a bigint from ${least} to ${greatest}`);
    }
    writer.bigU64(value);
  };
  return type(() => 0n, write, read);
}

export const bigU64 = wholeBig(0n, (1n << 64n) - 1n, (reader) => reader.bigU64());
export const bigI64 = wholeBig(-(1n << 63n), (1n << 63n) - 1n, (reader) => reader.bigI64());

/** Refuses what is not of JavaScript's type `name`, which a writer would quietly turn into something else. */
function checked(name, initial, write, read) {
  const writeChecked = (writer, value) => {
    if (typeof value !== name) throw new Error(`${value} is not a ${name}`);
    write(writer, value);
  };
  return type(() => initial, writeChecked, read);
}

export const f64 = checked(
  "number",
  0,
  (writer, value) => writer.f64(value),
  (reader) => reader.f64(),
);
export const bool = checked(
  "boolean",
  false,
  (writer, value) => writer.u8(Number(value)),
  (reader) => reader.bool(),
);
export const textState = checked(
  "string",
  "",
  (writer, value) => writer.text(value),
  (reader) => reader.text(),
);

/** Of any size, as the text of its digits. */
export const bigintState = checked(
  "bigint",
  0n,
  (writer, value) => writer.text(value.toString()),
  (reader) => BigInt(reader.text()),
);

/** As an optional pair of time and text. */
function timedText(Kept) {
  const write = (writer, kept) => {
    writer.u8(kept.text === null ? 0 : 1);
    if (kept.text === null) return;
    i64.write(writer, kept.timeMs);
    writer.text(kept.text);
  };
  const read = (reader) => {
    const kept = new Kept();
    if (reader.bool()) kept.keep(i64.read(reader), reader.text());
    return kept;
  };
  return type(() => new Kept(), write, read);
}

export const latestText = timedText(LatestText);
export const earliestText = timedText(EarliestText);

/** A value or null. */
export function nullableState(item) {
  const write = (writer, value) => {
    writer.u8(value === null ? 0 : 1);
    if (value !== null) item.write(writer, value);
  };
  return type(
    () => null,
    write,
    (reader) => (reader.bool() ? item.read(reader) : null),
  );
}

/** An array. */
export function list(item) {
  // Settings may be lists of objects, which no state can be.
  if (item?.constructor !== Object || item.write !== undefined) isStateType(item, "the items of a list");
  const write = (writer, items) => {
    writer.u32(items.length);
    for (const value of items) item.write(writer, value);
  };
  const read = (reader) => Array.from({ length: reader.length() }, () => item.read(reader));
  const made = type(() => [], write, read);
  itemTypes.set(made, item);
  return made;
}

/** The type of each list's items: a list is a type of settings as well, whose items need no encoding. */
const itemTypes = new WeakMap();

/** The type of the items of a list; undefined for another type. */
export function itemOf(list) {
  return typeof list === "object" ? itemTypes.get(list) : undefined;
}

/** A Map; its entries are written in ascending order of their keys, so that equal maps are equal bytes. */
export function map(key, value) {
  isStateType(key, "the keys of a map");
  isStateType(value, "the values of a map");
  const compare = ([a], [b]) => (typeof a === "string" ? compareTexts(a, b) : a < b ? -1 : Number(a > b));
  const write = (writer, entries) => {
    writer.u32(entries.size);
    for (const [name, item] of [...entries].sort(compare)) {
      key.write(writer, name);
      value.write(writer, item);
    }
  };
  const read = (reader) =>
    new Map(Array.from({ length: reader.length() }, () => [key.read(reader), value.read(reader)]));
  return type(() => new Map(), write, read);
}

function isStateType(of, what) {
  if (typeof of?.write !== "function" || typeof of.read !== "function") {
    throw new TypeError(`${what} must have a type of state, such as integer, float, text or list(float)`);
  }
}

/**
 * A class whose instances hold these fields and become bytes. Extend it:
 *
 *     class Mean extends State({ count: integer, sum: float }) {
 *       get mean() { return this.sum / this.count; }
 *     }
 */
export function State(fields) {
  const names = Object.keys(fields);
  const types = Object.values(fields);
  types.forEach((of, index) => isStateType(of, `the state's field ${names[index]}`));
  const fill = compile("state", names, types, "initial", (member, initial) => `${member} = ${initial}();`);
  const write = compile("writer, state", names, types, "write", (member, write) => `${write}(writer, ${member});`);
  const read = compile("reader, state", names, types, "read", (member, read) => `${member} = ${read}(reader);`);

  return class State {
    constructor() {
      fill(this);
    }

    static initial() {
      return new this();
    }

    static write(writer, state) {
      write(writer, state);
    }

    static read(reader) {
      const state = new this();
      read(reader, state);
      return state;
    }
  };
}

/**
 * A function with one statement per field, made by `statement(member, method)`. Code of its own takes an interpreter a
 * third of the time of a loop over names and types. What is thrown names the field.
 */
function compile(parameters, names, types, method, statement) {
  // Methods of a class of states need their class.
  const methods = types.map((of) => (typeof of === "function" && of.prototype ? of[method].bind(of) : of[method]));
  const lines = names.map(
    (name, index) => `at = ${index}; ${statement(`state[${JSON.stringify(name)}]`, `m${index}`)}`,
  );
  const body = `return (${parameters}) => { let at; try { ${lines.join("\n")} } catch (error) { named(error, at); } };`;
  const named = (error, at) => {
    throw error instanceof Malformed ? error : new Error(`the state's field ${names[at]}: ${error.message}`);
  };
  return new Function("named", ...types.map((_, index) => `m${index}`), body)(named, ...methods);
}

/** The state that `reader` consists of: a new one for no bytes, otherwise all of them are read. */
export function readState(Type, reader) {
  if (reader.left === 0) return Type.initial();
  const state = Type.read(reader);
  if (reader.left !== 0) throw new Malformed();
  return state;
}
