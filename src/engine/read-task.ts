import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { StepState, TaskState } from "../workflow/states.ts";
import type { StoredError } from "./settle.ts";

/** A task as it stands. */
export interface TaskView {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly revision: number;
  readonly state: TaskState;
  readonly input: unknown;
  readonly idempotencyKey: string | null;
  readonly correlationId: string | null;
  readonly tags: readonly string[];
  readonly priority: number;
  readonly runAt: Timestamp | null;
  readonly createdAt: Timestamp;
  readonly endedAt: Timestamp | null;
  readonly steps: readonly StepView[];
}

/** A step of a task as it stands. `attempt` and the times are those of its present life. */
export interface StepView {
  readonly id: string;
  readonly name: string;
  readonly state: StepState;
  readonly life: number;
  readonly attempt: number;
  readonly failedAttempts: number;
  readonly readyAt: Timestamp | null;
  readonly firstStartedAt: Timestamp | null;
  readonly startedAt: Timestamp | null;
  readonly finishedAt: Timestamp | null;
  readonly availableAt: Timestamp | null;
  /** The last attempt's handler run time in seconds. */
  readonly runSeconds: number | null;
  readonly output: unknown;
  readonly lastError: StoredError | null;
  /** When a handler of this life last told that it is alive. */
  readonly lastHeartbeatAt: Timestamp | null;
  /** What it last told of how far it is. */
  readonly progress: unknown;
}

/** Reads a task with its steps, in the order of its template; null when there is none. One statement, one snapshot. */
export async function readTask(sql: Sql, taskId: string): Promise<TaskView | null> {
  const [row] = await sql.query<{ task: TaskView }>({
    text: `select jsonb_build_object(
        'id', t.id, 'namespace', i.namespace_name, 'name', i.task_name, 'version', i.version, 'revision', r.revision,
        'state', t.state, 'input', t.input, 'idempotencyKey', t.idempotency_key, 'correlationId', t.correlation_id,
        'tags', to_jsonb(t.tags), 'priority', t.priority, 'runAt', tasker.rfc3339(t.run_at),
        'createdAt', tasker.rfc3339(t.created_at), 'endedAt', tasker.rfc3339(t.ended_at),
        'steps', (select jsonb_agg(jsonb_build_object(
            'id', s.id, 'name', n.name, 'state', s.state, 'life', s.life, 'attempt', s.attempt, 'failedAttempts', s.failed_attempts,
            'readyAt', tasker.rfc3339(s.ready_at), 'firstStartedAt', tasker.rfc3339(s.first_started_at),
            'startedAt', tasker.rfc3339(s.started_at), 'finishedAt', tasker.rfc3339(s.finished_at),
            'availableAt', tasker.rfc3339(s.available_at), 'runSeconds', s.run_us / 1000000.0,
            'output', (select x.output from tasker.workflow_step_results x where x.step_id = s.id and x.succeeded),
            'lastError', (select x.error from tasker.workflow_step_results x where x.step_id = s.id and not x.succeeded
              order by x.life desc, x.attempt desc limit 1),
            'lastHeartbeatAt', tasker.rfc3339(h.last_heartbeat_at), 'progress', h.progress)
            order by array_position(r.step_ids, s.named_step_id), s.item_index)
          from tasker.workflow_steps s join tasker.named_steps n on n.id = s.named_step_id
          left join tasker.workflow_step_heartbeats h on h.step_id = s.id and h.life = s.life where s.task_id = t.id)) as task
      from tasker.tasks t
      join tasker.analytics_identities i on i.id = t.named_task_id
      join tasker.named_task_revisions r on r.id = t.revision_id
      where t.id = $1`,
    values: [taskId],
  });
  return row?.task ?? null;
}

/** How a task ended: what a caller that waits for it needs. */
export interface TaskOutcome {
  readonly id: string;
  readonly state: TaskState;
  /** The outputs of the steps that ended well, by name. */
  readonly outputs: Readonly<Record<string, unknown>>;
  /** The first step that failed for good, if one did. */
  readonly failure: { readonly step: string; readonly error: StoredError } | null;
}

/** Reads the outcomes of those of the given tasks that have ended. */
export async function readOutcomes(sql: Sql, taskIds: readonly string[]): Promise<TaskOutcome[]> {
  const rows = await sql.query<{
    id: string;
    state: TaskState;
    outputs: Record<string, unknown> | null;
    failure: TaskOutcome["failure"];
  }>({
    name: "read_outcomes",
    text: `select t.id, t.state,
        (select jsonb_object_agg(n.name, r.output) from tasker.workflow_steps s
          join tasker.named_steps n on n.id = s.named_step_id
          join tasker.workflow_step_results r on r.step_id = s.id and r.succeeded where s.task_id = t.id) as outputs,
        (select jsonb_build_object('step', n.name, 'error', r.error) from tasker.workflow_steps s
          join tasker.named_steps n on n.id = s.named_step_id
          join tasker.workflow_step_results r on r.step_id = s.id and r.life = s.life and r.attempt = s.attempt and not r.succeeded
          where s.task_id = t.id and s.state = 'error' order by s.finished_at, s.id limit 1) as failure
      from tasker.tasks t
      where t.id = any($1::uuid[]) and t.state not in ('pending', 'in_progress')`,
    values: [taskIds],
  });
  return rows.map((row) => ({ id: row.id, state: row.state, outputs: row.outputs ?? {}, failure: row.failure }));
}
