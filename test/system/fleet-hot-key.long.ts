import assert from "node:assert/strict";
import { test } from "node:test";
import { startRedis } from "../support/redis.ts";
import { computations, startMembers } from "./fleet-processes.ts";

test("a hot key in eight processes is computed at most 1.3 times in each time to live, and no reader waits for it", async (t) => {
  const { url } = await startRedis(t);
  const ttlMs = 2_000;
  const freshness = { ttlMs, staleWhileRevalidateMs: ttlMs, staleIfErrorMs: 60_000 };
  const members = await startMembers(t, 8, { url, freshness, computeMs: 20 });
  await Promise.all(members.map((member) => member.wave("hot", 1)));
  const before = computations(members);
  const begunMs = performance.now();
  await Promise.all(members.map((member) => member.startLoad("hot", 5)));
  await new Promise((resolve) => setTimeout(resolve, 10 * ttlMs));
  const waves = await Promise.all(members.map((member) => member.endLoad()));
  const ttls = (performance.now() - begunMs) / ttlMs;
  const perTtl = (computations(members) - before) / ttls;
  t.diagnostic(
    `${perTtl.toFixed(2)} computations per time to live, ${waves.reduce((sum, { answered }) => sum + answered, 0)} answers`,
  );
  assert.ok(perTtl <= 1.3, `${perTtl} computations per time to live`);
  assert.ok(waves.every(({ failed, oldestMs }) => failed === 0 && oldestMs <= 2 * ttlMs));
});
