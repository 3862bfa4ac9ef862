/**
 * Settings: the configuration of a metric, read from JSON, with its JSON schema. A setting is `boolean`, `integer`,
 * `float` or `text`, `list(…)` of one, an object of them, or `optional(…)` with what it is where it is absent.
 */

import { boolean, float, integer, text } from "./columns.js";
import { itemOf } from "./state.js";

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const SCALARS = new Map([
  [boolean, { schema: "boolean", is: (value) => typeof value === "boolean", name: "true or false" }],
  [integer, { schema: "integer", is: Number.isSafeInteger, name: "a whole number" }],
  [float, { schema: "number", is: (value) => typeof value === "number", name: "a number" }],
  [text, { schema: "string", is: (value) => typeof value === "string", name: "a text" }],
]);

class Optional {
  constructor(type, fallback) {
    this.type = type;
    this.fallback = fallback;
  }
}

/** A setting that may be absent, and is `fallback` then. */
export function optional(type, fallback = null) {
  return new Optional(type, fallback);
}

/** The JSON schema of settings; null where there are none. */
export function schemaOf(settings) {
  return settings === undefined || Object.keys(settings).length === 0 ? null : schema(settings);
}

function schema(type) {
  const scalar = SCALARS.get(type);
  if (scalar !== undefined) return { type: scalar.schema };
  if (itemOf(type) !== undefined) return { type: "array", items: schema(itemOf(type)) };
  if (!isObject(type))
    throw new TypeError("a setting must be boolean, integer, float, text, list(…), optional(…) or an object");
  const properties = Object.entries(type).map(([name, member]) => {
    if (!(member instanceof Optional)) return [name, schema(member)];
    const isNull = member.fallback === null;
    const or = isNull ? { anyOf: [schema(member.type), { type: "null" }] } : { default: member.fallback };
    return [name, isNull ? or : { ...schema(member.type), ...or }];
  });
  const required = Object.keys(type).filter((name) => !(type[name] instanceof Optional));
  return { type: "object", properties: Object.fromEntries(properties), required, additionalProperties: false };
}

/** The settings in a document; throws what is wrong, for the person who wrote it. Nothing, null and {} are the same. */
export function readSettings(settings, document) {
  const json = document.trim() === "" ? {} : (JSON.parse(document) ?? {});
  return read(settings ?? {}, json);
}

function read(type, value) {
  const scalar = SCALARS.get(type);
  if (scalar !== undefined) {
    expect(scalar.is(value), value, scalar.name);
    return value;
  }
  if (itemOf(type) !== undefined) {
    expect(Array.isArray(value), value, "an array");
    return value.map((item, index) => within(`item ${index}`, () => read(itemOf(type), item)));
  }
  expect(isObject(value), value, "an object");
  const names = Object.keys(type);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new Error(`there is no setting ${unknown}; there are ${names.length === 0 ? "none" : names.join(", ")}`);
  }
  return Object.freeze(Object.fromEntries(names.map((name) => [name, member(type[name], name, value)])));
}

function member(type, name, values) {
  const isThere = Object.hasOwn(values, name);
  if (type instanceof Optional) {
    return isThere && values[name] !== null ? within(name, () => read(type.type, values[name])) : type.fallback;
  }
  if (!isThere) throw new Error(`${name} is missing`);
  return within(name, () => read(type, values[name]));
}

function expect(isIt, value, what) {
  if (!isIt) throw new Error(`${JSON.stringify(value)} is not ${what}`);
}

function within(name, readIt) {
  try {
    return readIt();
  } catch (error) {
    throw new Error(`${name}: ${error.message}`);
  }
}
