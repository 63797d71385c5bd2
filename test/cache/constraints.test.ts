import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Caches, openCaches } from "../../src/cache/caches.ts";
import { type CacheFor, type ConstrainedCache, ConstrainedCacheProvider } from "../../src/cache/constraints.ts";
import type { CacheProvider, CacheReach, CacheUsageContext } from "../../src/cache/contract.ts";
import type { FleetCache } from "../../src/cache/fleet.ts";
import { recordCacheMetrics } from "../../src/cache/metrics.ts";
import { MemoryCacheProvider } from "../../src/cache/providers/memory.ts";
import { noneCacheProvider } from "../../src/cache/providers/none.ts";
import { ReadThrough } from "../../src/cache/read-through.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { ManualClock } from "../support/clock.ts";
import { RecordingMetrics, recordingLogger } from "./support.ts";

const limits = { entriesMax: 100, bytesMax: 1_000_000 };

function setup() {
  const clock = new ManualClock();
  const metrics = new RecordingMetrics();
  const { logger, lines } = recordingLogger();
  const memory = new MemoryCacheProvider(limits, clock);
  return { clock, metrics, logger, lines, memory, chosen: true };
}

/** A provider that says it is shared; what it does is the memory provider's. */
function sharedProvider(clock: ManualClock): CacheProvider<"shared"> {
  const memory = new MemoryCacheProvider(limits, clock);
  return {
    name: "pretended",
    reach: "shared",
    get: (key) => memory.get(key),
    set: (key, value, ttlMs) => memory.set(key, value, ttlMs),
    delete: (key) => memory.delete(key),
    deletePattern: (pattern) => memory.deletePattern(pattern),
    healthCheck: () => memory.healthCheck(),
    close: () => memory.close(),
  };
}

describe("the rule of what may be cached where", () => {
  const allowed: Record<CacheUsageContext, readonly CacheReach[]> = {
    templates: ["none", "shared"],
    analytics: ["none", "process", "shared"],
    generic: ["none", "process", "shared"],
  };

  for (const context of ["templates", "analytics", "generic"] as const) {
    test(`${context} keep values in a cache of reach ${allowed[context].join(" or ")}`, async () => {
      const system = setup();
      for (const provider of [noneCacheProvider, system.memory, sharedProvider(system.clock)]) {
        const cache = ConstrainedCacheProvider.create(provider, context, system);
        const isAllowed = allowed[context].includes(provider.reach);
        await cache.set("k", "v", 1_000);
        assert.equal(await cache.get("k"), isAllowed && provider.reach !== "none" ? "v" : undefined);
        assert.equal(cache.providerName, isAllowed ? provider.name : "none");
        assert.equal(cache.enabled, isAllowed && provider.reach !== "none");
      }
    });
  }

  test("a chosen cache that is not allowed gives one warning: which provider, which use, why, what to do", () => {
    const system = setup();
    ConstrainedCacheProvider.create(system.memory, "templates", system);
    const [line, ...others] = system.lines;
    assert.deepEqual(others, []);
    assert.equal(line?.level, "warn");
    assert.deepEqual(line?.details, { provider: "memory", context: "templates" });
    for (const part of [/"memory"/u, /templates/u, /stale/u, /set backend in \[common\.cache\]/u]) {
      assert.match(line?.message ?? "", part);
    }
  });

  test("a default that is not allowed gives one info line", () => {
    const system = { ...setup(), chosen: false };
    ConstrainedCacheProvider.create(system.memory, "templates", system);
    assert.deepEqual(
      system.lines.map(({ level }) => level),
      ["info"],
    );
    assert.match(system.lines[0]?.message ?? "", /"memory" is not used for templates/u);
  });

  test("what is allowed gives no line", () => {
    const system = setup();
    ConstrainedCacheProvider.create(system.memory, "analytics", system);
    ConstrainedCacheProvider.create(noneCacheProvider, "templates", system);
    assert.deepEqual(system.lines, []);
  });
});

/** Never called: compiling it is the test. */
export function theRuleAsTypes(
  memory: CacheProvider<"process">,
  none: CacheProvider<"none">,
  shared: CacheProvider<"shared">,
  some: CacheProvider,
  caches: Caches,
): unknown {
  const forTemplates: CacheFor<"templates">[] = [none, shared];
  const forAnalytics: CacheFor<"analytics">[] = [none, memory, shared, some];
  const forGeneric: CacheFor<"generic">[] = [none, memory, shared, some];
  // @ts-expect-error Other processes could not invalidate a template in the memory of this one.
  const templatesInMemory: CacheFor<"templates"> = memory;
  // @ts-expect-error The same of the class that does it.
  const templatesInMemoryToo: CacheFor<"templates"> = new MemoryCacheProvider(limits, new ManualClock());
  // @ts-expect-error It may turn out to be memory.
  const templatesSomewhere: CacheFor<"templates"> = some;
  // @ts-expect-error A feature's cache cannot be a raw provider.
  const raw: ConstrainedCache<"analytics"> = memory;
  // @ts-expect-error What is cached for one use is not for another.
  const other: ConstrainedCache<"templates"> = caches.analytics;
  // @ts-expect-error The same of what the fleet shares.
  const otherShared: FleetCache<"templates"> | undefined = caches.analyticsFleet;
  // @ts-expect-error Only a store that all processes share can hold templates.
  const templatesHere: FleetCache<"templates"> = caches.analytics;
  const about = { resource: "r", ...setup(), computeTimeoutMs: 1 };
  // @ts-expect-error Templates are never read through: callers that share one read are served from memory.
  const shares = new ReadThrough({ ...about, cache: caches.templates });
  // @ts-expect-error Only `create` makes one, which looks at the rule.
  const made: unknown = new ConstrainedCacheProvider(noneCacheProvider, "templates", setup());
  const refused = [
    templatesInMemory,
    templatesInMemoryToo,
    templatesSomewhere,
    raw,
    other,
    otherShared,
    templatesHere,
    shares,
    made,
  ];
  return [forTemplates, forAnalytics, forGeneric, refused];
}

test("nothing outside the cache's own folder imports a provider", () => {
  const outside = readdirSync("src", { recursive: true, encoding: "utf8" })
    .map((name) => join("src", name).replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts") && !path.startsWith("src/cache/"));
  const offenders = outside.filter((path) => readFileSync(path, "utf8").includes("cache/providers/"));
  assert.ok(outside.length > 0);
  assert.deepEqual(offenders, []);
});

describe("the caches of a process", () => {
  test("with memory: analytics are cached, templates are not", async () => {
    const system = setup();
    const caches = openCaches({ ...system, backend: "memory", memory: limits });
    await caches.analytics.set("a", "1", 1_000);
    assert.equal(await caches.analytics.get("a"), "1");
    assert.equal(caches.templates, undefined);
    assert.equal(system.lines.length, 1);
    assert.deepEqual(await caches.health(), [
      {
        context: "analytics",
        provider: "memory",
        healthy: true,
        figures: { entries: 1, bytes: 204, evictions_total: 0, refused_too_large_total: 0 },
      },
      { context: "templates", provider: "none", healthy: true, figures: {} },
    ]);
  });

  test("with none: nothing is cached, and nothing is logged", async () => {
    const system = setup();
    const caches = openCaches({ ...system, backend: "none", memory: limits });
    await caches.analytics.set("a", "1", 1_000);
    assert.equal(await caches.analytics.get("a"), undefined);
    assert.equal(caches.analytics.enabled, false);
    assert.deepEqual(system.lines, []);
  });

  test("miss once they are closed", async () => {
    const caches = openCaches({ ...setup(), backend: "memory", memory: limits });
    await caches.analytics.set("a", "1", 1_000);
    await caches.close();
    await caches.close();
    assert.equal(await caches.analytics.get("a"), undefined);
  });

  test("report into the metrics of the process", async () => {
    const metrics = createMetrics();
    const caches = openCaches({ ...setup(), backend: "memory", memory: limits, metrics: recordCacheMetrics(metrics) });
    await caches.analytics.get("a");
    recordCacheMetrics(metrics).error("memory", "analytics", "undecodable");
    const { body } = await metrics.exposition();
    assert.match(body, /tasker_cache_requests_total\{provider="memory",context="analytics",result="miss"\} 1/u);
    assert.match(body, /tasker_cache_errors_total\{provider="memory",context="analytics",reason="undecodable"\} 1/u);
  });
});
