/** Replays recorded executions on the engine: `node --import tsx bench/replay/main.ts [file...]`; docs/benchmarks.md. */
import { type BenchDatabase, withBenchDatabase } from "../support/database.ts";
import { readFlags } from "../support/flags.ts";
import { describeSetting } from "../support/machine.ts";
import { openBenchPool } from "../support/pool.ts";
import { runBenchmark } from "../support/run.ts";
import { scaleFor } from "./definition.ts";
import { type Evidence, violationsOf } from "./evidence.ts";
import { replay } from "./replay.ts";
import { reportOf } from "./report.ts";
import { readTrace, type Trace } from "./trace.ts";
import { traceFiles, tracesFolder } from "./trace-files.ts";

interface Options {
  /** Undefined: chosen for each trace so that its longest step waits a second. */
  readonly scale: number | undefined;
  readonly repeat: number;
  readonly concurrency: number;
}

const longestSeconds = 1;

await runBenchmark((args) => {
  const { values, positionals } = readFlags(args, {
    scale: { min: 0, max: 1e9, fraction: true },
    repeat: { min: 1, max: 1000, default: 1 },
    concurrency: { min: 1, max: 1000, default: 1000 },
  });
  const files = positionals.length > 0 ? positionals : traceFiles();
  if (files === undefined || files.length === 0) {
    throw new Error(`no executions in ${tracesFolder()}: name files, or set TASKER_TEST_TRACES`);
  }
  // All are read before the first runs: a file that is wrong is said at once.
  const traces = files.map((file) => readTrace(file));
  return withBenchDatabase((database) => replayAll(traces, values, database));
});

async function replayAll(traces: readonly Trace[], options: Options, { url }: BenchDatabase): Promise<number> {
  console.log(`${await settingOf(url)}, ${options.concurrency} handlers at once\n`);
  const results: Evidence[] = [];
  let broken = 0;
  for (const trace of traces) {
    const scale = options.scale ?? scaleFor(trace, longestSeconds);
    const evidence = await replay(trace, { ...options, url, scale });
    results.push(evidence);
    for (const note of trace.notes) console.log(`${trace.name}: ${note}`);
    const violations = violationsOf(evidence);
    for (const violation of violations) console.log(`VIOLATION ${trace.name}: ${violation}`);
    if (violations.length > 0) broken += 1;
  }
  console.log(`\n${reportOf(results)}`);
  const runs = options.repeat === 1 ? "" : ` in ${options.repeat} runs each (medians above)`;
  console.log(`\n${results.length} executions replayed${runs}, ${broken} with violations`);
  return broken === 0 ? 0 : 1;
}

async function settingOf(url: string): Promise<string> {
  const pool = openBenchPool(url);
  try {
    return await describeSetting(pool);
  } finally {
    await pool.close();
  }
}
