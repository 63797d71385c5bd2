import type { Sql } from "../../postgres/sql.ts";
import { WakeUps } from "../wake-ups.ts";
import { type Check, findingsMax } from "./finding.ts";

const fix = "tasker doctor --fix sets it to the recount, beside a running fleet";

/** A number on a row and what a recount finds. */
interface Miscount {
  readonly task_id: string;
  readonly step_id: string | null;
  readonly field: string;
  readonly stored: number;
  readonly recounted: number;
}

/** The newest tasks by the index of their creation, then their steps by task and their parents by the index of children. */
const miscounts = `
  with chosen as materialized (
    select id, step_count, unfinished_steps, runnable_steps, failed_steps from tasker.tasks order by created_at desc, id desc limit $1),
  steps as materialized (
    select s.id, s.task_id, s.state, s.finished_at, s.unmet_dependencies from chosen c join tasker.workflow_steps s on s.task_id = c.id),
  by_task as (
    select task_id, count(*) as steps, count(*) filter (where finished_at is null) as unfinished,
        count(*) filter (where state in ('enqueued', 'in_progress', 'waiting_for_retry')) as runnable,
        count(*) filter (where state = 'error') as failed
      from steps group by task_id),
  unmet as (
    select e.child_step_id as id, count(*) as parents from steps p join tasker.workflow_step_edges e on e.parent_step_id = p.id
      where p.state not in ('complete', 'resolved_manually', 'skipped') group by e.child_step_id)
  select * from (
    select c.id as task_id, null::uuid as step_id, f.field, f.stored, f.recounted from chosen c join by_task b on b.task_id = c.id
      cross join lateral (values ('step_count', c.step_count, b.steps), ('unfinished_steps', c.unfinished_steps, b.unfinished),
        ('runnable_steps', c.runnable_steps, b.runnable), ('failed_steps', c.failed_steps, b.failed)) f(field, stored, recounted)
      where f.stored <> f.recounted
    union all
    select s.task_id, s.id, 'unmet_dependencies', s.unmet_dependencies, coalesce(u.parents, 0)
      from steps s left join unmet u on u.id = s.id where s.unmet_dependencies <> coalesce(u.parents, 0)) m
    order by task_id, step_id nulls first, field limit $2`;

/** Numbers from which the engine decides what is claimable and whether a task ends. */
export const counters: Check = {
  name: "counters",
  async run(sql, { tasks }) {
    const rows = await sql.query<Miscount>({ text: miscounts, values: [tasks, findingsMax] });
    return rows.map(({ task_id, step_id, field, stored, recounted }) => ({
      check: "counters",
      subject: step_id === null ? `task ${task_id}` : `step ${step_id} of task ${task_id}`,
      problem: `${field} is ${stored}, a recount finds ${recounted}`,
      mend: fix,
    }));
  },
};

/** Steps that wait for nothing and yet wait: only a release that was lost leaves them so. */
const forgotten = `
  with chosen as materialized (select id, state, runnable_steps from tasker.tasks order by created_at desc, id desc limit $1)
  select * from (
    select c.id as task_id, s.id as step_id from chosen c join tasker.workflow_steps s on s.task_id = c.id
      where c.state in ('pending', 'in_progress') and s.state = 'pending' and s.unmet_dependencies = 0
    union all
    select c.id, null from chosen c where c.state in ('pending', 'in_progress') and not exists (
      select from tasker.workflow_steps s where s.task_id = c.id and s.state in ('enqueued', 'in_progress', 'waiting_for_retry'))) f
    order by task_id, step_id nulls first limit $2`;

/** Tasks that go on for ever because nothing of them will run. */
export const stuck: Check = {
  name: "stuck",
  async run(sql, { tasks }) {
    const rows = await sql.query<Pick<Miscount, "task_id" | "step_id">>({
      text: forgotten,
      values: [tasks, findingsMax],
    });
    return rows.map(({ task_id, step_id }) => ({
      check: "stuck",
      subject: step_id === null ? `task ${task_id}` : `step ${step_id} of task ${task_id}`,
      problem:
        step_id === null
          ? "has not ended, and none of its steps can run"
          : "is pending although nothing is left that it waits for",
      mend: "tasker doctor --fix recounts what it waits for, and enqueues or ends it",
    }));
  },
};

/** Tasks in one transaction: it holds their locks. */
const batchTasks = 100;
/** Wrong rows that one look finds at most: each look reads all the tasks. */
const foundMax = 100_000;

export interface Recount {
  readonly tasks: number;
  /** Rows that were wrong. */
  readonly changed: number;
}

/**
 * Sets the counters of the newest tasks to what a recount finds, where they differ, and does what follows from it: steps that
 * wait for nothing are enqueued (workers are told), tasks that nothing can move end. Locks as every transition does, a
 * hundred tasks at a time, and recounts under the locks: it may run beside the fleet, and changes nothing that is right.
 */
export async function recountTasks(sql: Sql, bounds: { readonly tasks: number }): Promise<Recount> {
  const recounted = new Set<string>();
  let changed = 0;
  for (;;) {
    const wrong = [...(await find(sql, miscounts, bounds.tasks)), ...(await find(sql, forgotten, bounds.tasks))];
    // What a recount leaves as it was is not for counters to mend.
    const ids = [...new Set(wrong)].filter((id) => !recounted.has(id));
    for (let from = 0; from < ids.length; from += batchTasks) {
      changed += await recountBatch(sql, ids.slice(from, from + batchTasks));
    }
    for (const id of ids) recounted.add(id);
    if (ids.length === 0 || wrong.length < foundMax) return { tasks: recounted.size, changed };
  }
}

async function find(sql: Sql, text: string, tasks: number): Promise<string[]> {
  const rows = await sql.query<Pick<Miscount, "task_id">>({ text, values: [tasks, foundMax] });
  return rows.map(({ task_id }) => task_id);
}

async function recountBatch(sql: Sql, ids: readonly string[]): Promise<number> {
  const [row] = await sql.query<{ changed: number; wake_namespaces: number[] }>({
    text: "select changed, wake_namespaces from tasker.recount_tasks($1::uuid[], 'doctor')",
    values: [ids],
  });
  if (row === undefined) throw new Error("the recount returned nothing");
  await WakeUps.notifyWithin(sql, row.wake_namespaces);
  return row.changed;
}
