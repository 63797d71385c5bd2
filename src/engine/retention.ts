import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { Logger } from "../runtime/logging.ts";
import type { Leadership } from "./leadership.ts";
import type { Chore } from "./maintenance.ts";

/** What one transaction looks at and deletes at most: its locks and its WAL stay small. */
const batch = { tasks: 1000, steps: 5000 };

/** A place in the order in which tasks were created. */
export interface RetentionCursor {
  readonly at: Timestamp;
  readonly id: string;
}

/** Before all tasks. */
const beginning: RetentionCursor = { at: "-infinity", id: "00000000-0000-0000-0000-000000000000" };

/**
 * Looks at a bounded number of tasks from a place on, oldest first, and deletes those that ended more than `days` ago, in one
 * statement that does nothing if the leadership is lost. The critical paths of what it deletes are traced.
 *
 * @returns how many tasks were deleted, and the place to go on from; null when the youngest that may have been due was looked at
 */
export async function deleteEndedTasks(
  sql: Sql,
  leadership: Leadership,
  options: {
    readonly days: number;
    readonly after?: RetentionCursor;
    readonly tasksMax?: number;
    readonly stepsMax?: number;
  },
): Promise<{ readonly deleted: number; readonly next: RetentionCursor | null }> {
  const { days, after = beginning, tasksMax = batch.tasks, stepsMax = batch.steps } = options;
  const [row] = await sql.query<{ deleted: number; last_at: Timestamp; last_id: string; more: boolean }>({
    name: "delete_ended_tasks",
    // In the select list, as in folding: no leadership, no call.
    text: `select (d.result).deleted, (d.result).last_at, (d.result).last_id, (d.result).more from (
        select tasker.delete_ended_tasks(tasker.clock() - $1 * interval '24 hours', $2, $3, $4, $5) as result
          from tasker.service_leases where service = $6 and owner = $7 and fence = $8) d`,
    values: [days, after.at, after.id, tasksMax, stepsMax, leadership.service, leadership.owner, leadership.fence],
  });
  if (row === undefined) return { deleted: 0, next: null };
  return { deleted: row.deleted, next: row.more ? { at: row.last_at, id: row.last_id } : null };
}

/** Deleting old tasks as a chore of the fleet. A run that was cut short goes on where it stopped. */
export function retentionChore(options: {
  readonly sql: Sql;
  readonly intervalMs: number;
  /** 0: for ever. */
  readonly tasksRetentionDays: number;
  readonly logger: Logger;
}): Chore {
  const { sql, intervalMs, tasksRetentionDays: days, logger } = options;
  let after: RetentionCursor | undefined;
  let deletedInPass = 0;
  return {
    name: "retention",
    intervalMs,
    async runOnce(leadership) {
      if (days === 0) return false;
      const { deleted, next } = await deleteEndedTasks(
        sql,
        leadership,
        after === undefined ? { days } : { days, after },
      );
      deletedInPass += deleted;
      after = next ?? undefined;
      if (next !== null) return true;
      if (deletedInPass > 0) logger.info({ tasks: deletedInPass }, "tasks past retention deleted");
      deletedInPass = 0;
      return false;
    },
  };
}
