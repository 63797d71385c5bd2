import type { Sql, Timestamp } from "../postgres/sql.ts";
import type { AnswerFrame, Distribution, LifeParts } from "./answers.ts";
import type { AnalyticsFilter } from "./parameters.ts";
import { distribution } from "./performance-queries.ts";
import { readTimeseries, readWindowStart, type TimeseriesPoint } from "./timeseries.ts";
import { chosenBucket, type FixedBucket } from "./timeseries-parameters.ts";

/** Which step. */
export interface StepIdentity {
  readonly namespace: string;
  readonly task_name: string;
  readonly version: string;
  readonly step_name: string;
}

/** `hours` as in a time series: from 1 on. */
export interface StepParameters extends StepIdentity {
  readonly hours: number;
}

/** How many durations lay above `from_seconds` and up to `to_seconds`. */
export interface HistogramBucket {
  readonly from_seconds: number;
  readonly to_seconds: number;
  readonly count: number;
}

/** The figures of a step in one bucket of time. */
export type StepTrendPoint = Pick<
  TimeseriesPoint,
  | "bucket_start"
  | "bucket_end"
  | "is_complete"
  | "step_execution_count"
  | "step_error_count"
  | "step_error_rate"
  | "attempt_count"
  | "failed_attempt_count"
  | "reopened_count"
  | "average_step_duration_seconds"
  | "step_duration"
  | "step_life"
>;

/** A task in which the step lasted about as long as the p95. */
export interface StepExample {
  readonly task_id: string;
  readonly ended_at: Timestamp;
  readonly duration_seconds: number;
}

/** What counts of a step; each as in SlowStep. */
interface StepCounts {
  readonly average_failed_duration_seconds: number | null;
  readonly execution_count: number;
  readonly completed_count: number;
  readonly error_count: number;
  readonly error_rate: number | null;
  readonly last_executed_at: Timestamp | null;
  readonly attempt_count: number;
  readonly failed_attempt_count: number;
  readonly reopened_count: number;
  readonly cancelled_count: number;
  readonly skipped_count: number;
  readonly blocked_count: number;
  readonly resolved_count: number;
  readonly running_count: number;
  readonly oldest_running_seconds: number | null;
  readonly total_time_seconds: number;
  readonly share_of_template_time: number | null;
}

export interface StepDetail extends AnswerFrame, StepCounts {
  readonly filters: AnalyticsFilter & { readonly step_name: string };
  readonly average_duration_seconds: number | null;
  readonly duration: Distribution;
  readonly life: LifeParts;
  /** Of the completed durations, shortest first; what is empty is left out. */
  readonly histogram: readonly HistogramBucket[];
  readonly trend: { readonly bucket: FixedBucket; readonly points: readonly StepTrendPoint[] };
  /** The nearest to the p95 first; empty when their facts are past retention. */
  readonly examples: readonly StepExample[];
  readonly percentile_relative_error: number;
}

type Answered = Omit<StepDetail, Exclude<keyof AnswerFrame, "analysis_period_start"> | "percentile_relative_error">;

interface FiguresRow extends StepCounts {
  readonly id: number;
  readonly average_duration_seconds: number | null;
  readonly max_duration_seconds: number | null;
  readonly average_dependency_wait_seconds: number | null;
  readonly average_queue_wait_seconds: number | null;
  readonly average_retry_seconds: number | null;
}

interface BucketRow extends HistogramBucket {
  readonly key: number;
}

const examplesMax = 5;

/** One step in the window of `hours` that ends at `now`; undefined when no template has such a step. */
export async function readStepDetail(
  sql: Sql,
  { hours, ...step }: StepParameters,
  now: Timestamp,
): Promise<Answered | undefined> {
  const figures = await readFigures(sql, step, hours, now);
  if (figures === undefined) return undefined;
  const { id, average_dependency_wait_seconds, average_queue_wait_seconds, average_retry_seconds, ...row } = figures;
  const { max_duration_seconds, average_duration_seconds, ...counts } = row;
  const buckets = await sql.query<BucketRow>({
    text: "select key, from_seconds, to_seconds, count from tasker.get_histogram($1, $2, $3)",
    values: [id, hours, now],
  });
  const [shape] = await sql.query<{ percentiles: (number | null)[]; p95_key: number | null }>({
    text: `select p as percentiles, tasker.bucket_key(round(p[2] * 1000000)::bigint) as p95_key
      from tasker.percentiles($1, $2::numeric[], ($3::double precision * 1000000)::bigint) p`,
    values: [buckets.map(({ key }) => key), buckets.map(({ count }) => count), max_duration_seconds],
  });
  const analysis_period_start = await readWindowStart(sql, hours, now);
  return {
    analysis_period_start,
    average_duration_seconds,
    duration: distribution(counts.completed_count, shape?.percentiles ?? null, max_duration_seconds),
    ...counts,
    life: {
      dependency_wait_seconds: average_dependency_wait_seconds,
      queue_wait_seconds: average_queue_wait_seconds,
      retry_seconds: average_retry_seconds,
      run_seconds: average_duration_seconds,
    },
    histogram: buckets.map(({ from_seconds, to_seconds, count }) => ({ from_seconds, to_seconds, count })),
    trend: await readTrend(sql, step, hours, now),
    examples: await readExamples(sql, id, shape?.p95_key ?? null, analysis_period_start, now),
  };
}

/** Also of a step that nothing ended of in the window: it may run all the same. */
async function readFigures(
  sql: Sql,
  { namespace, task_name, version, step_name }: StepIdentity,
  hours: number,
  now: Timestamp,
): Promise<FiguresRow | undefined> {
  const zero = ["execution", "completed", "error", "attempt", "failed_attempt", "reopened"];
  const zeroEndings = ["cancelled", "skipped", "blocked", "resolved"];
  const counts = [...zero, ...zeroEndings].map((name) => `coalesce(f.${name}_count, 0) as ${name}_count`).join(", ");
  const [row] = await sql.query<FiguresRow>({
    text: `select i.id, f.average_duration_seconds, f.max_duration_seconds, f.error_rate, f.last_executed_at,
        f.average_dependency_wait_seconds, f.average_queue_wait_seconds, f.average_retry_seconds, f.average_failed_duration_seconds,
        ${counts}, r.running_count, r.oldest_running_seconds, coalesce(f.total_time_seconds, 0) as total_time_seconds,
        f.share_of_template_time
      from tasker.analytics_identities i
      left join tasker.step_figures(tasker.window_start($5, $6), $6, tasker.filtered_identities($1, $2, $3)) f on f.identity_id = i.id
      cross join lateral (
        select count(*) as running_count,
            case when count(*) > 0 then extract(epoch from greatest($6 - min(s.started_at), interval '0'))::double precision end
              as oldest_running_seconds
          from tasker.workflow_steps s where s.state = 'in_progress' and s.named_step_id = i.id) r
      where i.namespace_name = $1 and i.task_name = $2 and i.version = $3 and i.step_name = $4`,
    values: [namespace, task_name, version, step_name, hours, now],
  });
  return row;
}

async function readTrend(sql: Sql, step: StepIdentity, hours: number, now: Timestamp): Promise<StepDetail["trend"]> {
  const bucket = chosenBucket({ hours, bucket: "auto" });
  const points = await readTimeseries(sql, { ...step, hours, bucket }, now);
  return {
    bucket,
    points: points.map((point) => ({
      bucket_start: point.bucket_start,
      bucket_end: point.bucket_end,
      is_complete: point.is_complete,
      step_execution_count: point.step_execution_count,
      step_error_count: point.step_error_count,
      step_error_rate: point.step_error_rate,
      attempt_count: point.attempt_count,
      failed_attempt_count: point.failed_attempt_count,
      reopened_count: point.reopened_count,
      average_step_duration_seconds: point.average_step_duration_seconds,
      step_duration: point.step_duration,
      step_life: point.step_life,
    })),
  };
}

async function readExamples(
  sql: Sql,
  id: number,
  p95Key: number | null,
  from: Timestamp,
  now: Timestamp,
): Promise<StepExample[]> {
  if (p95Key === null) return [];
  return sql.query<StepExample>({
    text: "select task_id, ended_at, duration_seconds from tasker.get_step_examples($1, $2, $3, $4, $5)",
    values: [id, p95Key, from, now, examplesMax],
  });
}
