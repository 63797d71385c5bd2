import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClaimRequest } from "../../src/cache/contract.ts";
import { CacheStoreError } from "../../src/cache/errors.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { openRedisCache } from "./redis-support.ts";

const keys = ["a", "b", "c", "d", "e"];

/** With a lease that would stand until long after the test: one that is left over shows. */
function request(token: string): ClaimRequest {
  return { token, leaseMs: 600_000, knownBornMs: undefined, maxAgeMs: 60_000 };
}

async function isGivenUp(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => false,
    (error: unknown) => error instanceof CacheStoreError && error.reason === "timeout",
  );
}

test("claims that a frozen redis executes when it has thawed leave no lease: nobody waits for a holder that is none", async (t) => {
  const redis = await startRedis(t);
  const { provider, until } = await openRedisCache({ url: redis.url });
  const other = await openRedisCache({ url: redis.url, commandBudgetMs: 5_000 });
  t.after(() => Promise.all([provider.close(), other.provider.close()]));
  redis.freeze();
  const given = await Promise.all(keys.map((key) => isGivenUp(provider.claim(key, request(`given up ${key}`)))));
  assert.deepEqual(new Set(given), new Set([true]));
  redis.thaw();
  // Its PING stands behind the claims on the same connection.
  await until(true);
  const claims = await Promise.all(keys.map((key) => other.provider.claim(key, request(`next ${key}`))));
  assert.deepEqual(new Set(claims.map(({ state }) => state)), new Set(["granted"]));
  assert.equal((await redis.admin.keys("*")).length, keys.length, "redis did execute the claims, and took them back");
  const stats = await redis.admin.info("commandstats");
  assert.match(stats, new RegExp(`cmdstat_eval:calls=${3 * keys.length},`, "u"));
});

test("so do claims of a connection that was replaced while redis was frozen", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis);
  const { provider, until } = await openRedisCache({ url: `redis://127.0.0.1:${proxy.port}` });
  t.after(() => provider.close());
  redis.freeze();
  assert.equal(await isGivenUp(provider.claim("k", request("given up"))), true);
  // The silence ends the connection; a new one is taken by the system, whatever redis does.
  await eventually(
    "the connection was replaced",
    async () => proxy.connections,
    (connections) => connections > 1,
  );
  redis.thaw();
  await until(true);
  await eventually(
    "redis executed the claim and took it back",
    () => redis.admin.info("commandstats"),
    (stats) => /cmdstat_eval:calls=2,/u.test(stats),
  );
  assert.equal((await provider.claim("k", request("next"))).state, "granted");
});

test("a claim that is granted in time and learned of too late leaves no lease", async (t) => {
  const redis = await startRedis(t);
  const proxy = await startProxy(t, redis);
  // So that there is time to look at redis before the budget is spent.
  const { provider } = await openRedisCache({ url: `redis://127.0.0.1:${proxy.port}`, commandBudgetMs: 1_000 });
  t.after(() => provider.close());
  proxy.delay(1_500);
  const givenUp = isGivenUp(provider.claim("k", request("slow")));
  await eventually(
    "redis granted it",
    () => redis.admin.get("k:lease"),
    (token) => token === "slow",
  );
  assert.equal(await givenUp, true);
  await eventually(
    "it was taken back",
    () => redis.admin.exists("k:lease"),
    (count) => count === 0,
  );
});

test("taking back a claim that was not granted touches nobody's lease", async (t) => {
  const redis = await startRedis(t);
  const { provider, until } = await openRedisCache({ url: redis.url });
  t.after(() => provider.close());
  await redis.admin.set("k:lease", "somebody");
  redis.freeze();
  assert.equal(await isGivenUp(provider.claim("k", request("given up"))), true);
  redis.thaw();
  await until(true);
  await eventually(
    "redis executed both",
    () => redis.admin.info("commandstats"),
    (stats) => /cmdstat_eval:calls=2,/u.test(stats),
  );
  assert.equal(await redis.admin.get("k:lease"), "somebody");
});
