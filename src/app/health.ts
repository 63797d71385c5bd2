import { readFoldStatus } from "../analytics/fold-status.ts";
import type { AnalyticsReplica } from "../analytics/replica.ts";
import { readUnclaimable } from "../analytics/unclaimable.ts";
import type { Caches } from "../cache/caches.ts";
import { cacheChecks } from "../cache/health-checks.ts";
import type { HealthCheck, HealthReport } from "../http/options.ts";
import { sqlStateOf } from "../postgres/sqlstate.ts";
import type { Database } from "../postgres/sql.ts";
import type { Metrics } from "../runtime/metrics.ts";

export interface HealthOptions {
  readonly database: Database;
  readonly caches: Caches;
  readonly replica: AnalyticsReplica | undefined;
  readonly foldIntervalMs: number;
  readonly metrics: Pick<Metrics, "foldBehindSeconds" | "foldOpenTransactions" | "foldOldestTransactionSeconds">;
}

/** Looks after everything this process depends on. */
export async function checkHealth(options: HealthOptions): Promise<HealthReport> {
  const { database, caches, replica } = options;
  const reachable = await database.query({ text: "select 1" }).then(
    () => true,
    () => false,
  );
  const checks = [
    { name: "database", healthy: reachable, detail: { pool: database.usage() } },
    ...(reachable ? [await foldCheck(options), await workersCheck(database)] : []),
    ...replicaChecks(replica),
    ...cacheChecks(await caches.health()),
  ];
  // The fold, the replica and the cache are best effort: without them every answer is right. And this process is well without any worker.
  return { healthy: reachable, checks };
}

/** Whether somebody folds, and which transaction has been open longest: it lets old versions of rows pile up. */
async function foldCheck({ database, foldIntervalMs, metrics }: HealthOptions): Promise<HealthCheck> {
  const name = "analytics fold";
  try {
    const { healthy, ...detail } = await readFoldStatus(database, Math.max(60, (3 * foldIntervalMs) / 1000));
    metrics.foldBehindSeconds.set(detail.behind_seconds);
    metrics.foldOpenTransactions.set(detail.open_transactions);
    metrics.foldOldestTransactionSeconds.set(detail.oldest_transaction?.seconds ?? 0);
    return { name, healthy, detail };
  } catch {
    // Between two statements the database went away, which the next probe tells.
    return { name, healthy: false };
  }
}

/** Whether workers live that can run what waits. */
async function workersCheck(database: Database): Promise<HealthCheck> {
  const name = "workers";
  try {
    const [row] = await database.query<{ live: number }>({
      text: "select count(*) as live from tasker.live_workers where expires_at > tasker.clock()",
    });
    const unclaimable = await readUnclaimable(database);
    return { name, healthy: unclaimable.length === 0, detail: { live: row?.live ?? 0, unclaimable } };
  } catch (error) {
    return {
      name,
      healthy: false,
      detail: { reason: `not known: ${sqlStateOf(error) ?? "the database did not answer"}` },
    };
  }
}

/** What the last reading said: a replica that is slow to answer must not make this process look sick. */
function replicaChecks(replica: AnalyticsReplica | undefined): HealthCheck[] {
  if (replica === undefined) return [];
  const { serving, lagSeconds, reason, since } = replica.health();
  return [
    {
      name: "analytics replica",
      healthy: serving,
      detail: {
        ...(lagSeconds === undefined ? {} : { lag_seconds: lagSeconds }),
        ...(reason === undefined ? {} : { reason, serving_from_primary_since: since }),
      },
    },
  ];
}
