import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, sep } from "node:path";

import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import type { Database } from "../../src/postgres/sql.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { sqlState, sqlStateOf } from "../../src/postgres/sqlstate.ts";
import { startJanitor } from "./cluster.ts";
import { openTestPool, type Scope } from "./database.ts";
import { killServer } from "./embedded.ts";
import { onlyRow } from "./engine.ts";
import { eventually } from "./eventually.ts";
import { startProxy, type TcpProxy } from "./tcp-proxy.ts";

/** A Postgres and a hot standby that replays what it does, both of their own. */
export interface StandbyPair {
  /** Of the primary, database postgres, empty. */
  readonly url: string;
  readonly db: Database;
  /** Leads to the standby, wherever it listens; a way that a test can cut. */
  readonly standbyUrl: string;
  readonly way: TcpProxy;
  /** A way of the test's own to the standby, for what only it can be told. */
  standby(): Database;
  /** Resolves when the standby has replayed everything that is committed now. */
  replayed(): Promise<void>;
  /** Ends the standby as a power failure would. */
  kill(): void;
  /** Starts the standby again, on another port. */
  restart(): Promise<void>;
}

/** What the standby need not have: what belongs to the process, and the log that it streams from the primary. */
const leftOut = /^(?:postmaster\.(?:pid|opts)|pg_wal\/.+)$/u;

/**
 * Starts both; they are gone after the scope. The standby is made as a base backup, by copying the data folder of the running
 * primary (the embedded programs lack pg_basebackup), and never waits before it cancels a query that is in its way.
 */
export async function startStandbyPair(scope: Scope): Promise<StandbyPair> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-standby-"));
  // Root's servers run as nobody, who must be able to get in here.
  chmodSync(folder, 0o755);
  const janitor = startJanitor(folder);
  const primary = await startEmbeddedPostgres({
    dataDir: join(folder, "primary"),
    clock: systemClock,
    settings: { fsync: "off", autovacuum: "off", wal_keep_size: "256MB" },
  });
  const db = openTestPool(primary.connectionString, 10);
  const home = join(folder, "standby");
  await copyCluster(db, primary.dataDir, home);

  const { hostname, port, username, password } = new URL(primary.connectionString);
  const settings = {
    fsync: "off",
    primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password}`,
    wal_retrieve_retry_interval: "100ms",
    max_standby_streaming_delay: "0",
    // Rows that a query of the standby sees are cleaned away all the same.
    hot_standby_feedback: "off",
  };
  const start = (): Promise<EmbeddedPostgres> => startEmbeddedPostgres({ dataDir: home, clock: systemClock, settings });
  let server = await start();
  const target = { port: portOf(server) };
  const way = await startProxy(scope, target);
  let own: Database | undefined;
  const standby = (): Database => (own ??= openTestPool(server.connectionString, 2));
  const standbyUrl = new URL(server.connectionString);
  standbyUrl.port = String(way.port);
  scope.after(async () => {
    janitor.kill("SIGKILL");
    await Promise.all([own?.close(), db.close()]);
    await Promise.all([server.stop(), primary.stop()]);
    for (const path of [folder, server.dataDir, primary.dataDir]) rmSync(path, { recursive: true, force: true });
  });

  return {
    url: primary.connectionString,
    db,
    standbyUrl: standbyUrl.href,
    way,
    standby,
    async replayed() {
      // Its commit flushes all that was written before, such as a vacuum's cleaning, which nothing else sends on its way at once.
      await db.query({ text: "select pg_logical_emit_message(true, 'replayed', '')" });
      const { lsn } = await onlyRow<{ lsn: string }>(db, "select pg_current_wal_lsn()::text as lsn");
      const text = "select pg_last_wal_replay_lsn() >= $1::pg_lsn as replayed";
      await eventually(
        `the standby has replayed ${lsn}`,
        () => onlyRow<{ replayed: boolean }>(standby(), text, [lsn]).catch(notInTheWay),
        ({ replayed }) => replayed,
      );
    },
    kill: () => killServer(server.dataDir),
    async restart() {
      await own?.close();
      own = undefined;
      server = await start();
      target.port = portOf(server);
    },
  };
}

function portOf({ connectionString }: EmbeddedPostgres): number {
  return Number(new URL(connectionString).port);
}

/** Copies a running cluster into a home of its own, in which it will start as a standby. */
async function copyCluster(db: Database, from: string, to: string): Promise<void> {
  const [source, cluster] = [join(from, "cluster"), join(to, "cluster")];
  const data = join(cluster, "data");
  mkdirSync(to, { mode: 0o755 });
  // Both calls in one session, and the label of the backup is what the second one returns.
  await db.transaction(async (sql) => {
    await sql.query({ text: "select pg_backup_start('standby', true)" });
    cpSync(source, cluster, {
      recursive: true,
      filter: (path) => !leftOut.test(relative(join(source, "data"), path).split(sep).join("/")),
    });
    const { label } = await onlyRow<{ label: string }>(sql, "select labelfile as label from pg_backup_stop(false)");
    writeFileSync(join(data, "backup_label"), label, { mode: 0o600 });
  });
  writeFileSync(join(data, "standby.signal"), "");
  const { uid, gid } = statSync(source);
  if (uid !== process.getuid?.()) giveAll(cluster, uid, gid);
}

function giveAll(path: string, uid: number, gid: number): void {
  chownSync(path, uid, gid);
  if (!statSync(path).isDirectory()) return;
  for (const name of readdirSync(path)) giveAll(join(path, name), uid, gid);
}

/** A question that stood in the way of replaying is asked again. */
function notInTheWay(error: unknown): { readonly replayed: boolean } {
  if (sqlStateOf(error) === sqlState.serialization_failure) return { replayed: false };
  throw error;
}
