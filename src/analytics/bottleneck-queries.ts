import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { SlowStep, SlowTask } from "./answers.ts";
import type { BottleneckParameters } from "./parameters.ts";
import type { StepAlert, Thresholds } from "./recommendations.ts";

interface SlowStepRow extends Omit<
  SlowStep,
  "life" | "p50_duration_seconds" | "p95_duration_seconds" | "p99_duration_seconds"
> {
  readonly average_dependency_wait_seconds: number | null;
  readonly average_queue_wait_seconds: number | null;
  readonly average_retry_seconds: number | null;
  readonly percentiles: readonly (number | null)[] | null;
}

/** The slowest steps of the window that ends at `now`, in the order of `sort`. */
export async function readSlowSteps(sql: Sql, parameters: BottleneckParameters, now: Timestamp): Promise<SlowStep[]> {
  const rows = await sql.query<SlowStepRow>({
    text: `select namespace_name, task_name, version, step_name, average_duration_seconds, max_duration_seconds, execution_count,
        completed_count, error_count, error_rate, last_executed_at, average_dependency_wait_seconds, average_queue_wait_seconds,
        average_retry_seconds, average_failed_duration_seconds, attempt_count, failed_attempt_count, reopened_count,
        cancelled_count, skipped_count, blocked_count, resolved_count, running_count, oldest_running_seconds, total_time_seconds,
        share_of_template_time, critical_path_share, percentiles
      from tasker.get_slowest_steps_aggregated($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: valuesOf(parameters, now),
  });
  return rows.map(
    ({
      percentiles,
      average_dependency_wait_seconds,
      average_queue_wait_seconds,
      average_retry_seconds,
      namespace_name,
      task_name,
      version,
      step_name,
      average_duration_seconds,
      max_duration_seconds,
      ...row
    }) => ({
      namespace_name,
      task_name,
      version,
      step_name,
      average_duration_seconds,
      max_duration_seconds,
      ...percentileFields(percentiles),
      ...row,
      life: {
        dependency_wait_seconds: average_dependency_wait_seconds,
        queue_wait_seconds: average_queue_wait_seconds,
        retry_seconds: average_retry_seconds,
        run_seconds: average_duration_seconds,
      },
    }),
  );
}

/** The same steps with what runs of them at `now`, which another snapshot than theirs may tell. */
export async function renewRunning(sql: Sql, steps: readonly SlowStep[], now: Timestamp): Promise<SlowStep[]> {
  if (steps.length === 0) return [];
  // In the words of tasker.step_figures.
  const rows = await sql.query<Pick<SlowStep, "running_count" | "oldest_running_seconds">>({
    text: `with wanted as (
        select w.place, i.id from unnest($1::text[], $2::text[], $3::text[], $4::text[])
            with ordinality w(namespace_name, task_name, version, step_name, place)
          left join tasker.analytics_identities i using (namespace_name, task_name, version, step_name)),
      running as (
        select named_step_id, count(*) as n, extract(epoch from greatest($5::timestamptz - min(started_at), interval '0'))::double precision as oldest
          from tasker.workflow_steps where state = 'in_progress' and named_step_id = any (array(select id from wanted))
          group by named_step_id)
      select coalesce(r.n, 0) as running_count, r.oldest as oldest_running_seconds
        from wanted w left join running r on r.named_step_id = w.id order by w.place`,
    values: [
      ...(["namespace_name", "task_name", "version", "step_name"] as const).map((name) =>
        steps.map((step) => step[name]),
      ),
      now,
    ],
  });
  return steps.map((step, index) => ({ ...step, ...rows[index] }));
}

type SlowTaskRow = Omit<SlowTask, "p50_duration_seconds" | "p95_duration_seconds" | "p99_duration_seconds"> & {
  readonly percentiles: readonly (number | null)[] | null;
};

/** The slowest tasks of the window that ends at `now`. */
export async function readSlowTasks(sql: Sql, parameters: BottleneckParameters, now: Timestamp): Promise<SlowTask[]> {
  const rows = await sql.query<SlowTaskRow>({
    text: `select namespace_name, task_name, version, average_duration_seconds, max_duration_seconds, execution_count,
        completed_count, average_step_count, error_count, error_rate, last_executed_at, failed_step_count, cancelled_count,
        resolved_count, total_time_seconds, percentiles
      from tasker.get_slowest_tasks_aggregated($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: valuesOf(parameters, now),
  });
  return rows.map(({ percentiles, ...row }) => ({ ...row, ...percentileFields(percentiles) }));
}

/** The most steps that recommendations speak of. */
const alertsMax = 50;

/** The steps, of all in the window, that fail or last beyond the thresholds; the worst first. */
export async function readAlerts(
  sql: Sql,
  { hours, min_executions, namespace, task_name, version }: BottleneckParameters,
  now: Timestamp,
  thresholds: Thresholds,
): Promise<StepAlert[]> {
  return sql.query<StepAlert>({
    text: `select namespace_name, task_name, version, step_name, average_duration_seconds, error_rate, error_count, execution_count,
        average_dependency_wait_seconds, average_queue_wait_seconds, average_retry_seconds, failed_attempt_count, attempt_count
      from tasker.step_figures(tasker.window_start($1, $2), $2, tasker.filtered_identities($3, $4, $5))
      where execution_count >= $6 and (error_rate > $7 or average_duration_seconds > $8)
      order by error_rate desc nulls last, average_duration_seconds desc nulls last, namespace_name, task_name, version, step_name
      limit $9`,
    values: [
      hours,
      now,
      namespace ?? null,
      task_name ?? null,
      version ?? null,
      min_executions,
      thresholds.errorRate,
      thresholds.slowStepSeconds,
      alertsMax,
    ],
  });
}

function valuesOf(p: BottleneckParameters, now: Timestamp): unknown[] {
  return [p.limit, p.min_executions, p.hours, p.namespace ?? null, p.task_name ?? null, p.version ?? null, p.sort, now];
}

function percentileFields(percentiles: readonly (number | null)[] | null) {
  const [p50 = null, p95 = null, p99 = null] = percentiles ?? [];
  return { p50_duration_seconds: p50, p95_duration_seconds: p95, p99_duration_seconds: p99 };
}
