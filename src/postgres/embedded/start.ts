import { join } from "node:path";

import { type Clock, sleep } from "../../runtime/clock.ts";
import { locateBinaries } from "./binaries.ts";
import { createCluster, readCluster, requireSameMajor } from "./cluster.ts";
import { EmbeddedPostgresError } from "./embedded-postgres-error.ts";
import { clusterOf, locateHome } from "./home.ts";
import { type Lock, tryLock } from "./lock.ts";
import { runningPostmaster } from "./postmaster-file.ts";
import { answers, awaitRunning, connectionStringOf, startServer, stopServer } from "./server.ts";
import { serverUser } from "./server-user.ts";

export { EmbeddedPostgresError } from "./embedded-postgres-error.ts";

const startTimeoutMs = 120_000;
const waitPollMs = 25;

export interface EmbeddedPostgresOptions {
  /** Folder of the cluster; made when it is missing. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** Server settings by their names, in effect from the server's start on (a server that runs already keeps its own). */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told when a server that this call has started ends without `stop`. What it throws is ignored. */
  readonly onExit?: (reason: string) => void;
}

/** A Postgres on this machine that accepts connections. */
export interface EmbeddedPostgres {
  /** With the superuser's name and password. */
  readonly connectionString: string;
  /** Where the cluster really lives: the asked folder, or the one that the asked folder's file `location` names. */
  readonly dataDir: string;
  /** True when the server ran already: another process's, or one that a killed process had left behind. */
  readonly reused: boolean;
  /**
   * Ends the server and waits for that, if this call started it or took it over from a process that was killed; otherwise
   * leaves it alone. Idempotent.
   */
  stop(): Promise<void>;
}

/**
 * Gives the Postgres of a folder: the one that runs there, or a new one on the data that are there, or on an empty cluster.
 * Any number of processes may ask at the same time; one of them starts the server, and it is the one that stops it. The
 * server listens on 127.0.0.1 only, on a free port, and asks for a random password that only this user can read.
 *
 * A process that is killed leaves the server running; the next one finds and keeps it. All of them have to run on one machine:
 * a folder that two containers share is not safe, since neither sees the other's processes.
 *
 * @throws EmbeddedPostgresError with a message that says what to do
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  try {
    return await startOrConnect(options);
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error) || !("path" in error)) throw error;
    throw new EmbeddedPostgresError(
      "data_dir_unusable",
      `the data folder ${options.dataDir} cannot be used (${error.message}): choose one that this user may write to`,
      { cause: error },
    );
  }
}

async function startOrConnect(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { clock } = options;
  const home = locateHome(options.dataDir);
  const deadlineMs = clock.monotonicMs() + startTimeoutMs;
  for (;;) {
    const lock = tryLock(join(home, "lock"));
    if (lock !== undefined) return own(options, home, lock, deadlineMs);
    const cluster = readCluster(home);
    const running = cluster && runningPostmaster(cluster.data);
    if (cluster !== undefined && running !== undefined && (await answers(cluster, running))) {
      return {
        connectionString: connectionStringOf(cluster, running.port),
        dataDir: home,
        reused: true,
        stop: async () => {},
      };
    }
    if (clock.monotonicMs() >= deadlineMs) {
      throw new EmbeddedPostgresError(
        "start_failed",
        `another process holds ${join(home, "lock")} (its number is in the file), but no server answers; stop that process and start again`,
      );
    }
    await sleep(clock, waitPollMs);
  }
}

/** Runs the server as the holder of the lock, which is released with its end. */
async function own(
  options: EmbeddedPostgresOptions,
  home: string,
  lock: Lock,
  deadlineMs: number,
): Promise<EmbeddedPostgres> {
  const { clock, settings = {} } = options;
  let stopped: Promise<void> | undefined;
  const onExit = (reason: string): void => {
    if (stopped !== undefined) return;
    lock.release();
    try {
      options.onExit?.(reason);
    } catch {
      // An observer must not end the process: this runs in an event of the child.
    }
  };
  try {
    const user = serverUser(clusterOf(home));
    const binaries = await locateBinaries(user, home);
    const cluster = readCluster(home) ?? (await createCluster(home, binaries, user, settings["fsync"] !== "off"));
    requireSameMajor(cluster, binaries);
    const left = await awaitRunning(cluster, clock, deadlineMs);
    const server = left ?? (await startServer({ cluster, binaries, user, clock, settings, deadlineMs, onExit }));
    return {
      connectionString: connectionStringOf(cluster, server.port),
      dataDir: home,
      reused: left !== undefined,
      stop() {
        stopped ??= stopServer(server, cluster, binaries, clock).finally(() => lock.release());
        return stopped;
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}
