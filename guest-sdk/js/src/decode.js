/** Reads states by hand: for `migrate`, and for tests. */

import { Reader, Writer } from "./bytes.js";
import { readState } from "./state.js";

/** The state of `Type` in `bytes`; throws if they are not one. */
export function decodeState(Type, bytes) {
  return readState(Type, new Reader(bytes));
}

/** The bytes of a state. */
export function encodeState(Type, state) {
  const writer = new Writer();
  Type.write(writer, state);
  return writer.finish();
}
