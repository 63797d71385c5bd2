import type { Sql } from "../../src/postgres/sql.ts";
import type { TemplateName } from "../../src/workflow/template.ts";

/** A task as its row says. Times are microseconds since the Unix epoch. */
export interface StoredTask {
  readonly id: string;
  readonly state: string;
  readonly createdUs: number;
  readonly endedUs: number | null;
}

/** A step as its row and its results say. Times are microseconds since the Unix epoch. */
export interface StoredStep {
  readonly taskId: string;
  readonly name: string;
  readonly state: string;
  readonly life: number;
  readonly attempt: number;
  readonly createdUs: number;
  readonly readyUs: number | null;
  readonly firstStartedUs: number | null;
  readonly startedUs: number | null;
  readonly finishedUs: number | null;
  /** The step whose end made it claimable. */
  readonly releasedBy: string | null;
  /** How many ends of attempts are recorded. */
  readonly resultCount: number;
  /** Of the recorded result, as the worker measured it around the handler. */
  readonly runUs: number | null;
  /** How many facts there are of its task and identity: one for each ended life. */
  readonly factCount: number;
  /** The four parts of the life as its fact says; null without a fact. */
  readonly parts: StoredParts | null;
}

export interface StoredParts {
  readonly dependencyWaitUs: number;
  readonly queueWaitUs: number;
  readonly retryUs: number;
  readonly runUs: number;
}

/** What the database holds of a template's tasks: of all there ever were, since the analytics answer for all of them. */
export interface Stored {
  readonly tasks: readonly StoredTask[];
  readonly steps: readonly StoredStep[];
}

/** Reads what is stored of a template, row by row and without any function of the analytics. */
export async function readStored(sql: Sql, template: TemplateName): Promise<Stored> {
  const values = [template.namespace, template.name, template.version];
  const of = `i.namespace_name = $1 and i.task_name = $2 and i.version = $3`;
  const tasks = await sql.query<StoredTask>({
    text: `select t.id, t.state, ${micros("t.created_at")} as "createdUs", ${micros("t.ended_at")} as "endedUs"
      from tasker.tasks t join tasker.analytics_identities i on i.id = t.named_task_id where ${of}`,
    values,
  });
  const steps = await sql.query<StoredStep>({
    text: `with facts as (
        select f.task_id, f.identity_id, count(*) as n, min(f.dependency_wait_us) as dependency_wait,
            min(f.queue_wait_us) as queue_wait, min(f.retry_us) as retry, min(f.run_us) as run
          from tasker.step_facts f join tasker.analytics_identities i on i.id = f.identity_id where ${of} group by 1, 2),
      results as (
        select r.step_id, count(*) as n, max(r.run_us) filter (where r.succeeded) as run
          from tasker.workflow_step_results r group by 1)
      select s.task_id as "taskId", i.step_name as name, s.state, s.life, s.attempt, ${micros("s.created_at")} as "createdUs",
          ${micros("s.ready_at")} as "readyUs", ${micros("s.first_started_at")} as "firstStartedUs",
          ${micros("s.started_at")} as "startedUs", ${micros("s.finished_at")} as "finishedUs", rn.name as "releasedBy",
          coalesce(r.n, 0) as "resultCount", r.run as "runUs", coalesce(f.n, 0) as "factCount",
          case when f.n > 0 then jsonb_build_object('dependencyWaitUs', f.dependency_wait, 'queueWaitUs', f.queue_wait,
            'retryUs', f.retry, 'runUs', f.run) end as parts
        from tasker.workflow_steps s
        join tasker.analytics_identities i on i.id = s.named_step_id
        left join results r on r.step_id = s.id
        left join facts f on f.task_id = s.task_id and f.identity_id = s.named_step_id
        left join tasker.workflow_steps rs on rs.id = s.released_by
        left join tasker.named_steps rn on rn.id = rs.named_step_id
        where ${of}`,
    values,
  });
  return { tasks, steps };
}

function micros(column: string): string {
  return `(extract(epoch from ${column}) * 1000000)::bigint`;
}
