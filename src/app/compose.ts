import { AnalyticsQueryService } from "../analytics/analytics-query-service.ts";
import { AnalyticsService } from "../analytics/analytics-service.ts";
import { criticalPathChore } from "../analytics/critical-path.ts";
import { foldChore, partitionsChore } from "../analytics/fold.ts";
import { rollupRetentionChore } from "../analytics/retention.ts";
import { AnalyticsReplica } from "../analytics/replica.ts";
import { type Caches, openCaches } from "../cache/caches.ts";
import { exposeCacheFigures } from "../cache/figures.ts";
import type { CacheKeys } from "../cache/keys.ts";
import { recordCacheMetrics } from "../cache/metrics.ts";
import { resolveCacheBackend } from "../config/cache-backend.ts";
import type { Config } from "../config/schema.ts";
import { Maintenance } from "../engine/maintenance.ts";
import type { Outcomes } from "../engine/outcomes.ts";
import { rescueChore } from "../engine/rescue.ts";
import { retentionChore } from "../engine/retention.ts";
import type { Settled } from "../engine/settle.ts";
import { noticeChannel, parseNotice, type WakeUps } from "../engine/wake-ups.ts";
import { breakerDatabase } from "../postgres/breaker.ts";
import { openListener } from "../postgres/listener.ts";
import type { Database } from "../postgres/sql.ts";
import { elapsedClock, systemClock as clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import { type Logger, silentLogger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { TaskHandlerRegistry } from "../templates/task-handler-registry.ts";
import { TemplateStore } from "../templates/template-store.ts";
import { Worker } from "../worker/worker.ts";

/** Of the caches and of all that tells the age of what is in them: no answer is younger for a machine that slept. */
const ageClock = elapsedClock(clock);

/** What most parts need. */
export interface Parts {
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly pool: Database;
  readonly analyticsPool: Database;
  readonly replica: AnalyticsReplica | undefined;
  readonly caches: Caches;
  readonly wakeUps: WakeUps;
  readonly outcomes: Outcomes;
}

export function openConfiguredCaches(config: Config, logger: Logger, metrics: Metrics): Caches {
  const { backend, chosen, warnings } = resolveCacheBackend(config);
  for (const warning of warnings) logger.warn({ backend }, warning);
  const { redis, memory } = config.common.cache;
  const caches = openCaches({
    backend,
    chosen,
    memory: { entriesMax: memory.maxCapacity, bytesMax: memory.maxBytes },
    redis: { ...redis, connectTimeoutMs: redis.connectionTimeoutSeconds * 1000 },
    clock: ageClock,
    logger,
    metrics: recordCacheMetrics(metrics),
  });
  exposeCacheFigures(metrics, caches);
  return caches;
}

/** @param pool the replica's own; without one there is no replica */
export function composeReplica(
  { config, logger, metrics }: Pick<Parts, "config" | "logger" | "metrics">,
  pool: Database | undefined,
): AnalyticsReplica | undefined {
  if (pool === undefined) return undefined;
  return new AnalyticsReplica({
    // Of its outages the replica itself says what comes of them.
    database: breakerDatabase(pool, { name: "analytics replica", clock, logger: silentLogger }),
    maxLagSeconds: config.database.analyticsReplicaMaxLagSeconds,
    clock,
    logger,
    metrics,
  });
}

export function composeAnalytics(
  { config, logger, metrics, pool, analyticsPool, replica, caches }: Parts,
  keys: CacheKeys,
): AnalyticsService {
  const {
    errorRateThreshold: errorRate,
    poolUtilizationThreshold: poolUtilization,
    slowStepSeconds,
  } = config.analytics;
  const { cache } = config.common;
  return new AnalyticsService({
    queries: new AnalyticsQueryService({
      database: breakerDatabase(analyticsPool, { name: "analytics", clock, logger }),
      replica,
      enginePool: () => pool.usage(),
      thresholds: { errorRate, poolUtilization, slowStepSeconds },
    }),
    cache: caches.analytics,
    fleet: caches.analyticsFleet,
    keys,
    clock: ageClock,
    logger,
    metrics: recordCacheMetrics(metrics),
    // An answer is a handful of statements, each with its own timeout; one of them a replica may let pass in vain.
    computeTimeoutMs: config.database.analyticsStatementTimeoutMs * (replica === undefined ? 2 : 3),
    freshness: {
      ttlMs: cache.analyticsTtlSeconds * 1000,
      staleWhileRevalidateMs: cache.staleWhileRevalidateSeconds * 1000,
      staleIfErrorMs: cache.staleIfErrorSeconds * 1000,
    },
    onComputed: (resource, seconds) => metrics.analyticsComputeSeconds.observe(seconds, { resource }),
  });
}

export function composeMaintenance({ config, logger, metrics, pool: sql, wakeUps, outcomes }: Parts): Maintenance {
  const { maintenance } = config;
  const { leaderLeaseMs, foldIntervalMs, foldBatchRows, rescueIntervalMs, partitionsIntervalMs } = maintenance;
  const onRescued = ({ wakeNamespaces, endedTasks }: Settled): void => {
    wakeUps.wake(wakeNamespaces);
    outcomes.ended(endedTasks);
  };
  const chores = [
    foldChore({ sql, intervalMs: foldIntervalMs, rowsMax: foldBatchRows, logger, metrics }),
    criticalPathChore({ sql, intervalMs: foldIntervalMs }),
    rescueChore({ sql, intervalMs: rescueIntervalMs, logger, onRescued }),
    partitionsChore({ ...maintenance, sql, intervalMs: partitionsIntervalMs, logger, metrics }),
    rollupRetentionChore({ ...maintenance, sql, intervalMs: partitionsIntervalMs, logger }),
    retentionChore({ ...maintenance, sql, intervalMs: maintenance.retentionIntervalMs, logger }),
  ];
  return new Maintenance({ sql, leaderLeaseMs, clock, logger, chores });
}

export function composeWorker(
  { config, logger, metrics, pool, wakeUps, outcomes }: Parts,
  registry: TaskHandlerRegistry,
): Worker {
  const onTasksEnded = (ids: readonly string[]): void => outcomes.ended(ids);
  return new Worker({ ...config.worker, database: pool, registry, wakeUps, clock, logger, metrics, onTasksEnded });
}

/** Finds templates through what all processes share; in no cache's memory. */
export function composeTemplates(
  { config, logger, metrics, caches }: Parts,
  keys: CacheKeys,
  database: Database,
): TemplateStore {
  const ttlMs = config.common.cache.templateTtlSeconds * 1000;
  const { templates: cache } = caches;
  return new TemplateStore({
    database,
    cache,
    keys,
    ttlMs,
    clock: ageClock,
    logger,
    metrics: recordCacheMetrics(metrics),
  });
}

/** Listens for what other processes tell: every process does that has a worker, or reads templates from a shared cache. */
export function composeListener(
  { logger, wakeUps }: Pick<Parts, "logger"> & { readonly wakeUps: Pick<WakeUps, "senderId"> },
  connectionString: string,
  templates: Pick<TemplateStore, "evict" | "reviewAll">,
  worker: Pick<Worker, "nudge" | "abortTask"> | undefined,
): Service {
  return openListener({
    connectionString,
    channel: noticeChannel,
    clock,
    logger,
    onPayload(payload) {
      const notice = parseNotice(payload);
      // Its own workers look once: they were told when the work was there.
      if (notice?.kind === "work" && notice.sender !== wakeUps.senderId) worker?.nudge();
      if (notice?.kind === "cancelled") worker?.abortTask(notice.id);
      if (notice?.kind === "template") void templates.evict(notice.template);
    },
    onReconnect() {
      worker?.nudge();
      void templates.reviewAll();
    },
  });
}
