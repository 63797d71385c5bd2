import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { encodeError, type StoredError } from "../../src/engine/settle.ts";
import { PermanentError } from "../../src/workflow/errors.ts";
import { encodePayload } from "../../src/workflow/payload.ts";
import { randomCases } from "../support/random.ts";

function stored(error: unknown): StoredError {
  return JSON.parse(encodeError(error)) as StoredError;
}

test("of an error its name, message, code and stack are kept, and nothing else", () => {
  const error = Object.assign(new RangeError("too far"), { code: "E_FAR", password: "x", cause: new Error("y") });
  const { stack = "", ...rest } = stored(error);
  assert.deepEqual(rest, { name: "RangeError", message: "too far", code: "E_FAR" });
  assert.match(stack, /^RangeError: too far\n/u);
});

test("an error's own name and code are kept, a code that is no text is not", () => {
  assert.deepEqual(
    [stored(new PermanentError("x")).name, stored(new PermanentError("x")).code],
    ["PermanentError", "permanent"],
  );
  assert.equal("code" in stored(Object.assign(new Error("x"), { code: 42 })), false);
});

test("an error without a stack has none", () => {
  const error = new Error("x");
  delete error.stack;
  assert.deepEqual(stored(error), { name: "Error", message: "x" });
});

test("what Postgres cannot store is replaced, and what is long is cut", () => {
  assert.equal(stored(new Error("a\0b\uD83Dc")).message, "a\uFFFDb\uFFFDc");
  assert.equal(stored(new Error("x".repeat(100_000))).message.length, 16_384);
  assert.equal(stored(`${"x".repeat(16_383)}\u{1F600}`).message.at(-1), "\uFFFD", "not half of a character");
});

test("anything can be thrown", () => {
  assert.equal(stored("text").message, "text");
  assert.equal(stored(null).message, "thrown: null");
  assert.equal(stored(Symbol("s")).message, "thrown: Symbol(s)");
  assert.equal(stored(1n).message, "thrown: [object BigInt]");
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  assert.equal(stored(cycle).message, "thrown: [object Object]");
});

test("whatever is thrown becomes JSON that Postgres can store, and that is bounded", () => {
  const anything = fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true, withMap: true });
  const errors = fc
    .record({ name: anything, message: anything, stack: anything, code: anything })
    .map((properties) => Object.assign(new Error("x"), properties));
  fc.assert(
    fc.property(fc.oneof(anything, errors, fc.string({ unit: "binary" })), (thrown) => {
      const value = stored(thrown);
      encodePayload(value, "the error");
      assert.deepEqual([typeof value.name, typeof value.message], ["string", "string"]);
    }),
    randomCases(10_000),
  );
});
