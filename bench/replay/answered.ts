import type { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import type { BottleneckAnalysis, PerformanceMetrics } from "../../src/analytics/answers.ts";
import type { Database, Timestamp } from "../../src/postgres/sql.ts";
import type { TemplateName } from "../../src/workflow/template.ts";

/** The figures of one step, of all steps of its template and not only of the slowest. */
export interface StepFigures {
  readonly name: string;
  readonly averageSeconds: number | null;
  readonly maxSeconds: number | null;
  readonly totalSeconds: number;
  readonly executions: number;
  readonly completed: number;
  readonly failed: number;
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly reopened: number;
  readonly running: number;
  readonly dependencyWaitSeconds: number | null;
  readonly queueWaitSeconds: number | null;
  readonly retrySeconds: number | null;
  readonly lastEndedAt: Timestamp | null;
  /** p50, p95, p99. */
  readonly percentiles: readonly (number | null)[] | null;
}

/** All that the analytics say of one template in one window. */
export interface Answered {
  readonly performance: PerformanceMetrics;
  readonly bottlenecks: readonly BottleneckAnalysis[];
  readonly steps: readonly StepFigures[];
}

export const bottleneckLimit = 100;

/** Asks the analytics everything about a template. The three answers have a snapshot each: nothing may run meanwhile. */
export async function askAnalytics(
  queries: AnalyticsQueryService,
  database: Database,
  template: TemplateName,
  hours: number,
): Promise<Answered> {
  const filter = { namespace: template.namespace, task_name: template.name, version: template.version };
  const { answer: performance } = await queries.performance({ hours, ...filter });
  const bottlenecks: BottleneckAnalysis[] = [];
  for (const sort of ["average_duration", "total_time"] as const) {
    const { answer } = await queries.bottlenecks({ hours, limit: bottleneckLimit, min_executions: 1, sort, ...filter });
    bottlenecks.push(answer);
  }
  return { performance, bottlenecks, steps: await readFigures(database, template, hours) };
}

function readFigures(database: Database, template: TemplateName, hours: number): Promise<StepFigures[]> {
  return database.transaction(
    (sql) =>
      sql.query<StepFigures>({
        text: `with asked as materialized (
            select t.now, tasker.window_start($4, t.now) as since, tasker.filtered_identities($1, $2, $3) as ids
              from (select tasker.clock() as now) t),
          histograms as (
            select h.identity_id, array_agg(h.key) as keys, array_agg(h.n::numeric) as counts
              from asked a cross join lateral tasker.window_histograms(a.since, a.now, a.ids) h group by h.identity_id)
          select f.step_name as name, f.average_duration_seconds as "averageSeconds", f.max_duration_seconds as "maxSeconds",
              f.total_time_seconds as "totalSeconds", f.execution_count as executions, f.completed_count as completed,
              f.error_count as failed, f.attempt_count as attempts, f.failed_attempt_count as "failedAttempts",
              f.reopened_count as reopened, f.running_count as running,
              f.average_dependency_wait_seconds as "dependencyWaitSeconds", f.average_queue_wait_seconds as "queueWaitSeconds",
              f.average_retry_seconds as "retrySeconds", f.last_executed_at as "lastEndedAt",
              tasker.percentiles(h.keys, h.counts, round(f.max_duration_seconds * 1000000)::bigint) as percentiles
            from asked a cross join lateral tasker.step_figures(a.since, a.now, a.ids) f
            left join histograms h on h.identity_id = f.identity_id`,
        values: [template.namespace, template.name, template.version, hours],
      }),
    { isolation: "repeatable read", readOnly: true },
  );
}
