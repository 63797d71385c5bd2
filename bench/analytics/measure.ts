import { AnalyticsQueryService } from "../../src/analytics/analytics-query-service.ts";
import { defaultBottlenecks } from "../../src/analytics/parameters.ts";
import type { Database, Sql } from "../../src/postgres/sql.ts";
import { openBenchPool } from "../support/pool.ts";
import { type Cost, measure, medianCost } from "./cost.ts";
import type { Dataset } from "./dataset.ts";

/** Medians: with the buffers as the calls before left them, and with none. */
export interface CallFigures {
  readonly warm: Cost;
  readonly dropped: Cost;
}

export interface WindowFigures {
  readonly hours: number;
  readonly performance: CallFigures;
  readonly bottlenecks: CallFigures;
  /** The bottlenecks by p95, which needs every histogram. Warm. */
  readonly byPercentile: Cost;
  /** One GROUP BY over the facts. Warm. */
  readonly plain: Cost;
}

const windows = [1, 24, 7 * 24, 30 * 24];
/** What takes longer is not repeated as often. */
const patienceMs = 10_000;

/** Measures each window through the query service, on one connection, and the plain way beside it. */
export async function measureWindows({ url, sql }: Dataset, rounds: number): Promise<readonly WindowFigures[]> {
  const database = openBenchPool(url);
  const service = serviceOn(database);
  try {
    const figures: WindowFigures[] = [];
    for (const hours of windows) {
      const performance = (): Promise<unknown> => service.performance({ hours });
      const bottlenecks = (): Promise<unknown> => service.bottlenecks({ ...defaultBottlenecks, hours });
      const byPercentile = (): Promise<unknown> =>
        service.bottlenecks({ ...defaultBottlenecks, hours, sort: "p95_duration" });
      figures.push({
        hours,
        performance: await measureCall(database, sql, rounds, performance),
        bottlenecks: await measureCall(database, sql, rounds, bottlenecks),
        byPercentile: await warmCost(database, rounds, byPercentile),
        plain: await warmCost(sql, rounds, () => plainWay(sql, hours)),
      });
    }
    return figures;
  } finally {
    await database.close();
  }
}

/** Twenty calls on a new connection, whose plans are made first: the medians of the first five and of the others. */
export async function measureRepetition({ url }: Dataset): Promise<{ firstFive: Cost; later: Cost }> {
  const database = openBenchPool(url);
  const service = serviceOn(database);
  try {
    const costs: Cost[] = [];
    for (let call = 0; call < 20; call++)
      costs.push(await measure(database, () => service.bottlenecks(defaultBottlenecks)));
    return { firstFive: medianCost(costs.slice(0, 5)), later: medianCost(costs.slice(5)) };
  } finally {
    await database.close();
  }
}

function serviceOn(database: Database): AnalyticsQueryService {
  return new AnalyticsQueryService({
    database,
    enginePool: () => ({ used: 0, max: 10, waiting: 0 }),
    thresholds: { errorRate: 0.2, poolUtilization: 0.8, slowStepSeconds: 30 },
  });
}

async function measureCall(
  database: Sql,
  sql: Sql,
  rounds: number,
  call: () => Promise<unknown>,
): Promise<CallFigures> {
  const warm = await warmCost(database, rounds, call);
  const dropped: Cost[] = [];
  for (let round = 0; round < rounds; round++) {
    await sql.query({ text: "select pg_buffercache_evict_all()" });
    dropped.push(await measure(database, call));
  }
  return { warm, dropped: medianCost(dropped) };
}

async function warmCost(database: Sql, rounds: number, call: () => Promise<unknown>): Promise<Cost> {
  const first = await measure(database, call);
  if (first.wallMs > patienceMs) return first;
  const costs: Cost[] = [];
  for (let round = 0; round < rounds; round++) costs.push(await measure(database, call));
  return medianCost(costs);
}

/** The ten slowest steps as one would ask for them without rollups, in one process as the answers are. */
async function plainWay(sql: Sql, hours: number): Promise<object[]> {
  await sql.query({ text: "set max_parallel_workers_per_gather = 0" });
  return sql.query({
    text: `select i.namespace_name, i.task_name, i.version, i.step_name, avg(f.run_us) filter (where f.outcome = 'complete') as mean,
        max(f.run_us) filter (where f.outcome = 'complete'), count(*) filter (where f.outcome = 'error') as errors, count(*) as executions,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (order by f.run_us) filter (where f.outcome = 'complete') as percentiles
      from tasker.step_facts f join tasker.analytics_identities i on i.id = f.identity_id
      where f.ended_at >= date_trunc('minute', now() - $1 * interval '1 hour') and f.outcome in ('complete', 'error')
      group by i.id having count(*) >= 5 order by mean desc nulls last limit 10`,
    values: [hours],
  });
}
