import type { AnalyticsReplica } from "../analytics/replica.ts";
import { readUnclaimable } from "../analytics/unclaimable.ts";
import type { Caches } from "../cache/caches.ts";
import { cacheChecks } from "../cache/health-checks.ts";
import type { HealthCheck, HealthReport } from "../http/options.ts";
import type { Database } from "../postgres/sql.ts";
import { sqlStateOf } from "../postgres/sqlstate.ts";

/** Looks after everything this process depends on. */
export async function checkHealth(
  database: Database,
  caches: Caches,
  replica: AnalyticsReplica | undefined,
): Promise<HealthReport> {
  const reachable = await database.query({ text: "select 1" }).then(
    () => true,
    () => false,
  );
  const checks = [
    { name: "database", healthy: reachable, detail: { pool: database.usage() } },
    ...(reachable ? [await workersCheck(database)] : []),
    ...replicaChecks(replica),
    ...cacheChecks(await caches.health()),
  ];
  // The replica and the cache are best effort: without them everything works. And this process is well without any worker.
  return { healthy: reachable, checks };
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
