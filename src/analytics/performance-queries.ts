import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { StepState, TaskState } from "../workflow/states.ts";
import type { Distribution, PerformanceMetrics } from "./answers.ts";
import type { AnalyticsFilter, PerformanceParameters } from "./parameters.ts";

/** The metrics of a window before the health is assessed. */
export type WindowMetrics = Omit<
  PerformanceMetrics,
  | "system_health_score"
  | "health_factors"
  | "percentile_relative_error"
  | "analysis_period_start"
  | "analysis_period_end"
  | "calculated_at"
  | "data_through"
  | "filters"
> & { readonly period_start: Timestamp };

interface MetricsRow {
  total_tasks: number;
  active_tasks: number;
  completed_tasks: number;
  failed_tasks: number;
  cancelled_tasks: number;
  resolved_tasks: number;
  completion_rate: number | null;
  error_rate: number | null;
  step_executions: number;
  failed_steps: number;
  completed_steps: number;
  attempt_count: number;
  failed_attempt_count: number;
  reopened_count: number;
  average_task_duration_seconds: number | null;
  max_task_duration_seconds: number | null;
  task_percentiles: (number | null)[] | null;
  average_step_duration_seconds: number | null;
  max_step_duration_seconds: number | null;
  step_percentiles: (number | null)[] | null;
  average_dependency_wait_seconds: number | null;
  average_queue_wait_seconds: number | null;
  average_retry_seconds: number | null;
  tasks_per_hour: number;
  steps_per_hour: number;
  period_start: Timestamp;
}

/** Reads the metrics of the window of `hours` that ends at `now`. */
export async function readMetrics(
  sql: Sql,
  { hours, namespace, task_name, version }: Pick<PerformanceParameters, "hours"> & AnalyticsFilter,
  now: Timestamp,
): Promise<WindowMetrics> {
  const [row] = await sql.query<MetricsRow>({
    text: `select total_tasks, active_tasks, completed_tasks, failed_tasks, cancelled_tasks, resolved_tasks, completion_rate,
        error_rate, step_executions, failed_steps, completed_steps, attempt_count, failed_attempt_count, reopened_count,
        average_task_duration_seconds, max_task_duration_seconds, task_percentiles, average_step_duration_seconds,
        max_step_duration_seconds, step_percentiles, average_dependency_wait_seconds, average_queue_wait_seconds,
        average_retry_seconds, tasks_per_hour, steps_per_hour, period_start
      from tasker.get_analytics_metrics($1, $2, $3, $4, $5)`,
    values: [hours, namespace ?? null, task_name ?? null, version ?? null, now],
  });
  if (row === undefined) throw new Error("tasker.get_analytics_metrics gave no row");
  return {
    total_tasks: row.total_tasks,
    active_tasks: row.active_tasks,
    completed_tasks: row.completed_tasks,
    failed_tasks: row.failed_tasks,
    cancelled_tasks: row.cancelled_tasks,
    resolved_tasks: row.resolved_tasks,
    completion_rate: row.completion_rate,
    error_rate: row.error_rate,
    average_task_duration_seconds: row.average_task_duration_seconds,
    average_step_duration_seconds: row.average_step_duration_seconds,
    task_duration: distribution(row.completed_tasks, row.task_percentiles, row.max_task_duration_seconds),
    step_duration: distribution(row.completed_steps, row.step_percentiles, row.max_step_duration_seconds),
    step_life: {
      dependency_wait_seconds: row.average_dependency_wait_seconds,
      queue_wait_seconds: row.average_queue_wait_seconds,
      retry_seconds: row.average_retry_seconds,
      run_seconds: row.average_step_duration_seconds,
    },
    step_execution_count: row.step_executions,
    step_error_count: row.failed_steps,
    attempt_count: row.attempt_count,
    failed_attempt_count: row.failed_attempt_count,
    reopened_count: row.reopened_count,
    tasks_per_hour: row.tasks_per_hour,
    steps_per_hour: row.steps_per_hour,
    period_start: row.period_start,
  };
}

/** When the window of `hours` that ends at `now` begins: for all history, when the first task was accepted. */
export async function readPeriodStart(
  sql: Sql,
  { hours, namespace, task_name, version }: Pick<PerformanceParameters, "hours"> & AnalyticsFilter,
  now: Timestamp,
): Promise<Timestamp> {
  const [row] = await sql.query<{ period_start: Timestamp }>({
    text: `select coalesce(tasker.window_start($1, $5),
        (select min(first_at) from tasker.current_counts(tasker.filtered_identities($2, $3, $4))
          where subject = 'task' and $1 = 0), $5) as period_start`,
    values: [hours, namespace ?? null, task_name ?? null, version ?? null, now],
  });
  if (row === undefined) throw new Error("tasker.window_start gave no row");
  return row.period_start;
}

/** A distribution of `size` durations by its percentiles (p50, p95, p99) and its maximum. */
export function distribution(size: number, percentiles: (number | null)[] | null, max: number | null): Distribution {
  const [p50 = null, p95 = null, p99 = null] = percentiles ?? [];
  return { sample_size: size, p50_seconds: p50, p95_seconds: p95, p99_seconds: p99, max_seconds: max };
}

/** What exists and runs now. */
export interface HealthCounts {
  readonly total_tasks: number;
  readonly tasks: Readonly<Record<TaskState, number>>;
  readonly total_steps: number;
  readonly steps: Readonly<Record<StepState, number>>;
  readonly running_steps: number;
  readonly running_steps_alive: number;
  /** Null when nothing is claimable. */
  readonly oldest_claimable_seconds: number | null;
}

export async function readHealthCounts(
  sql: Sql,
  { namespace, task_name, version }: AnalyticsFilter,
  now: Timestamp,
): Promise<HealthCounts> {
  const [row] = await sql.query<HealthCounts>({
    text: `select total_tasks, tasks, total_steps, steps, running_steps, running_steps_alive, oldest_claimable_seconds
      from tasker.get_system_health_counts($1, $2, $3, $4)`,
    values: [namespace ?? null, task_name ?? null, version ?? null, now],
  });
  if (row === undefined) throw new Error("tasker.get_system_health_counts gave no row");
  return row;
}
