import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import { MemoryCacheProvider } from "../../src/cache/providers/memory.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { ManualClock } from "../support/clock.ts";
import { FaultyProvider, RecordingMetrics, recordingLogger } from "./support.ts";

function setup() {
  const clock = new ManualClock();
  const metrics = new RecordingMetrics();
  const { logger, lines } = recordingLogger();
  const provider = new FaultyProvider(new MemoryCacheProvider({ entriesMax: 100, bytesMax: 1_000_000 }, clock));
  const cache = ConstrainedCacheProvider.create(provider, "generic", { chosen: true, clock, logger, metrics });
  return { clock, metrics, lines, provider, cache };
}

const operations = ["get", "set", "delete", "deletePattern", "healthCheck"] as const;

describe("a cache whose provider fails", () => {
  test("misses, drops and deletes nothing, and no caller learns of it", async () => {
    const { cache, provider, metrics } = setup();
    await cache.set("k", "v", 1_000);
    for (const operation of operations) provider.broken.add(operation);
    assert.equal(await cache.get("k"), undefined);
    assert.equal(await cache.peek("k"), undefined);
    await cache.set("k", "other", 1_000);
    await cache.delete("k");
    assert.equal(await cache.deletePattern("*"), 0);
    assert.equal((await cache.health()).healthy, false);
    provider.broken.clear();
    assert.equal(await cache.get("k"), "v");
    assert.deepEqual(metrics.errors, {
      "memory/generic/get": 2,
      "memory/generic/set": 1,
      "memory/generic/delete": 1,
      "memory/generic/delete_pattern": 1,
      "memory/generic/health_check": 1,
    });
    assert.deepEqual(metrics.requests, { "memory/generic/miss": 1, "memory/generic/hit": 1 });
  });

  test("also when the provider throws instead of rejecting", async () => {
    const { cache, provider } = setup();
    const broken = (): never => {
      throw new Error("thrown");
    };
    Object.assign(provider, { get: broken, set: broken });
    assert.equal(await cache.get("k"), undefined);
    await cache.set("k", "v", 1_000);
  });

  test("says so once when it begins, and once when it has worked again for ten seconds", async () => {
    const { cache, provider, lines, clock } = setup();
    provider.broken.add("get");
    for (let index = 0; index < 100; index += 1) await cache.get("k");
    assert.deepEqual(
      lines.map(({ level, message }) => [level, message]),
      [["warn", "The cache of generic fails; everything goes on without it"]],
    );
    assert.equal(lines[0]?.details["operation"], "get");
    assert.match(String(lines[0]?.details["err"]), /get is broken/u);

    provider.broken.clear();
    await cache.get("k");
    await clock.advance(9_999);
    await cache.get("k");
    assert.equal(lines.length, 1);
    await clock.advance(1);
    await cache.get("k");
    await cache.get("k");
    assert.deepEqual(lines.slice(1), [
      {
        level: "info",
        message: "The cache of generic works again",
        details: { provider: "memory", context: "generic", failures: 100 },
      },
    ]);
  });

  test("does not write two lines each time one operation fails and another works", async () => {
    const { cache, provider, lines, clock } = setup();
    provider.broken.add("set");
    for (let index = 0; index < 100; index += 1) {
      await cache.set("k", "v", 1_000);
      await cache.get("k");
      await clock.advance(1_000);
    }
    assert.equal(lines.length, 1);
  });

  test("says that it works again when what failed works, not when something else does", async () => {
    const { cache, provider, lines, clock } = setup();
    provider.broken.add("set");
    for (let ttl = 0; ttl < 10; ttl += 1) {
      await cache.set("k", "v", 1_000);
      for (let second = 0; second < 60; second += 1) {
        await cache.get("k");
        await clock.advance(1_000);
      }
    }
    assert.equal(lines.length, 1);
    provider.broken.clear();
    await cache.set("k", "v", 1_000);
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("does not wait for what is never tried again", async () => {
    const { cache, provider, lines, clock } = setup();
    provider.broken.add("deletePattern");
    await cache.deletePattern("*");
    await clock.advance(3_600_000);
    await cache.get("k");
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["warn", "info"],
    );
  });

  test("survives a logger that throws", async () => {
    const clock = new ManualClock();
    const provider = new FaultyProvider(new MemoryCacheProvider({ entriesMax: 10, bytesMax: 10_000 }, clock));
    provider.broken.add("get");
    const logger = {
      ...silentLogger,
      warn: () => {
        throw new Error("the log is full");
      },
    };
    const metrics = new RecordingMetrics();
    const cache = ConstrainedCacheProvider.create(provider, "analytics", { chosen: true, clock, logger, metrics });
    assert.equal(await cache.get("k"), undefined);
  });
});
