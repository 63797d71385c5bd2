/** The engine beside others, throughput and latency: `node --import tsx bench/engine/main.ts`; docs/benchmarks.md. */
import { describeSetting } from "../support/machine.ts";
import { withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { openBenchPool } from "../support/pool.ts";
import { runBenchmark } from "../support/run.ts";
import { type Fleet, withFleets } from "./fleet.ts";
import { type Latencies, measureLatency, timeCommits } from "./latency.ts";
import { type Cell, costReport, latencyReport, throughputReport } from "./report.ts";
import { measureThroughput, type Throughput } from "./throughput.ts";
import { nameOf, type Workload } from "./workloads.ts";

interface Options {
  readonly rounds: number;
  readonly steps: number;
  readonly processes: number;
  readonly chains: number;
  readonly chainsMs: number;
  readonly concurrency: number;
}

await runBenchmark((args) => {
  const { trace, rest } = traceIn(args);
  const { values } = readFlags(rest, {
    rounds: { min: 1, max: 100, default: 3 },
    steps: { min: 10, max: 1_000_000, default: 1000 },
    processes: { min: 1, max: 64, default: 4 },
    chains: { min: 1, max: 10_000, default: 100 },
    "chains-ms": { min: 1, max: 3_600_000, default: 10_000 },
    concurrency: { min: 1, max: 1000, default: 20 },
  });
  const options = { ...values, chainsMs: values["chains-ms"] };
  return withBenchDatabase(async ({ url }) => {
    const pool = openBenchPool(url);
    try {
      console.log(`${await describeSetting(pool)}, ${options.concurrency} handlers at once in each process\n`);
      const commitMs = await timeCommits(pool, options.chains);
      await withFleets(url, options, (fleets) => measure(fleets, options, trace, commitMs));
    } finally {
      await pool.close();
    }
    return 0;
  });
});

/** The value of --trace, a file, and the flags that take numbers. */
function traceIn(args: readonly string[]): { readonly trace: string | undefined; readonly rest: readonly string[] } {
  const at = args.indexOf("--trace");
  if (at < 0) return { trace: undefined, rest: args };
  const trace = args[at + 1];
  if (trace === undefined) throw new Error("--trace should be a file in WfFormat, got nothing");
  return { trace, rest: args.toSpliced(at, 2) };
}

async function measure(
  fleets: readonly Fleet[],
  options: Options,
  trace: string | undefined,
  commitMs: readonly number[],
): Promise<void> {
  for (const { contender } of fleets) console.log(`${contender.name}: ${contender.means}`);
  const workloads: Workload[] = [{ kind: "single" }, { kind: "chain" }, { kind: "fan" }];
  if (trace === undefined) console.log("left out: a recorded execution, which --trace names");
  else workloads.push({ kind: "trace", file: trace });
  const counts = [1, 2, 4, 8, 16, 32, 64].filter((count) => count <= options.processes);
  const cells: Cell[] = [];
  for (const workload of workloads) {
    for (const processes of counts) cells.push(await measureCell(fleets, workload, processes, options));
  }
  console.log(`\n${throughputReport(cells)}\n\n${costReport(cells)}`);
  const latencies = new Map<string, Latencies>();
  for (const fleet of fleets) {
    latencies.set(fleet.contender.name, await measureLatency(fleet, options.chains, options.chainsMs));
  }
  console.log(`\n${latencyReport(latencies, commitMs)}`);
}

/** All contenders in each round, in turn; each round begins with another one. */
async function measureCell(
  all: readonly Fleet[],
  workload: Workload,
  processes: number,
  { rounds, steps }: Options,
): Promise<Cell> {
  const fleets = all.filter(({ contender }) => contender.runsTraces || workload.kind !== "trace");
  const byContender = new Map<string, Throughput[]>(fleets.map(({ contender }) => [contender.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < fleets.length; turn++) {
      const fleet = fleets[(round + turn) % fleets.length];
      if (fleet === undefined) continue;
      byContender.get(fleet.contender.name)?.push(await measureThroughput(fleet, workload, steps, processes));
    }
  }
  return { workload: nameOf(workload), processes, byContender };
}
