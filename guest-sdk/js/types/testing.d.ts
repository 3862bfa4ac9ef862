/** Tests of metrics without a runtime: time moves only where a test says so. */

import type { Metric, Window } from "@tidemark/metric";

/** An event: an envelope as JSON or as an object. Its time is `data.timestamp`, else the envelope's `timestamp`. */
export type Event = string | { readonly [name: string]: unknown };

/** An emitted row: its columns, and what every row has. Null columns are null, integers are numbers (or bigints beyond
 * 2⁵³). */
export interface TestRow {
  readonly key: string;
  readonly window_start: number;
  readonly window_end: number;
  readonly event_time: number;
  readonly [column: string]: any;
}

/**
 * Runs one metric on events and watermarks, with the window that it declares.
 *
 * Every batch is given to the metric twice, as a whole and group by group: a metric whose answers differ is not pure,
 * and the driver throws.
 */
export class MetricTestDriver {
  /** A driver of `metric` with its settings, another window than the declared one, or an allowed lateness. */
  constructor(metric: Metric, options?: { settings?: object; window?: Window; allowedLatenessMs?: number });
  /** Feeds one event. Events that the filter does not want and events without a key change nothing. */
  event(event: Event): void;
  /** Feeds several events in one batch: a list, or lines of JSON. */
  events(events: string | Iterable<Event>): void;
  /** Moves event time: everything up to it has come, what is due is closed. Never moves back. */
  advanceWatermark(eventTimeMs: number): void;
  /** Ends the input: the watermark goes to the end of time. */
  finish(): void;
  /** The rows that the metric emitted, in order. */
  readonly rows: readonly TestRow[];
  /** The same rows as events of type `metric.<name>`: input for a metric that reads this one. */
  rowsAsEvents(): Event[];
  /** Groups that failed, each as `key: message`. */
  readonly failures: readonly string[];
  /** How many rows came too late for every window or partner. */
  readonly late: number;
}
