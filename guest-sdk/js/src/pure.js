/**
 * Takes from JavaScript what would make a metric depend on anything but its input. In a component only: it is loaded
 * before the metric. A call of what is taken fails the group with a message instead of trapping.
 */

const refuse = (what) => () => {
  throw new Error(`${what}: a metric depends on its rows, its state and its settings alone`);
};

Math.random = refuse("Math.random()");
const { parse, UTC, prototype } = Date;
const NativeDate = Date;

/** `Date` with arguments: dates of event times. Without, it would be the clock. */
function PureDate(...parts) {
  if (new.target === undefined || parts.length === 0) refuse("the clock, new Date()")();
  return Reflect.construct(NativeDate, parts, new.target);
}

globalThis.Date = Object.assign(PureDate, { parse, UTC, now: refuse("the clock, Date.now()") });
PureDate.prototype = prototype;
prototype.constructor = PureDate;
delete globalThis.performance;

/** Messages for the one who writes the metric: they are seen in tests, and lead nowhere in a component. */
globalThis.console ??= Object.fromEntries(["log", "info", "warn", "error", "debug"].map((name) => [name, () => {}]));
