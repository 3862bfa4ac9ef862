/** An event as a test writes it, and its values by path and type, by the rules of the runtime (`wit/describe.md`). */

/** A number as it is written: texts of it and 64 bits need all digits. */
class Written {
  constructor(digits) {
    this.digits = digits;
  }

  toJSON() {
    return JSON.rawJSON === undefined ? Number(this.digits) : JSON.rawJSON(this.digits);
  }
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const DIGITS = "\u0000digits";

/** Parses JSON and keeps numbers as they are written. */
function parse(json) {
  JSON.parse(json);
  const tagged = json.replace(TOKEN, (token) => (token[0] === '"' ? token : JSON.stringify({ [DIGITS]: token })));
  return JSON.parse(tagged, (_, value) => (typeof value?.[DIGITS] === "string" ? new Written(value[DIGITS]) : value));
}

const isNumber = (value) => value instanceof Written || typeof value === "number" || typeof value === "bigint";
const isObject = (value) => typeof value === "object" && value !== null && !(value instanceof Written);

export class Event {
  #envelope;

  /** `event` is an envelope, as JSON or as an object; `sequence` its place in the input. */
  constructor(event, sequence) {
    this.sequence = sequence;
    try {
      this.#envelope = typeof event === "string" ? parse(event) : event;
    } catch (error) {
      throw new Error(`event ${sequence} is no JSON: ${error.message}: ${event}`);
    }
    if (!isObject(this.#envelope) || Array.isArray(this.#envelope))
      throw new Error(`event ${sequence} is no JSON object`);
    this.#unwrapData();
    this.timeMs = Number(this.value("data.timestamp", "integer") ?? this.value("timestamp", "integer") ?? NaN);
    if (Number.isNaN(this.timeMs)) throw new Error(`event ${sequence} has no timestamp: ${JSON.stringify(event)}`);
  }

  /** `data` that is JSON in a string, as some streams carry it. */
  #unwrapData() {
    if (typeof this.#envelope.data !== "string") return;
    try {
      this.#envelope = { ...this.#envelope, data: parse(this.#envelope.data) };
    } catch {
      // Then it is a text.
    }
  }

  /** The value at `path` as a type of columns; null where there is none, or one of another type. */
  value(path, type) {
    let found = this.#envelope;
    for (const name of path.split(".")) {
      if (!isObject(found) || !Object.hasOwn(found, name)) return null;
      found = found[name];
    }
    return found === undefined || found === null ? null : READ[type](found);
  }

  /** Whether all conditions of `filter` hold. */
  passes(filter) {
    return Object.entries(filter).every(([path, condition]) => {
      const text = this.value(path, "text") ?? "";
      return typeof condition === "boolean" ? (text !== "") === condition : condition.includes(text);
    });
  }
}

/** A number or a text of one, as text; otherwise null. */
function digitsOf(value) {
  if (value instanceof Written) return value.digits;
  return isNumber(value) || typeof value === "string" ? String(value) : null;
}

const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

function float(value) {
  const digits = digitsOf(value);
  const number = digits !== null && FLOAT.test(digits) ? Number(digits) : NaN;
  return Number.isFinite(number) ? number : null;
}

/** As a number, rounded where the runtime of components rounds it. */
function integer(value) {
  const digits = digitsOf(value);
  if (digits === null) return null;
  if (/^[+-]?\d+$/.test(digits)) return BigInt.asIntN(64, BigInt(digits)) === BigInt(digits) ? Number(digits) : null;
  const number = float(value);
  // Up to 2^53 a float is exact.
  return Number.isInteger(number) && Math.abs(number) <= 2 ** 53 ? number : null;
}

const READ = {
  boolean: (value) => (typeof value === "boolean" ? value : null),
  integer,
  float,
  text: (value) => (isObject(value) ? null : (digitsOf(value) ?? String(value))),
  json: (value) => JSON.stringify(value),
};
