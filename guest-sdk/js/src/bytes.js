/**
 * Bytes that are written and read one value after the other, little-endian. Knows nothing of metrics.
 *
 * Written for an interpreter: a call costs more than what most of these do, so checks are repeated instead of shared.
 */

import { binaryString, encodeText, textOfBinary } from "./text.js";

/** The bytes are not an encoding of the type. */
export class Malformed extends Error {}

const TWO_32 = 0x1_0000_0000;

/**
 * Numbers as a typed array, which the runtime of components takes as a whole. An empty one is a plain array: not every
 * version of the runtime aligns the address of no numbers.
 */
export function packed(TypedArray, numbers) {
  return numbers.length === 0 ? [] : new TypedArray(numbers);
}

/** Bytes that grow at the end. */
export class Writer {
  length = 0;
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);

  #grow() {
    const bytes = new Uint8Array(Math.max(this.length, this.#bytes.length * 2));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  u8(value) {
    const at = this.length;
    if ((this.length = at + 1) > this.#bytes.length) this.#grow();
    this.#view.setUint8(at, value);
  }

  u16(value) {
    const at = this.length;
    if ((this.length = at + 2) > this.#bytes.length) this.#grow();
    this.#view.setUint16(at, value, true);
  }

  u32(value) {
    const at = this.length;
    if ((this.length = at + 4) > this.#bytes.length) this.#grow();
    this.#view.setUint32(at, value, true);
  }

  /** A whole number within ±2⁵³ in two's complement. */
  i64(value) {
    const at = this.length;
    if ((this.length = at + 8) > this.#bytes.length) this.#grow();
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setInt32(at + 4, Math.floor(value / TWO_32), true);
  }

  /** The low 64 bits of a bigint. */
  bigU64(value) {
    const at = this.length;
    if ((this.length = at + 8) > this.#bytes.length) this.#grow();
    this.#view.setBigUint64(at, value, true);
  }

  f64(value) {
    const at = this.length;
    if ((this.length = at + 8) > this.#bytes.length) this.#grow();
    this.#view.setFloat64(at, value, true);
  }

  /** A text without its length. */
  utf8(value) {
    const bytes = encodeText(value);
    const at = this.length;
    if ((this.length = at + bytes.length) > this.#bytes.length) this.#grow();
    this.#bytes.set(bytes, at);
  }

  /** A text behind its length. */
  text(value) {
    const bytes = encodeText(value);
    const at = this.length;
    if ((this.length = at + 4 + bytes.length) > this.#bytes.length) this.#grow();
    this.#view.setUint32(at, bytes.length, true);
    this.#bytes.set(bytes, at + 4);
  }

  /** What was written, in memory of its own. */
  finish() {
    return this.#bytes.slice(0, this.length);
  }
}

/** Bytes that are read from the front. */
export class Reader {
  #bytes;
  #view;
  #binary = null;
  #at;
  #end;

  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** Reads from `start` up to `end` of the same bytes. */
  move(start, end) {
    this.#at = start;
    this.#end = end;
  }

  get left() {
    return this.#end - this.#at;
  }

  /** Where the next `size` bytes begin. */
  #take(size) {
    const at = this.#at;
    if (size > this.#end - at) throw new Malformed();
    this.#at = at + size;
    return at;
  }

  u8() {
    return this.#view.getUint8(this.#take(1));
  }

  i8() {
    return this.#view.getInt8(this.#take(1));
  }

  u16() {
    return this.#view.getUint16(this.#take(2), true);
  }

  i16() {
    return this.#view.getInt16(this.#take(2), true);
  }

  u32() {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32() {
    return this.#view.getInt32(this.#take(4), true);
  }

  /** As a number, rounded beyond 2⁵³. */
  u64() {
    const at = this.#take(8);
    return this.#view.getUint32(at + 4, true) * TWO_32 + this.#view.getUint32(at, true);
  }

  /** As a number, rounded beyond ±2⁵³. */
  i64() {
    const at = this.#take(8);
    return this.#view.getInt32(at + 4, true) * TWO_32 + this.#view.getUint32(at, true);
  }

  bigU64() {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  bigI64() {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  f64() {
    return this.#view.getFloat64(this.#take(8), true);
  }

  bool() {
    const byte = this.#view.getUint8(this.#take(1));
    if (byte > 1) throw new Malformed();
    return byte === 1;
  }

  /** A length. Every item takes a byte at least, so no more can follow than bytes are left. */
  length() {
    const length = this.u32();
    if (length > this.#end - this.#at) throw new Malformed();
    return length;
  }

  text() {
    const at = this.#take(this.length());
    this.#binary ??= binaryString(this.#bytes);
    try {
      return textOfBinary(this.#binary.slice(at, this.#at));
    } catch {
      throw new Malformed();
    }
  }
}
