import type { Sql, Timestamp } from "../postgres/sql.ts";

/** Steps of one kind that have been claimable for a minute, and no worker that lived in that minute has a handler for them. */
export interface UnclaimableSteps {
  readonly namespace_name: string;
  readonly task_name: string;
  readonly version: string;
  readonly step_name: string;
  readonly steps: number;
  /** False when there may be more: a queue is looked at up to a bound. */
  readonly steps_is_exact: boolean;
  /** How long the oldest of them has been claimable. */
  readonly oldest_seconds: number;
}

/** The kinds of unclaimable steps, those that wait longest first; a hundred at most. Of one namespace when one is given. */
export function readUnclaimable(
  sql: Sql,
  { namespace, now }: { readonly namespace?: string | undefined; readonly now?: Timestamp } = {},
): Promise<UnclaimableSteps[]> {
  return sql.query<UnclaimableSteps>({
    text: `select namespace_name, task_name, version, step_name, steps, steps_is_exact, oldest_seconds
      from tasker.unclaimable_steps($1, coalesce($2::timestamptz, tasker.clock()))`,
    values: [namespace ?? null, now ?? null],
  });
}
