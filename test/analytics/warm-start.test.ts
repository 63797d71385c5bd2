import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import { AnalyticsService } from "../../src/analytics/analytics-service.ts";
import { defaultBottlenecks, defaultPerformance } from "../../src/analytics/parameters.ts";
import { WarmStart, type WarmStartOptions } from "../../src/analytics/warm-start.ts";
import { openCaches } from "../../src/cache/caches.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { type LogLine, recordingLogger, RecordingMetrics } from "../cache/support.ts";
import { connectionRefused, faultyDatabase } from "../http/faulty-database.ts";
import { ManualClock } from "../support/clock.ts";
import { testDatabase } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";

const { db } = await testDatabase({ after });
const answersAreThere = "The analytics' default answers are there for their first reader";

/** The analytics over a real database that can fail, memory, and a warm start that has not begun. */
function warmStartSystem(options: Partial<WarmStartOptions> = {}) {
  const clock = new ManualClock();
  const metrics = new RecordingMetrics();
  const { logger, lines } = recordingLogger();
  const { database, faults } = faultyDatabase(db);
  const memory = { entriesMax: 100, bytesMax: 1_000_000 };
  const caches = openCaches({ backend: "memory", chosen: false, memory, clock, logger, metrics });
  const computed: string[] = [];
  const analytics = new AnalyticsService({
    queries: new AnalyticsQueryService({
      database,
      enginePool: () => db.usage(),
      thresholds: { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 },
    }),
    cache: caches.analytics,
    keys: new CacheKeys("test"),
    clock,
    metrics,
    logger,
    computeTimeoutMs: 10_000,
    freshness: { ttlMs: 60_000 },
    onComputed: (resource) => void computed.push(resource),
  });
  const ended = deferred();
  const own = ({ details }: LogLine): boolean => details["service"] === "warm start";
  const telling = {
    ...logger,
    debug: (details: object, message?: string) => {
      logger.debug(details, message);
      ended.resolve();
    },
    warn: (details: object, message?: string) => {
      logger.warn(details, message);
      ended.resolve();
    },
  };
  const warmStart = new WarmStart({
    analytics,
    fleet: undefined,
    fleetWaitMs: 5_000,
    clock,
    logger: telling,
    ...options,
  });
  return {
    warmStart,
    analytics,
    clock,
    metrics,
    faults,
    computed,
    ended: ended.promise,
    lines: () => lines.filter(own),
  };
}

describe("a warm start", () => {
  test("computes the default answers one after the other, for readers who find them, and counts as no request", async () => {
    const { warmStart, analytics, metrics, faults, computed, ended, lines } = warmStartSystem();
    const asked = deferred();
    const gate = deferred();
    faults.hold = () => {
      asked.resolve();
      return gate.promise;
    };
    await warmStart.start();
    await asked.promise;
    assert.equal(faults.asked, 1);
    gate.resolve();
    await ended;
    assert.deepEqual(computed, ["performance", "bottlenecks"]);
    assert.deepEqual(metrics.requests, {});
    assert.deepEqual(metrics.computes, { ok: 2, failed: 0 });
    assert.deepEqual(
      lines().map(({ level, message }) => [level, message]),
      [["debug", answersAreThere]],
    );

    faults.asked = 0;
    assert.equal((await analytics.performance(defaultPerformance)).status, "hit");
    assert.equal((await analytics.bottlenecks(defaultBottlenecks)).status, "hit");
    assert.equal(faults.asked, 0);
    assert.deepEqual(metrics.requests, { "memory/analytics/hit": 2 });
    await warmStart.stop();
  });

  test("leaves what is there already as it is", async () => {
    const { warmStart, analytics, computed, ended } = warmStartSystem();
    await analytics.performance(defaultPerformance);
    await warmStart.start();
    await ended;
    assert.deepEqual(computed, ["performance", "bottlenecks"]);
  });

  test("that fails costs one line in the log, and the first reader computes when the source works again", async () => {
    const { warmStart, analytics, clock, faults, ended, lines } = warmStartSystem();
    faults.error = connectionRefused();
    await warmStart.start();
    await ended;
    assert.deepEqual(
      lines().map(({ level }) => level),
      ["warn"],
    );
    assert.match(lines()[0]?.message ?? "", /could not be computed ahead; their first reader has them computed/u);
    faults.error = undefined;
    await clock.advance(1_001);
    assert.equal((await analytics.performance(defaultPerformance)).status, "miss");
    await warmStart.stop();
    assert.equal(lines().length, 1);
  });

  test("survives a logger that throws", async () => {
    const broken = (): never => {
      throw new Error("no space left on device");
    };
    const { warmStart, analytics, clock, faults } = warmStartSystem({
      logger: { debug: broken, info: broken, warn: broken, error: broken },
    });
    faults.error = connectionRefused();
    await warmStart.start();
    await warmStart.stop();
    faults.error = undefined;
    await clock.advance(1_001);
    assert.match((await analytics.performance(defaultPerformance)).status, /hit|miss|coalesced/u);
  });

  test("waits for the fleet's store before it computes, and computes as soon as that serves", async () => {
    let healthy = false;
    const { warmStart, clock, computed, ended } = warmStartSystem({ fleet: storeThat(() => healthy) });
    await warmStart.start();
    await clock.advance(4_900);
    assert.deepEqual(computed, []);
    healthy = true;
    await clock.advance(50);
    await ended;
    assert.deepEqual(computed, ["performance", "bottlenecks"]);
  });

  test("does not wait for a store that does not come beyond its bound", async () => {
    const { warmStart, clock, computed, ended } = warmStartSystem({ fleet: storeThat(() => false) });
    await warmStart.start();
    await clock.advance(4_999);
    assert.deepEqual(computed, []);
    await clock.advance(50);
    await ended;
    assert.deepEqual(computed, ["performance", "bottlenecks"]);
    assert.equal(clock.pending, 0);
  });

  test("that is stopped while it waits for the store never computes, and leaves no timer", async () => {
    const { warmStart, clock, faults, lines } = warmStartSystem({ fleet: storeThat(() => false) });
    await warmStart.start();
    await clock.advance(100);
    await warmStart.stop();
    assert.equal(clock.pending, 0);
    assert.equal(faults.asked, 0);
    assert.deepEqual(lines(), []);
  });

  test("that is stopped while it computes leaves at once, without a line, and begins nothing more", async () => {
    const { warmStart, analytics, faults, computed, lines } = warmStartSystem();
    const asked = deferred();
    const gate = deferred();
    faults.hold = () => {
      asked.resolve();
      return gate.promise;
    };
    await warmStart.start();
    await asked.promise;
    await warmStart.stop();
    gate.resolve();
    // Joins what the warm start has left, or finds it.
    await analytics.performance(defaultPerformance);
    assert.deepEqual(computed, ["performance"]);
    assert.deepEqual(lines(), []);
  });
});

/** What the fleet shares, as far as a warm start looks at it. */
function storeThat(isHealthy: () => boolean): WarmStartOptions["fleet"] {
  const health = { context: "analytics", provider: "redis", figures: {} } as const;
  return { health: () => Promise.resolve({ ...health, healthy: isHealthy() }) };
}
