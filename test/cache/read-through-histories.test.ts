import { test } from "node:test";
import { checkReadThroughHistories } from "./read-through-histories.ts";

for (const [provider, atHand] of [
  ["a provider that is waited for", false],
  ["a provider that has its values at hand", true],
] as const) {
  test(`over ${provider}, no computation is doubled, no bound exceeded, no answer too old, and nobody is left waiting, in random histories`, () =>
    checkReadThroughHistories(atHand, 1_000));
}
