/**
 * Write a Tidemark metric in JavaScript or TypeScript: typed input, state and output, and code for one key and one
 * window.
 *
 * A metric is a file whose default export is `fold({…})` or `join({…})`. Everything that its functions get is typed by
 * what the object declares.
 */

// ---------------------------------------------------------------------------------------------------------------------
// Types of columns, of states and of settings
// ---------------------------------------------------------------------------------------------------------------------

declare const value: unique symbol;
declare const isNullable: unique symbol;

/** A type that a field of a state may have: how it begins and how it becomes bytes. `Value` is what JavaScript sees. */
export interface StateType<Value> {
  readonly [value]?: Value;
  initial(): Value;
}

/** An input column: a type at a path. */
export interface InputColumn<Value> {
  readonly [value]?: Value;
  readonly path: string;
}

/** A type of output columns. `Emitted` is what may be emitted. */
export interface OutputType<Emitted> {
  readonly emitted?: (emitted: Emitted) => void;
  readonly column: string;
}

/** A type of columns. Called with a path it is an input column. */
export interface ColumnType<Value, Emitted = Value> extends OutputType<Emitted> {
  (path: string): InputColumn<Value>;
}

/** A column that is `null` in some rows. */
export interface NullableColumn<Emitted> extends OutputType<Emitted | null> {
  readonly [isNullable]: true;
}

/** `true` and `false`. In a state: one byte. */
export const boolean: ColumnType<boolean> & StateType<boolean>;
/**
 * Whole numbers, and texts of one. Up to ±2⁵³ they are exact; a row with one beyond fails its group: read it with
 * `bigint`. Emitted, a `bigint` of up to 64 bits is taken as well. In a state: 8 bytes, `i64`.
 */
export const integer: ColumnType<number, number | bigint> & StateType<number>;
/** Any number, and texts of one. In a state: 8 bytes, `f64`. */
export const float: ColumnType<number> & StateType<number>;
/** Texts; numbers and booleans as they are written. */
export const text: ColumnType<string> & StateType<string>;
/** Any JSON value, parsed. */
export const json: ColumnType<unknown>;
/** Whole numbers of any size, exactly: a text column of digits. What is no whole number is null. In a state: a text. */
export const bigint: ColumnType<bigint> & StateType<bigint>;

/** An output column, or a field of a state, that may be null. */
export function nullable<Value, Emitted>(
  type: ColumnType<Value, Emitted> & StateType<Value>,
): NullableColumn<Emitted> & StateType<Value | null>;
export function nullable<Value>(type: StateLike<Value>): StateType<Value | null>;
export function nullable<Value, Emitted>(type: ColumnType<Value, Emitted>): NullableColumn<Emitted>;

/** Numbers of a fixed width, for states that other languages read. What does not fit fails the group. */
export const u8: StateType<number>;
export const u16: StateType<number>;
export const u32: StateType<number>;
/** 64 bits, of which a number holds 53 exactly. */
export const u64: StateType<number>;
export const i8: StateType<number>;
export const i16: StateType<number>;
export const i32: StateType<number>;
/** 64 bits, of which a number holds 53 exactly. */
export const i64: StateType<number>;
export const f64: StateType<number>;
/** All 64 bits. */
export const bigU64: StateType<bigint>;
/** All 64 bits. */
export const bigI64: StateType<bigint>;
export const bool: StateType<boolean>;

/** An array in a state; in settings, a list. */
export function list<Value>(item: StateLike<Value>): StateType<Value[]>;
/** A `Map` in a state. Equal maps are equal bytes, whatever the order of insertion. */
export function map<Key extends number | bigint | string | boolean, Value>(
  key: StateType<Key>,
  value: StateLike<Value>,
): StateType<Map<Key, Value>>;

/** The text with the latest time, of those that are not empty; of one moment the greatest text. */
export class LatestText {
  /** Takes `text` if it is later. */
  offer(eventTimeMs: number, text: string | null): void;
  /** Takes the text of `other` if it is later. */
  merge(other: LatestText): void;
  /** The text, or null. */
  get(): string | null;
}

/** The text with the earliest time, of those that are not empty; of one moment the least text. */
export class EarliestText {
  /** Takes `text` if it is earlier. */
  offer(eventTimeMs: number, text: string | null): void;
  /** Takes the text of `other` if it is earlier. */
  merge(other: EarliestText): void;
  /** The text if it is not later than `eventTimeMs`, or null. */
  until(eventTimeMs: number): string | null;
}

export const latestText: StateType<LatestText>;
export const earliestText: StateType<EarliestText>;

// ---------------------------------------------------------------------------------------------------------------------
// State
// ---------------------------------------------------------------------------------------------------------------------

/** A class that extends `State({…})`. */
export type StateClass<Instance> = new () => Instance;
/** What a field of a state may be: a type, or another state. */
export type StateLike<Value> = StateType<Value> | StateClass<Value>;

type StateFields = Record<string, StateLike<any>>;
type StateValue<Of> =
  Of extends StateClass<infer Instance> ? Instance : Of extends StateType<infer Value> ? Value : never;

/**
 * A class whose instances hold these fields and become bytes. Every group begins with a new one. Extend it:
 *
 * ```ts
 * class Mean extends State({ count: integer, sum: float }) {
 *   get mean() { return this.sum / this.count; }
 * }
 * ```
 *
 * Changing the fields changes the bytes: raise `stateVersion`, and write `migrate` if old states should live on.
 */
export function State<Fields extends StateFields>(
  fields: Fields,
): StateClass<{ -readonly [Name in keyof Fields]: StateValue<Fields[Name]> }>;

/** The state of a class in bytes, for `migrate`; throws if they are not one. No bytes are a new state. */
export function decodeState<Instance>(type: StateClass<Instance>, bytes: Uint8Array): Instance;
/** The bytes of a state. */
export function encodeState<Instance>(type: StateClass<Instance>, state: Instance): Uint8Array;

// ---------------------------------------------------------------------------------------------------------------------
// Windows and filters
// ---------------------------------------------------------------------------------------------------------------------

/** Milliseconds, or a number and a unit: `"250ms"`, `"60s"`, `"5m"`, `"1h"`, `"7d"`. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

/**
 * Conditions by path; an event passes if all of them hold. A text or a list of texts: the path holds one of them;
 * `true`: it holds something other than null and the empty text; `false`: it does not.
 */
export type Filter = Record<string, string | readonly string[] | boolean>;

/** How rows are grouped: what `tumbling` and the other four return. */
export interface Window {
  readonly kind: "tumbling" | "sliding" | "session" | "key";
}

export interface IntervalWindow {
  readonly kind: "interval-join";
}

/** Windows of one size, one behind the other. */
export function tumbling(size: Duration, terms?: { offset?: Duration }): Window;
/** Windows of one size, of which one begins every so often. */
export function sliding(size: Duration, terms: { every: Duration; offset?: Duration }): Window;
/** Windows that end when nothing came for `gap`. They grow together: the metric needs `merge`. */
export function session(gap: Duration): Window;
/** No window: all rows of a key, with timers; its state is dropped when no row came for `ttl`. */
export function keyed(terms?: { ttl?: Duration }): Window;
/** Pairs of a left and a right row of one key with `lower ≤ right − left ≤ upper`. */
export function interval(terms: {
  lower: Duration;
  upper: Duration;
  /** Which events are left rows, on top of the metric's filter. */
  left?: Filter;
  right?: Filter;
  /** Whether a bound itself counts; `inclusive` unless set. */
  lowerBound?: "inclusive" | "exclusive";
  upperBound?: "inclusive" | "exclusive";
  /** Every pair, or for each left row the first right row in event time; `all` unless set. */
  take?: "all" | "first";
  /** Whose rows without a partner count; `none` unless set. */
  unmatched?: "none" | "left" | "right" | "both";
}): IntervalWindow;

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

declare const fallback: unique symbol;

/** A setting that may be absent. */
export interface OptionalSetting<Value> {
  readonly [fallback]: Value;
}

/** What a deployment may configure: a type, a list of one, an object of them, or an optional one. */
export type SettingType = StateType<any> | OptionalSetting<any> | { readonly [name: string]: SettingType };
export type Settings = { readonly [name: string]: SettingType };

type SettingValue<Type> =
  Type extends OptionalSetting<infer Value> ? Value : Type extends StateType<infer Value> ? Value : SettingValues<Type>;
export type SettingValues<Of> = { readonly [Name in keyof Of]: SettingValue<Of[Name]> };

/** A setting that is `value` where it is absent; null without one. */
export function optional<Value>(type: StateType<Value>, value: Value): OptionalSetting<Value>;
export function optional<Value>(type: StateType<Value>): OptionalSetting<Value | null>;

// ---------------------------------------------------------------------------------------------------------------------
// Metrics
// ---------------------------------------------------------------------------------------------------------------------

type Columns = Record<string, InputColumn<any>>;
type Outputs = Record<string, OutputType<any>>;

/** A row of input, a plain object: each column's value, or null where the event has nothing there or another type. */
export type Row<Of extends Columns> = {
  readonly [Name in keyof Of]: (Of[Name] extends InputColumn<infer Value> ? Value : never) | null;
} & {
  /** Event time in milliseconds since 1970. */
  readonly eventTimeMs: number;
};

type Emitted<Of> = Of extends OutputType<infer Value> ? Value : never;
type NullableNames<Of> = { [Name in keyof Of]: Of[Name] extends NullableColumn<any> ? Name : never }[keyof Of];

/** A row to emit; what is nullable may be left out. */
export type OutputRow<Of extends Outputs> = {
  [Name in Exclude<keyof Of, NullableNames<Of>>]: Emitted<Of[Name]>;
} & { [Name in NullableNames<Of>]?: Emitted<Of[Name]> | null };

/** What a metric can ask and do while it handles one group. It serves all groups: do not keep it. */
export interface Context<Output extends Outputs = Outputs, Of = {}> {
  /** The group's key. */
  readonly key: string;
  /** First millisecond of the window; `-Infinity` for key windows; of a join the time of the left row, or of the only
   * one. */
  readonly windowStartMs: number;
  /** First millisecond after the window; `Infinity` for key windows. */
  readonly windowEndMs: number;
  /** Event time that emitted rows will have. */
  readonly eventTimeMs: number;
  /** What the deployment configured. */
  readonly settings: SettingValues<Of>;
  /** Emits a row. A group may emit any number of them, in `update` as well as in `close`. */
  emit(row: OutputRow<Output>): void;
  /** Asks for a call of `close` with `"timer"` when the watermark reaches this time. Key windows only. */
  timerAt(eventTimeMs: number): void;
  /** Forgets the group: its state after this call is none, whatever the metric made of it. */
  forget(): void;
}

/**
 * Why `close` is called: the watermark passed the window's end; a timer is due; no row came for the key's time to live.
 */
export type CloseReason = "window-end" | "timer" | "expired";

interface Facts<Output extends Outputs, Of extends Settings> {
  /** Lower-case letters, digits and hyphens. */
  name: string;
  /** Semantic version of the metric. */
  version: string;
  /** One sentence for people. */
  doc?: string;
  /** Path of the key. */
  key: string;
  /** Which events it wants; without a condition on `type`, those of every type. */
  filter?: Filter;
  /** Columns of emitted rows: lower-case letters, digits and underscores. */
  output: Output;
  /** What a deployment may configure; read from `context.settings`. */
  settings?: Of;
  /** Checks settings beyond their types: throw what is wrong with them. */
  validate?(settings: SettingValues<Of>): void;
}

/** A metric, with the contract's functions. */
export interface Metric {
  /** What `describe` says. */
  readonly facts: { readonly name: string; readonly version: string };
}

/**
 * A metric that folds the rows of a group into its state.
 *
 * All functions must depend on their arguments alone. What one throws fails the group in hand: its state stays as it
 * was, its rows become a dead letter with the message, and all other groups go on.
 */
export function fold<
  const Input extends Columns,
  Instance,
  const Output extends Outputs,
  const Of extends Settings = {},
>(
  metric: Facts<Output, Of> & {
    window: Window;
    /** Columns to read of each event. */
    input: Input;
    /** What it remembers of a group: a class that extends `State({…})`. */
    state: StateClass<Instance>;
    /** Raise it when the state's fields change; 1 unless set. */
    stateVersion?: number;
    /** Adds rows of one key and window to its state, in event-time order. Called for every batch that has some. */
    update(state: Instance, rows: readonly Row<Input>[], context: Context<Output, Of>): void;
    /** Ends a window, or handles a timer or the expiry of a key. May be called again: leave the state usable. */
    close?(state: Instance, reason: CloseReason, context: Context<Output, Of>): void;
    /** Adds `later`, which was folded from later rows. Must be associative; a new state must change nothing. */
    merge?(state: Instance, later: Instance): void;
    /** Fills a new state from the bytes that `stateVersion` `version` of this metric wrote. */
    migrate?(state: Instance, bytes: Uint8Array, version: number): void;
  },
): Metric;

/** A metric over pairs of rows whose times lie close to each other. It has no state. */
export function join<
  const Left extends Columns,
  const Right extends Columns,
  const Output extends Outputs,
  const Of extends Settings = {},
>(
  metric: Facts<Output, Of> & {
    window: IntervalWindow;
    /** Columns to read of a left event. */
    left: Left;
    /** Columns to read of a right event. */
    right: Right;
    /** Handles a pair. */
    matched(left: Row<Left>, right: Row<Right>, context: Context<Output, Of>): void;
    /** Handles a left row without a partner, where the window says `unmatched: "left"` or `"both"`. */
    unmatchedLeft?(left: Row<Left>, context: Context<Output, Of>): void;
    /** Handles a right row without a partner. */
    unmatchedRight?(right: Row<Right>, context: Context<Output, Of>): void;
  },
): Metric;
