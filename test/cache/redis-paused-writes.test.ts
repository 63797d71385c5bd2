import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClaimRequest } from "../../src/cache/contract.ts";
import { CacheStoreError } from "../../src/cache/errors.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { startRedisCache } from "./redis-support.ts";

const request: ClaimRequest = { token: "t", leaseMs: 60_000, knownBornMs: undefined, maxAgeMs: 60_000 };

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: unknown) => (error instanceof CacheStoreError ? error.reason : String(error)),
  );
}

test("redis that holds up writes and answers reads (CLIENT PAUSE WRITE) is not used until a write works", async (t) => {
  const redis = await startRedis(t);
  const { provider, until, changes } = startRedisCache({ url: redis.url, commandBudgetMs: 200 });
  t.after(() => provider.close());
  await until(true);
  const probes = async (): Promise<number> => (await provider.healthCheck()).figures["probes_total"] ?? 0;

  await redis.admin.call("CLIENT", "PAUSE", "600000", "WRITE");
  assert.equal(await reasonOf(provider.claim("k", request)), "timeout");
  // The connection on which a write is held up answers nothing else; its silence ends it. A new one answers PINGs.
  await until(false);
  const before = await probes();
  await eventually("it was probed four times", probes, (count) => count >= before + 4);
  assert.deepEqual(
    changes.map(({ serving }) => serving),
    [true, false],
    "PINGs alone do not bring it back",
  );
  assert.equal(await redis.admin.ping(), "PONG");
  assert.equal(await reasonOf(provider.find("k")), "not_ready");
  assert.equal((await provider.healthCheck()).figures["commands_total"], 1, "one call has waited");

  await redis.admin.call("CLIENT", "UNPAUSE");
  await until(true);
  assert.equal((await provider.claim("other", request)).state, "granted");
  assert.deepEqual(await redis.admin.keys("tasker:probe*"), []);
});

test("writes that redis holds up time and again are counted, whatever reads are answered between", async (t) => {
  const redis = await startRedis(t);
  const { provider, until, changes } = startRedisCache({ url: redis.url, commandBudgetMs: 100 });
  t.after(() => provider.close());
  await until(true);
  for (let time = 0; time < 2; time += 1) {
    assert.equal(changes.length, 1);
    await redis.admin.call("CLIENT", "PAUSE", "600000", "WRITE");
    assert.equal(await reasonOf(provider.claim("k", request)), "timeout");
    await redis.admin.call("CLIENT", "UNPAUSE");
    if (time === 0) assert.equal(await reasonOf(provider.find("k")), "none");
  }
  assert.deepEqual(changes[1], { serving: false, reason: "timeout" });
  await until(true);
  assert.equal((await provider.claim("other", request)).state, "granted");
});
