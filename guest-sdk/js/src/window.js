/** Windows, durations, filters and paths, as authors write them and as `describe` has them. Mistakes are thrown. */

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const ENVELOPE = ["id", "type", "timestamp", "gateway", "data", "enrich"];

/** Milliseconds of "250ms", "60s", "-10s", "5m", "1h", "7d", or of a number of them. */
function milliseconds(duration, what) {
  const [, digits, unit] = /^(-?\d+)(ms|s|m|h|d)$/.exec(duration) ?? [];
  const value = typeof duration === "number" ? duration : Number(digits) * UNITS_MS[unit];
  if (Number.isSafeInteger(value)) return value;
  throw new TypeError(`${what}: ${JSON.stringify(duration)} is no duration: write for example "60s" (ms, s, m, h, d)`);
}

function positive(duration, what) {
  const value = milliseconds(duration, what);
  if (value > 0) return value;
  throw new TypeError(`${what}: ${JSON.stringify(duration)} must be positive`);
}

function offset(duration, lessThan, what) {
  const value = milliseconds(duration, what);
  if (Math.abs(value) < lessThan) return value;
  throw new TypeError(`${what}: the offset must be shorter than ${lessThan} ms`);
}

/** Windows of one size, one behind the other. */
export function tumbling(size, terms = {}) {
  const size_ms = positive(size, "the size of a tumbling window");
  return { kind: "tumbling", size_ms, offset_ms: offset(terms.offset ?? 0, size_ms, "tumbling") };
}

/** Windows of one size, of which one begins every so often. */
export function sliding(size, terms) {
  const size_ms = positive(size, "the size of a sliding window");
  const slide_ms = positive(terms?.every, 'sliding(…, { every: "…" })');
  return { kind: "sliding", size_ms, slide_ms, offset_ms: offset(terms.offset ?? 0, slide_ms, "sliding") };
}

/** Windows that end when nothing came for `gap`. */
export function session(gap) {
  return { kind: "session", gap_ms: positive(gap, "the gap of a session") };
}

/** No window: all rows of a key; its state is dropped when no row came for `ttl`. */
export function keyed(terms = {}) {
  return {
    kind: "key",
    ...(terms.ttl === undefined ? {} : { ttl_ms: positive(terms.ttl, "the ttl of a key window") }),
  };
}

/** Pairs of a left and a right row of one key, whose times are not too far apart. */
export function interval(terms) {
  const [lower_ms, upper_ms] = [milliseconds(terms.lower, "lower"), milliseconds(terms.upper, "upper")];
  const lower = oneOf(terms.lowerBound, ["inclusive", "exclusive"], "lowerBound");
  const upper = oneOf(terms.upperBound, ["inclusive", "exclusive"], "upperBound");
  if (lower_ms + Number(lower === "exclusive") > upper_ms - Number(upper === "exclusive")) {
    throw new TypeError("interval: no time lies between these bounds");
  }
  return {
    kind: "interval-join",
    left: filterOf(terms.left ?? {}, "the filter of the left side"),
    right: filterOf(terms.right ?? {}, "the filter of the right side"),
    lower_ms,
    upper_ms,
    lower,
    upper,
    take: oneOf(terms.take, ["all", "first"], "take"),
    unmatched: oneOf(terms.unmatched, ["none", "left", "right", "both"], "unmatched"),
  };
}

function oneOf(choice, choices, what) {
  if (choice === undefined) return choices[0];
  if (choices.includes(choice)) return choice;
  throw new TypeError(`interval: ${what} is ${JSON.stringify(choice)}; known are ${choices.join(", ")}`);
}

/** Conditions as `describe` has them: a text is a list of one. */
export function filterOf(filter, what) {
  const conditions = Object.entries(filter).map(([path, condition]) => {
    checkPath(path, what);
    const texts = typeof condition === "string" ? [condition] : condition;
    if (typeof texts === "boolean" || (Array.isArray(texts) && texts.every((text) => typeof text === "string"))) {
      return [path, texts];
    }
    throw new TypeError(
      `${what}: the condition on ${path} must be a text, a list of texts, true (there) or false (not there)`,
    );
  });
  return Object.fromEntries(conditions);
}

/** Refuses a path that no event has. */
export function checkPath(path, what) {
  const names = typeof path === "string" ? path.split(".") : [""];
  if (names.some((name) => name === "")) {
    throw new TypeError(
      `${what}: ${JSON.stringify(path)} is no path: write names with a dot between them, such as data.stream_id`,
    );
  }
  if (!ENVELOPE.includes(names[0])) {
    throw new TypeError(`${what}: the path ${path} must begin with one of ${ENVELOPE.join(", ")}`);
  }
}
