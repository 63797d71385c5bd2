import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
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
  for (const { answered, failed } of waves) {
    assert.equal(failed, 0);
    assert.ok(answered > 1_000, `${answered} answers`);
  }
});

test("claims that were given up because redis was frozen keep nobody waiting when it has thawed", async (t) => {
  const redis = await startRedis(t);
  const [first, second, ...others] = await startMembers(t, 4, { url: redis.url, computeMs: 0, commandBudgetMs: 100 });
  assert.ok(first !== undefined && second !== undefined);
  const keys = ["a", "b", "c", "d"];
  // A holder that dies: both processes claim its leases again and again, also when redis does not answer any more.
  const leaseMs = 2_000;
  for (const key of keys) await redis.admin.set(`${key}:lease`, "who dies", "PX", leaseMs);
  const endsMs = Date.now() + leaseMs;
  const waves = keys.map((key, index) => (index % 2 === 0 ? first : second).wave(key, 100));
  await eventually(
    "all are waiting for it",
    () => redis.admin.info("commandstats"),
    (stats) => Number(/cmdstat_eval:calls=(\d+),/u.exec(stats)?.[1]) >= 2 * keys.length,
  );
  redis.freeze();
  for (const { answered, failed } of await Promise.all(waves)) assert.deepEqual([answered, failed], [100, 0]);
  await Promise.all([first, second].map((member) => member.next("without")));
  await eventually(
    "its leases have run out",
    async () => Date.now(),
    (nowMs) => nowMs > endsMs,
  );
  redis.thaw();
  await Promise.all([first, second].map((member) => member.next("serving")));
  assert.equal(computations([first, second]), keys.length);
  for (const member of others) {
    for (const key of keys) {
      const { answered, leaseWaits } = await member.wave(key, 1);
      assert.deepEqual([answered, leaseWaits], [1, 0], key);
    }
  }
  assert.equal(computations(others), keys.length, "the first of the others computed each, and the second found it");
});
