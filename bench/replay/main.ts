/** Replays recorded executions on the engine: `node --import tsx bench/replay/main.ts [file...]`; docs/benchmarks.md. */
import { parseArgs } from "node:util";

import { openDatabase } from "../../src/postgres/pool.ts";
import { type BenchDatabase, withBenchDatabase } from "../support/database.ts";
import { describeSetting } from "../support/machine.ts";
import { scaleFor } from "./definition.ts";
import { type Evidence, violationsOf } from "./evidence.ts";
import { replay } from "./replay.ts";
import { reportOf } from "./report.ts";
import { readTrace, type Trace } from "./trace.ts";
import { traceFiles, tracesFolder } from "./trace-files.ts";

interface Arguments {
  readonly files: readonly string[];
  /** Undefined: chosen for each trace so that its longest step waits a second. */
  readonly scale: number | undefined;
  readonly repeat: number;
  readonly concurrency: number;
}

const longestSeconds = 1;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readArguments(args);
    // All are read before the first runs: a file that is wrong is said at once.
    const traces = options.files.map((file) => readTrace(file));
    return await withBenchDatabase((database) => replayAll(traces, options, database));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  }
}

function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: "string" },
      repeat: { type: "string", default: "1" },
      concurrency: { type: "string", default: "1000" },
    },
  });
  const files = positionals.length > 0 ? positionals : traceFiles();
  if (files === undefined || files.length === 0) {
    throw new Error(`no executions in ${tracesFolder()}: name files, or set TASKER_TEST_TRACES`);
  }
  return {
    files,
    scale: values.scale === undefined ? undefined : numberOf("--scale", values.scale, 0, 1e9),
    repeat: numberOf("--repeat", values.repeat, 1, 1000),
    concurrency: numberOf("--concurrency", values.concurrency, 1, 1000),
  };
}

function numberOf(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!(value >= min && value <= max)) throw new Error(`${flag} should be a number from ${min} to ${max}, got ${text}`);
  return value;
}

async function replayAll(traces: readonly Trace[], options: Arguments, { url }: BenchDatabase): Promise<number> {
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
  const database = openDatabase({
    connectionString: url,
    max: 1,
    applicationName: "tasker bench",
    idleInTransactionTimeoutMs: 60_000,
    connectTimeoutMs: 10_000,
    onError: () => {},
  });
  try {
    return await describeSetting(database);
  } finally {
    await database.close();
  }
}
