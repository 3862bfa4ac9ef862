/** The functions that a component exports, made of a metric. The build's entry point calls this; authors never do. */

/** The contract's interface `metric`, as the runtime of JavaScript components calls it. */
export function moduleOf(metric) {
  const isMetric = typeof metric?.facts === "object" && typeof metric.update === "function";
  if (!isMetric) throw new TypeError("the file's default export must be fold({…}) or join({…})");
  const text = JSON.stringify(metric.facts);
  let isConfigured = false;
  return {
    describe: () => text,
    configure(json) {
      // The runtime lowers what is thrown as the error's text.
      if (isConfigured) throw "configured already";
      try {
        metric.configure(json);
      } catch (error) {
        throw String(error.message);
      }
      isConfigured = true;
    },
    update: (batch) => metric.update(batch),
    close: (batch, reason) => metric.close(batch, reason),
    merge: (left, right) => metric.merge(left, right),
    migrate: (states, from) => metric.migrate(states, from),
  };
}
