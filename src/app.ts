import { AnalyticsQueryService } from "./analytics/analytics-query-service.ts";
import { AnalyticsService } from "./analytics/analytics-service.ts";
import { foldChore, partitionsChore } from "./analytics/fold.ts";
import { type Caches, openCaches } from "./cache/caches.ts";
import { exposeCacheFigures } from "./cache/figures.ts";
import { cacheChecks } from "./cache/health-checks.ts";
import { CacheKeys } from "./cache/keys.ts";
import { recordCacheMetrics } from "./cache/metrics.ts";
import { resolveCacheBackend } from "./config/cache-backend.ts";
import type { Config } from "./config/schema.ts";
import { version } from "./config/version.ts";
import { Maintenance } from "./engine/maintenance.ts";
import { Outcomes } from "./engine/outcomes.ts";
import { rescueChore } from "./engine/rescue.ts";
import type { Settled } from "./engine/settle.ts";
import { noticeChannel, parseNotice, WakeUps } from "./engine/wake-ups.ts";
import { createHttpServer, type HealthReport, type HttpServer } from "./http/server.ts";
import { breakerDatabase } from "./postgres/breaker.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./postgres/embedded/start.ts";
import { openListener } from "./postgres/listener.ts";
import { migrate, requireMigrated } from "./postgres/migrate.ts";
import { openDatabase } from "./postgres/pool.ts";
import { readServerVersion } from "./postgres/server-version.ts";
import type { Database } from "./postgres/sql.ts";
import { systemClock as clock } from "./runtime/clock.ts";
import { type Service, stopAll } from "./runtime/lifecycle.ts";
import type { Logger } from "./runtime/logging.ts";
import { createMetrics, type Metrics } from "./runtime/metrics.ts";
import { TaskSubmitter } from "./templates/submit.ts";
import { TaskHandlerRegistry } from "./templates/task-handler-registry.ts";
import { TemplateStore } from "./templates/template-store.ts";
import { Worker } from "./worker/worker.ts";
import type { AnyTaskDefinition } from "./workflow/define-task.ts";

export interface AppOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Templates to register; a worker runs their steps. */
  readonly definitions?: readonly AnyTaskDefinition[];
  /** Serve the HTTP API. */
  readonly serve?: boolean;
  /** Claim steps and run handlers. */
  readonly work?: boolean;
  /** Apply pending migrations; otherwise they are a reason not to start. An embedded database is always migrated. */
  readonly migrate?: boolean;
  /** Accept another graph under a version that has tasks (development). */
  readonly allowGraphChange?: boolean;
  /** Told of each phase of the start when it is over, in their order. Must not throw. */
  readonly onProgress?: (progress: StartProgress) => void;
}

/** A phase of the start that is over. */
export type StartProgress =
  | { readonly phase: "connected"; readonly serverVersion: string; readonly embedded: EmbeddedPostgres | undefined }
  | { readonly phase: "migrated"; readonly applied: readonly string[] }
  | { readonly phase: "registered"; readonly templates: number }
  | { readonly phase: "listening"; readonly address: string | undefined };

/** A running process of Tasker. */
export interface App {
  readonly database: Database;
  readonly submitter: TaskSubmitter;
  readonly analytics: AnalyticsService;
  readonly outcomes: Outcomes;
  readonly http: HttpServer | undefined;
  /** The embedded server, when it is the database. */
  readonly embedded: EmbeddedPostgres | undefined;
  /** Stops everything in the order opposite to its start. Idempotent; never rejects. */
  stop(): Promise<void>;
}

/** Connects to Postgres (or starts the embedded one), migrates and starts the roles asked for. What it started it stops if it fails. */
export async function startApp(options: AppOptions): Promise<App> {
  const started: Service[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopAll(started, options.logger));
  try {
    return await start(options, started, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(options: AppOptions, started: Service[], stop: () => Promise<void>): Promise<App> {
  const { config, logger, definitions = [], onProgress = () => {} } = options;
  const embedded = await openEmbedded(options, started);
  const connectionString = embedded?.connectionString ?? config.database.url;
  const pool = openPool(options, started, { connectionString, role: "engine" });
  onProgress({ phase: "connected", serverVersion: await readServerVersion(pool), embedded });
  if (options.migrate === true || embedded !== undefined) onProgress({ phase: "migrated", ...(await migrate(pool)) });
  else await requireMigrated(pool);
  const analyticsPool = openPool(options, started, { connectionString, role: "analytics" });
  const wakeUps = new WakeUps(pool, clock, logger);
  const outcomes = new Outcomes(pool, clock, logger);
  const metrics = createMetrics();
  const caches = openConfiguredCaches(config, logger, metrics);
  started.push(
    onStop("caches", () => caches.close()),
    onStop("wake-ups", () => wakeUps.close()),
    onStop("outcomes", () => outcomes.close()),
  );
  const parts: Parts = { config, logger, metrics, pool, analyticsPool, caches, wakeUps, outcomes };

  const keys = new CacheKeys(config.common.cache.keyPrefix);
  const ttlMs = config.common.cache.templateTtlSeconds * 1000;
  const store = new TemplateStore({ cache: caches.templates, keys, ttlMs });
  const allowGraphChange = options.allowGraphChange === true;
  const registry = new TaskHandlerRegistry({ database: pool, store, logger, allowGraphChange });
  await registry.register(definitions);
  onProgress({ phase: "registered", templates: definitions.length });
  // The API's view of the engine's pool; workers and chores have patience of their own.
  const database = breakerDatabase(pool, { name: "engine", clock, logger });
  const submitter = new TaskSubmitter({ database, store, registry, wakeUps });
  const analytics = composeAnalytics(parts, keys);

  await run(started, composeMaintenance(parts));
  if (options.work === true) {
    const worker = composeWorker(parts, registry);
    await run(started, worker);
    await run(started, composeListener(parts, connectionString, worker));
  }
  let http: HttpServer | undefined;
  if (options.serve === true) {
    const health = (): Promise<HealthReport> => checkHealth(pool, caches);
    http = createHttpServer({
      ...config.http,
      analytics,
      submitter,
      database,
      metrics,
      logger,
      clock,
      health,
      version,
    });
    await run(started, http);
    onProgress({ phase: "listening", address: http.address });
  }
  return { database: pool, submitter, analytics, outcomes, http, embedded, stop };
}

/** What most parts need. */
interface Parts {
  readonly config: Config;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly pool: Database;
  readonly analyticsPool: Database;
  readonly caches: Caches;
  readonly wakeUps: WakeUps;
  readonly outcomes: Outcomes;
}

function openConfiguredCaches(config: Config, logger: Logger, metrics: Metrics): Caches {
  const { backend, chosen, warnings } = resolveCacheBackend(config);
  for (const warning of warnings) logger.warn(warning);
  const { redis, memory } = config.common.cache;
  const caches = openCaches({
    backend,
    chosen,
    memory: { entriesMax: memory.maxCapacity, bytesMax: memory.maxBytes },
    redis: { ...redis, connectTimeoutMs: redis.connectionTimeoutSeconds * 1000 },
    clock,
    logger,
    metrics: recordCacheMetrics(metrics),
  });
  exposeCacheFigures(metrics, caches);
  return caches;
}

function composeAnalytics(
  { config, logger, metrics, pool, analyticsPool, caches }: Parts,
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
      enginePool: () => pool.usage(),
      thresholds: { errorRate, poolUtilization, slowStepSeconds },
    }),
    cache: caches.analytics,
    fleet: caches.analyticsFleet,
    keys,
    clock,
    metrics: recordCacheMetrics(metrics),
    // An answer is a handful of statements, each with its own timeout.
    computeTimeoutMs: config.database.analyticsStatementTimeoutMs * 2,
    freshness: {
      ttlMs: cache.analyticsTtlSeconds * 1000,
      staleWhileRevalidateMs: cache.staleWhileRevalidateSeconds * 1000,
      staleIfErrorMs: cache.staleIfErrorSeconds * 1000,
    },
    onComputed: (resource, seconds) => metrics.analyticsComputeSeconds.observe(seconds, { resource }),
  });
}

function composeMaintenance({ config, logger, metrics, pool: sql, wakeUps, outcomes }: Parts): Maintenance {
  const { maintenance } = config;
  const { leaderLeaseMs, foldIntervalMs, foldBatchRows, rescueIntervalMs, partitionsIntervalMs, factsRetentionDays } =
    maintenance;
  const onRescued = ({ wakeNamespaces, endedTasks }: Settled): void => {
    wakeUps.wake(wakeNamespaces);
    outcomes.ended(endedTasks);
  };
  const chores = [
    foldChore({ sql, intervalMs: foldIntervalMs, rowsMax: foldBatchRows, metrics }),
    rescueChore({ sql, intervalMs: rescueIntervalMs, logger, onRescued }),
    partitionsChore({ sql, intervalMs: partitionsIntervalMs, factsRetentionDays, logger, metrics }),
  ];
  return new Maintenance({ sql, leaderLeaseMs, clock, logger, chores });
}

function composeWorker(
  { config, logger, metrics, pool, wakeUps, outcomes }: Parts,
  registry: TaskHandlerRegistry,
): Worker {
  const onTasksEnded = (ids: readonly string[]): void => outcomes.ended(ids);
  return new Worker({ ...config.worker, database: pool, registry, wakeUps, clock, logger, metrics, onTasksEnded });
}

function composeListener({ logger }: Parts, connectionString: string, worker: Worker): Service {
  return openListener({
    connectionString,
    channel: noticeChannel,
    clock,
    logger,
    onPayload(payload) {
      const notice = parseNotice(payload);
      if (notice?.kind === "work") worker.nudge();
      if (notice?.kind === "cancelled") worker.abortTask(notice.id);
    },
    onReconnect: () => worker.nudge(),
  });
}

/** Starts a service; it will be stopped before those that were started earlier. */
async function run(started: Service[], service: Service): Promise<void> {
  started.push(service);
  await service.start();
}

/** Something that has run since it was made and only needs to be stopped. */
function onStop(name: string, stop: () => void | Promise<void>): Service {
  return { name, start: () => Promise.resolve(), stop: async () => stop() };
}

async function openEmbedded({ config, logger }: AppOptions, started: Service[]): Promise<EmbeddedPostgres | undefined> {
  if (config.database.url !== "") return undefined;
  const embedded = await startEmbeddedPostgres({
    dataDir: config.embedded.dataDir,
    clock,
    onExit: (reason) => logger.error({ reason }, "the embedded Postgres ended"),
  });
  started.push(onStop("embedded postgres", () => embedded.stop()));
  return embedded;
}

function openPool(
  { config, logger }: AppOptions,
  started: Service[],
  { connectionString, role }: { readonly connectionString: string; readonly role: "engine" | "analytics" },
): Database {
  const { database } = config;
  const pool = openDatabase({
    connectionString,
    applicationName: `tasker ${role}`,
    idleInTransactionTimeoutMs: database.idleInTransactionTimeoutMs,
    connectTimeoutMs: database.connectTimeoutMs,
    // A lost idle connection is replaced when one is needed.
    onError: (error) => logger.debug({ err: error, pool: role }, "an idle connection was lost"),
    ...(role === "engine"
      ? { max: database.maxConnections }
      : { max: database.analyticsMaxConnections, statementTimeoutMs: database.analyticsStatementTimeoutMs }),
  });
  started.push(onStop(`${role} pool`, () => pool.close()));
  return pool;
}

async function checkHealth(database: Database, caches: Caches): Promise<HealthReport> {
  const reachable = await database.query({ text: "select 1" }).then(
    () => true,
    () => false,
  );
  const checks = [
    { name: "database", healthy: reachable, detail: { pool: database.usage() } },
    ...cacheChecks(await caches.health()),
  ];
  // The cache is best effort: without it everything works.
  return { healthy: reachable, checks };
}
