import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/postgres/embedded/start.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { openTestPool, type Scope } from "./database.ts";

/** A folder that is removed after the scope. Everybody may enter it unless `mode` says otherwise. */
export function temporaryFolder(scope: Scope, mode = 0o755): string {
  const folder = mkdtempSync(join(tmpdir(), "tasker-embedded-"));
  chmodSync(folder, mode);
  scope.after(async () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a server in this process; it is stopped after the scope at the latest. */
export async function startIn(
  scope: Scope,
  dataDir: string,
  onExit: (reason: string) => void = () => {},
): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, clock: systemClock, settings: { fsync: "off" }, onExit });
  scope.after(() => server.stop());
  return server;
}

/** What a holder says first: what it has got, or why not. */
export interface Said {
  readonly connectionString: string;
  readonly dataDir: string;
  readonly reused: boolean;
  readonly code?: string;
  readonly message?: string;
}

/** Another process that holds an embedded Postgres. */
export interface Holder {
  readonly said: Said;
  readonly pid: number;
  /** Lets it stop its server, and waits for its end. */
  finish(): Promise<void>;
  /** Sends a signal to its whole process group, as a terminal does, and waits for its end. */
  signal(name: NodeJS.Signals): Promise<void>;
}

/** Starts such a process and waits for what it says. */
export async function startHolder(scope: Scope, dataDir: string, uid?: number): Promise<Holder> {
  const program = join(import.meta.dirname, "embedded-holder.ts");
  const args = ["--import", "tsx", program, dataDir, ...(uid === undefined ? [] : [String(uid)])];
  const child = spawn(process.execPath, args, { detached: true, stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const finish = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  scope.after(finish);
  return {
    said: await firstLine(child),
    pid: child.pid ?? 0,
    finish,
    async signal(name) {
      process.kill(-(child.pid ?? 0), name);
      await ended;
    },
  };
}

async function firstLine(child: ChildProcess): Promise<Said> {
  if (child.stdout === null) throw new Error("the holder has no standard output");
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  // Written by embedded-holder.ts.
  return JSON.parse(line) as Said;
}

/** Runs one statement on a connection of its own. */
export async function ask<Row extends object>(connectionString: string, text: string): Promise<Row[]> {
  const db = openTestPool(connectionString, 1);
  try {
    return await db.query<Row>({ text });
  } finally {
    await db.close();
  }
}

/** The number of the server's process, from Postgres's own file. */
export function postmasterPid(dataDir: string): number {
  return Number.parseInt(readFileSync(join(dataDir, "cluster", "data", "postmaster.pid"), "utf8"), 10);
}

/** Ends a server as a power failure would: with its sessions, each of which would answer once more if it was asked just now. */
export function killServer(dataDir: string): void {
  const pid = postmasterPid(dataDir);
  for (const one of [pid, ...childrenOf(pid)]) killAtOnce(one);
}

function childrenOf(parent: number): number[] {
  const lines = execFileSync("ps", ["-axo", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  const pairs = lines.map((line) => line.trim().split(/\s+/u).map(Number));
  return pairs.flatMap(([pid, ppid]) => (ppid === parent && pid !== undefined ? [pid] : []));
}

function killAtOnce(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It ended by itself just now.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
