/**
 * The test runner: one cluster for all files. `node --import tsx test/run.ts [--long] [files...]`
 *
 * The cluster is an embedded one, or the one whose superuser TASKER_TEST_CLUSTER_URL names, to try another version of Postgres.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { clusterUrlVariable, startTestCluster } from "./support/cluster.ts";

const folder = import.meta.dirname;
const concurrency = 2;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const long = args.includes("--long");
  const named = args.filter((arg) => arg !== "--long");
  const missing = named.filter((file) => !existsSync(file));
  if (missing.length > 0) {
    console.error(`no such test file: ${missing.join(", ")}`);
    return 1;
  }
  const files = named.length > 0 ? named : allFiles(long ? ".long.ts" : ".test.ts");
  if (files.length === 0) {
    console.log("0 passed, 0 failed");
    return long ? 0 : 1;
  }
  return runFiles(files, long);
}

function allFiles(ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .toSorted()
    .map((name) => join(folder, name));
}

async function runFiles(files: readonly string[], long: boolean): Promise<number> {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interrupted.abort(signal));
  }
  const given = process.env[clusterUrlVariable];
  const cluster = given === undefined ? await startTestCluster() : { connectionString: given, stop: async () => {} };
  try {
    const seed = process.env["TASKER_TEST_SEED"] ?? String(randomInt(0x7fffffff));
    console.log(`random cases: TASKER_TEST_SEED=${seed} repeats them`);
    return await runNode(files, interrupted.signal, {
      ...process.env,
      [clusterUrlVariable]: cluster.connectionString,
      TASKER_TEST_SEED: seed,
      TASKER_TEST_RUNS_SCALE: process.env["TASKER_TEST_RUNS_SCALE"] ?? (long ? "1" : "0.1"),
    });
  } finally {
    await cluster.stop();
  }
}

function runNode(files: readonly string[], interrupted: AbortSignal, env: NodeJS.ProcessEnv): Promise<number> {
  if (interrupted.aborted) return Promise.resolve(130);
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ["--import", "tsx", "--test", `--test-concurrency=${concurrency}`, "--test-reporter=spec", ...files],
      { stdio: "inherit", env },
    );
    interrupted.addEventListener("abort", () => child.kill("SIGTERM"));
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 130));
  });
}
