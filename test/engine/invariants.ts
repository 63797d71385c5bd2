import assert from "node:assert/strict";

import type { Sql } from "../../src/postgres/sql.ts";
import { isTaskEnded, type StepState, type TaskState, taskEnd } from "../../src/workflow/states.ts";

interface TaskRow {
  readonly id: string;
  readonly state: TaskState;
  readonly step_count: number;
  readonly unfinished_steps: number;
  readonly runnable_steps: number;
  readonly failed_steps: number;
  readonly life: number;
  readonly steps: number;
  readonly unfinished: number;
  readonly runnable: number;
  readonly failed: number;
  readonly facts: number;
}

/** What must hold at any moment in which no transaction is under way. Checked against the rows themselves. */
export async function checkInvariants(db: Sql): Promise<void> {
  await checkTasks(db);
  await checkNone(db, "steps whose parents are not counted right", unmetWrong);
  await checkNone(db, "steps that may run before their parents ended, or wait for nothing", readinessWrong);
  await checkNone(db, "steps not released by the parent that ended last", releaseWrong);
  await checkNone(db, "lives of steps that have no fact or more than one", stepFactsWrong);
  await checkNone(db, "lives of steps whose end is not in the history, or twice", stepHistoryWrong);
  await checkNone(db, "lives of tasks whose end is not in the history, or twice", taskHistoryWrong);
  await checkNone(db, "steps without exactly the one result of their success", resultsWrong);
  await checkNone(db, "counts by state that are not those of the rows", countsWrong);
  await checkNone(
    db,
    "facts whose parts are negative",
    "select * from tasker.step_facts where queue_wait_us < 0 or retry_us < 0 or run_us < 0 or dependency_wait_us < 0",
  );
  await checkTransitions(db);
}

async function checkTasks(db: Sql): Promise<void> {
  const tasks = await db.query<TaskRow>({
    text: `select t.id, t.state, t.step_count, t.unfinished_steps, t.runnable_steps, t.failed_steps, t.life, s.*,
        (select count(*) from tasker.task_facts f where f.task_id = t.id) as facts
      from tasker.tasks t cross join lateral (
        select count(*) as steps, count(*) filter (where s.finished_at is null) as unfinished,
            count(*) filter (where s.state in ('enqueued', 'in_progress', 'waiting_for_retry')) as runnable,
            count(*) filter (where s.state = 'error') as failed
          from tasker.workflow_steps s where s.task_id = t.id) s`,
  });
  for (const task of tasks) {
    const { unfinished, runnable, failed } = task;
    const counters = [task.step_count, task.unfinished_steps, task.runnable_steps, task.failed_steps];
    assert.deepEqual(counters, [task.steps, unfinished, runnable, failed], `counters of task ${task.id}`);
    assert.equal(task.facts, task.life - (isTaskEnded(task.state) ? 0 : 1), `facts of task ${task.id}`);
    // An operator has the last word on a task that is cancelled or resolved.
    if (task.state === "cancelled" || task.state === "resolved_manually") continue;
    const end = taskEnd({ unfinished, runnable, failed });
    assert.equal(isTaskEnded(task.state) ? task.state : null, end, `end of task ${task.id}`);
  }
}

const unmetWrong = `select s.id, s.state, s.unmet_dependencies, p.unmet from tasker.workflow_steps s
  cross join lateral (select count(*) as unmet from tasker.workflow_step_edges e
    join tasker.workflow_steps p on p.id = e.parent_step_id
    where e.child_step_id = s.id and p.state not in ('complete', 'resolved_manually', 'skipped')) p
  where s.unmet_dependencies <> p.unmet`;

const readinessWrong = `select id, state, unmet_dependencies from tasker.workflow_steps
  where state in ('pending', 'blocked') and unmet_dependencies = 0
    or state in ('enqueued', 'in_progress', 'waiting_for_retry', 'complete', 'error') and unmet_dependencies > 0`;

const releaseWrong = `select s.id, s.ready_at, p.last_at from tasker.workflow_steps s
  cross join lateral (select max(p.finished_at) as last_at from tasker.workflow_step_edges e
    join tasker.workflow_steps p on p.id = e.parent_step_id where e.child_step_id = s.id) p
  where p.last_at is not null and s.ready_at is not null
    -- A new life that an operator began is ready at its beginning.
    and s.ready_at <> s.life_started_at
    and (s.ready_at <> greatest(p.last_at, s.run_at) or not exists (
      select from tasker.workflow_step_edges e join tasker.workflow_steps r on r.id = e.parent_step_id
        where e.child_step_id = s.id and r.id = s.released_by and r.finished_at = p.last_at))`;

const stepFactsWrong = `select s.id, s.life, s.state, f.n from tasker.workflow_steps s
  cross join lateral (select count(*) as n from tasker.step_facts f
    where f.task_id = s.task_id and f.identity_id = s.named_step_id) f
  where f.n <> s.life - (s.finished_at is null)::integer`;

const stepHistoryWrong = `select s.id, s.life, s.state, h.n from tasker.workflow_steps s
  cross join lateral (select count(*) as n from tasker.workflow_step_history h where h.step_id = s.id
    and h.to_state in ('complete', 'error', 'cancelled', 'resolved_manually', 'skipped', 'blocked')) h
  where h.n <> s.life - (s.finished_at is null)::integer`;

const taskHistoryWrong = `select t.id, t.life, t.state, h.n from tasker.tasks t
  cross join lateral (select count(*) as n from tasker.task_history h where h.task_id = t.id
    and h.to_state in ('complete', 'error', 'cancelled', 'resolved_manually')) h
  where h.n <> t.life - (t.ended_at is null)::integer`;

const resultsWrong = `select s.id, s.state, r.successes from tasker.workflow_steps s
  cross join lateral (select count(*) filter (where r.succeeded) as successes,
      count(*) filter (where not r.succeeded and r.life = s.life) as failures
    from tasker.workflow_step_results r where r.step_id = s.id) r
  where r.successes <> (s.state = 'complete')::integer and s.state <> 'resolved_manually' or r.successes > 1
    or r.failures <> s.failed_attempts`;

const countsWrong = `select * from (
    select identity_id, subject, state, sum(count) as n from tasker.current_counts(null) group by 1, 2, 3) counted
  full join (
    select named_task_id as identity_id, 'task' as subject, state::text, count(*) as rows from tasker.tasks group by 1, 3
    union all select named_task_id, 'step', state::text, count(*) from tasker.workflow_steps group by 1, 3) live
    using (identity_id, subject, state)
  where coalesce(n, 0) <> coalesce(rows, 0)`;

async function checkNone(db: Sql, what: string, text: string): Promise<void> {
  assert.deepEqual(await db.query({ text }), [], what);
}

/** The table of states.ts. */
const stepTransitions: Readonly<Record<StepState, readonly StepState[]>> = {
  pending: ["enqueued", "blocked", "cancelled", "resolved_manually"],
  enqueued: ["in_progress", "cancelled", "resolved_manually"],
  in_progress: ["complete", "waiting_for_retry", "error", "enqueued", "cancelled"],
  waiting_for_retry: ["in_progress", "cancelled", "resolved_manually"],
  complete: [],
  error: ["enqueued", "resolved_manually"],
  cancelled: [],
  resolved_manually: [],
  skipped: [],
  blocked: ["pending"],
};

const taskTransitions: Readonly<Record<TaskState, readonly TaskState[]>> = {
  pending: ["in_progress", "complete", "error", "cancelled"],
  in_progress: ["complete", "error", "cancelled"],
  complete: [],
  error: ["in_progress", "resolved_manually"],
  cancelled: [],
  resolved_manually: [],
};

async function checkTransitions(db: Sql): Promise<void> {
  const steps = await db.query<{ from: StepState; to: StepState }>({
    text: `select distinct from_state as "from", to_state as "to" from tasker.workflow_step_history`,
  });
  for (const { from, to } of steps) assert.ok(stepTransitions[from].includes(to), `a step went from ${from} to ${to}`);
  const tasks = await db.query<{ from: TaskState | null; to: TaskState }>({
    text: `select distinct from_state as "from", to_state as "to" from tasker.task_history`,
  });
  for (const { from, to } of tasks) {
    const allowed = from === null ? ["pending"] : taskTransitions[from];
    assert.ok(allowed.includes(to), `a task went from ${from ?? "nothing"} to ${to}`);
  }
}
