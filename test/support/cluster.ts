import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import { systemClock } from "../../src/runtime/clock.ts";

/** The variable in which the runner hands the cluster's superuser connection string to the files of tests. */
export const clusterUrlVariable = "TASKER_TEST_CLUSTER_URL";

/** A Postgres for tests. */
export interface TestCluster {
  readonly connectionString: string;
  stop(): Promise<void>;
}

/** Nothing of it has to survive a crash, and many pools are open at once. */
export const settings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
  max_prepared_transactions: "10",
};

/** Starts a cluster in a temporary folder. It is gone after `stop`, and soon after this process, however that ends. */
export async function startTestCluster(): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-test-"));
  // Root's server runs as nobody, who must be able to get in here.
  chmodSync(folder, 0o755);
  const janitor = startJanitor(folder);
  const server = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), clock: systemClock, settings });
  return {
    connectionString: server.connectionString,
    async stop() {
      janitor.kill("SIGKILL");
      await server.stop();
      for (const path of [folder, server.dataDir]) rmSync(path, { recursive: true, force: true });
    },
  };
}

/** $0 is the folder, which holds those of the clusters; a cluster may live where the file `location` says. */
const cleanUp = `
  read -r _
  for asked in "$0"/*/; do
    home=$(cat "$asked/location" || echo "$asked")
    set -- "$@" "$home"
    kill -INT "$(head -n 1 "$home/cluster/data/postmaster.pid")"
  done
  sleep 1; rm -rf "$0" "$@"
  sleep 5; rm -rf "$0" "$@"`;

/**
 * A shell that stops the servers in a folder and removes it when this process has ended without doing so: killed by a time-out
 * or by Ctrl-C, or a single file of tests, which just ends. The end of its input tells it.
 */
export function startJanitor(folder: string): ChildProcess {
  const options = { cwd: "/", detached: true, stdio: ["pipe", "ignore", "ignore"] } satisfies SpawnOptions;
  const janitor = spawn("/bin/sh", ["-c", cleanUp, folder], options);
  janitor.unref();
  // A pipe, which should not keep this process alive; its type knows only that it can be written to.
  if (janitor.stdin instanceof Socket) janitor.stdin.unref();
  return janitor;
}

let own: Promise<TestCluster> | undefined;

/** The superuser's connection string of this run's cluster; a file that runs without the runner starts one for itself. */
export async function clusterUrl(): Promise<string> {
  const given = process.env[clusterUrlVariable];
  if (given !== undefined) return given;
  own ??= startTestCluster();
  return (await own).connectionString;
}
