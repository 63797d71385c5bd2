import assert from "node:assert/strict";
import { test } from "node:test";
import { openCaches } from "../../src/cache/caches.ts";
import { exposeCacheFigures } from "../../src/cache/figures.ts";
import { cacheChecks } from "../../src/cache/health-checks.ts";
import { recordCacheMetrics } from "../../src/cache/metrics.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { ManualClock } from "../support/clock.ts";
import { startRedis } from "../support/redis.ts";

function setup(backend: "memory" | "redis", url = "redis://127.0.0.1:1") {
  const metrics = createMetrics();
  const caches = openCaches({
    backend,
    chosen: true,
    memory: { entriesMax: 2, bytesMax: 100_000 },
    redis: { url, database: 0, connectTimeoutMs: 1_000, commandBudgetMs: 25 },
    clock: new ManualClock(),
    logger: silentLogger,
    metrics: recordCacheMetrics(metrics),
  });
  exposeCacheFigures(metrics, caches);
  return { metrics, caches };
}

test("entries, bytes, evictions and refusals of memory are told when somebody looks, and counted once", async () => {
  const { metrics, caches } = setup("memory");
  for (const key of ["a", "b", "c"]) await caches.analytics.set(key, "1", 1_000);
  await caches.analytics.set("large", "x".repeat(50_000), 1_000);
  for (let look = 0; look < 2; look += 1) {
    const { body } = await metrics.exposition();
    for (const line of ["entries", "evictions_total", "refused_total", "serving"].map(
      (name) => `tasker_cache_${name}`,
    )) {
      const value = line.endsWith("entries") ? 2 : 1;
      assert.match(body, new RegExp(`^${line}\\{provider="memory",context="analytics"\\} ${value}$`, "mu"));
    }
    assert.match(body, /^tasker_cache_bytes\{provider="memory",context="analytics"\} 408$/mu);
  }
});

test("a redis that is not there shows in metrics and in health, with the time since when", async (t) => {
  const redis = await startRedis(t);
  await redis.kill();
  const { metrics, caches } = setup("redis", redis.url);
  t.after(() => caches.close());
  const { body } = await metrics.exposition();
  assert.match(body, /^tasker_cache_serving\{provider="redis",context="analytics"\} 0$/mu);
  assert.match(body, /^tasker_cache_serving\{provider="redis",context="templates"\} 0$/mu);
  const checks = cacheChecks(await caches.health());
  assert.deepEqual(
    checks.map(({ name, healthy, detail }) => [name, detail["provider"], healthy]),
    [
      ["cache analytics (memory)", "memory", true],
      ["cache analytics (redis)", "redis", false],
      ["cache templates (redis)", "redis", false],
    ],
  );
  assert.equal(checks[1]?.detail["serving_without_redis_since"], "2026-01-01T00:00:00.000Z");
});

test("a collection that fails does not take the other metrics with it", async () => {
  const metrics = createMetrics();
  metrics.beforeExposition(() => Promise.reject(new Error("no")));
  metrics.foldRows.add(1);
  const { body } = await metrics.exposition();
  assert.match(body, /tasker_fold_rows_total 1/u);
  assert.match(body, /tasker_metric_failures_total 1/u);
});
