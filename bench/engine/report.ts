import { median, nearestRank } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import type { Latencies } from "./latency.ts";
import type { Throughput } from "./throughput.ts";

/** A workload with a number of processes, and the rounds of each contender that ran it, ours first. */
export interface Cell {
  readonly workload: string;
  readonly processes: number;
  readonly byContender: ReadonlyMap<string, readonly Throughput[]>;
}

/** Steps a second: medians, and ours over each peer's. */
export function throughputReport(cells: readonly Cell[]): string {
  const rows = cells.flatMap(({ workload, processes, byContender }) => {
    const rates = [...byContender].map(([name, rounds]) => ({ name, rounds, rate: median(rounds.map(rateOf)) }));
    const ours = rates[0]?.rate ?? Number.NaN;
    return rates.map(({ name, rounds, rate }, index) => [
      `${workload}, ${processes} ${processes === 1 ? "process" : "processes"}: ${name}`,
      String(rounds[0]?.steps ?? 0),
      rate.toFixed(0),
      `${Math.min(...rounds.map(rateOf)).toFixed(0)}-${Math.max(...rounds.map(rateOf)).toFixed(0)}`,
      index === 0 ? "" : `${(ours / rate).toFixed(2)} x`,
    ]);
  });
  return table(["queued, then run", "steps", "steps/s", "range", "we are"], rows);
}

/** What a step costs the server. */
export function costReport(cells: readonly Cell[]): string {
  const rows = cells.flatMap(({ workload, processes, byContender }) =>
    [...byContender].map(([name, rounds]) => [
      `${workload}, ${processes} ${processes === 1 ? "process" : "processes"}: ${name}`,
      median(rounds.map((one) => one.transactionsPerStep)).toFixed(3),
      median(rounds.map((one) => one.walBytesPerStep)).toFixed(0),
      median(rounds.map((one) => one.deadTuplesPerStep)).toFixed(2),
    ]),
  );
  return table(["for each step", "transactions", "WAL bytes", "dead tuples"], rows);
}

/** Milliseconds at idle, with ours over each peer's median. */
export function latencyReport(byContender: ReadonlyMap<string, Latencies>, commitMs: readonly number[]): string {
  const rowsOf = (what: string, of: (latencies: Latencies) => readonly number[]): string[][] => {
    const medians = [...byContender.values()].map((latencies) => nearestRank(of(latencies), 50));
    return [...byContender].map(([name, latencies], index) => [
      ...row(`${what}: ${name}`, of(latencies)),
      index === 0 ? "" : `${((medians[0] ?? Number.NaN) / (medians[index] ?? Number.NaN)).toFixed(2)} x`,
    ]);
  };
  const rows = [
    ...rowsOf("a step's end to its dependant's start", (latencies) => latencies.stepToStepMs),
    ...rowsOf("enqueue to the first step's start", (latencies) => latencies.enqueueToStartMs),
    row("a commit alone, for comparison", commitMs),
  ];
  return table(["idle, one chain of 10 at a time", "samples", "median ms", "p99 ms", "we are"], rows);
}

function row(what: string, ms: readonly number[]): string[] {
  return [what, String(ms.length), nearestRank(ms, 50).toFixed(2), nearestRank(ms, 99).toFixed(2)];
}

function rateOf({ stepsPerSecond }: Throughput): number {
  return stepsPerSecond;
}
