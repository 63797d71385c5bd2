/**
 * The test runner: one cluster for all files. `node --import tsx test/run.ts [--long | --oldest] [files...]`
 *
 * The cluster is an embedded one, or the one whose superuser TASKER_TEST_CLUSTER_URL names, to try another version of Postgres.
 * `--long` runs the long tests and then, on the oldest version of Postgres that is supported, the files that are about SQL;
 * `--oldest` runs files on that version, by default those.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join, sep } from "node:path";

import { clusterUrlVariable, startTestCluster, type TestCluster } from "./support/cluster.ts";
import { startDebianCluster } from "./support/debian-postgres.ts";

const folder = import.meta.dirname;
const concurrency = 2;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const [long, oldest] = ["--long", "--oldest"].map((flag) => args.includes(flag));
  const named = args.filter((arg) => arg !== "--long" && arg !== "--oldest");
  const missing = named.filter((file) => !existsSync(file));
  if (missing.length > 0) {
    console.error(`no such test file: ${missing.join(", ")}`);
    return 1;
  }
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => interrupted.abort(signal));
  }
  if (oldest === true)
    return runFiles(named.length > 0 ? named : sqlFiles(), { interrupted, start: startDebianCluster });
  const files = named.length > 0 ? named : allFiles(long === true ? ".long.ts" : ".test.ts");
  const ended = await runFiles(files, { interrupted, start: startTestCluster, scale: long === true ? "1" : "0.1" });
  if (long !== true || named.length > 0 || interrupted.signal.aborted) return ended;
  console.log("the tests about SQL on the oldest Postgres that is supported:");
  return (await runFiles(sqlFiles(), { interrupted, start: startDebianCluster })) || ended;
}

/** What depends on the version of Postgres. */
function sqlFiles(): string[] {
  const folders = ["analytics", "engine", "postgres", "seed-history", "templates", "worker"].map((name) =>
    join(folder, name, sep),
  );
  // The embedded server has a version of its own.
  const embedded = join(folder, "postgres", "embedded", sep);
  return allFiles(".test.ts").filter(
    (file) => folders.some((one) => file.startsWith(one)) && !file.startsWith(embedded),
  );
}

function allFiles(ending: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .toSorted()
    .map((name) => join(folder, name));
}

interface Run {
  readonly interrupted: AbortController;
  readonly start: () => Promise<TestCluster>;
  /** How often random cases are repeated, as a share of a long run. */
  readonly scale?: string;
}

async function runFiles(files: readonly string[], { interrupted, start, scale = "0.1" }: Run): Promise<number> {
  // What is given is a cluster of the version to try; the oldest version is its own.
  const given = start === startDebianCluster ? undefined : process.env[clusterUrlVariable];
  const cluster = given === undefined ? await start() : { connectionString: given, stop: async () => {} };
  try {
    const seed = process.env["TASKER_TEST_SEED"] ?? String(randomInt(0x7fffffff));
    console.log(`random cases: TASKER_TEST_SEED=${seed} repeats them`);
    return await runNode(files, interrupted.signal, {
      ...process.env,
      [clusterUrlVariable]: cluster.connectionString,
      TASKER_TEST_SEED: seed,
      TASKER_TEST_RUNS_SCALE: process.env["TASKER_TEST_RUNS_SCALE"] ?? scale,
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
