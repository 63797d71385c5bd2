import { describe, test } from "node:test";
import { MemoryCacheProvider } from "../../src/cache/providers/memory.ts";
import { checkProviderHistories } from "../contracts/cache-provider.ts";
import { ManualClock } from "../support/clock.ts";
import { checkReadThroughHistories } from "./read-through-histories.ts";

describe("in thousands of random histories", () => {
  test("the memory cache does what a map with expiry times does", () =>
    checkProviderHistories({ keeps: true, open: openMemory }, 10_000));

  for (const [provider, atHand] of [
    ["a provider that is waited for", false],
    ["a provider that has its values at hand", true],
  ] as const) {
    test(`over ${provider}, a read-through doubles no computation, exceeds no bound and leaves nobody waiting`, () =>
      checkReadThroughHistories(atHand, 5_000));
  }
});

async function openMemory() {
  const clock = new ManualClock();
  const provider = new MemoryCacheProvider({ entriesMax: 1_000, bytesMax: 10_000_000 }, clock);
  return { provider, advance: (ms: number) => clock.advance(ms) };
}
