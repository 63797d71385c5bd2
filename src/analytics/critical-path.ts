import type { Leadership } from "../engine/leadership.ts";
import type { Chore } from "../engine/maintenance.ts";
import type { Sql } from "../postgres/sql.ts";

/** So many tasks are traced in one transaction at most: it holds locks on rows that nobody else waits for. */
const tasksMax = 1000;

/**
 * Traces the critical paths of at most about `limit` tasks that ended, in one statement that does nothing if the leadership is
 * lost. Outside the engine's transactions: a settlement does not pay for it.
 *
 * @returns how many were traced, and whether more are waiting
 */
export async function traceOnce(
  sql: Sql,
  leadership: Leadership,
  limit: number,
): Promise<{ readonly traced: number; readonly more: boolean }> {
  const [row] = await sql.query<{ traced: number; more: boolean }>({
    name: "trace_critical_paths",
    // In the select list, as in foldOnce: no leadership, no call.
    text: `select (t.result).traced, (t.result).more from (
        select tasker.trace_critical_paths($1) as result from tasker.service_leases
          where service = $2 and owner = $3 and fence = $4) t`,
    values: [limit, leadership.service, leadership.owner, leadership.fence],
  });
  return row ?? { traced: 0, more: false };
}

/** Tracing critical paths as a chore of the fleet. */
export function criticalPathChore(options: { readonly sql: Sql; readonly intervalMs: number }): Chore {
  return {
    name: "critical_path",
    intervalMs: options.intervalMs,
    async runOnce(leadership) {
      return (await traceOnce(options.sql, leadership, tasksMax)).more;
    },
  };
}
