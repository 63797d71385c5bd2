import type { Database, PoolUsage, Sql, Timestamp } from "../postgres/sql.ts";
import type { BottleneckAnalysis, PerformanceMetrics } from "./answers.ts";
import type { AnalyticsFilter, BottleneckParameters, PerformanceParameters } from "./parameters.ts";
import { type Backlog, type BacklogParameters, readBacklog } from "./backlog.ts";
import { type CompareParameters, readComparison, type VersionComparison } from "./compare.ts";
import { assessHealth } from "./health.ts";
import { readHealthCounts, readMetrics, readPeriodStart } from "./performance-queries.ts";
import { readRankings, renewRunning } from "./bottleneck-queries.ts";
import { type AnalyticsReplica, type Moment, readPrimaryMark } from "./replica.ts";
import { type Thresholds, recommend } from "./recommendations.ts";
import { readStepDetail, type StepDetail, type StepParameters } from "./step-detail.ts";
import { readTimeseries, type Timeseries, type TimeseriesQuestion } from "./timeseries.ts";
import { readSlowdowns } from "./usual.ts";

/** Percentiles of the histograms are this close to the exact nearest rank. */
export const percentileRelativeError = 0.01;

/** An answer, and whether anything is registered under its filter. */
export interface Queried<AnswerType> {
  readonly answer: AnswerType;
  readonly identitiesKnown: boolean;
}

export interface AnalyticsQueryServiceOptions {
  /** A pool of its own: a slow answer must not take a connection from the engine. */
  readonly database: Database;
  /** Answers instead of `database` whenever it can. */
  readonly replica?: AnalyticsReplica | undefined;
  /** How busy the engine's pool is. */
  readonly enginePool: () => PoolUsage;
  readonly thresholds: Thresholds;
}

type StepFilter = AnalyticsFilter & { readonly step_name?: string | undefined };

/** What was read, and what it is about. */
interface Reading<Read> {
  readonly read: Read;
  readonly identitiesKnown: boolean;
  /** Every commit up to then is in it; the end of the window. */
  readonly dataThrough: Timestamp;
  /** The time of what is told of the present. */
  readonly calculatedAt: Timestamp;
}

/** Computes the analytics from Postgres. Knows no cache. */
export class AnalyticsQueryService {
  readonly #options: AnalyticsQueryServiceOptions;

  constructor(options: AnalyticsQueryServiceOptions) {
    this.#options = options;
  }

  async performance(parameters: PerformanceParameters): Promise<Queried<PerformanceMetrics>> {
    const reading = await this.#read(
      parameters,
      async ({ sql, now }) => {
        const metrics = await readMetrics(sql, parameters, now);
        return { metrics, counts: await readHealthCounts(sql, parameters, now) };
      },
      async ({ sql, now }, { metrics }) => ({ metrics, counts: await readHealthCounts(sql, parameters, now) }),
    );
    const { metrics, counts } = reading.read;
    const { period_start, ...figures } = metrics;
    return queried(reading, {
      ...figures,
      ...assessHealth(metrics, counts),
      percentile_relative_error: percentileRelativeError,
      ...frame(period_start, reading, parameters),
    });
  }

  async bottlenecks(parameters: BottleneckParameters): Promise<Queried<BottleneckAnalysis>> {
    const { enginePool, thresholds } = this.#options;
    const { limit, min_executions, sort } = parameters;
    // Before our own queries: they must not be counted as load.
    const { used, max } = enginePool();
    const poolUtilization = max === 0 ? 0 : used / max;
    const reading = await this.#read(
      parameters,
      async ({ sql, now }) => {
        const period_start = await readPeriodStart(sql, parameters, now);
        const { slow_steps, slow_tasks, alerts } = await readRankings(sql, parameters, now, thresholds);
        const slowdowns = await readSlowdowns(sql, parameters, now);
        const counts = await readHealthCounts(sql, parameters, now);
        return { period_start, slow_steps, slow_tasks, alerts, slowdowns, counts };
      },
      async ({ sql, now }, past) => ({ ...past, slow_steps: await renewRunning(sql, past.slow_steps, now) }),
    );
    const { period_start, slow_steps, slow_tasks, alerts, slowdowns, counts } = reading.read;
    const { findings, recommendations } = recommend(alerts, poolUtilization, thresholds, slowdowns);
    const { total_tasks, tasks, total_steps, steps } = counts;
    return queried(reading, {
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
      ...frame(period_start, reading, parameters),
    });
  }

  async timeseries(question: TimeseriesQuestion): Promise<Queried<Timeseries>> {
    const { hours, bucket, step_name } = question;
    const reading = await this.#read(question, async ({ sql, now }) => ({
      period_start: await readPeriodStart(sql, { hours }, now),
      points: await readTimeseries(sql, question, now),
    }));
    const { period_start, points } = reading.read;
    const { filters, ...of } = frame(period_start, reading, question);
    return queried(reading, {
      bucket,
      percentile_relative_error: percentileRelativeError,
      points,
      ...of,
      filters: { ...filters, step_name },
    });
  }

  /** Speaks of the present alone: always of the primary. */
  async backlog(parameters: BacklogParameters): Promise<Queried<Backlog>> {
    const reading = await this.#readPrimary(parameters, ({ sql, now }) => readBacklog(sql, parameters, now));
    return queried(reading, reading.read);
  }

  /** Null when no template has such a step. Of the primary: it tells of running steps and of tasks to look at. */
  async step(parameters: StepParameters): Promise<Queried<StepDetail | null>> {
    const reading = await this.#readPrimary(parameters, ({ sql, now }) => readStepDetail(sql, parameters, now));
    if (reading.read === undefined) return queried(reading, null);
    const { analysis_period_start, ...figures } = reading.read;
    const { filters, ...of } = frame(analysis_period_start, reading, parameters);
    return queried(reading, {
      ...figures,
      percentile_relative_error: percentileRelativeError,
      ...of,
      filters: { ...filters, step_name: parameters.step_name },
    });
  }

  /** Null when one of the versions is not registered. */
  async compare(parameters: CompareParameters): Promise<Queried<VersionComparison | null>> {
    const { namespace, task_name, a, b } = parameters;
    const filter = { namespace, task_name };
    const reading = await this.#read(filter, ({ sql, now }) => readComparison(sql, parameters, now));
    if (reading.read === undefined) return queried(reading, null);
    const { analysis_period_start, ...answer } = reading.read;
    return queried(reading, {
      a,
      b,
      ...answer,
      percentile_relative_error: percentileRelativeError,
      ...frame(analysis_period_start, reading, filter),
    });
  }

  /**
   * Reads everything in one snapshot of the primary; or in one of the replica and then, from the primary, anew what is
   * told of the present: `renew` gets what the replica read and puts the primary's numbers in their places.
   */
  async #read<Read>(
    filter: StepFilter,
    read: (at: Moment) => Promise<Read>,
    renew: (at: Moment, past: Read) => Promise<Read> = (_at, past) => Promise.resolve(past),
  ): Promise<Reading<Read>> {
    const { database, replica } = this.#options;
    const readAll = withFilter(filter, read);
    const past = await replica?.read(await readPrimaryMark(database), readAll);
    if (past === undefined) return this.#readPrimary(filter, read);
    const { identitiesKnown } = past.read;
    const present = await this.#inOneSnapshot((at) => renew(at, past.read.read));
    return { read: present.read, identitiesKnown, dataThrough: past.heartbeat, calculatedAt: present.now };
  }

  async #readPrimary<Read>(filter: StepFilter, read: (at: Moment) => Promise<Read>): Promise<Reading<Read>> {
    const { read: answer, now } = await this.#inOneSnapshot(withFilter(filter, read));
    return { ...answer, dataThrough: now, calculatedAt: now };
  }

  /** Of the primary. `now` is read before the snapshot is taken: every commit up to then is in it. */
  async #inOneSnapshot<Read>(
    work: (at: Moment) => Promise<Read>,
  ): Promise<{ readonly read: Read; readonly now: Timestamp }> {
    const { database } = this.#options;
    const [clock] = await database.query<{ now: Timestamp }>({ text: "select tasker.clock() as now" });
    if (clock === undefined) throw new Error("the database told no time");
    const { now } = clock;
    const options = { isolation: "repeatable read", readOnly: true } as const;
    return { read: await database.transaction((sql) => work({ sql, now }), options), now };
  }
}

function queried<AnswerType>({ identitiesKnown }: Reading<unknown>, answer: AnswerType): Queried<AnswerType> {
  return { answer, identitiesKnown };
}

function withFilter<Read>(filter: StepFilter, read: (at: Moment) => Promise<Read>) {
  return async (at: Moment) => ({ read: await read(at), identitiesKnown: await isKnown(at.sql, filter) });
}

async function isKnown(sql: Sql, { namespace, task_name, version, step_name }: StepFilter): Promise<boolean> {
  const [row] = await sql.query<{ known: boolean }>({
    text: `select coalesce(cardinality(tasker.filtered_identities($1, $2, $3)) > 0, true)
        and ($4::text is null or exists (select 1 from tasker.analytics_identities
          where step_name = $4 and id = any (tasker.filtered_identities($1, $2, $3, $4)))) as known`,
    values: [namespace ?? null, task_name ?? null, version ?? null, step_name ?? null],
  });
  return row?.known ?? false;
}

function frame(
  periodStart: Timestamp,
  { dataThrough, calculatedAt }: Reading<unknown>,
  { namespace, task_name, version }: AnalyticsFilter,
) {
  return {
    analysis_period_start: periodStart,
    analysis_period_end: dataThrough,
    calculated_at: calculatedAt,
    data_through: dataThrough,
    filters: { namespace, task_name, version },
  };
}
