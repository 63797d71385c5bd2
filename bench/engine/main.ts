/** Throughput and latency of the engine: `node --import tsx bench/engine/main.ts`; docs/benchmarks.md. */
import type { Sql } from "../../src/postgres/sql.ts";
import { startBenchApp } from "../support/app.ts";
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeSetting } from "../support/machine.ts";
import { openBenchPool } from "../support/pool.ts";
import { runBenchmark } from "../support/run.ts";
import { median, nearestRank } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { measureLatency } from "./latency.ts";
import { measureThroughput, type Throughput } from "./throughput.ts";

interface Options {
  readonly rounds: number;
  readonly steps: number;
  readonly chains: number;
  readonly concurrency: number;
}

await runBenchmark((args) => {
  const { values } = readFlags(args, {
    rounds: { min: 1, max: 100, default: 3 },
    steps: { min: 100, max: 1_000_000, default: 5000 },
    chains: { min: 10, max: 10_000, default: 100 },
    concurrency: { min: 1, max: 1000, default: 20 },
  });
  return withBenchDatabase(async ({ url }) => {
    const pool = openBenchPool(url);
    try {
      await measure(pool, url, values);
      return 0;
    } finally {
      await pool.close();
    }
  });
});

async function measure(sql: Sql, url: string, options: Options): Promise<void> {
  console.log(`${await describeSetting(sql)}, one worker, ${options.concurrency} handlers at once\n`);
  // Migrates.
  await (await startBenchApp({ url, definitions: [], work: false })).stop();
  const rounds: Throughput[][] = [];
  for (let round = 0; round < options.rounds; round++) rounds.push(await measureThroughput(sql, { ...options, url }));
  console.log(throughputReport(rounds));

  const { stepToStepMs, submitToStartMs, commitMs } = await measureLatency(sql, url, options.chains);
  const row = (what: string, ms: readonly number[]): string[] => [
    what,
    String(ms.length),
    nearestRank(ms, 50).toFixed(2),
    nearestRank(ms, 99).toFixed(2),
  ];
  const rows = [
    row("a step's end to its dependant's start", stepToStepMs),
    row("submit to the first step's start", submitToStartMs),
    row("a commit alone, for comparison", commitMs),
  ];
  console.log(`\n${table(["idle, one chain of 10 at a time", "samples", "median ms", "p99 ms"], rows)}`);
}

/** A line for each workload with the medians of the rounds. */
function throughputReport(rounds: readonly (readonly Throughput[])[]): string {
  const [first = []] = rounds;
  const rows = first.map(({ workload, tasks, steps }, index) => {
    const of = (figure: (one: Throughput) => number): number[] =>
      rounds.flatMap((round) => round.slice(index, index + 1).map(figure));
    const rates = of((one) => one.stepsPerSecond);
    const range = `${Math.min(...rates).toFixed(0)}-${Math.max(...rates).toFixed(0)}`;
    const transactions = median(of((one) => one.transactionsPerStep)).toFixed(3);
    return [workload, String(tasks), String(steps), median(rates).toFixed(0), range, transactions];
  });
  return table(
    ["queued, then run", "tasks", "steps", "steps/s", `of ${rounds.length} rounds`, "transactions/step"],
    rows,
  );
}
