import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, realpathSync, renameSync } from "node:fs";
import { createServer } from "node:net";

import pg from "pg";

import { type Clock, sleep } from "../../runtime/clock.ts";
import type { Binaries } from "./binaries.ts";
import { type Cluster, superuser } from "./cluster.ts";
import { EmbeddedPostgresError } from "./embedded-postgres-error.ts";
import { type Postmaster, removeStalePostmasterFile, runningPostmaster } from "./postmaster-file.ts";
import { processEnded, runCommand, spawnOptions } from "./processes.ts";
import type { ServerUser } from "./server-user.ts";

const pollMs = 10;
const probeTimeoutMs = 5000;
const fastShutdownMs = 60_000;
const immediateShutdownMs = 10_000;

/** Everything that starting a server takes. */
export interface ServerPlan {
  readonly cluster: Cluster;
  readonly binaries: Binaries;
  readonly user: ServerUser | undefined;
  readonly clock: Clock;
  readonly settings: Readonly<Record<string, string>>;
  /** In time of `clock.monotonicMs()`. Recovery after a crash takes as long as it takes, so this is far away. */
  readonly deadlineMs: number;
  /** The server ended, whoever caused it. */
  readonly onExit: (reason: string) => void;
}

export function connectionStringOf(cluster: Cluster, port: number): string {
  return `postgres://${superuser}:${cluster.password}@127.0.0.1:${port}/postgres`;
}

/** True when the server accepts our password and its data directory is ours (a copy of a running one's folder has the former). */
export async function answers(cluster: Cluster, server: Postmaster): Promise<boolean> {
  if (server.status !== "ready") return false;
  const client = new pg.Client({
    connectionString: connectionStringOf(cluster, server.port),
    application_name: "tasker embedded",
    connectionTimeoutMillis: probeTimeoutMs,
  });
  // A server that goes away meanwhile is an answer too, and must not end this process.
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ path: string }>("select current_setting('data_directory') as path");
    return rows[0]?.path === realpathSync(cluster.data);
  } catch {
    return false;
  } finally {
    await client.end();
  }
}

/** Waits for the server that runs already. @returns undefined when it ended before it answered, or does not answer in time. */
export async function awaitRunning(
  cluster: Cluster,
  clock: Clock,
  deadlineMs: number,
): Promise<Postmaster | undefined> {
  for (;;) {
    const running = runningPostmaster(cluster.data);
    if (running === undefined) return undefined;
    if (await answers(cluster, running)) return running;
    if (clock.monotonicMs() >= deadlineMs) {
      throw new EmbeddedPostgresError(
        "start_failed",
        `process ${running.pid} is a Postgres that runs on ${cluster.data} but does not let us in; stop it and start again`,
      );
    }
    await sleep(clock, pollMs);
  }
}

/**
 * Starts a server and waits until it answers. Another port is tried when the chosen one is taken in between, and what is left
 * of a killed server gets time to go.
 *
 * @throws EmbeddedPostgresError `start_failed` with the end of the server's log
 */
export async function startServer(plan: ServerPlan): Promise<Postmaster> {
  for (;;) {
    removeStalePostmasterFile(plan.cluster.data);
    const started = await tryStart(plan);
    if (started !== undefined) return started;
    const log = logTail(plan.cluster);
    // The first two: someone was faster with the port. The third: backends of a server that was killed have not noticed yet.
    const passing = /could not bind|Address already in use|pre-existing shared memory block/.test(log);
    if (!passing || plan.clock.monotonicMs() >= plan.deadlineMs) {
      throw new EmbeddedPostgresError(
        "start_failed",
        `the embedded Postgres did not start. The end of ${plan.cluster.logFile}:\n${log}`,
      );
    }
    await sleep(plan.clock, 10 * pollMs);
  }
}

/** @returns undefined when the server ended before it answered. */
async function tryStart(plan: ServerPlan): Promise<Postmaster | undefined> {
  const { cluster, clock } = plan;
  const child = spawnServer(plan, await freePort());
  let ended = false;
  let ready = false;
  let unable: Error | undefined;
  child.once("error", (error) => {
    unable = error;
    ended = true;
  });
  child.once("exit", (code, killedBy) => {
    ended = true;
    if (ready) plan.onExit(killedBy === null ? `exit code ${code}` : `signal ${killedBy}`);
  });
  while (!ended) {
    const running = runningPostmaster(cluster.data);
    if (running?.pid === child.pid && running !== undefined && (await answers(cluster, running))) {
      ready = true;
      // It outlives this process if it must; only then may an event loop with nothing else to do end.
      child.unref();
      return running;
    }
    if (clock.monotonicMs() >= plan.deadlineMs) {
      child.kill("SIGQUIT");
      return undefined;
    }
    await sleep(clock, pollMs);
  }
  if (unable !== undefined) {
    throw new EmbeddedPostgresError("start_failed", "the embedded Postgres could not be run", { cause: unable });
  }
  return undefined;
}

function spawnServer(plan: ServerPlan, port: number): ReturnType<typeof spawn> {
  const { cluster } = plan;
  if (existsSync(cluster.logFile)) renameSync(cluster.logFile, `${cluster.logFile}.1`);
  // A file and not a pipe: the server lives on when this process is killed, and writing into a broken pipe would end it.
  const log = openSync(cluster.logFile, "w", 0o600);
  try {
    const settings = {
      ...plan.settings,
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: "",
    };
    return spawn(
      plan.binaries.postgres,
      ["-D", cluster.data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      // Detached: Ctrl-C in a terminal goes to the whole foreground group, and the server has to outlive its clients.
      { ...spawnOptions(plan.user), detached: true, stdio: ["ignore", log, log] },
    );
  } finally {
    closeSync(log);
  }
}

/** Ends a server by the fast shutdown (connections are cut, data are flushed), by the immediate one if that takes too long. */
export async function stopServer(
  server: Postmaster,
  cluster: Cluster,
  binaries: Binaries,
  clock: Clock,
): Promise<void> {
  // It may have ended by itself, and its number belong to something else by now.
  if (runningPostmaster(cluster.data)?.pid !== server.pid) return;
  if (process.platform === "win32") {
    // Windows has no signals; pg_ctl knows Postgres's own way.
    await runCommand(binaries.pgCtl, ["stop", "--pgdata", cluster.data, "--mode", "fast"], undefined);
    return;
  }
  send(server.pid, "SIGINT");
  if (await processEnded(clock, server.pid, fastShutdownMs)) return;
  send(server.pid, "SIGQUIT");
  await processEnded(clock, server.pid, immediateShutdownMs);
}

function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already, which is what was wanted.
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

function logTail(cluster: Cluster): string {
  return readFileSync(cluster.logFile, "utf8").slice(-4096).trim();
}
