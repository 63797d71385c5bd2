import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { startRedis } from "../support/redis.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { startRedisCache } from "./redis-support.ts";

/** A clock that cuts long waits short, notes them, and can be put forward. */
function hastyClock() {
  const waits: number[] = [];
  let forwardMs = 0;
  const clock: Clock = {
    wallMs: () => systemClock.wallMs(),
    monotonicMs: () => systemClock.monotonicMs() + forwardMs,
    schedule(delayMs, callback, options) {
      if (delayMs < 250) return systemClock.schedule(delayMs, callback, options);
      if (waits.at(-1) !== delayMs) waits.push(delayMs);
      return systemClock.schedule(5, callback, options);
    },
  };
  return { clock, waits, putForward: (ms: number) => void (forwardMs += ms) };
}

test("redis that answers PINGs and nothing else in time is asked later each time, until it has worked for a while", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis);
  const { clock, waits, putForward } = hastyClock();
  const { provider, changes, until } = startRedisCache({ url: `redis://127.0.0.1:${proxy.port}`, clock });
  t.after(() => provider.close());
  const get = (): Promise<unknown> => provider.get("k").catch(() => undefined);
  const loseIt = async (): Promise<void> => {
    await until(true);
    // Many at once are one relapse.
    while (changes.at(-1)?.serving === true) await Promise.all(Array.from({ length: 10 }, get));
  };
  await until(true);
  proxy.delay(100, (bytes) => !bytes.includes("PONG"));
  for (let time = 0; time < 7; time += 1) await loseIt();
  assert.deepEqual(waits, [250, 500, 1_000, 2_000, 4_000, 8_000]);
  await until(true);
  putForward(5_000);
  await loseIt();
  assert.deepEqual(waits.slice(-2), [8_000, 250]);
});
