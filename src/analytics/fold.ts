import type { Leadership } from "../engine/leadership.ts";
import type { Chore } from "../engine/maintenance.ts";
import type { Sql } from "../postgres/sql.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { adoptCluster } from "./restore-guard.ts";

/**
 * Folds at most about `rowsMax` facts and deltas into the rollups, in one statement that does nothing if the leadership
 * is lost.
 *
 * @returns how many rows were folded, and whether more are waiting
 */
export async function foldOnce(
  sql: Sql,
  leadership: Leadership,
  rowsMax: number,
): Promise<{ readonly folded: number; readonly more: boolean }> {
  const [row] = await sql.query<{ folded: number; more: boolean }>({
    name: "fold",
    // In the select list and not in a join, whose order the planner could turn round: no leadership, no call.
    text: `select (f.result).folded, (f.result).more from (
        select tasker.fold($1) as result from tasker.service_leases where service = $2 and owner = $3 and fence = $4) f`,
    values: [rowsMax, leadership.service, leadership.owner, leadership.fence],
  });
  return row ?? { folded: 0, more: false };
}

/** Folding as a chore of the fleet. */
export function foldChore(options: {
  readonly sql: Sql;
  readonly intervalMs: number;
  readonly rowsMax: number;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, "foldRows">;
}): Chore {
  return {
    name: "fold",
    intervalMs: options.intervalMs,
    async runOnce(leadership) {
      // Processes may live on while their database is replaced behind its address.
      await adoptCluster(options.sql, options.logger);
      const { folded, more } = await foldOnce(options.sql, leadership, options.rowsMax);
      options.metrics.foldRows.add(folded);
      return more;
    },
  };
}

/** How many days ahead partitions are made. */
const partitionDaysAhead = 7;

/** Keeping the daily partitions as a chore: makes those of the coming days, and drops facts, transitions and rollups of five minutes past retention. */
export function partitionsChore(options: {
  readonly sql: Sql;
  readonly intervalMs: number;
  readonly factsRetentionDays: number;
  readonly transitionsRetentionDays: number;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, "defaultPartitionRows">;
}): Chore {
  const { sql, intervalMs, factsRetentionDays, transitionsRetentionDays, logger, metrics } = options;
  return {
    name: "partitions",
    intervalMs,
    async runOnce() {
      await sql.query({ text: "select tasker.ensure_partitions($1)", values: [partitionDaysAhead] });
      const [row] = await sql.query<{ dropped: string[]; default_rows: number }>({
        text: `select tasker.drop_expired_partitions($1) || tasker.drop_expired_transitions($2) as dropped,
          tasker.default_partition_rows() as default_rows`,
        values: [factsRetentionDays, transitionsRetentionDays],
      });
      await sql.query({ text: "select tasker.drop_expired_five_minutes()" });
      if (row === undefined) return false;
      if (row.dropped.length > 0) logger.info({ partitions: row.dropped }, "partitions past retention dropped");
      metrics.defaultPartitionRows.set(row.default_rows);
      if (row.default_rows > 0) {
        logger.warn({ rows: row.default_rows }, "rows lie outside the daily partitions: were they made in time?");
      }
      return false;
    },
  };
}
