/** Texts as UTF-8, on the way that QuickJS takes as well. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { binaryString, compareTexts, encodeText, textOfBinary, textsOf } from "../src/text.js";

const SAMPLES = ["", "ascii", "ä", "€", "😀", "a\u0000b", "x".repeat(300), "é".repeat(300), "\u2028", "%41"];

test("texts survive the way there and back, again from the table", () => {
  for (const sample of [...SAMPLES, ...SAMPLES]) {
    const bytes = encodeText(sample);
    assert.deepEqual([...bytes], [...new TextEncoder().encode(sample)]);
    assert.equal(textOfBinary(binaryString(bytes)), sample);
  }
});

test("the native way of QuickJS is the same", () => {
  const { toBase64 } = Uint8Array.prototype;
  const { fromBase64 } = Uint8Array;
  Uint8Array.prototype.toBase64 = function () {
    return Buffer.from(this).toString("base64");
  };
  Uint8Array.fromBase64 = (text) => new Uint8Array(Buffer.from(text, "base64"));
  try {
    for (const sample of SAMPLES.map((sample) => `${sample}!`)) {
      assert.deepEqual([...encodeText(sample)], [...new TextEncoder().encode(sample)]);
      assert.equal(textOfBinary(binaryString(encodeText(sample))), sample);
    }
  } finally {
    Object.assign(Uint8Array.prototype, { toBase64 });
    Object.assign(Uint8Array, { fromBase64 });
  }
});

test("a surrogate without a partner becomes the replacement character", () => {
  assert.deepEqual([...encodeText("a\ud800")], [...new TextEncoder().encode("a\ufffd")]);
});

test("byte strings are cut at their ends", () => {
  const ends = [2, 2, 5];
  assert.deepEqual(textsOf({ ends, bytes: encodeText("äbcd") }), ["ä", "", "bcd"]);
});

test("texts are compared by code points", () => {
  const ordered = ["", "a", "ab", "b", "ä", "\ue000", "\uffee", "😀", "😁"];
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries()) assert.equal(Math.sign(compareTexts(a, b)), Math.sign(i - j), `${a} ${b}`);
  }
});
