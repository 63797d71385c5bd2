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

interface RankingsRow {
  readonly slow_steps: readonly SlowStepRow[];
  readonly slow_tasks: readonly SlowTaskRow[];
  readonly alerts: readonly StepAlert[];
}

/** What the figures of a window say. */
export interface Rankings {
  /** In the order of `sort`. */
  readonly slow_steps: SlowStep[];
  readonly slow_tasks: SlowTask[];
  /** The steps, of all in the window, that fail or last beyond the thresholds; the worst first. */
  readonly alerts: readonly StepAlert[];
}

/** The most steps that recommendations speak of. */
const alertsMax = 50;

/** Ranks the steps and tasks of the window that ends at `now`. The figures, most of the work, are read once for all three. */
export async function readRankings(
  sql: Sql,
  { limit, min_executions, sort, hours, namespace, task_name, version }: BottleneckParameters,
  now: Timestamp,
  thresholds: Thresholds,
): Promise<Rankings> {
  const [row] = await sql.query<RankingsRow>({
    text: rankings,
    values: [
      hours,
      now,
      namespace ?? null,
      task_name ?? null,
      version ?? null,
      limit,
      min_executions,
      sort,
      thresholds.errorRate,
      thresholds.slowStepSeconds,
      alertsMax,
    ],
  });
  if (row === undefined) throw new Error("the rankings gave no row");
  return {
    slow_steps: row.slow_steps.map(slowStep),
    slow_tasks: row.slow_tasks.map(({ percentiles, ...task }) => ({ ...task, ...percentileFields(percentiles) })),
    alerts: row.alerts,
  };
}

const rankings = `
  with asked as materialized (
    select tasker.window_start($1, $2) as start, tasker.filtered_identities($3, $4, $5) as ids),
  of_window as materialized (select a.*, tasker.figures_of(a.start, $2, a.ids) as figures from asked a)
  select
    (select coalesce(json_agg(r), '[]') from (
      select s.namespace_name, s.task_name, s.version, s.step_name, s.average_duration_seconds, s.max_duration_seconds,
          s.execution_count, s.completed_count, s.error_count, s.error_rate, tasker.rfc3339(s.last_executed_at) as last_executed_at,
          s.average_dependency_wait_seconds, s.average_queue_wait_seconds, s.average_retry_seconds, s.average_failed_duration_seconds,
          s.attempt_count, s.failed_attempt_count, s.reopened_count, s.cancelled_count, s.skipped_count, s.blocked_count,
          s.resolved_count, s.running_count, s.oldest_running_seconds, s.total_time_seconds, s.share_of_template_time,
          s.critical_path_share, s.percentiles
        from of_window w cross join lateral tasker.slowest_steps(w.figures, w.start, $2, w.ids, $6, $7, $8) s) r) as slow_steps,
    (select coalesce(json_agg(r), '[]') from (
      select t.namespace_name, t.task_name, t.version, t.average_duration_seconds, t.max_duration_seconds, t.execution_count,
          t.completed_count, t.average_step_count, t.error_count, t.error_rate, tasker.rfc3339(t.last_executed_at) as last_executed_at,
          t.failed_step_count, t.cancelled_count, t.resolved_count, t.total_time_seconds, t.percentiles
        from of_window w cross join lateral tasker.slowest_tasks(w.figures, w.start, $2, $6, $7, $8) t) r) as slow_tasks,
    (select coalesce(json_agg(r), '[]') from (
      select f.namespace_name, f.task_name, f.version, f.step_name, f.average_duration_seconds, f.error_rate, f.error_count,
          f.execution_count, f.average_dependency_wait_seconds, f.average_queue_wait_seconds, f.average_retry_seconds,
          f.failed_attempt_count, f.attempt_count
        from of_window w cross join lateral tasker.step_figures_of(w.figures, $2) f
        where f.execution_count >= $7 and (f.error_rate > $9 or f.average_duration_seconds > $10)
        order by f.error_rate desc nulls last, f.average_duration_seconds desc nulls last,
          f.namespace_name, f.task_name, f.version, f.step_name
        limit $11) r) as alerts`;

function slowStep({
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
}: SlowStepRow): SlowStep {
  return {
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
  };
}

function percentileFields(percentiles: readonly (number | null)[] | null) {
  const [p50 = null, p95 = null, p99 = null] = percentiles ?? [];
  return { p50_duration_seconds: p50, p95_duration_seconds: p95, p99_duration_seconds: p99 };
}
