import type { Sql, Timestamp } from "../postgres/sql.ts";
import { readUnclaimable, type UnclaimableSteps } from "./unclaimable.ts";

/** Which namespaces; all when none is given. */
export interface BacklogParameters {
  readonly namespace?: string | undefined;
}

/** What waits for the workers of a namespace. */
export interface NamespaceBacklog {
  readonly namespace_name: string;
  /** Steps that are enqueued or wait for a retry, also those that may not run yet. */
  readonly queued_steps: number;
  /** Steps that a worker with a handler for them could claim now. */
  readonly claimable_steps: number;
  /** False when `claimable_steps` is an upper bound. */
  readonly claimable_is_exact: boolean;
  /** How long the oldest of them has been claimable; null when there is none. */
  readonly oldest_claimable_seconds: number | null;
  readonly running_steps: number;
  /** Steps that completed or failed, over the last five minutes at most. */
  readonly executions_per_second: number;
  /** Until all claimable steps have ended at that pace; null when nothing ended. */
  readonly drain_seconds: number | null;
}

export interface Backlog {
  readonly namespaces: readonly NamespaceBacklog[];
  /** What no worker could claim for a minute, those that wait longest first; a hundred at most. */
  readonly unclaimable: readonly UnclaimableSteps[];
  /** The database's time when the answer was computed. */
  readonly calculated_at: Timestamp;
  /** Every commit up to then is in the answer. */
  readonly data_through: Timestamp;
  readonly filters: BacklogParameters;
}

/** The backlog of each registered namespace, by name. */
export async function readBacklog(sql: Sql, { namespace }: BacklogParameters, now: Timestamp): Promise<Backlog> {
  const namespaces = await sql.query<NamespaceBacklog>({
    text: `select namespace_name, queued_steps, claimable_steps, claimable_is_exact, oldest_claimable_seconds, running_steps,
        executions_per_second, drain_seconds
      from tasker.get_backlog($1, $2)`,
    values: [namespace ?? null, now],
  });
  const unclaimable = await readUnclaimable(sql, { namespace, now });
  return { namespaces, unclaimable, calculated_at: now, data_through: now, filters: { namespace } };
}
