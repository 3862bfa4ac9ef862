/**
 * A metric: `fold({…})` for windows, `join({…})` for pairs. Both return an object with the functions of the contract
 * over whole calls, which the component exports and the test driver calls.
 */

import { Malformed, Reader } from "./bytes.js";
import { check, description } from "./describe.js";
import { Context, Folding, OutputColumns, allFailed } from "./folding.js";
import { InputColumns } from "./rows.js";
import { readSettings } from "./settings.js";
import { State, readState } from "./state.js";

const FACTS = ["name", "version", "doc", "key", "filter", "window", "output", "settings", "validate"];
const NO_MERGE = "states of this metric cannot be merged";
const noMigration = (version) => `states of version ${version} cannot be read`;
const WRONG_STATE = "the state was not written by this state version";

/** A metric that folds the rows of a group into its state. */
export function fold(metric) {
  checkNames(metric, [...FACTS, "input", "state", "stateVersion", "update", "close", "merge", "migrate"]);
  const { window, input = {}, state: Type = State({}), stateVersion = 1, update, close, merge, migrate } = metric;
  check(window?.kind !== "interval-join", "an interval is for join({…}), not for fold({…})");
  check(window?.kind !== "session" || merge !== undefined, "sessions grow together: write merge(state, later)");
  check(typeof update === "function", "update(state, rows, context) is missing");
  check(typeof Type?.write === "function", "state must be a class that extends State({…})");
  const described = Object.entries(input).map(([name, column]) => ({ name, column }));
  const facts = description(metric, described, { stateVersion, mergeable: merge !== undefined });
  const output = new OutputColumns(metric.output ?? {});
  const inputs = new InputColumns(input);
  const settings = new Settings(metric);

  /** Calls `handle(state, group)` for every state, and keeps what it leaves. */
  const foldStates = (states, folding, handle) => {
    const reader = new Reader(states.bytes);
    for (let group = 0; group < states.ends.length; group++) {
      folding.begin();
      try {
        const state = stateAt(Type, reader, states.ends, group);
        handle(state, group);
        folding.keep(Type, state);
      } catch (error) {
        folding.fail(error);
      }
      folding.end();
    }
    return folding.finish();
  };

  return Object.freeze({
    facts,
    configure: (json) => settings.configure(json),
    update({ columns, eventTimes, groups }) {
      let rowAt;
      try {
        rowAt = inputs.open(columns, eventTimes);
      } catch (error) {
        return allFailed(groups.times.length, error.message);
      }
      const folding = new Folding(output);
      const context = new Context(groups, folding, settings.values);
      return foldStates(groups.states, folding, (state, group) => {
        context.group = group;
        update(state, rowsOf(groups.rowEnds, group, rowAt), context);
      });
    },
    close({ groups }, reason) {
      const folding = new Folding(output);
      const context = new Context(groups, folding, settings.values);
      return foldStates(groups.states, folding, (state, group) => {
        context.group = group;
        close?.(state, reason, context);
      });
    },
    merge(left, right) {
      if (merge === undefined) return allFailed(left.ends.length, NO_MERGE);
      const later = new Reader(right.bytes);
      return foldStates(left, new Folding(output), (state, pair) =>
        merge(state, stateAt(Type, later, right.ends, pair)),
      );
    },
    migrate({ ends, bytes }, version) {
      if (migrate === undefined) return allFailed(ends.length, noMigration(version));
      // Every new state begins as the default, which the old bytes then fill.
      const none = { ends: new Array(ends.length).fill(0), bytes: new Uint8Array() };
      return foldStates(none, new Folding(output), (state, group) => {
        migrate(state, bytes.slice(startOf(ends, group), ends[group]), version);
      });
    },
  });
}

/** A metric over pairs of rows whose times lie close to each other. It has no state. */
export function join(metric) {
  checkNames(metric, [...FACTS, "left", "right", "matched", "unmatchedLeft", "unmatchedRight"]);
  const { window, left = {}, right = {}, matched, unmatchedLeft, unmatchedRight } = metric;
  check(window?.kind === "interval-join", "a join needs window: interval({…})");
  check(typeof matched === "function", "matched(left, right, context) is missing");
  const side = (of, columns) => Object.entries(columns).map(([name, column]) => ({ name, column, side: of }));
  const described = [...side("left", left), ...side("right", right)];
  const facts = description(metric, described, { stateVersion: 0, mergeable: false });
  const output = new OutputColumns(metric.output ?? {});
  const [leftColumns, rightColumns] = [new InputColumns(left), new InputColumns(right)];
  const settings = new Settings(metric);

  /** Calls `handle(left, right, context)` for every row. */
  const eachRow = ({ groups, columns, eventTimes }, handle) => {
    let leftAt, rightAt;
    try {
      leftAt = leftColumns.open(columns.slice(0, leftColumns.length), eventTimes);
      rightAt = rightColumns.open(columns.slice(leftColumns.length), eventTimes);
    } catch (error) {
      return allFailed(groups.times.length, error.message);
    }
    const folding = new Folding(output);
    const context = new Context(groups, folding, settings.values);
    for (let group = 0; group < groups.times.length; group++) {
      context.group = group;
      folding.begin();
      try {
        for (let row = startOf(groups.rowEnds, group); row < groups.rowEnds[group]; row++) {
          handle(leftAt(row), rightAt(row), context);
        }
      } catch (error) {
        folding.fail(error);
      }
      folding.end();
    }
    return folding.finish();
  };

  return Object.freeze({
    facts,
    configure: (json) => settings.configure(json),
    update: (batch) => eachRow(batch, matched),
    close(batch, reason) {
      const alone = { "unmatched-left": unmatchedLeft, "unmatched-right": unmatchedRight };
      const { length } = batch.groups.times;
      if (!(reason in alone)) return allFailed(length, "a join has neither windows nor timers");
      const handle = alone[reason] ?? (() => {});
      const isLeft = reason === "unmatched-left";
      return eachRow(batch, (left, right, context) => handle(isLeft ? left : right, context));
    },
    merge: (left) => allFailed(left.ends.length, NO_MERGE),
    migrate: ({ ends }, version) => allFailed(ends.length, noMigration(version)),
  });
}

const startOf = (ends, index) => (index === 0 ? 0 : ends[index - 1]);

function rowsOf(rowEnds, group, rowAt) {
  const rows = [];
  for (let row = startOf(rowEnds, group); row < rowEnds[group]; row++) rows.push(rowAt(row));
  return rows;
}

function stateAt(Type, reader, ends, index) {
  reader.move(startOf(ends, index), ends[index]);
  try {
    return readState(Type, reader);
  } catch (error) {
    throw error instanceof Malformed ? new Error(WRONG_STATE) : error;
  }
}

function checkNames(metric, names) {
  const unknown = Object.keys(metric).find((name) => !names.includes(name));
  check(unknown === undefined, `a metric has no ${unknown}; there are ${names.join(", ")}`);
}

/** What the host configured; lives as long as the instance. */
class Settings {
  #metric;
  #values;

  constructor(metric) {
    this.#metric = metric;
  }

  configure(json) {
    this.#values = undefined;
    const values = readSettings(this.#metric.settings, json);
    this.#metric.validate?.(values);
    this.#values = values;
  }

  /** The host configures before it calls; without that, settings have their defaults. */
  get values() {
    if (this.#values === undefined) this.configure("{}");
    return this.#values;
  }
}
