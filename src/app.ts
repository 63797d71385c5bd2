import type { AnalyticsService } from "./analytics/analytics-service.ts";
import { adoptCluster } from "./analytics/restore-guard.ts";
import {
  composeAnalytics,
  composeListener,
  composeMaintenance,
  composeReplica,
  composeTemplates,
  composeWorker,
  openConfiguredCaches,
  type Parts,
} from "./app/compose.ts";
import { checkHealth } from "./app/health.ts";
import { limitNamespaces } from "./app/limits.ts";
import { onStop, run } from "./app/services.ts";
import { openEmbedded, openPool } from "./app/storage.ts";
import { composeWarmStart } from "./app/warm.ts";
import { CacheKeys } from "./cache/keys.ts";
import type { Config } from "./config/schema.ts";
import { version } from "./config/version.ts";
import { Outcomes } from "./engine/outcomes.ts";
import { WakeUps } from "./engine/wake-ups.ts";
import { createHttpServer, type HealthReport, type HttpServer } from "./http/server.ts";
import { breakerDatabase } from "./postgres/breaker.ts";
import type { EmbeddedPostgres } from "./postgres/embedded/start.ts";
import { migrate, requireMigrated } from "./postgres/migrate.ts";
import { readServerVersion } from "./postgres/server-version.ts";
import type { Database } from "./postgres/sql.ts";
import { systemClock as clock } from "./runtime/clock.ts";
import { type Service, stopAll } from "./runtime/lifecycle.ts";
import type { Logger } from "./runtime/logging.ts";
import { createMetrics } from "./runtime/metrics.ts";
import { TaskSubmitter } from "./templates/submit.ts";
import { TaskHandlerRegistry } from "./templates/task-handler-registry.ts";
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
  readonly wakeUps: WakeUps;
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
  // Past a pooler, through which nobody can listen.
  const directUrl = config.database.directUrl === "" ? connectionString : config.database.directUrl;
  const pool = openPool(options, started, { connectionString, role: "engine" });
  onProgress({ phase: "connected", serverVersion: await readServerVersion(pool), embedded });
  if (options.migrate === true || embedded !== undefined) onProgress({ phase: "migrated", ...(await migrate(pool)) });
  else await requireMigrated(pool);
  await adoptCluster(pool, options.logger);
  const analyticsPool = openPool(options, started, { connectionString, role: "analytics" });
  const { analyticsReplicaUrl } = config.database;
  const replicaPool =
    analyticsReplicaUrl === ""
      ? undefined
      : openPool(options, started, { connectionString: analyticsReplicaUrl, role: "analytics replica" });
  const wakeUps = new WakeUps(pool, clock, logger);
  const outcomes = new Outcomes(pool, clock, logger);
  const metrics = createMetrics();
  const caches = openConfiguredCaches(config, logger, metrics);
  started.push(
    onStop("caches", () => caches.close()),
    onStop("wake-ups", () => wakeUps.close()),
    onStop("outcomes", () => outcomes.close()),
  );
  const replica = composeReplica({ config, logger, metrics }, replicaPool);
  const parts: Parts = { config, logger, metrics, pool, analyticsPool, replica, caches, wakeUps, outcomes };

  const keys = new CacheKeys(config.common.cache.keyPrefix);
  // The API's view of the engine's pool; workers and chores have patience of their own.
  const database = breakerDatabase(pool, { name: "engine", clock, logger });
  const store = composeTemplates(parts, keys, database);
  started.push(onStop("templates", () => store.stop()));
  const allowGraphChange = options.allowGraphChange === true;
  const registry = new TaskHandlerRegistry({ database: pool, store, logger, allowGraphChange });
  await registry.register(definitions);
  await limitNamespaces(pool, config.engine.namespaceLimits);
  onProgress({ phase: "registered", templates: definitions.length });
  const submitter = new TaskSubmitter({ database, store, registry, wakeUps });
  const analytics = composeAnalytics(parts, keys);

  await run(started, composeMaintenance(parts));
  const worker = options.work === true ? composeWorker(parts, registry) : undefined;
  if (worker !== undefined) await run(started, worker);
  if (worker !== undefined || caches.templates !== undefined) {
    await run(started, composeListener(parts, directUrl, store, worker));
  }
  let http: HttpServer | undefined;
  if (options.serve === true) {
    const health = (): Promise<HealthReport> =>
      checkHealth({
        database: pool,
        caches,
        replica,
        foldIntervalMs: config.maintenance.foldIntervalMs,
        metrics,
      });
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
    const warmStart = composeWarmStart(parts, analytics);
    if (warmStart !== undefined) await run(started, warmStart);
  }
  return { database: pool, submitter, analytics, outcomes, wakeUps, http, embedded, stop };
}
