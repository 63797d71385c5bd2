import assert from "node:assert/strict";
import { after, test } from "node:test";
import { CacheStoreError } from "../../src/cache/errors.ts";
import { RedisCacheProvider } from "../../src/cache/providers/redis.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { startRedis } from "../support/redis.ts";

const { url, admin } = await startRedis({ after });
const provider = await openProvider();

async function openProvider(): Promise<RedisCacheProvider> {
  // What is tested must not depend on how busy the machine is.
  const options = { url, database: 0, connectTimeoutMs: 5_000, commandBudgetMs: 5_000 };
  const { opened, serving } = await new Promise<{ opened: () => RedisCacheProvider; serving: boolean }>((resolve) => {
    const made = new RedisCacheProvider(options, {
      clock: systemClock,
      logger: silentLogger,
      onChange: (change) => resolve({ opened: () => made, serving: change.serving }),
    });
  });
  assert.ok(serving);
  const redis = opened();
  after(() => redis.close());
  return redis;
}

async function callsOf(command: string): Promise<number> {
  const stats = await admin.info("commandstats");
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`, "u").exec(stats)?.[1] ?? 0);
}

async function fill(key: string, value: string): Promise<void> {
  const claim = await provider.claim(key, { token: key, leaseMs: 1_000, knownBornMs: undefined, maxAgeMs: 1_000 });
  assert.ok(claim.state === "granted");
  assert.ok(await provider.fill(key, key, { value, bornMs: claim.nowMs, keepMs: 60_000 }));
}

test("looks at the same time ask redis for the time once, and each gets its own value", async () => {
  const keys = ["a", "b", "c", "d"];
  for (const key of keys) await fill(key, `value of ${key}`);
  const before = { get: await callsOf("get"), time: await callsOf("time") };
  const found = await Promise.all([...keys, "nothing"].map((key) => provider.find(key)));
  assert.deepEqual(
    found.map((kept) => kept?.value),
    [...keys.map((key) => `value of ${key}`), undefined],
  );
  assert.ok(found.every((kept) => kept === undefined || kept.ageMs >= 0));
  assert.equal((await callsOf("get")) - before.get, 5);
  assert.equal((await callsOf("time")) - before.time, 1);
});

test("what redis refuses to one look fails that one alone, and the provider goes on", async () => {
  await fill("whole", "value");
  await admin.lpush("list", "not a string");
  const [refused, found] = await Promise.allSettled([provider.find("list"), provider.find("whole")]);
  assert.ok(refused.status === "rejected" && refused.reason instanceof CacheStoreError && !refused.reason.isOutage);
  assert.ok(found.status === "fulfilled" && found.value?.value === "value");
  assert.equal((await provider.healthCheck()).healthy, true);
});
