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

/**
 * The server that runs on a data directory, from its `postmaster.pid`; undefined when there is no file or its process is gone.
 *
 * A file that would hinder the start is removed: Postgres itself looks only at whether there is a process of that number, and
 * refuses when it is some other program that got the number since, or the dead server as long as nobody has reaped it.
 */
export function runningPostmaster(data: string): Postmaster | undefined {
  const path = join(data, "postmaster.pid");
  const lines = readLines(path);
  const pid = Number.parseInt(lines[0] ?? "", 10);
  if (!Number.isInteger(pid)) return undefined;
  if (processIdentity(pid) === undefined || commandLine(pid)?.includes(data) === false) {
    if (isListed(pid)) rmSync(path, { force: true });
    return undefined;
  }
  return { pid, port: Number.parseInt(lines[3] ?? "", 10), status: (lines[7] ?? "").trim() };
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}
