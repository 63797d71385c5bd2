import assert from "node:assert/strict";
import { test } from "node:test";
import { startRedis } from "../support/redis.ts";
import { computations, startMembers } from "./fleet-processes.ts";

test("ten thousand readers of a cold key in three processes make one computation", async (t) => {
  const { url } = await startRedis(t);
  const members = await startMembers(t, 3, { url });
  const waves = await Promise.all(members.map((member) => member.wave("cold", 3_334)));
  assert.equal(computations(members), 1);
  assert.equal(new Set(waves.flatMap(({ bodies }) => bodies)).size, 1);
  assert.deepEqual(
    waves.map(({ answered, failed }) => [answered, failed]),
    [
      [3_334, 0],
      [3_334, 0],
      [3_334, 0],
    ],
  );
});

test("a source that fails is asked once by three processes, and not again in the pause", async (t) => {
  const { url } = await startRedis(t);
  const members = await startMembers(t, 3, { url, fails: true });
  const waves = await Promise.all(members.map((member) => member.wave("failing", 1_000)));
  assert.deepEqual(
    waves.map(({ answered, failed }) => [answered, failed]),
    [
      [0, 1_000],
      [0, 1_000],
      [0, 1_000],
    ],
  );
  await Promise.all(members.map((member) => member.wave("failing", 1_000)));
  assert.equal(computations(members), 1);
});

test("two hosts whose clocks are five minutes apart agree on the age of an answer", async (t) => {
  const { url } = await startRedis(t);
  const [here] = await startMembers(t, 1, { url });
  const [ahead] = await startMembers(t, 1, { url, clockOffsetMs: 300_000 });
  const [behind] = await startMembers(t, 1, { url, clockOffsetMs: -300_000 });
  assert.ok(here !== undefined && ahead !== undefined && behind !== undefined);
  await here.wave("k", 1);
  for (const member of [ahead, behind]) {
    const begunMs = performance.now();
    const { oldestMs, bodies } = await member.wave("k", 1);
    const computedMs = Number(bodies[0]?.split(" ")[2]);
    const trueAgeMs = Date.now() - computedMs;
    // Never younger than it is, and older only by what computing and asking took.
    assert.ok(oldestMs >= trueAgeMs - (performance.now() - begunMs) - 2, `${oldestMs} of ${trueAgeMs}`);
    assert.ok(oldestMs < trueAgeMs + 1_000, `${oldestMs} of ${trueAgeMs}`);
  }
  assert.equal(computations([here, ahead, behind]), 1);
});

test("a redis that is killed, frozen and restarted empty under load fails no request", async (t) => {
  const redis = await startRedis(t);
  const freshness = { ttlMs: 200, staleWhileRevalidateMs: 200, staleIfErrorMs: 10_000 };
  const members = await startMembers(t, 3, { url: redis.url, freshness, computeMs: 10, commandBudgetMs: 100 });
  const all = (kind: "serving" | "without") => Promise.all(members.map((member) => member.next(kind)));
  await Promise.all(members.map((member) => member.startLoad("hot", 170)));

  await redis.kill();
  await all("without");
  await redis.restart();
  await all("serving");

  redis.freeze();
  await all("without");
  redis.thaw();
  await all("serving");

  const waves = await Promise.all(members.map((member) => member.endLoad()));
  for (const { answered, failed, slowestMs } of waves) {
    assert.equal(failed, 0);
    assert.ok(answered > 1_000, `${answered} answers`);
    // The budget, at worst a lease that nobody holds any more, a computation, and turns of a busy machine.
    assert.ok(slowestMs < 4_000, `the slowest took ${slowestMs} ms`);
  }
});
