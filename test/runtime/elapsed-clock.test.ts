import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Clock, elapsedClock } from "../../src/runtime/clock.ts";
import { randomCases } from "../support/random.ts";
import { sleepyClock } from "../support/sleepy-clock.ts";
import { ManualClock } from "../support/clock.ts";

describe("the time that has passed", () => {
  test("is what the monotonic clock measures while the machine is awake", async () => {
    const { clock, machine } = system();
    const beganMs = clock.monotonicMs();
    for (const ms of [0, 0.25, 999.5, 60_000, 1e9]) await machine.advance(ms);
    assert.equal(clock.monotonicMs() - beganMs, 1_000_060_999.75);
  });

  test("counts the sleep of the machine, once", async () => {
    const { clock, machine, sleepy } = system();
    const beganMs = clock.monotonicMs();
    for (const [sleptMs, passedMs] of [
      [28_800_000, 28_800_000],
      [10, 28_800_010],
      [0, 28_800_010],
    ] as const) {
      sleepy.sleep(sleptMs);
      assert.equal(clock.monotonicMs() - beganMs, passedMs);
    }
    await machine.advance(500);
    assert.equal(clock.monotonicMs() - beganMs, 28_800_510);
  });

  test("counts a sleep also after the wall clock was set back", async () => {
    const { clock, machine, sleepy } = system();
    const beganMs = clock.monotonicMs();
    sleepy.sleep(-3_600_000);
    assert.equal(clock.monotonicMs() - beganMs, 0);
    await machine.advance(100);
    sleepy.sleep(60_000);
    assert.equal(clock.monotonicMs() - beganMs, 60_100);
  });

  test("never runs back, and is never less than either clock has moved on", async () => {
    const step = fc.record({ awakeMs: fc.nat(10_000), sleptMs: fc.integer({ min: -100_000, max: 100_000 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { clock, machine, sleepy } = system();
        for (const { awakeMs, sleptMs } of steps) {
          const [beganMs, wallMs] = [clock.monotonicMs(), sleepy.clock.wallMs()];
          await machine.advance(awakeMs);
          sleepy.sleep(sleptMs);
          const passedMs = clock.monotonicMs() - beganMs;
          assert.ok(passedMs >= awakeMs, `${passedMs} ms, awake for ${awakeMs}`);
          const wallPassedMs = sleepy.clock.wallMs() - wallMs;
          // What the wall clock makes up for after it was set back by less is no sleep.
          assert.ok(passedMs >= wallPassedMs - 1_000, `${passedMs} ms, ${wallPassedMs} on the wall`);
        }
      }),
      randomCases(100),
    );
  });
});

function system() {
  const machine = new ManualClock();
  const sleepy = sleepyClock(machine);
  const clock: Clock = elapsedClock(sleepy.clock);
  return { clock, machine, sleepy };
}
