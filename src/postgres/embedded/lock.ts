import { randomUUID } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync } from "node:fs";

import { createExclusively } from "./exclusive-file.ts";
import { processIdentity } from "./processes.ts";

/** A lock file that is held. */
export interface Lock {
  /** Removes the file, if it is still this one. */
  release(): void;
}

/**
 * Takes the lock file, unless a living process holds it. The file carries the identity of its holder, so the lock of a process
 * that was killed is taken over.
 *
 * It decides who starts and stops the server. It is not what keeps two servers off one cluster: that is Postgres's own
 * postmaster.pid.
 *
 * @returns undefined when another one holds it (possibly this very process, in another place).
 */
export function tryLock(path: string): Lock | undefined {
  const mine = `${processIdentity(process.pid) ?? process.pid}\n${randomUUID()}\n`;
  if (!createExclusively(path, mine)) {
    const theirs = read(path);
    if (theirs !== undefined && (isHeld(theirs) || !removeStale(path, theirs))) return undefined;
    if (!createExclusively(path, mine)) return undefined;
  }
  return {
    release() {
      if (read(path) === mine) rmSync(path, { force: true });
    },
  };
}

function isHeld(content: string): boolean {
  const identity = content.split("\n")[0] ?? "";
  return processIdentity(Number.parseInt(identity, 10)) === identity;
}

/**
 * Removes the lock of a dead process. Two processes may find it dead at the same time, and the slower one must not remove what
 * the faster one has created since: so the file is moved away first, and moved back when it is not the one that was read.
 */
function removeStale(path: string, content: string): boolean {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  const stale = read(aside) === content;
  try {
    if (!stale) linkSync(aside, path);
  } catch {
    // Taken once more in between. Its former holder goes on with the server it started; the new one will find that running.
  }
  rmSync(aside, { force: true });
  return stale;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
