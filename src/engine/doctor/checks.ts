import type { Sql } from "../../postgres/sql.ts";
import { counters, stuck } from "./counters.ts";
import type { Bounds, Check, Finding } from "./finding.ts";
import { leaders, leases } from "./leases.ts";
import { bloat, horizon, partitions, strays } from "./storage.ts";

/** What is looked for, in this order. */
export const engineChecks: readonly Check[] = [counters, stuck, leases, leaders, partitions, strays, bloat, horizon];

/**
 * Looks for what the engine cannot mend by itself. Changes nothing. Reads the newest `bounds.tasks` tasks with their steps and
 * edges, leased steps from their index, and otherwise the catalogue and the statistics, so that a large history costs nothing more.
 */
export async function examineEngine(sql: Sql, bounds: Bounds): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of engineChecks) findings.push(...(await check.run(sql, bounds)));
  return findings;
}
