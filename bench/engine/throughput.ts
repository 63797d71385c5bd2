import type { Sql, Timestamp } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startBenchApp } from "../support/app.ts";
import { until, within } from "../support/waiting.ts";
import { type Workload, workloads } from "./workloads.ts";

/** How fast a workload went. */
export interface Throughput {
  readonly workload: string;
  readonly tasks: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  /** Of the whole process, its maintenance included. Every statement of the engine is a transaction of its own. */
  readonly transactionsPerStep: number;
}

export interface ThroughputOptions {
  readonly url: string;
  /** About how many steps each workload has. */
  readonly steps: number;
  /** Default: the product's. */
  readonly concurrency?: number | undefined;
}

/** A run that takes longer has come to a halt. */
const patienceMs = 600_000;
const submittedAtOnceMax = 100;

/** The first steps find connections and plans cold; the rate is that of the rest. */
const coldShare = 0.1;

/**
 * Measures each workload: its tasks are queued first; then a process with one worker starts. The rate is that of the steps after
 * the first tenth, by the database's clock: from the end of the last of those to the last end of all.
 */
export async function measureThroughput(sql: Sql, options: ThroughputOptions): Promise<Throughput[]> {
  const counter = new Counter();
  const results: Throughput[] = [];
  for (const workload of workloads(() => counter.add())) {
    const tasks = Math.max(1, Math.round(options.steps / workload.stepsPerTask));
    const steps = tasks * workload.stepsPerTask;
    const since = await timeOf(sql);
    await queue(options.url, workload, tasks);
    const before = await transactions(sql);
    const allRan = counter.expect(steps);
    const app = await startBenchApp({ ...options, definitions: [workload.definition] });
    try {
      await within(systemClock, patienceMs, allRan, `${workload.name} has come to a halt`);
      await until(systemClock, patienceMs, () => haveEnded(sql, since), `${workload.name} does not end`);
    } finally {
      await app.stop();
    }
    results.push({
      workload: workload.name,
      tasks,
      steps,
      stepsPerSecond: await rateSince(sql, since),
      transactionsPerStep: ((await transactions(sql)) - before) / steps,
    });
  }
  return results;
}

/** Counts runs of handlers, and tells when as many as expected have run. */
class Counter {
  #left = 0;
  #onAll: () => void = () => {};

  expect(runs: number): Promise<void> {
    this.#left = runs;
    return new Promise((resolve) => {
      this.#onAll = resolve;
    });
  }

  add(): void {
    this.#left -= 1;
    if (this.#left === 0) this.#onAll();
  }
}

/** Submits tasks in a process that runs none. */
async function queue(url: string, { definition }: Workload, tasks: number): Promise<void> {
  const app = await startBenchApp({ url, definitions: [definition], work: false });
  try {
    for (let left = tasks; left > 0; left -= submittedAtOnceMax) {
      const submissions = Array.from({ length: Math.min(left, submittedAtOnceMax) }, () => ({ input: null }));
      await app.submitter.submit(definition.name, submissions);
    }
  } finally {
    await app.stop();
  }
}

async function timeOf(sql: Sql): Promise<Timestamp> {
  return single(await sql.query<{ now: Timestamp }>({ text: "select tasker.clock() as now" })).now;
}

async function haveEnded(sql: Sql, since: Timestamp): Promise<boolean> {
  const text = "select 1 from tasker.tasks where created_at >= $1 and ended_at is null limit 1";
  const rows = await sql.query({ text, values: [since] });
  return rows.length === 0;
}

/** Transactions of the database so far. Sessions report theirs when they end, at the latest. */
async function transactions(sql: Sql): Promise<number> {
  const rows = await sql.query<{ n: number }>({
    text: "select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()",
  });
  return single(rows).n;
}

async function rateSince(sql: Sql, since: Timestamp): Promise<number> {
  const rows = await sql.query<{ rate: number }>({
    text: `with ends as (
        select finished_at, row_number() over (order by finished_at) as n, count(*) over () as total
          from tasker.workflow_steps where created_at >= $1)
      select (count(*) / extract(epoch from max(finished_at) - min(finished_at)))::double precision as rate
        from ends where n > total * $2::double precision`,
    values: [since, coldShare],
  });
  return single(rows).rate;
}

function single<Row>([row]: readonly Row[]): Row {
  if (row === undefined) throw new Error("the database gave no row");
  return row;
}
