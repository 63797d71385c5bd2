import assert from "node:assert/strict";
import { test } from "node:test";

import { sleep, systemClock } from "../../src/runtime/clock.ts";
import { ManualClock } from "../support/clock.ts";

test("timers run in the order they fall due, each at its own time", async () => {
  const clock = new ManualClock(5000);
  const seen: [string, number][] = [];
  clock.schedule(30, () => seen.push(["third", clock.monotonicMs()]));
  clock.schedule(10, () => seen.push(["first", clock.monotonicMs()]));
  clock.schedule(10, () => seen.push(["second", clock.monotonicMs()]));
  clock.schedule(31, () => seen.push(["never", clock.monotonicMs()]));
  await clock.advance(30);
  assert.deepEqual(seen, [
    ["first", 10],
    ["second", 10],
    ["third", 30],
  ]);
  assert.equal(clock.wallMs(), 5030);
  assert.equal(clock.pending, 1);
});

test("a timer that is scheduled by another one runs within the same advance, if it falls due", async () => {
  const clock = new ManualClock();
  const seenMs: number[] = [];
  const again = (): void => {
    seenMs.push(clock.monotonicMs());
    clock.schedule(10, again);
  };
  clock.schedule(10, again);
  await clock.advance(35);
  assert.deepEqual(seenMs, [10, 20, 30]);
});

test("what waits for a timer runs before the next timer does", async () => {
  const clock = new ManualClock();
  const seenMs: number[] = [];
  const waiting = (async () => {
    for (let round = 0; round < 3; round += 1) {
      await sleep(clock, 10);
      seenMs.push(clock.monotonicMs());
    }
  })();
  await clock.advance(30);
  await waiting;
  assert.deepEqual(seenMs, [10, 20, 30]);
});

test("a cancelled timer does not run", async () => {
  const clock = new ManualClock();
  const timer = clock.schedule(10, () => assert.fail("ran"));
  timer.cancel();
  timer.cancel();
  await clock.advance(100);
});

test("sleep ends at once when its signal aborts, and leaves no timer behind", async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const asleep = sleep(clock, 1_000_000, controller.signal);
  assert.equal(clock.pending, 1);
  controller.abort();
  await asleep;
  assert.equal(clock.pending, 0);
  await sleep(clock, 1_000_000, controller.signal);
});

test("the system's clock runs a timer, and does not run a cancelled one", async () => {
  const cancelled = systemClock.schedule(0, () => assert.fail("ran"));
  cancelled.cancel();
  const startMs = systemClock.monotonicMs();
  await sleep(systemClock, 1);
  assert.ok(systemClock.monotonicMs() > startMs);
});
