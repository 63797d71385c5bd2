/** From the first command to the first cached answer: `node --import tsx bench/startup/main.ts`; docs/benchmarks.md. */
import { rmSync } from "node:fs";
import { join } from "node:path";

import { systemClock } from "../../src/runtime/clock.ts";
import { temporaryFolder } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeMachine } from "../support/machine.ts";
import { startProgram } from "../support/program.ts";
import { runBenchmark } from "../support/run.ts";
import { median } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import { until } from "../support/waiting.ts";

/** One start, in milliseconds from the start of the process. */
interface Start {
  /** The address is printed: it listens. */
  readonly listensMs: number;
  /** An answer came from the cache. */
  readonly hitMs: number;
}

const path = "/v1/analytics/performance";
const patienceMs = 120_000;

await runBenchmark(async (args) => {
  const { values } = readFlags(args, { runs: { min: 1, max: 100, default: 5 } });
  console.log(`${describeMachine()}, a fresh data folder each time\n`);
  const starts: Start[] = [];
  for (let run = 0; run < values.runs; run++) starts.push(await start());
  const rows = starts.map((one, index) => cells(String(index + 1), one));
  const middle = {
    listensMs: median(starts.map((one) => one.listensMs)),
    hitMs: median(starts.map((one) => one.hitMs)),
  };
  console.log(table(["run", "listens after s", "cached answer after s"], [...rows, cells("median", middle)]));
  return 0;
});

function cells(name: string, { listensMs, hitMs }: Start): string[] {
  return [name, (listensMs / 1000).toFixed(2), (hitMs / 1000).toFixed(2)];
}

/** Starts `tasker dev` on an empty folder, asks until an answer comes from the cache, and stops it. */
async function start(): Promise<Start> {
  const folder = temporaryFolder();
  try {
    const startedMs = systemClock.monotonicMs();
    const tasker = await startProgram(["dev", "--port", "0", "--data-dir", join(folder, "data")]);
    try {
      const listensMs = systemClock.monotonicMs() - startedMs;
      await until(systemClock, patienceMs, () => isHit(tasker.origin), "no answer comes from the cache");
      return { listensMs, hitMs: systemClock.monotonicMs() - startedMs };
    } finally {
      await tasker.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function isHit(origin: string): Promise<boolean> {
  const response = await fetch(`${origin}${path}`);
  await response.arrayBuffer();
  return response.status === 200 && (response.headers.get("cache-status") ?? "").startsWith("tasker; hit");
}
