import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import { AnalyticsService } from "../../src/analytics/analytics-service.ts";
import type { Freshness } from "../../src/cache/freshness.ts";
import { openCaches } from "../../src/cache/caches.ts";
import { CacheKeys } from "../../src/cache/keys.ts";
import { recordCacheMetrics } from "../../src/cache/metrics.ts";
import { WakeUps } from "../../src/engine/wake-ups.ts";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "../../src/http/server.ts";
import { breakerDatabase } from "../../src/postgres/breaker.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { TaskSubmitter } from "../../src/templates/submit.ts";
import { TaskHandlerRegistry } from "../../src/templates/task-handler-registry.ts";
import { TemplateStore } from "../../src/templates/template-store.ts";
import { defineTask } from "../../src/workflow/define-task.ts";
import { z } from "zod";

import { ManualClock } from "../support/clock.ts";
import { type Scope, testDatabase } from "../support/database.ts";
import { faultyDatabase, type Faults } from "./faulty-database.ts";
import { recordingLogger, type LogLine } from "./recording-logger.ts";

/** A template with two steps whose input is checked. */
export const fulfilOrder = defineTask({
  namespace: "shop",
  name: "fulfil_order",
  version: "1.0.0",
  input: z.object({ order: z.number() }),
})
  .step("charge", () => ({ paid: true }))
  .step("ship", { after: ["charge"] }, () => null);

export interface HttpSystem {
  readonly server: HttpServer;
  readonly db: Database;
  readonly faults: Faults;
  readonly clock: ManualClock;
  readonly log: readonly LogLine[];
}

/** What the analytics keep, and for how long. */
export interface CachingOptions {
  readonly backend?: "memory" | "none";
  readonly freshness?: Freshness;
}

/** A server over its real parts on a fresh database, with a clock that the test moves. It is stopped after the scope. */
export async function httpSystem(
  scope: Scope,
  options: Partial<HttpServerOptions> = {},
  { backend = "memory", freshness = { ttlMs: 60_000 } }: CachingOptions = {},
): Promise<HttpSystem> {
  const { db } = await testDatabase(scope);
  const clock = new ManualClock();
  const { logger, lines } = recordingLogger();
  const metrics = createMetrics();
  const { database, faults } = faultyDatabase(db);
  const guarded = breakerDatabase(database, { name: "engine", clock, logger });
  const guardedAnalytics = breakerDatabase(database, { name: "analytics", clock, logger });

  const cacheMetrics = recordCacheMetrics(metrics);
  const memory = { entriesMax: 100, bytesMax: 1_000_000 };
  const caches = openCaches({ backend, chosen: false, memory, clock, logger, metrics: cacheMetrics });
  const keys = new CacheKeys("test");
  const store = new TemplateStore({
    database: guarded,
    cache: caches.templates,
    keys,
    ttlMs: 60_000,
    clock,
    logger,
    metrics: cacheMetrics,
  });
  const registry = new TaskHandlerRegistry({ database: db, store, logger, allowGraphChange: false });
  await registry.register([fulfilOrder]);
  const wakeUps = new WakeUps(db, clock, logger);

  const analytics = new AnalyticsService({
    queries: new AnalyticsQueryService({
      database: guardedAnalytics,
      enginePool: () => db.usage(),
      thresholds: { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 },
    }),
    cache: caches.analytics,
    keys,
    clock,
    logger,
    metrics: cacheMetrics,
    computeTimeoutMs: 10_000,
    freshness,
    onComputed: (resource, seconds) => metrics.analyticsComputeSeconds.observe(seconds, { resource }),
  });
  const server = createHttpServer({
    host: "127.0.0.1",
    port: 0,
    bodyLimitBytes: 1_048_576,
    requestTimeoutMs: 30_000,
    allowedHosts: [],
    allowUnauthenticated: false,
    shutdownTimeoutMs: 10_000,
    analytics,
    submitter: new TaskSubmitter({ database: guarded, store, registry, wakeUps }),
    database: guarded,
    metrics,
    logger,
    clock,
    health: () => Promise.resolve({ healthy: true, checks: [{ name: "database", healthy: true }] }),
    version: "1.2.3",
    ...options,
  });
  scope.after(() => server.stop());
  return { server, db, faults, clock, log: lines };
}
