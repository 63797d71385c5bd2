import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { matchesGlob } from "../../src/cache/glob.ts";
import { randomCases } from "../support/random.ts";

test("a pattern matches what the regular expression of the same meaning matches", () => {
  const pattern = fc.stringMatching(/^[ab*?]{0,8}$/u);
  const text = fc.stringMatching(/^[ab]{0,10}$/u);
  fc.assert(
    fc.property(pattern, text, (glob, subject) => {
      const expression = new RegExp(`^${glob.replaceAll("*", ".*").replaceAll("?", ".")}$`, "u");
      assert.equal(matchesGlob(glob, subject), expression.test(subject));
    }),
    randomCases(20_000),
  );
});

test("a pattern made to make matching slow is matched at once", () => {
  const started = process.hrtime.bigint();
  assert.equal(matchesGlob("*a".repeat(100) + "b", "a".repeat(5_000)), false);
  assert.ok(process.hrtime.bigint() - started < 1_000_000_000n);
});
