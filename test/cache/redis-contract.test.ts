import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { CacheProvider } from "../../src/cache/contract.ts";
import { describeCacheProvider } from "../contracts/cache-provider.ts";
import { describeSharedCacheProvider } from "../contracts/shared-cache-provider.ts";
import { sharedRedis } from "../support/redis.ts";
import { openRedisCache } from "./redis-support.ts";

const { url, admin } = await sharedRedis({ after });

/** A millisecond of the suite is so many of redis: the real time that passes between two steps is no part of a history. */
const slowness = 100_000;

/** Lets time pass for every key; one that is at its very end lives until time passes again. */
const age = `for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key) - ARGV[1]
  if left <= -ARGV[2] / 2 then redis.call('DEL', key) else redis.call('PEXPIRE', key, math.max(left, ARGV[2] / 4)) end
end`;

describeCacheProvider({
  name: "redis",
  reach: "shared",
  keeps: true,
  async open() {
    await admin.flushdb();
    const { provider } = await openRedisCache({ url, commandBudgetMs: 5_000 });
    const slow: CacheProvider = {
      name: provider.name,
      reach: provider.reach,
      get: (key) => provider.get(key),
      set: (key, value, ttlMs) => provider.set(key, value, ttlMs * slowness),
      delete: (key) => provider.delete(key),
      deletePattern: (pattern) => provider.deletePattern(pattern),
      healthCheck: () => provider.healthCheck(),
      close: () => provider.close(),
    };
    return { provider: slow, advance: async (ms) => void (await admin.eval(age, 0, ms * slowness, slowness)) };
  },
});

describeSharedCacheProvider("redis", async () => {
  await admin.flushdb();
  const { provider } = await openRedisCache({ url, commandBudgetMs: 5_000 });
  const raw = {
    set: async (key: string, text: string) => void (await admin.set(key, text)),
    delete: async (key: string) => void (await admin.del(key)),
    leftMs: (key: string) => admin.pttl(key),
    advance: async (ms: number) => void (await admin.eval(age, 0, ms, 1)),
  };
  return { provider, raw };
});

test("a pattern takes leases with it, and counts values alone", async () => {
  await admin.flushdb();
  const { provider } = await openRedisCache({ url, commandBudgetMs: 5_000 });
  const request = { leaseMs: 60_000, knownBornMs: undefined, maxAgeMs: 60_000 };
  for (const key of ["a:1", "a:2", "b:1"]) {
    await provider.set(key, "v", 60_000);
    assert.equal((await provider.claim(key, { ...request, token: key })).state, "granted");
  }
  await provider.claim("a:3", { ...request, token: "no value" });
  assert.equal(await provider.deletePattern("a:*"), 2);
  assert.deepEqual((await admin.keys("*")).toSorted(), ["b:1", "b:1:lease"]);
  await provider.close();
});
