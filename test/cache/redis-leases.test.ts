import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import type { ClaimRequest } from "../../src/cache/contract.ts";
import { startRedis } from "../support/redis.ts";
import { openRedisCache } from "./redis-support.ts";

const redis = await startRedis({ after });
const { provider } = await openRedisCache({ url: redis.url, commandBudgetMs: 5_000 });
after(() => provider.close());
beforeEach(async () => void (await redis.admin.flushdb()));

const claim = (token: string, about: Partial<ClaimRequest> = {}) =>
  provider.claim("k", { token, leaseMs: 60_000, knownBornMs: undefined, maxAgeMs: 60_000, ...about });

/** Claims and fills; returns the birth of the value. */
async function filled(value: string): Promise<number> {
  const granted = await claim(value);
  assert.ok(granted.state === "granted");
  assert.equal(await provider.fill("k", value, { value, bornMs: granted.nowMs, keepMs: 60_000 }), true);
  return granted.nowMs;
}

test("one claim is granted; the others learn that another computes, and then find the value with its age", async () => {
  const granted = await claim("a");
  assert.ok(granted.state === "granted");
  assert.deepEqual(await claim("b"), { state: "held" });
  assert.equal(await provider.fill("k", "a", { value: "x\ny", bornMs: granted.nowMs - 5_000, keepMs: 60_000 }), true);
  const found = await claim("b");
  assert.ok(found.state === "found");
  assert.deepEqual([found.kept.value, found.kept.bornMs], ["x\ny", granted.nowMs - 5_000]);
  assert.ok(found.kept.ageMs >= 5_000 && found.kept.ageMs < 15_000);
  assert.deepEqual((await provider.find("k"))?.value, "x\ny");
  const left = await redis.admin.pttl("k");
  assert.ok(left <= 55_000 && left > 45_000, "it is kept from its birth, not from its writing");
});

test("a value that the caller has already, or one that is too old for it, is none", async () => {
  const bornMs = await filled("old");
  assert.equal((await claim("b", { knownBornMs: bornMs })).state, "granted");
  await provider.release("k", "b", 0);
  await redis.admin.set("k", `${bornMs - 10_000}\nolder`);
  assert.equal((await claim("c", { maxAgeMs: 9_000 })).state, "granted");
});

test("who has lost its lease writes nothing, renews nothing and gives nothing back", async () => {
  const granted = await claim("slow");
  assert.ok(granted.state === "granted");
  // The lease of a holder that died runs out; here it is ended by hand.
  await redis.admin.del("k:lease");
  assert.equal((await claim("next")).state, "granted");
  assert.equal(await provider.fill("k", "slow", { value: "late", bornMs: granted.nowMs, keepMs: 60_000 }), false);
  assert.equal(await provider.renew("k", "slow", 1_000), false);
  await provider.release("k", "slow", 1_000);
  assert.deepEqual(await claim("third"), { state: "held" });
  assert.equal(await provider.find("k"), undefined);
  assert.equal(await provider.renew("k", "next", 90_000), true);
  assert.ok((await redis.admin.pttl("k:lease")) > 60_000);
});

test("a lease runs out by itself", async () => {
  await claim("dead", { leaseMs: 1 });
  let next = await claim("next");
  while (next.state === "held") next = await claim("next");
  assert.equal(next.state, "granted");
});

test("a failure stands for its pause, for everybody, and is not the value's end", async () => {
  await filled("value");
  const known = await provider.find("k");
  assert.equal((await claim("a", { knownBornMs: known?.bornMs })).state, "granted");
  await provider.release("k", "a", 60_000);
  assert.deepEqual(await claim("b", { knownBornMs: known?.bornMs }), { state: "failed" });
  assert.equal((await claim("b")).state, "found");
  assert.ok((await redis.admin.pttl("k:lease")) > 50_000);
});

test("a write that arrives when its value is too old by redis' clock stores nothing", async () => {
  const granted = await claim("a");
  assert.ok(granted.state === "granted");
  const bornMs = granted.nowMs - 70_000;
  assert.equal(await provider.fill("k", "a", { value: "v", bornMs, keepMs: 60_000 }), false);
  assert.equal(await redis.admin.exists("k"), 0);
  assert.equal((await claim("b")).state, "granted");
});

test("what is no filled value, and what comes from the future, reads as none and is computed again", async () => {
  const inAnHour = Date.now() + 3_600_000;
  for (const text of ["no frame", "", `${inAnHour}\nfuture`]) {
    await redis.admin.set("k", text);
    assert.equal(await provider.find("k"), undefined, text);
    assert.equal((await claim("a")).state, "granted");
    await provider.release("k", "a", 0);
  }
});

test("a server that is full keeps the lease and the old value when a fill is refused", async () => {
  const bornMs = await filled("old");
  const granted = await claim("new", { knownBornMs: bornMs });
  assert.ok(granted.state === "granted");
  await redis.admin.config("SET", "maxmemory", "1");
  await assert.rejects(provider.fill("k", "new", { value: "v", bornMs: granted.nowMs, keepMs: 60_000 }), /OOM/u);
  await redis.admin.config("SET", "maxmemory", "0");
  assert.equal((await provider.find("k"))?.value, "old");
  assert.deepEqual(await claim("b", { knownBornMs: bornMs }), { state: "held" });
});
