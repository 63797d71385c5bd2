import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "ioredis";
import { startRedis } from "./redis.ts";
import { startProxy } from "./tcp-proxy.ts";

test("a redis of a test's own answers, freezes and thaws, and restarts empty on the same port", async (t) => {
  const redis = await startRedis(t);
  await redis.admin.set("k", "v");
  redis.freeze();
  const answer = redis.admin.get("k");
  redis.thaw();
  assert.equal(await answer, "v");
  await redis.kill();
  await redis.restart(["--maxmemory", "2mb"]);
  assert.equal(await redis.admin.get("k"), null);
  assert.deepEqual(await redis.admin.config("GET", "maxmemory"), ["maxmemory", "2097152"]);
});

test("a proxy passes, holds back and cuts", async (t) => {
  const proxy = await startProxy(t, await startRedis(t));
  const client = new Redis(proxy.port, "127.0.0.1", { maxRetriesPerRequest: 0, retryStrategy: () => 5 });
  t.after(() => client.disconnect());
  client.on("error", () => undefined);
  assert.equal(await client.set("k", "v"), "OK");
  proxy.delay(30);
  const begunMs = performance.now();
  assert.equal(await client.get("k"), "v");
  assert.ok(performance.now() - begunMs >= 29);
  proxy.blackHole();
  const lost = client.get("k");
  proxy.cut();
  await assert.rejects(lost);
  proxy.pass();
  client.options.maxRetriesPerRequest = null;
  assert.equal(await client.get("k"), "v");
  assert.ok(proxy.connections >= 2);
});
