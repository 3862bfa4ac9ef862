/** The bytes of states: those of `wit/state.md`, and none other. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  State,
  bigI64,
  bigU64,
  bigint,
  boolean,
  decodeState,
  earliestText,
  encodeState,
  float,
  i16,
  i32,
  i64,
  i8,
  integer,
  latestText,
  list,
  map,
  nullable,
  text,
  u16,
  u32,
  u64,
  u8,
} from "../src/index.js";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));

class FrameRates extends State({
  samples: u64,
  zero_samples: u64,
  mean: float,
  squares: float,
  orchestrator: latestText,
  pipeline: latestText,
}) {}

const EXAMPLE =
  "0200000000000000 0000000000000000 0000000000803140 000000000000e03f 01 e803000000000000 03000000 307861 00";

test("the example of the documentation", () => {
  const rates = new FrameRates();
  Object.assign(rates, { samples: 2, mean: 17.5, squares: 0.5 });
  rates.orchestrator.offer(1000, "0xa");
  assert.equal(hex(encodeState(FrameRates, rates)), EXAMPLE.replaceAll(" ", ""));
  assert.deepEqual(decodeState(FrameRates, bytes(EXAMPLE)), rates);
});

test("lists, optionals, maps and states within states", () => {
  class Inner extends State({ numbers: list(nullable(i64)) }) {}
  class Outer extends State({ inner: Inner, flags: map(text, boolean), counts: map(i32, text) }) {}
  const outer = new Outer();
  outer.inner.numbers.push(null, -7);
  outer.flags.set("ä", true).set("", false);
  outer.counts.set(5, "x").set(-1, "");
  const expected = `02000000 00 01f9ffffffffffffff 02000000 00000000 00 02000000 c3a4 01
    02000000 ffffffff 00000000 05000000 01000000 78`.replaceAll(/\s/g, "");
  assert.equal(hex(encodeState(Outer, outer)), expected);
  const read = decodeState(Outer, bytes(expected));
  assert.deepEqual([read.inner.numbers, read.flags.get("ä"), read.counts.get(-1)], [[null, -7], true, ""]);
  assert.ok(read.inner instanceof Inner);
});

test("numbers of every width, to their bounds", () => {
  const bounds = [
    [u8, 0, 255],
    [u16, 0, 65535],
    [u32, 0, 2 ** 32 - 1],
    [u64, 0, 2 ** 53 - 1],
    [i8, -128, 127],
    [i16, -32768, 32767],
    [i32, -(2 ** 31), 2 ** 31 - 1],
    [i64, 1 - 2 ** 53, 2 ** 53 - 1],
    [bigU64, 0n, 2n ** 64n - 1n],
    [bigI64, -(2n ** 63n), 2n ** 63n - 1n],
  ];
  for (const [type, least, most] of bounds) {
    class One extends State({ value: type }) {}
    const one = new One();
    const step = typeof least === "bigint" ? 1n : 1;
    for (const value of [least, most, least + step]) {
      one.value = value;
      assert.equal(decodeState(One, encodeState(One, one)).value, value);
    }
    for (const value of [least - step, most + step, "1", null, undefined, 0.5]) {
      one.value = value;
      assert.throws(() => encodeState(One, one), /the state's field value: /);
    }
  }
});

test("64 bits that a number does not hold are refused, and kept as a bigint", () => {
  class Number64 extends State({ value: u64 }) {}
  class Big64 extends State({ value: bigU64 }) {}
  assert.throws(() => decodeState(Number64, bytes("0000000000002000")), /beyond ±2\^53/);
  assert.equal(decodeState(Big64, bytes("0100000000002000")).value, 2n ** 53n + 1n);
});

test("a bigint of any size is its digits", () => {
  class Wei extends State({ wei: bigint }) {}
  const wei = new Wei();
  wei.wei = -(10n ** 30n);
  assert.equal(decodeState(Wei, encodeState(Wei, wei)).wei, -(10n ** 30n));
});

test("floats keep every bit but those of NaN", () => {
  class One extends State({ value: float }) {}
  const one = new One();
  for (const [value, expected] of [
    [-0, "0000000000000080"],
    [5e-324, "0100000000000000"],
    [NaN, "000000000000f87f"],
  ]) {
    one.value = value;
    assert.equal(hex(encodeState(One, one)), expected);
    assert.ok(Object.is(decodeState(One, bytes(expected)).value, value));
  }
});

test("no bytes are a new state, and damaged bytes are none", () => {
  assert.deepEqual(decodeState(FrameRates, new Uint8Array()), new FrameRates());
  const whole = bytes(EXAMPLE);
  for (let length = 1; length < whole.length; length++) {
    assert.throws(() => decodeState(FrameRates, whole.slice(0, length)), undefined, `cut to ${length}`);
  }
  assert.throws(() => decodeState(FrameRates, new Uint8Array([...whole, 0])));
  class Texts extends State({ texts: list(text) }) {}
  assert.throws(() => decodeState(Texts, bytes("ffffffff")), undefined, "a length without items");
  assert.throws(() => decodeState(Texts, bytes("01000000 01000000 ff")), undefined, "no UTF-8");
  class Flag extends State({ flag: boolean }) {}
  assert.throws(() => decodeState(Flag, bytes("02")));
});

test("picks do not depend on the order of arrival", () => {
  class Picks extends State({ first: earliestText, last: latestText, count: integer }) {}
  const offers = [
    [2, "b"],
    [1, ""],
    [1, null],
    [2, "a"],
    [3, "c"],
    [3, "d"],
    [3, "\uffee"],
    [3, "😀"],
  ];
  for (let rotation = 0; rotation < offers.length; rotation++) {
    const picks = new Picks();
    for (const [time, text] of [...offers.slice(rotation), ...offers.slice(0, rotation)]) {
      picks.first.offer(time, text);
      picks.last.offer(time, text);
    }
    // By code points the face is the greatest, by UTF-16 units it would not be.
    assert.deepEqual([picks.first.until(2), picks.first.until(1), picks.last.get()], ["a", null, "😀"]);
  }
});

test("a field without a type is refused when the class is made", () => {
  assert.throws(() => State({ mean: undefined }), /the state's field mean must have a type of state/);
  assert.throws(() => list(7), /the items of a list must have a type of state/);
});
