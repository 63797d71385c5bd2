import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import { migrate } from "../../src/postgres/migrate.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { isTransient } from "../../src/postgres/sqlstate.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startJanitor } from "../support/cluster.ts";
import { openTestPool, type Scope } from "../support/database.ts";
import { deferred } from "../support/deferred.ts";
import { killServer, postmasterPid } from "../support/embedded.ts";
import { eventually } from "../support/eventually.ts";
import { startProxy } from "../support/tcp-proxy.ts";

/** How a server ends at once: all its processes are killed, or Postgres's own immediate shutdown. Both need a recovery. */
export type Crash = "kill" | "immediate shutdown";

/** A Postgres of a test's own that crashes when told so. */
export interface ChaosCluster {
  /** Leads to the server, wherever it listens. The database has all migrations. */
  readonly url: string;
  readonly db: Database;
  /** Ends the server and waits for its end. */
  crash(how: Crash): Promise<void>;
  /** Starts it again. */
  restart(): Promise<void>;
}

/** What was committed outlives a crash of the server; only one of the machine's would need fsync. */
const settings = { fsync: "off", max_connections: "60", deadlock_timeout: "100ms" };

/** Starts the server; it is gone after the scope. */
export async function startChaosCluster(scope: Scope): Promise<ChaosCluster> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-chaos-"));
  // Root's server runs as nobody, who must be able to get in here.
  chmodSync(folder, 0o755);
  const janitor = startJanitor(folder);
  let ended = deferred();
  const start = (): Promise<EmbeddedPostgres> => {
    ended = deferred();
    const { resolve } = ended;
    const dataDir = join(folder, "postgres");
    return startEmbeddedPostgres({ dataDir, clock: systemClock, settings, onExit: () => resolve() });
  };
  let server = await start();
  const target = { port: Number(new URL(server.connectionString).port) };
  const way = await startProxy(scope, target);
  const url = new URL(server.connectionString);
  url.port = String(way.port);
  const db = openTestPool(url.href, 8);
  scope.after(async () => {
    janitor.kill("SIGKILL");
    await db.close();
    await server.stop();
    for (const path of [folder, server.dataDir]) rmSync(path, { recursive: true, force: true });
  });
  await migrate(db);
  return {
    url: url.href,
    db,
    async crash(how) {
      if (how === "immediate shutdown") process.kill(postmasterPid(server.dataDir), "SIGQUIT");
      else killServer(server.dataDir);
      await ended.promise;
    },
    async restart() {
      server = await start();
      target.port = Number(new URL(server.connectionString).port);
    },
  };
}

/** Asks until the database answers: it is stopped and started again, and refuses at random. Every other error is one. */
export async function persistently<Value>(work: () => Promise<Value>): Promise<Value> {
  const ask = async (): Promise<{ readonly value: Value } | { readonly error: string }> => {
    try {
      return { value: await work() };
    } catch (error) {
      if (!isTransient(error)) throw error;
      return { error: String(error) };
    }
  };
  const answer = await eventually("the database answers", ask, (one) => "value" in one, 120_000);
  if ("error" in answer) throw new Error(answer.error);
  return answer.value;
}
