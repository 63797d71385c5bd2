import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { InvalidPayloadError, PermanentError, RetryableError } from "../../src/workflow/errors.ts";
import { decideAfterFailure, defaultRetryPolicy, type RetryPolicy } from "../../src/workflow/retry.ts";
import { templateLimits } from "../../src/workflow/template.ts";
import { randomCases } from "../support/random.ts";

const broken = new Error("it broke");

/** Every policy that a template may have. */
const policies: fc.Arbitrary<RetryPolicy> = fc.record({
  maxAttempts: fc.integer({ min: 1, max: templateLimits.attempts }),
  initialDelayMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: templateLimits.timeoutMs, noNaN: true })),
  factor: fc.oneof(fc.constantFrom(1, 2, 100), fc.double({ min: 1, max: 100, noNaN: true })),
  maxDelayMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: templateLimits.timeoutMs, noNaN: true })),
});
const failures = fc.integer({ min: 1, max: templateLimits.attempts + 1 });
const chance = fc.oneof(
  fc.constantFrom(0, 1 - 2 ** -53),
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
);

test("a step is tried again exactly as long as attempts are left", () => {
  fc.assert(
    fc.property(policies, failures, chance, (policy, failed, random) => {
      const { state } = decideAfterFailure(policy, failed, broken, random);
      assert.equal(state, failed < policy.maxAttempts ? "waiting_for_retry" : "error");
    }),
    randomCases(10_000),
  );
});

test("every delay is a whole number of milliseconds from 0 to the ceiling of its attempt", () => {
  fc.assert(
    fc.property(policies, failures, chance, (policy, failed, random) => {
      const decision = decideAfterFailure({ ...policy, maxAttempts: 2000 }, failed, broken, random);
      assert.ok(decision.state === "waiting_for_retry");
      const { delayMs } = decision;
      const grown = policy.initialDelayMs === 0 ? 0 : policy.initialDelayMs * policy.factor ** (failed - 1);
      assert.ok(Number.isInteger(delayMs), `${delayMs} is no whole number`);
      assert.ok(delayMs >= 0 && delayMs <= Math.min(policy.maxDelayMs, grown), `${delayMs} is out of bounds`);
    }),
    randomCases(10_000),
  );
});

test("the ceiling doubles from 1 s up to 60 s by default, and the jitter reaches from 0 to it", () => {
  const delays = (random: number): number[] =>
    [1, 2, 3, 6, 7, 20].map((failed) => {
      const decision = decideAfterFailure({ ...defaultRetryPolicy, maxAttempts: 99 }, failed, broken, random);
      return decision.state === "waiting_for_retry" ? decision.delayMs : Number.NaN;
    });
  assert.deepEqual(delays(0), [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(delays(0.5), [500, 1000, 2000, 16_000, 30_000, 30_000]);
  assert.deepEqual(delays(1 - 2 ** -53), [1000, 2000, 4000, 32_000, 60_000, 60_000]);
});

test("three attempts are the default", () => {
  assert.equal(decideAfterFailure(defaultRetryPolicy, 2, broken, 0).state, "waiting_for_retry");
  assert.equal(decideAfterFailure(defaultRetryPolicy, 3, broken, 0).state, "error");
});

test("a PermanentError and a payload that cannot be used end the step at once", () => {
  for (const error of [new PermanentError("the card is stolen"), new InvalidPayloadError("not JSON")]) {
    assert.deepEqual(decideAfterFailure(defaultRetryPolicy, 1, error, 0.5), { state: "error" });
  }
});

test("a RetryableError's own delay replaces the backoff, but gives no further attempt", () => {
  const later = new RetryableError("busy", { delayMs: 123_456.4 });
  assert.deepEqual(decideAfterFailure(defaultRetryPolicy, 1, later, 0.5), {
    state: "waiting_for_retry",
    delayMs: 123_456,
  });
  assert.deepEqual(decideAfterFailure(defaultRetryPolicy, 3, later, 0.5), { state: "error" });
  const now = new RetryableError("busy", { delayMs: 0 });
  assert.deepEqual(decideAfterFailure(defaultRetryPolicy, 1, now, 0.9), { state: "waiting_for_retry", delayMs: 0 });
});

test("a RetryableError without a delay waits for the backoff", () => {
  assert.deepEqual(decideAfterFailure(defaultRetryPolicy, 1, new RetryableError("busy"), 0.25), {
    state: "waiting_for_retry",
    delayMs: 250,
  });
});

test("a delay that is no time is refused where it is asked for", () => {
  for (const delayMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, 7 * 24 * 3600 * 1000 + 1]) {
    assert.throws(() => new RetryableError("busy", { delayMs }), {
      name: "RangeError",
      message: `delayMs must be from 0 to 604800000 (seven days), got ${delayMs}`,
    });
  }
  assert.equal(new RetryableError("busy", { delayMs: 604_800_000 }).delayMs, 604_800_000);
});

test("what a handler throws to say how its attempt failed keeps its message, code and cause", () => {
  const cause = new Error("503");
  const retryable = new RetryableError("busy", { cause, delayMs: 5 });
  assert.deepEqual(
    [retryable.name, retryable.message, retryable.code, retryable.cause, retryable.delayMs],
    ["RetryableError", "busy", "retryable", cause, 5],
  );
  const permanent = new PermanentError("gone", { cause });
  assert.deepEqual([permanent.name, permanent.code, permanent.cause], ["PermanentError", "permanent", cause]);
});
