import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import type { Binaries } from "./binaries.ts";
import { EmbeddedPostgresError } from "./embedded-postgres-error.ts";
import { clusterOf } from "./home.ts";
import { runCommand } from "./processes.ts";
import type { ServerUser } from "./server-user.ts";

/** The name of the superuser, the only role at first. */
export const superuser = "postgres";

/** A database cluster on disk. */
export interface Cluster {
  /** Postgres's data directory. */
  readonly data: string;
  readonly logFile: string;
  readonly password: string;
}

/**
 * The cluster of a home, if there is one.
 *
 * @throws EmbeddedPostgresError `password_missing`
 */
export function readCluster(home: string): Cluster | undefined {
  const directory = clusterOf(home);
  if (!existsSync(directory)) return undefined;
  const passwordFile = join(directory, "password");
  if (!existsSync(passwordFile)) {
    throw new EmbeddedPostgresError(
      "password_missing",
      `the embedded Postgres's password file ${passwordFile} is gone, and without it nobody can connect: restore it, or move ${directory} away to begin anew`,
    );
  }
  return {
    data: join(directory, "data"),
    logFile: join(directory, "server.log"),
    password: readFileSync(passwordFile, "utf8").trim(),
  };
}

/**
 * Creates the cluster of a home: in a folder beside, which gets its name when it is complete, so that a process that is killed
 * on the way leaves nothing that looks like a cluster.
 *
 * @param durable false skips the flush to disk at the end.
 * @throws EmbeddedPostgresError `initdb_failed` with the end of what initdb said
 */
export async function createCluster(
  home: string,
  binaries: Binaries,
  user: ServerUser | undefined,
  durable: boolean,
): Promise<Cluster> {
  // The caller holds the lock, so what is there unfinished was left by a process that was killed.
  for (const name of readdirSync(home)) {
    if (name.startsWith("cluster-")) rmSync(join(home, name), { recursive: true, force: true });
  }
  const unfinished = mkdtempSync(join(home, "cluster-"));
  try {
    const passwordFile = join(unfinished, "password");
    writeFileSync(passwordFile, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600 });
    if (user !== undefined) {
      for (const path of [passwordFile, unfinished]) chownSync(path, user.uid, user.gid);
    }
    chmodSync(unfinished, 0o700);
    const { exitCode, stderr } = await runCommand(
      binaries.initdb,
      [
        `--pgdata=${join(unfinished, "data")}`,
        `--username=${superuser}`,
        `--pwfile=${passwordFile}`,
        "--auth-host=scram-sha-256",
        "--auth-local=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        ...(durable ? [] : ["--no-sync"]),
      ],
      user,
    );
    if (exitCode !== 0) {
      throw new EmbeddedPostgresError(
        "initdb_failed",
        `initdb could not create the cluster in ${home}: ${stderr.trim()}${libcHint()}`,
      );
    }
    renameSync(unfinished, clusterOf(home));
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  const cluster = readCluster(home);
  if (cluster === undefined) throw new EmbeddedPostgresError("initdb_failed", `initdb left no cluster in ${home}`);
  return cluster;
}

/** @throws EmbeddedPostgresError `version_mismatch` when the cluster is one of another major version */
export function requireSameMajor(cluster: Cluster, binaries: Binaries): void {
  const theirs = readFileSync(join(cluster.data, "PG_VERSION"), "utf8").trim();
  const ours = binaries.version.split(".")[0];
  if (theirs === ours) return;
  throw new EmbeddedPostgresError(
    "version_mismatch",
    `the cluster in ${cluster.data} is one of Postgres ${theirs}, and the embedded server is Postgres ${ours}: ` +
      `install the version that made it and move the data with pg_dump, or choose another data folder`,
  );
}

/** The programs are linked against glibc; elsewhere the system says of a file that is there that there is none. */
function libcHint(): string {
  if (
    process.platform !== "linux" ||
    existsSync("/lib64/ld-linux-x86-64.so.2") ||
    existsSync("/lib/ld-linux-aarch64.so.1")
  ) {
    return "";
  }
  return " (this system has no glibc, which the embedded Postgres needs: set DATABASE_URL to a database of yours)";
}
