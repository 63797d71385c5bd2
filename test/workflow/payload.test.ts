import assert from "node:assert/strict";
import { after, test } from "node:test";

import fc from "fast-check";

import { sqlStateOf } from "../../src/postgres/sqlstate.ts";
import { encodePayload, payloadBytesMax } from "../../src/workflow/payload.ts";
import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { randomCases } from "../support/random.ts";

const { db } = await testDatabase({ after }, { migrated: false });

/** What jsonb gives back of a JSON text. */
async function stored(json: string): Promise<unknown> {
  return (await onlyRow<{ value: unknown }>(db, "select $1::jsonb as value", [json])).value;
}

function encode(value: unknown): string {
  return encodePayload(value, "the input of shop/order 1.0.0");
}

const unstorableText = {
  code: "invalid_payload",
  message:
    "the input of shop/order 1.0.0 holds a NUL character or half of a surrogate pair, which Postgres cannot store",
};

test("JSON values are encoded as JSON, and undefined as null", () => {
  assert.equal(
    encode({ a: [1, "x", true, null], at: new Date(0) }),
    '{"a":[1,"x",true,null],"at":"1970-01-01T00:00:00.000Z"}',
  );
  assert.equal(encode(undefined), "null");
  assert.equal(encode({ gone: undefined, kept: [undefined] }), '{"kept":[null]}');
});

test("what is not JSON is refused with its name and the reason", () => {
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  assert.throws(() => encode(cycle), {
    code: "invalid_payload",
    message: /^the input of shop\/order 1\.0\.0 is not JSON: .*circular/iu,
  });
  assert.throws(() => encode({ n: 1n }), { code: "invalid_payload", message: /is not JSON: .*BigInt/u });
  assert.throws(() => encode(() => 1), { code: "invalid_payload", message: /is not JSON: it is a function$/u });
  assert.throws(() => encode(Symbol("s")), { code: "invalid_payload", message: /is not JSON: it is a symbol$/u });
  const reason = new Error("no JSON of me");
  const throwing = {
    toJSON() {
      throw reason;
    },
  };
  assert.throws(() => encode(throwing), { message: /is not JSON: no JSON of me$/u, cause: reason });
});

test("a payload may be as large as the limit, in bytes of JSON, and no larger", () => {
  assert.equal(encode("x".repeat(payloadBytesMax - 2)).length, payloadBytesMax);
  assert.throws(() => encode("x".repeat(payloadBytesMax - 1)), {
    code: "invalid_payload",
    message: "the input of shop/order 1.0.0 has 1048577 bytes of JSON; at most 1048576 are allowed",
  });
  // Two bytes each.
  assert.throws(() => encode("é".repeat(payloadBytesMax / 2)), { message: /has 1048578 bytes/u });
  assert.throws(() => encodePayload("12345", "it", 6), { message: "it has 7 bytes of JSON; at most 6 are allowed" });
});

for (const [what, text] of [
  ["a NUL character", "a\0b"],
  ["a lone high surrogate", "a\uD83D"],
  ["a lone low surrogate", "\uDE00b"],
  ["a pair the wrong way round", "\uDE00\uD83D"],
  ["a lone surrogate after an escaped backslash", "\\\uD83D"],
  ["a lone surrogate after a backslash and what looks like its other half", "\\ud83d\uDE00"],
  ["a lone surrogate after a pair", "\u{1F600}\uDE00"],
  ["a NUL character after two backslashes", "\\\\\0"],
] as const) {
  test(`${what} is refused, as a value and as a key, and Postgres would refuse it too`, async () => {
    assert.throws(() => encode([text]), unstorableText);
    assert.throws(() => encode({ [text]: 1 }), unstorableText);
    await assert.rejects(stored(JSON.stringify(text)), (error) => sqlStateOf(error)?.startsWith("22P") === true);
  });
}

for (const [what, text] of [
  ["an emoji", "\u{1F600}"],
  ["the text of an escape", "\\u0000"],
  ["the text of two surrogates' escapes", "\\ud83d\\ude00"],
  ["the text of an escape after backslashes", "\\\\\\u0000"],
  ["the text of an escape before an emoji", "\\ud83d\u{1F600}"],
  ["control characters", "\u0001\u001F\n\t\u007F"],
  ["the last code point", "\u{10FFFF}\uFFFF\uFFFE"],
] as const) {
  test(`${what} is stored and given back as it was`, async () => {
    const value = { [text]: [text] };
    assert.deepEqual(await stored(encode(value)), value);
  });
}

/** Pieces from which the pattern's edges arise more often than from random text. */
const piece = fc.constantFrom(
  "\\",
  "\\u",
  "u",
  "0000",
  "d83d",
  "de00",
  "\uD83D",
  "\uDE00",
  "\u{1F600}",
  "\0",
  '"',
  "x",
);
const text = fc.oneof(
  fc.array(piece, { maxLength: 8 }).map((parts) => parts.join("")),
  fc.string({ unit: "binary" }),
);
const value = fc.oneof(
  text,
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(text, text, { maxKeys: 3 }),
  fc.jsonValue(),
);

test("what is accepted Postgres stores and gives back equal, what is refused for its text Postgres refuses", async () => {
  await fc.assert(
    fc.asyncProperty(value, async (one) => {
      let json: string;
      try {
        json = encode(one);
      } catch (error) {
        assert.ok(error instanceof Error && error.message === unstorableText.message);
        await assert.rejects(stored(JSON.stringify(one)), (reason) => sqlStateOf(reason)?.startsWith("22P") === true);
        return;
      }
      assert.deepEqual(await stored(json), JSON.parse(json));
    }),
    randomCases(10_000),
  );
});

test("a value nested so deeply that JSON gives up is refused", () => {
  const nested: unknown = JSON.parse("[".repeat(100_000) + "]".repeat(100_000));
  assert.throws(() => encode(nested), { code: "invalid_payload", message: /is not JSON: .*call stack/u });
});
