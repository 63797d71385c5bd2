import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import pg from "pg";

import { isRoot, nobody } from "../../src/postgres/embedded/server-user.ts";
import type { Scope } from "./database.ts";
import { cacheFolderOf, findProgram, isExecutable, libraryPath, unpack } from "./debian-packages.ts";
import { freePort, startJanitor } from "./redis.ts";

/** A real PgBouncer of a test's own, in front of the cluster of a connection string. */
export interface TestPgBouncer {
  /** The same database through it. */
  readonly url: string;
  /** As in `[1, 18]`. */
  readonly version: readonly [major: number, minor: number];
  /** Whether it keeps prepared statements in transaction mode, as it can since 1.21. */
  readonly keepsPreparedStatements: boolean;
}

/** With what it needs beyond the packages that every Debian has, under the names of Debian 12 and 13. */
const packages = [
  ["pgbouncer", "libc-ares2", "libevent-2.1-7"],
  ["pgbouncer", "libcares2", "libevent-2.1-7t64"],
];
/** Connections to the server that clients share. */
export const poolSize = 5;

/**
 * Starts a PgBouncer in transaction mode, with the strictness of its defaults. Each transaction gets another connection to
 * the server than the one before, so that whatever is left in a session, or expected of it, shows at once. It is gone after the scope.
 *
 * The program: on the PATH (or in /usr/sbin), else Debian's package, unpacked into a cache folder, which needs no root and starts
 * no service. Tests fail when there is none to be had; they are never skipped.
 */
export async function startPgBouncer(scope: Scope, databaseUrl: string): Promise<TestPgBouncer> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-pgbouncer-"));
  scope.after(async () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const { path, env } = programIn(folder);
  const [, major, minor] = /(\d+)\.(\d+)/u.exec(execFileSync(path, ["--version"], { env, encoding: "utf8" })) ?? [];
  const version = [Number(major), Number(minor)] as const;
  const keepsPreparedStatements = version[0] > 1 || version[1] >= 21;
  const port = await freePort();
  const { hostname, port: serverPort, username, password, pathname } = new URL(databaseUrl);
  const ini = join(folder, "pgbouncer.ini");
  const server = `host=${hostname} port=${serverPort} user=${username} password='${decodeURIComponent(password)}'`;
  const lines = [
    "[databases]",
    `* = ${server}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = any",
    "pool_mode = transaction",
    `default_pool_size = ${poolSize}`,
    `min_pool_size = ${poolSize}`,
    "server_round_robin = 1",
    ...(keepsPreparedStatements ? ["max_prepared_statements = 100"] : []),
  ];
  writeFileSync(ini, `${lines.join("\n")}\n`, { mode: 0o644 });
  // It refuses to run as root.
  const child = spawn(path, [ini], { cwd: "/", env, stdio: ["ignore", "ignore", "pipe"], ...(isRoot() ? nobody : {}) });
  const ended = once(child, "exit");
  const janitor = startJanitor(child.pid);
  scope.after(async () => {
    child.kill("SIGKILL");
    await ended;
    janitor.kill("SIGKILL");
  });
  const said: string[] = [];
  for await (const line of createInterface(child.stderr)) {
    said.push(line);
    if (!/process up/u.test(line)) continue;
    child.stderr.resume();
    const url = `postgres://${username}@127.0.0.1:${port}${pathname}`;
    await openAll(url);
    return { url, version, keepsPreparedStatements };
  }
  throw new Error(`pgbouncer did not start:\n${said.join("\n")}`);
}

/** Has it open all its connections to the server, which it does only when so many transactions are open at once. */
async function openAll(url: string): Promise<void> {
  const clients = Array.from({ length: poolSize }, () => new pg.Client({ connectionString: url }));
  await Promise.all(clients.map((client) => client.connect()));
  await Promise.all(clients.map((client) => client.query("begin")));
  await Promise.all(clients.map((client) => client.query("rollback")));
  await Promise.all(clients.map((client) => client.end()));
}

interface Program {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

/** @param folder one that `nobody` may enter, into which an unpacked program is copied: a cache folder of root's is closed to them */
function programIn(folder: string): Program {
  const path = findProgram(["pgbouncer"], ["/usr/sbin", "/usr/local/sbin"]);
  if (path !== undefined) return { path, env: process.env };
  const cache = cacheFolderOf("pgbouncer");
  if (!isExecutable(join(cache, "usr", "sbin", "pgbouncer")) && !packages.some((names) => unpack("pgbouncer", names))) {
    throw new Error(
      "The tests need a real PgBouncer. Install it (Debian: apt-get install pgbouncer; macOS: brew install pgbouncer), " +
        "so that pgbouncer is on the PATH",
    );
  }
  for (const name of ["sbin", "lib"].filter((one) => existsSync(join(cache, "usr", one)))) {
    cpSync(join(cache, "usr", name), join(folder, "usr", name), { recursive: true, verbatimSymlinks: true });
  }
  return {
    path: join(folder, "usr", "sbin", "pgbouncer"),
    env: { ...process.env, LD_LIBRARY_PATH: libraryPath(folder) },
  };
}
