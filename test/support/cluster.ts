import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { runningPostmaster } from "../../src/postgres/embedded/postmaster-file.ts";
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
const settings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
};

/** Starts a cluster in a temporary folder. It is gone after `stop`, and soon after this process, however that ends. */
export async function startTestCluster(): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-test-"));
  // Root's server runs as nobody, who must be able to get in here.
  chmodSync(folder, 0o755);
  const server = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), clock: systemClock, settings });
  const folders = [folder, server.dataDir];
  const janitor = startJanitor(runningPostmaster(join(server.dataDir, "cluster", "data"))?.pid, folders);
  return {
    connectionString: server.connectionString,
    async stop() {
      janitor.kill("SIGKILL");
      await server.stop();
      for (const path of folders) rmSync(path, { recursive: true, force: true });
    },
  };
}

/**
 * A shell that stops the server and removes the folders when this process has ended without doing so: killed by a time-out, by
 * Ctrl-C, or because it is a single file of tests, which ends by itself. The end of its input tells it.
 */
function startJanitor(pid: number | undefined, folders: readonly string[]): ChildProcess {
  const script = 'read -r _; kill -INT "$0"; sleep 1; rm -rf "$@"; sleep 5; rm -rf "$@"';
  const janitor = spawn("/bin/sh", ["-c", script, String(pid), ...folders], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  janitor.unref();
  // A pipe, which does not keep this process alive; the type knows only that it can be written to.
  if ("unref" in janitor.stdin && typeof janitor.stdin.unref === "function") janitor.stdin.unref();
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
