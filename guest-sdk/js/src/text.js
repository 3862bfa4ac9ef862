/**
 * Texts as UTF-8. Knows nothing of metrics.
 *
 * QuickJS has no TextDecoder, and a loop over bytes in JavaScript takes a hundred times longer than what is native
 * there: base64 both ways. So all bytes of a call become one string of the same code units, and a text is a slice of
 * it.
 */

/** Texts of this length at most, and this many of them, are kept in tables from one call to the next. */
const KEPT_LENGTH = 256;
const KEPT_TEXTS = 4096;

/** UTF-8 as a string of its bytes, to the text. */
const decoded = new Map();
/** Text to UTF-8. */
const encoded = new Map();

function remember(table, key, value) {
  // Emptied when full: what is in use comes back at once.
  if (table.size >= KEPT_TEXTS) table.clear();
  table.set(key, value);
  return value;
}

/** A string with one code unit for each byte. */
export function binaryString(bytes) {
  if (bytes.toBase64 !== undefined) return atob(bytes.toBase64());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return binary;
}

/** The bytes of a string whose code units are bytes. */
function bytesOf(binary) {
  if (Uint8Array.fromBase64 !== undefined) return Uint8Array.fromBase64(btoa(binary));
  return Uint8Array.from(binary, (unit) => unit.charCodeAt(0));
}

/** The text whose UTF-8 a string of bytes is. Throws where they are none. */
export function textOfBinary(binary) {
  const known = decoded.get(binary);
  if (known !== undefined) return known;
  // Each byte as %XX is what decodeURIComponent reads as UTF-8.
  const text = /^[\x00-\x7f]*$/.test(binary) ? binary : decodeURIComponent(escape(binary));
  return binary.length > KEPT_LENGTH ? text : remember(decoded, binary, text);
}

/** The UTF-8 of `text`. Surrogates without a partner become U+FFFD, as in every encoder. */
export function encodeText(text) {
  const known = encoded.get(text);
  if (known !== undefined) return known;
  const bytes = bytesOf(unescape(encodeURIComponent(text.toWellFormed())));
  return text.length > KEPT_LENGTH ? bytes : remember(encoded, text, bytes);
}

/** All texts of the contract's byte strings. */
export function textsOf({ ends, bytes }) {
  const binary = binaryString(bytes);
  const texts = [];
  let start = 0;
  for (let index = 0; index < ends.length; index++) {
    const end = ends[index];
    const slice = binary.slice(start, end);
    texts.push(decoded.get(slice) ?? textOfBinary(slice));
    start = end;
  }
  return texts;
}

/** The byte strings of the contract, of which few are read. */
export class Texts {
  #ends;
  #bytes;
  #binary = null;

  constructor({ ends, bytes }) {
    this.#ends = ends;
    this.#bytes = bytes;
  }

  /** Text `index`. */
  get(index) {
    this.#binary ??= binaryString(this.#bytes);
    return textOfBinary(this.#binary.slice(index === 0 ? 0 : this.#ends[index - 1], this.#ends[index]));
  }
}

const isSurrogate = (unit) => unit >= 0xd800 && unit < 0xe000;

/**
 * Less than, equal to or greater than 0 as `a` stands before, at or behind `b` in the order of UTF-8, which is that of
 * code points. JavaScript's `<` compares UTF-16 units, where surrogates stand before some characters that they should
 * follow.
 */
export function compareTexts(a, b) {
  if (a === b) return 0;
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    return isSurrogate(left) === isSurrogate(right) ? left - right : isSurrogate(left) ? 1 : -1;
  }
  return a.length - b.length;
}
