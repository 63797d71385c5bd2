import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { randomCases } from "../support/random.ts";
import { faultyHistories, type Flaw, type Step, workingHistories, World } from "./histories.ts";

/** So many histories, scaled as all random cases. */
export function workingRedis(full: number): void {
  test("with redis working, nothing older than the last registration that has returned comes out of it", () =>
    fc.assert(holds(workingHistories), randomCases(full)));
}

/** The same with processes that lose redis, operations that fail or happen late, and notices that are missed. */
export function failingRedis(full: number): void {
  test("with redis failing for some or all, no task is made of an old revision, and what is stale goes when redis is back", () =>
    fc.assert(holds(faultyHistories), randomCases(full)));
}

/** The same histories find what they are to find, when it is there. */
export function controls(): void {
  for (const [flaw, what, arbitrary] of [
    ["unfenced", "a fill that needs no lease", workingHistories],
    ["forgetful", "an invalidation that is forgotten while redis is away", faultyHistories],
    ["unchecked", "a creation that does not check its revision", faultyHistories],
  ] as const) {
    test(`control: ${what} is caught`, async (t) => {
      const { failed, numRuns, errorInstance } = await fc.check(holds(arbitrary, flaw), {
        ...randomCases(1),
        numRuns: 4_000,
        endOnFailure: true,
      });
      t.diagnostic(`history ${numRuns}: ${String(errorInstance)}`);
      assert.equal(failed, true);
    });
  }
}

function holds(arbitrary: fc.Arbitrary<Step[]>, flaw?: Flaw) {
  return fc.asyncProperty(arbitrary, (history) => new World(flaw).play(history));
}
