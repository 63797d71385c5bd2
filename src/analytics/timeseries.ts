import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { AnswerFrame, Distribution, LifeParts } from "./answers.ts";
import type { AnalyticsFilter } from "./parameters.ts";
import { distribution } from "./performance-queries.ts";
import type { FixedBucket } from "./timeseries-parameters.ts";

/** The figures of one bucket, as PerformanceMetrics has them of a window. */
export interface TimeseriesPoint {
  readonly bucket_start: Timestamp;
  readonly bucket_end: Timestamp;
  /** False for a bucket that the window holds only a part of: the first, when it began before, and the last. */
  readonly is_complete: boolean;
  readonly completed_tasks: number;
  readonly failed_tasks: number;
  readonly cancelled_tasks: number;
  readonly resolved_tasks: number;
  readonly completion_rate: number | null;
  readonly error_rate: number | null;
  readonly average_task_duration_seconds: number | null;
  readonly task_duration: Distribution;
  readonly step_execution_count: number;
  readonly step_error_count: number;
  readonly step_error_rate: number | null;
  readonly attempt_count: number;
  readonly failed_attempt_count: number;
  readonly reopened_count: number;
  readonly average_step_duration_seconds: number | null;
  readonly step_duration: Distribution;
  readonly step_life: LifeParts;
}

/** What ended, bucket by bucket: the sums are those of PerformanceMetrics over the same window. */
export interface Timeseries extends AnswerFrame {
  readonly filters: AnalyticsFilter & { readonly step_name?: string | undefined };
  readonly bucket: FixedBucket;
  readonly percentile_relative_error: number;
  readonly points: readonly TimeseriesPoint[];
}

interface PointRow extends Omit<TimeseriesPoint, "task_duration" | "step_duration" | "step_life"> {
  readonly max_task_duration_seconds: number | null;
  readonly task_percentiles: (number | null)[] | null;
  readonly step_completed_count: number;
  readonly max_step_duration_seconds: number | null;
  readonly step_percentiles: (number | null)[] | null;
  readonly average_dependency_wait_seconds: number | null;
  readonly average_queue_wait_seconds: number | null;
  readonly average_retry_seconds: number | null;
}

/** What a series is about. */
export interface TimeseriesQuestion extends AnalyticsFilter {
  readonly hours: number;
  readonly bucket: FixedBucket;
  readonly step_name?: string | undefined;
}

/** The points of the window of `hours` that ends at `now`, oldest first, none left out. */
export async function readTimeseries(
  sql: Sql,
  { hours, bucket, namespace, task_name, version, step_name }: TimeseriesQuestion,
  now: Timestamp,
): Promise<TimeseriesPoint[]> {
  const rows = await sql.query<PointRow>({
    text: `select bucket_start, bucket_end, is_complete, completed_tasks, failed_tasks, cancelled_tasks, resolved_tasks,
        completion_rate, error_rate, average_task_duration_seconds, max_task_duration_seconds, task_percentiles,
        step_execution_count, step_completed_count, step_error_count, step_error_rate, attempt_count, failed_attempt_count,
        reopened_count, average_step_duration_seconds, max_step_duration_seconds, step_percentiles,
        average_dependency_wait_seconds, average_queue_wait_seconds, average_retry_seconds
      from tasker.get_analytics_timeseries($1, $2, $3, $4, $5, $6, $7)`,
    values: [hours, bucket, namespace ?? null, task_name ?? null, version ?? null, step_name ?? null, now],
  });
  return rows.map((row) => ({
    bucket_start: row.bucket_start,
    bucket_end: row.bucket_end,
    is_complete: row.is_complete,
    completed_tasks: row.completed_tasks,
    failed_tasks: row.failed_tasks,
    cancelled_tasks: row.cancelled_tasks,
    resolved_tasks: row.resolved_tasks,
    completion_rate: row.completion_rate,
    error_rate: row.error_rate,
    average_task_duration_seconds: row.average_task_duration_seconds,
    task_duration: distribution(row.completed_tasks, row.task_percentiles, row.max_task_duration_seconds),
    step_execution_count: row.step_execution_count,
    step_error_count: row.step_error_count,
    step_error_rate: row.step_error_rate,
    attempt_count: row.attempt_count,
    failed_attempt_count: row.failed_attempt_count,
    reopened_count: row.reopened_count,
    average_step_duration_seconds: row.average_step_duration_seconds,
    step_duration: distribution(row.step_completed_count, row.step_percentiles, row.max_step_duration_seconds),
    step_life: {
      dependency_wait_seconds: row.average_dependency_wait_seconds,
      queue_wait_seconds: row.average_queue_wait_seconds,
      retry_seconds: row.average_retry_seconds,
      run_seconds: row.average_step_duration_seconds,
    },
  }));
}

/** Where the window of `hours` that ends at `now` begins. */
export async function readWindowStart(sql: Sql, hours: number, now: Timestamp): Promise<Timestamp> {
  const [row] = await sql.query<{ period_start: Timestamp }>({
    text: "select tasker.window_start($1, $2) as period_start",
    values: [hours, now],
  });
  if (row === undefined) throw new Error("tasker.window_start gave no row");
  return row.period_start;
}
