import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { CacheStoreError } from "../../src/cache/errors.ts";
import type { RedisCacheOptions } from "../../src/cache/providers/redis.ts";
import { startRedis, type TestRedisOptions } from "../support/redis.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { startRedisCache } from "./redis-support.ts";

/** A provider that serves, over a proxy, from a redis of the test's own. */
async function setup(t: TestContext, options: Partial<RedisCacheOptions> & TestRedisOptions = {}) {
  const redis = await startRedis(t, options);
  const proxy = await startProxy(t, redis);
  const cache = startRedisCache({ url: `redis://127.0.0.1:${proxy.port}`, ...options });
  t.after(() => cache.provider.close());
  return { redis, proxy, ...cache };
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof CacheStoreError, String(error));
    return error.reason;
  }
  return "none";
}

/** What calls made one after another fail with, until the provider has stopped serving. */
async function failuresUntilLost(system: Awaited<ReturnType<typeof setup>>): Promise<string[]> {
  const failures: string[] = [];
  while (system.changes.at(-1)?.serving === true) failures.push(await failureOf(system.provider.get("k")));
  return failures;
}

describe("redis that is not there", () => {
  test("at the start: every call is rejected at once, and it is used as soon as it comes", async (t) => {
    const redis = await startRedis(t);
    await redis.kill();
    const { provider, until, lines } = startRedisCache({ url: redis.url });
    t.after(() => provider.close());
    assert.equal(await failureOf(provider.get("k")), "not_ready");
    await until(false);
    assert.equal(await failureOf(provider.set("k", "v", 1_000)), "not_ready");
    const { healthy, since, reason } = await provider.healthCheck();
    assert.deepEqual([healthy, typeof since, reason], [false, "string", "Redis is not used: connection"]);
    await redis.restart();
    await until(true);
    await provider.set("k", "v", 60_000);
    assert.equal(await provider.get("k"), "v");
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("killed and restarted: two lines in the log, and it serves again by itself", async (t) => {
    const { redis, provider, until, lines } = await setup(t);
    await until(true);
    await redis.kill();
    await until(false);
    assert.equal(await failureOf(provider.get("k")), "not_ready");
    await redis.restart();
    await until(true);
    assert.equal(await provider.get("k"), undefined);
    assert.deepEqual(
      lines.map(({ level, details }) => [level, details["reason"]]),
      [
        ["info", undefined],
        ["warn", "connection"],
        ["info", undefined],
      ],
    );
  });
});

describe("redis that does not answer", () => {
  test("frozen: two calls wait for the budget, no other call is sent, and PINGs find out when it is back", async (t) => {
    const system = await setup(t);
    const { redis, provider, until } = system;
    await until(true);
    redis.freeze();
    assert.deepEqual(await failuresUntilLost(system), ["timeout", "timeout"]);
    const before = (await provider.healthCheck()).figures;
    for (let call = 0; call < 100; call += 1) assert.equal(await failureOf(provider.get("k")), "not_ready");
    assert.equal((await provider.healthCheck()).figures["commands_total"], before["commands_total"]);
    redis.thaw();
    await until(true);
    await provider.set("k", "v", 60_000);
    assert.equal(await provider.get("k"), "v");
  });

  test("frozen under load: only the calls in flight wait", async (t) => {
    const { redis, provider, until } = await setup(t);
    await until(true);
    redis.freeze();
    const inFlight = await Promise.all(Array.from({ length: 500 }, () => failureOf(provider.get("k"))));
    assert.deepEqual(new Set(inFlight), new Set(["timeout"]));
    const after = await Promise.all(Array.from({ length: 500 }, () => failureOf(provider.get("k"))));
    assert.deepEqual(new Set(after), new Set(["not_ready"]));
    redis.thaw();
    await until(true);
  });

  test("in a black hole: the connection is replaced, and the new one is used", async (t) => {
    const system = await setup(t);
    await system.until(true);
    system.proxy.blackHole();
    assert.deepEqual(await failuresUntilLost(system), ["timeout", "timeout"]);
    system.proxy.cut();
    system.proxy.pass();
    await system.until(true);
    assert.equal(await failureOf(system.provider.get("k")), "none");
    assert.ok(system.proxy.connections >= 2);
  });

  test("slower than the budget: it is not used, however surely its answers come", async (t) => {
    const system = await setup(t);
    await system.until(true);
    system.proxy.delay(100);
    assert.deepEqual(await failuresUntilLost(system), ["timeout", "timeout"]);
    const probes = async (): Promise<number> => (await system.provider.healthCheck()).figures["probes_total"] ?? 0;
    const before = await probes();
    while ((await probes()) < before + 3) await new Promise(setImmediate);
    assert.equal(system.changes.at(-1)?.serving, false);
    system.proxy.pass();
    await system.until(true);
  });

  test("slower than the default, within a budget that was raised: it is used", async (t) => {
    const { provider, proxy, until, changes } = await setup(t, { commandBudgetMs: 2_000 });
    await until(true);
    proxy.delay(60);
    await provider.set("k", "v", 60_000);
    assert.equal(await provider.get("k"), "v");
    assert.deepEqual(changes, [{ serving: true }]);
  });

  test("cut: it reconnects", async (t) => {
    const { proxy, until, provider } = await setup(t);
    await until(true);
    proxy.cut();
    await until(false);
    proxy.pass();
    await until(true);
    assert.equal(await failureOf(provider.get("k")), "none");
  });
});

describe("redis that refuses", () => {
  // What it replies is the subject here, not when.
  const patient = { commandBudgetMs: 1_000 };

  test("a write for want of memory: reading goes on, and so do writes once there is room", async (t) => {
    const { redis, provider, until, changes } = await setup(t, patient);
    await until(true);
    await provider.set("k", "v", 60_000);
    await redis.admin.config("SET", "maxmemory-policy", "noeviction");
    await redis.admin.config("SET", "maxmemory", "1");
    for (let time = 0; time < 5; time += 1) {
      assert.equal(await failureOf(provider.set("other", "v", 1_000)), "oom");
      const request = { token: "t", leaseMs: 1_000, knownBornMs: undefined, maxAgeMs: 1_000 };
      assert.equal(await failureOf(provider.claim("c", request)), "oom");
    }
    assert.equal(await provider.get("k"), "v");
    assert.deepEqual(changes, [{ serving: true }]);
    await redis.admin.config("SET", "maxmemory", "0");
    assert.equal(await failureOf(provider.set("other", "v", 1_000)), "none");
  });

  test("a fill for want of memory: the lease and the old value stay", async (t) => {
    const { redis, provider, until } = await setup(t, patient);
    await until(true);
    await provider.set("k", "1\nold", 60_000);
    const request = { token: "t", leaseMs: 60_000, knownBornMs: 1, maxAgeMs: 60_000 };
    const granted = await provider.claim("k", request);
    assert.ok(granted.state === "granted");
    await redis.admin.config("SET", "maxmemory", "1");
    assert.equal(
      await failureOf(provider.fill("k", "t", { value: "v", bornMs: granted.nowMs, keepMs: 60_000 })),
      "oom",
    );
    await redis.admin.config("SET", "maxmemory", "0");
    assert.equal((await provider.find("k"))?.value.toString(), "old");
    assert.deepEqual(await provider.claim("k", { ...request, token: "u" }), { state: "held" });
  });

  test("a write because it is a replica: reading goes on", async (t) => {
    const { redis, provider, until } = await setup(t, patient);
    await until(true);
    await provider.set("k", "v", 60_000);
    await redis.admin.replicaof("127.0.0.1", "1");
    assert.equal(await failureOf(provider.set("k", "other", 1_000)), "readonly");
    assert.equal(await failureOf(provider.fill("k", "t", { value: "v", bornMs: 1, keepMs: 1 })), "none");
    assert.equal(await provider.get("k"), "v");
  });

  test("everything without a password: NOAUTH, until it is given one", async (t) => {
    const { redis, provider, until } = await setup(t);
    await until(true);
    await redis.admin.config("SET", "requirepass", "s3cret");
    await redis.admin.auth("s3cret");
    await redis.admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await until(false);
    while (!/noauth/u.test((await provider.healthCheck()).reason ?? "")) await new Promise(setImmediate);
    await redis.admin.config("SET", "requirepass", "");
    await until(true);
    assert.equal(await failureOf(provider.get("k")), "none");
  });

  test("a wrong password, and the log does not tell it", async (t) => {
    const redis = await startRedis(t, { args: ["--requirepass", "right"] });
    const wrong = startRedisCache({ url: `redis://:wr0ngpw@127.0.0.1:${redis.port}` });
    t.after(() => wrong.provider.close());
    await wrong.until(false);
    assert.match((await wrong.provider.healthCheck()).reason ?? "", /wrongpass/u);
    const right = startRedisCache({ url: `redis://:right@127.0.0.1:${redis.port}` });
    t.after(() => right.provider.close());
    await right.until(true);
    assert.doesNotMatch(
      JSON.stringify([wrong.lines, right.lines, await wrong.provider.healthCheck()]),
      /wr0ngpw|right/u,
    );
  });

  test("a database that it does not have: it is not used, rather than another database", async (t) => {
    const { provider, until, redis } = await setup(t, { database: 99 });
    await until(false);
    assert.equal(await failureOf(provider.set("k", "v", 1_000)), "not_ready");
    assert.equal(await redis.admin.dbsize(), 0);
  });

  test("while it loads its data", async (t) => {
    const { redis, provider, until } = await setup(t);
    await until(true);
    // As long as the interval at which a loading server answers, so that it does after each key.
    await redis.admin.config("SET", "rdbcompression", "no");
    await redis.admin.eval("for i = 1, 2000 do redis.call('SET', i, string.rep('v', 1024)) end", 0);
    await redis.admin.save();
    await redis.restart(["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]);
    while (!/loading/u.test((await provider.healthCheck()).reason ?? "")) await new Promise(setImmediate);
    assert.equal(await failureOf(provider.get("k")), "not_ready");
    await redis.restart(["--dbfilename", "other.rdb"]);
    await until(true);
  });
});

test("the database of the configuration is used, and one in the URL wins", async (t) => {
  const redis = await startRedis(t);
  for (const [url, expected] of [
    [redis.url, "2"],
    [`${redis.url}/3`, "3"],
  ] as const) {
    const { provider, until } = startRedisCache({ url, database: 2 });
    t.after(() => provider.close());
    await until(true);
    await provider.set("k", "v", 60_000);
    await redis.admin.select(Number(expected));
    assert.equal(await redis.admin.get("k"), "v");
  }
});
