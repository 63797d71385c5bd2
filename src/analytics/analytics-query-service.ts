import type { Database, PoolUsage, Sql, Timestamp } from "../postgres/sql.ts";
import type { BottleneckAnalysis, PerformanceMetrics } from "./answers.ts";
import type { AnalyticsFilter, BottleneckParameters, PerformanceParameters } from "./parameters.ts";
import { assessHealth } from "./health.ts";
import { type Backlog, type BacklogParameters, readBacklog } from "./backlog.ts";
import { type CompareParameters, readComparison, type VersionComparison } from "./compare.ts";
import { readHealthCounts, readMetrics, readPeriodStart } from "./performance-queries.ts";
import { readRankings } from "./bottleneck-queries.ts";
import { type Thresholds, recommend } from "./recommendations.ts";
import { readStepDetail, type StepDetail, type StepParameters } from "./step-detail.ts";
import { readTimeseries, readWindowStart, type Timeseries, type TimeseriesQuestion } from "./timeseries.ts";
import { readSlowdowns } from "./usual.ts";

/** Percentiles of the histograms are this close to the exact nearest rank. */
export const percentileRelativeError = 0.01;

/** An answer, and whether anything is registered under its filter. */
export interface Queried<AnswerType> {
  readonly answer: AnswerType;
  readonly identitiesKnown: boolean;
}

/** Computes the analytics from Postgres. Knows no cache. */
export class AnalyticsQueryService {
  readonly #database: Database;
  readonly #enginePool: () => PoolUsage;
  readonly #thresholds: Thresholds;

  constructor(options: {
    /** A pool of its own: a slow answer must not take a connection from the engine. */
    readonly database: Database;
    /** How busy the engine's pool is. */
    readonly enginePool: () => PoolUsage;
    readonly thresholds: Thresholds;
  }) {
    this.#database = options.database;
    this.#enginePool = options.enginePool;
    this.#thresholds = options.thresholds;
  }

  async performance(parameters: PerformanceParameters): Promise<Queried<PerformanceMetrics>> {
    return this.#inOneSnapshot(parameters, async (sql, now) => {
      const metrics = await readMetrics(sql, parameters, now);
      const counts = await readHealthCounts(sql, parameters, now);
      const health = assessHealth(metrics, counts);
      const { period_start, ...figures } = metrics;
      return {
        ...figures,
        ...health,
        percentile_relative_error: percentileRelativeError,
        ...frame(period_start, now, parameters),
      };
    });
  }

  async bottlenecks(parameters: BottleneckParameters): Promise<Queried<BottleneckAnalysis>> {
    // Before our own queries: they must not be counted as load.
    const { used, max } = this.#enginePool();
    const poolUtilization = max === 0 ? 0 : used / max;
    return this.#inOneSnapshot(parameters, async (sql, now) => {
      const { limit, min_executions, sort } = parameters;
      const period_start = await readPeriodStart(sql, parameters, now);
      const { slow_steps, slow_tasks, alerts } = await readRankings(sql, parameters, now, this.#thresholds);
      const slowdowns = await readSlowdowns(sql, parameters, now);
      const counts = await readHealthCounts(sql, parameters, now);
      const { findings, recommendations } = recommend(alerts, poolUtilization, this.#thresholds, slowdowns);
      const { total_tasks, tasks, total_steps, steps } = counts;
      return {
        slow_steps,
        slow_tasks,
        resource_utilization: {
          database_pool_utilization: poolUtilization,
          system_health: { total_tasks, tasks, total_steps, steps },
        },
        recommendations,
        findings,
        percentile_relative_error: percentileRelativeError,
        limit,
        min_executions,
        sort,
        ...frame(period_start, now, parameters),
      };
    });
  }

  async timeseries(question: TimeseriesQuestion): Promise<Queried<Timeseries>> {
    return this.#inOneSnapshot(question, async (sql, now) => {
      const { hours, bucket, step_name } = question;
      const points = await readTimeseries(sql, question, now);
      const { filters, ...of } = frame(await readWindowStart(sql, hours, now), now, question);
      return {
        bucket,
        percentile_relative_error: percentileRelativeError,
        points,
        ...of,
        filters: { ...filters, step_name },
      };
    });
  }

  async backlog(parameters: BacklogParameters): Promise<Queried<Backlog>> {
    return this.#inOneSnapshot(parameters, (sql, now) => readBacklog(sql, parameters, now));
  }

  /** Null when no template has such a step. */
  async step(parameters: StepParameters): Promise<Queried<StepDetail | null>> {
    return this.#inOneSnapshot(parameters, async (sql, now) => {
      const detail = await readStepDetail(sql, parameters, now);
      if (detail === undefined) return null;
      const { analysis_period_start, ...figures } = detail;
      const { filters, ...of } = frame(analysis_period_start, now, parameters);
      return {
        ...figures,
        percentile_relative_error: percentileRelativeError,
        ...of,
        filters: { ...filters, step_name: parameters.step_name },
      };
    });
  }

  /** Null when one of the versions is not registered. */
  async compare(parameters: CompareParameters): Promise<Queried<VersionComparison | null>> {
    const { namespace, task_name, a, b } = parameters;
    const filter = { namespace, task_name };
    return this.#inOneSnapshot(filter, async (sql, now) => {
      const comparison = await readComparison(sql, parameters, now);
      if (comparison === undefined) return null;
      const { analysis_period_start, ...answer } = comparison;
      return {
        a,
        b,
        ...answer,
        percentile_relative_error: percentileRelativeError,
        ...frame(analysis_period_start, now, filter),
      };
    });
  }

  /**
   * All numbers of an answer come from one snapshot. `now` is read before it is taken: every commit up to then is in it.
   */
  async #inOneSnapshot<AnswerType>(
    filter: AnalyticsFilter & { readonly step_name?: string | undefined },
    work: (sql: Sql, now: Timestamp) => Promise<AnswerType>,
  ): Promise<Queried<AnswerType>> {
    const [clock] = await this.#database.query<{ now: Timestamp }>({ text: "select tasker.clock() as now" });
    if (clock === undefined) throw new Error("the database told no time");
    return this.#database.transaction(
      async (sql) => {
        const answer = await work(sql, clock.now);
        return { answer, identitiesKnown: await isKnown(sql, filter) };
      },
      { isolation: "repeatable read", readOnly: true },
    );
  }
}

async function isKnown(
  sql: Sql,
  { namespace, task_name, version, step_name }: AnalyticsFilter & { readonly step_name?: string | undefined },
): Promise<boolean> {
  const [row] = await sql.query<{ known: boolean }>({
    text: `select coalesce(cardinality(tasker.filtered_identities($1, $2, $3)) > 0, true)
        and ($4::text is null or exists (select 1 from tasker.analytics_identities
          where step_name = $4 and id = any (tasker.filtered_identities($1, $2, $3, $4)))) as known`,
    values: [namespace ?? null, task_name ?? null, version ?? null, step_name ?? null],
  });
  return row?.known ?? false;
}

function frame(periodStart: Timestamp, now: Timestamp, { namespace, task_name, version }: AnalyticsFilter) {
  return {
    analysis_period_start: periodStart,
    analysis_period_end: now,
    calculated_at: now,
    data_through: now,
    filters: { namespace, task_name, version },
  };
}
