import type { Caches } from "../cache/caches.ts";
import { cacheChecks } from "../cache/health-checks.ts";
import type { HealthReport } from "../http/options.ts";
import type { Database } from "../postgres/sql.ts";

/** Looks after everything this process depends on. */
export async function checkHealth(database: Database, caches: Caches): Promise<HealthReport> {
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
