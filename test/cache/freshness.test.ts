import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Computed } from "../../src/cache/answer-producer.ts";
import { type Freshness, keepMsOf, spreadKeepMs } from "../../src/cache/freshness.ts";
import { readThroughSystem } from "./support.ts";

/** Uniform in [0, 1), the same numbers each time (a linear congruential generator). */
function draws(): () => number {
  let state = 12_345;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

const ttlMs = 60_000;
const keys = Array.from({ length: 90 }, (_, index) => `k${index}`);

/** Computes all keys at one moment, then reads them each second; tells how many are computed again at which age. */
async function ends(random: () => number): Promise<Map<number, number>> {
  const { clock, readThrough } = readThroughSystem({ random, computationsMax: keys.length });
  const again = new Map<number, number>();
  let seconds = 0;
  const compute = async (): Promise<Computed> => {
    again.set(seconds, (again.get(seconds) ?? 0) + 1);
    return { body: "{}", computedAt: "now" };
  };
  const readAll = async (): Promise<void> => {
    const answers = await Promise.all(keys.map((key) => readThrough.read(key, { ttlMs, compute })));
    for (const { ageMs } of answers) assert.ok(ageMs <= ttlMs, `${ageMs} ms old`);
  };
  await readAll();
  // Until the first could end for the second time.
  for (seconds = 1; seconds < 108; seconds += 1) {
    await clock.advance(1_000);
    await readAll();
  }
  again.delete(0);
  return again;
}

describe("answers that nobody refreshes ahead", () => {
  test("computed at one moment do not end at one moment, none before 0.9 of the time to live and none after it", async () => {
    const again = await ends(draws());
    assert.equal(
      [...again.values()].reduce((sum, count) => sum + count, 0),
      keys.length,
    );
    const seconds = [...again.keys()];
    assert.ok(Math.min(...seconds) >= 54, `the first ended after ${Math.min(...seconds)} s`);
    assert.ok(Math.max(...seconds) <= 61, `the last ended after ${Math.max(...seconds)} s`);
    // A sixth each second, when they are spread evenly.
    assert.ok(Math.max(...again.values()) <= keys.length / 3, `${Math.max(...again.values())} at once`);
  });

  test("would all end at one moment if nothing spread them", async () => {
    assert.deepEqual([...(await ends(() => 0))], [[61, keys.length]]);
  });
});

test("answers that outlive their freshness are kept for as long as is promised: who reads them refreshes them ahead", () => {
  const kept: readonly Freshness[] = [
    { ttlMs, staleWhileRevalidateMs: 30_000 },
    { ttlMs, staleWhileRevalidateMs: 30_000, staleIfErrorMs: 3_600_000 },
    { ttlMs, staleIfErrorMs: 3_600_000 },
  ];
  for (const freshness of kept) assert.equal(spreadKeepMs(freshness, draws()), keepMsOf(freshness));
});
