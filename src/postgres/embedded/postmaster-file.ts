import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { commandLine, isListed, processIdentity } from "./processes.ts";

/** What `postmaster.pid` says about the server of a data directory (PostgreSQL: src/include/utils/pidfile.h). */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** `starting`, `stopping`, `ready`, `standby`; empty while the server is still writing the file. */
  readonly status: string;
}

/** The server that runs on a data directory; undefined when there is no file, or its process is gone or another program. */
export function runningPostmaster(data: string): Postmaster | undefined {
  const lines = readLines(data);
  const pid = pidIn(lines);
  if (processIdentity(pid) === undefined || commandLine(pid)?.includes(data) === false) return undefined;
  return { pid, port: Number.parseInt(lines[3] ?? "", 10), status: (lines[7] ?? "").trim() };
}

/**
 * Removes a file that would hinder the start, where no server runs. Postgres itself looks only at whether there is a process of
 * that number: it refuses when some other program got the number since, and as long as nobody has reaped the dead server.
 * Only for the holder of the lock: nobody else knows that no server is just starting.
 */
export function removeStalePostmasterFile(data: string): void {
  if (runningPostmaster(data) === undefined && isListed(pidIn(readLines(data)))) rmSync(join(data, "postmaster.pid"));
}

function pidIn(lines: readonly string[]): number {
  return Number.parseInt(lines[0] ?? "", 10);
}

function readLines(data: string): string[] {
  try {
    return readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
  } catch {
    return [];
  }
}
