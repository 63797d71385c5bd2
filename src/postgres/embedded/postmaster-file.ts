import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { commandLine, processIdentity } from "./processes.ts";

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
 * Where the process is not this directory's server but some other one that got the number since, the file is removed:
 * Postgres itself would take it for a server that runs and refuse to start.
 */
export function runningPostmaster(data: string): Postmaster | undefined {
  const path = join(data, "postmaster.pid");
  const lines = readLines(path);
  const pid = Number.parseInt(lines[0] ?? "", 10);
  if (!Number.isInteger(pid) || processIdentity(pid) === undefined) return undefined;
  if (commandLine(pid)?.includes(data) === false) {
    rmSync(path, { force: true });
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
