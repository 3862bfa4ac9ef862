/** Interval joins, as `runtime/dataflow/src/join.rs` has them: every pair and every row alone is a group of its own. */

import { NO_STATE } from "./call.js";

export class Pairs {
  late = 0;
  hasTimers = false;
  #lower;
  #upper;
  #takesFirst;
  #unmatched;
  /** Waiting rows by side, in canonical order. */
  #waiting = { left: [], right: [] };

  constructor({ lower_ms, upper_ms, lower, upper, take, unmatched }) {
    this.#lower = lower_ms + Number(lower === "exclusive");
    this.#upper = upper_ms - Number(upper === "exclusive");
    this.#takesFirst = take === "first";
    this.#unmatched = unmatched === "both" ? ["left", "right"] : [unmatched];
  }

  #arePartners(left, right) {
    const distance = right.timeMs - left.timeMs;
    return left.key === right.key && this.#lower <= distance && distance <= this.#upper;
  }

  fold(caller, records, watermark) {
    const pairs = [];
    for (const record of records) {
      if (record.timeMs < watermark) {
        this.late++;
        continue;
      }
      const waiting = { ...record, isMatched: false };
      if (!this.#takesFirst) {
        for (const other of this.#waiting[record.side === "left" ? "right" : "left"]) {
          const [left, right] = record.side === "left" ? [waiting, other] : [other, waiting];
          if (this.#arePartners(left, right)) pairs.push(pairOf(left, right));
        }
      }
      this.#waiting[record.side].push(waiting);
      this.#waiting[record.side].sort((a, b) => a.timeMs - b.timeMs || a.sequence - b.sequence);
    }
    caller.call(pairs);
  }

  advance(caller, watermark) {
    if (this.#takesFirst) caller.call(this.#firstPairs(watermark));
    this.#expire(caller, "left", Math.max(this.#upper, 0), watermark);
    this.#expire(caller, "right", Math.max(-this.#lower, 0), watermark);
  }

  /** For each left row its first partner, once the watermark has reached it, so that none before it can still come. */
  #firstPairs(watermark) {
    const pairs = [];
    this.#waiting.left = this.#waiting.left.filter((left) => {
      const first = this.#waiting.right.find((right) => this.#arePartners(left, right));
      if (first === undefined || first.timeMs > watermark) return true;
      pairs.push(pairOf(left, first));
      return false;
    });
    return pairs;
  }

  /** Rows that can find no partner any more. */
  #expire(caller, side, after, watermark) {
    const isGone = (row) => row.timeMs + after <= watermark;
    const alone = this.#waiting[side].filter((row) => isGone(row) && !row.isMatched);
    this.#waiting[side] = this.#waiting[side].filter((row) => !isGone(row));
    if (this.#unmatched.includes(side))
      caller.call(
        alone.map((row) => groupOf(row.timeMs, row)),
        `unmatched-${side}`,
      );
  }
}

/** A pair is one row: each side fills its own columns. */
function pairOf(left, right) {
  left.isMatched = right.isMatched = true;
  const cells = left.cells.map((cell, index) => cell ?? right.cells[index]);
  return groupOf(left.timeMs, { ...right, timeMs: Math.max(left.timeMs, right.timeMs), cells });
}

function groupOf(startMs, record) {
  return { key: record.key, window: [startMs, startMs + 1], time: record.timeMs, state: NO_STATE, records: [record] };
}
