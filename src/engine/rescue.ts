import type { Sql } from "../postgres/sql.ts";
import type { Logger } from "../runtime/logging.ts";
import { TaskerError } from "../workflow/errors.ts";
import { decideAfterFailure, type RetryPolicy } from "../workflow/retry.ts";
import type { Chore } from "./maintenance.ts";
import { encodeError, type Settled, settleSteps } from "./settle.ts";

/** The attempt's lease ran out: its worker died, hung, or could not reach the database. */
export class LeaseExpiredError extends TaskerError {
  readonly code = "lease_expired";
}

/** How many expired leases one run settles. */
const rescueBatchMax = 500;

interface ExpiredRow {
  id: string;
  task_id: string;
  life: number;
  attempt: number;
  failed_attempts: number;
  lease_owner: string;
  retry: RetryPolicy;
}

/**
 * Returns steps whose lease has run out to the queue, or fails them when it was their last attempt.
 *
 * Nothing is locked while it looks: the settlement counts only if that very lease is still there and still expired.
 *
 * @param random uniform in [0, 1), for the backoff's jitter
 */
export async function rescueExpired(sql: Sql, random: () => number): Promise<Settled & { readonly found: number }> {
  const expired = await sql.query<ExpiredRow>({
    text: `select s.id, s.task_id, s.life, s.attempt, s.failed_attempts, s.lease_owner,
        jsonb_path_query_first(r.definition, '$.steps[*] ? (@.name == $name)', jsonb_build_object('name', n.name)) -> 'retry' as retry
      from tasker.workflow_steps s
      join tasker.tasks t on t.id = s.task_id
      join tasker.named_task_revisions r on r.id = t.revision_id
      join tasker.named_steps n on n.id = s.named_step_id
      where s.state = 'in_progress' and s.lease_expires_at < tasker.clock()
      order by s.lease_expires_at limit $1`,
    values: [rescueBatchMax],
  });
  if (expired.length === 0) return { found: 0, accepted: new Set(), endedTasks: [], wakeNamespaces: [] };
  const settled = await settleSteps(
    sql,
    expired.map((row) => {
      const error = new LeaseExpiredError(`the lease of attempt ${row.attempt} ran out`);
      delete error.stack; // It would tell where the rescuer is, not where the handler was.
      return {
        claim: { stepId: row.id, taskId: row.task_id, life: row.life, attempt: row.attempt },
        owner: row.lease_owner,
        end: { ...decideAfterFailure(row.retry, row.failed_attempts + 1, error, random()), error: encodeError(error) },
        runUs: null,
        expiredOnly: true,
      };
    }),
    "rescuer",
  );
  return { ...settled, found: expired.length };
}

/** Rescue as a chore of the fleet. `onRescued` is told what followed from each run that found something. */
export function rescueChore(options: {
  readonly sql: Sql;
  readonly intervalMs: number;
  readonly logger: Logger;
  readonly onRescued: (settled: Settled) => void;
}): Chore {
  return {
    name: "rescue",
    intervalMs: options.intervalMs,
    async runOnce() {
      // Not fenced: a settlement counts only for the very lease that ran out.
      const rescued = await rescueExpired(options.sql, Math.random);
      if (rescued.accepted.size > 0) {
        options.logger.warn({ steps: rescued.accepted.size }, "leases ran out; their attempts count as failed");
        options.onRescued(rescued);
      }
      return rescued.found === rescueBatchMax;
    },
  };
}
