import type { Sql, Timestamp } from "../../src/postgres/sql.ts";
import { clockStart, onlyRow } from "../support/engine.ts";
import type { Model } from "./model.ts";

/** Everything of a template's tasks that the model knows too, in one shape for both. */
export type Snapshot = readonly object[];

const millis = (column: string): string =>
  `round(extract(epoch from ${column} - '${clockStart}'::timestamptz) * 1000)::bigint`;

const snapshotText = `select coalesce(jsonb_agg(jsonb_build_object(
    'id', t.id, 'state', t.state, 'life', t.life, 'endedAt', ${millis("t.ended_at")},
    'unfinished', t.unfinished_steps, 'runnable', t.runnable_steps, 'failed', t.failed_steps,
    'steps', (select jsonb_agg(jsonb_build_object(
        'id', s.id, 'name', n.name, 'state', s.state, 'life', s.life, 'attempt', s.attempt, 'failedAttempts', s.failed_attempts,
        'unmet', s.unmet_dependencies, 'owner', s.lease_owner, 'leaseEnd', ${millis("s.lease_expires_at")},
        'availableAt', ${millis("s.available_at")}, 'readyAt', ${millis("s.ready_at")}, 'firstStartedAt', ${millis("s.first_started_at")},
        'startedAt', ${millis("s.started_at")}, 'finishedAt', ${millis("s.finished_at")},
        'results', coalesce((select jsonb_agg(jsonb_build_array(r.life, r.attempt, r.succeeded,
            case when r.succeeded then r.output else r.error -> 'message' end) order by r.life, r.attempt)
          from tasker.workflow_step_results r where r.step_id = s.id), '[]')) order by s.id)
      from tasker.workflow_steps s join tasker.named_steps n on n.id = s.named_step_id where s.task_id = t.id)) order by t.id), '[]')
    as snapshot
  from tasker.tasks t where t.named_task_id = $1`;

/** Reads it from the rows. */
export async function readSnapshot(sql: Sql, namedTaskId: number): Promise<Snapshot> {
  const values = [namedTaskId];
  const [row] = await sql.query<{ snapshot: Snapshot }>({ name: "model_snapshot", text: snapshotText, values });
  return row?.snapshot ?? [];
}

/** The same as the model has it. */
export function snapshotOf(model: Model): Snapshot {
  const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1);
  return model.tasks.toSorted(byId).map((task) => {
    const { id, state, life, endedAt } = task;
    const steps = task.steps.toSorted(byId).map((step) => {
      const { parents: _parents, children: _children, results, ...rest } = step;
      const rows = results
        .toSorted((a, b) => a.life - b.life || a.attempt - b.attempt)
        .map((result) => [result.life, result.attempt, result.succeeded, result.payload]);
      return { ...rest, unmet: model.unmetOf(step), results: rows };
    });
    return { id, state, life, endedAt, ...model.countersOf(task), steps };
  });
}

/** The counts by state that the analytics have of a template, as `subject state` to a number. */
export async function readCounts(sql: Sql, namedTaskId: number): Promise<Record<string, number>> {
  const { counts } = await onlyRow<{ counts: Record<string, number> }>(
    sql,
    `select coalesce(jsonb_object_agg(subject || ' ' || state, count), '{}') as counts
      from tasker.current_counts(array[$1::integer]) where count <> 0`,
    [namedTaskId],
  );
  return counts;
}

/** The same, counted in the model. */
export function countsOf(model: Model): Record<string, number> {
  const keys = [...model.tasks.map(({ state }) => `task ${state}`), ...model.steps.map(({ state }) => `step ${state}`)];
  return Object.fromEntries([...new Set(keys)].map((key) => [key, keys.filter((other) => other === key).length]));
}

/** A time of the model as the engine takes it. */
export function timeOf(ms: number | null): Timestamp | undefined {
  return ms === null ? undefined : new Date(Date.parse(clockStart) + ms).toISOString();
}

interface Row {
  readonly id: string;
  readonly steps: readonly { readonly id: string; readonly name: string }[];
}

/** The ids of steps by their tasks' ids and their names. */
export function idsIn(snapshot: Snapshot): Map<string, string> {
  // As its statement makes it.
  const rows = snapshot as readonly Row[];
  return new Map(rows.flatMap((task) => task.steps.map((step) => [`${task.id} ${step.name}`, step.id] as const)));
}
