import { chmodSync, mkdtempSync, rmSync } from "node:fs";
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
const settings = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  max_connections: "300",
};

/** Starts a cluster in a temporary folder, which `stop` removes. */
export async function startTestCluster(): Promise<TestCluster> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-test-"));
  // Root's server runs as nobody, who must be able to get in here.
  chmodSync(folder, 0o755);
  const server = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), clock: systemClock, settings });
  return {
    connectionString: server.connectionString,
    async stop() {
      await server.stop();
      for (const path of [folder, server.dataDir]) rmSync(path, { recursive: true, force: true });
    },
  };
}

let own: Promise<TestCluster> | undefined;
let users = 0;

/** The superuser's connection string of this run's cluster; a file that runs without the runner starts one for itself. */
export async function useCluster(): Promise<string> {
  users += 1;
  const given = process.env[clusterUrlVariable];
  if (given !== undefined) return given;
  if (own === undefined) {
    own = startTestCluster();
    // Hooks of the file run before this: each open database counts as a user.
    process.on("beforeExit", () => {
      if (users === 0) void stopOwn();
    });
  }
  return (await own).connectionString;
}

/** Ends one use. */
export function leaveCluster(): void {
  users -= 1;
}

async function stopOwn(): Promise<void> {
  const cluster = own;
  own = undefined;
  await (await cluster)?.stop();
}
